//! `flag_link`: what else stands on a flag.
//!
//! The guards on deleting a flag, and `experiment_set`, read it.

use sea_orm::entity::prelude::*;

/// One experiment, early-access feature, survey or replay setting.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "flag_link")]
pub struct Model {
    /// Never reused, not even after the row is gone.
    #[sea_orm(primary_key)]
    pub id: i64,
    /// The owning project; the row goes with it.
    pub project_id: i64,
    /// The flag; the row goes with it.
    pub flag_id: i64,
    /// `experiment`, `early_access`, `survey` or `replay`.
    pub kind: String,
    /// The thing's id among its kind.
    pub ref_id: i64,
    /// What people call the thing.
    pub name: String,
    /// Null before it starts.
    pub started_at: Option<DateTimeUtc>,
    /// Null until it ends.
    pub ended_at: Option<DateTimeUtc>,
    /// A deleted thing no longer stands in the way.
    pub deleted: bool,
}

/// No joins start here.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
