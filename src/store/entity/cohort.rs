//! `cohort`: named sets of persons.

use sea_orm::entity::prelude::*;

/// A cohort.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "cohort")]
pub struct Model {
    /// Never reused, not even after the row is gone.
    #[sea_orm(primary_key)]
    pub id: i64,
    /// The owning project; the row goes with it.
    pub project_id: i64,
    /// Not unique.
    pub name: String,
    /// May be empty.
    pub description: String,
    /// Whether its members are listed in `cohort_member`, or found by `filters`.
    pub is_static: bool,
    /// JSON tree of conditions; null for a static cohort.
    pub filters: Option<String>,
    /// How many members it had when last counted; null before.
    pub count: Option<i64>,
    /// Softly deleted: hidden, and kept.
    pub deleted: bool,
    /// Null when no user made it, or that user is gone.
    pub created_by_id: Option<i64>,
    /// When the row was made.
    pub created_at: DateTimeUtc,
}

/// No joins start here.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
