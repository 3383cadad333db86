//! `flag_cohort`: which cohorts a flag names, as `filters` say.

use sea_orm::entity::prelude::*;

/// One cohort named by one flag.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "flag_cohort")]
pub struct Model {
    /// The flag; the row goes with it.
    #[sea_orm(primary_key, auto_increment = false)]
    pub flag_id: i64,
    /// The id that is named. No foreign key: a flag may outlive what it names.
    #[sea_orm(primary_key, auto_increment = false)]
    pub cohort_id: i64,
    /// The owning project; the row goes with it.
    pub project_id: i64,
}

/// No joins start here.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
