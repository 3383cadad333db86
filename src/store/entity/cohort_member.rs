//! `cohort_member`: the persons in static cohorts.

use sea_orm::entity::prelude::*;

/// One person in one cohort.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "cohort_member")]
pub struct Model {
    /// The cohort; the row goes with it.
    #[sea_orm(primary_key, auto_increment = false)]
    pub cohort_id: i64,
    /// The person; the row goes with them.
    #[sea_orm(primary_key, auto_increment = false)]
    pub person_id: i64,
    /// The owning project; the row goes with it.
    pub project_id: i64,
}

/// No joins start here.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
