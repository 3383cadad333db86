//! `feature_flag_dashboard`: the analytics dashboards linked to a flag.

use sea_orm::entity::prelude::*;

/// One dashboard linked to one flag.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "feature_flag_dashboard")]
pub struct Model {
    /// The flag; the row goes with it.
    #[sea_orm(primary_key, auto_increment = false)]
    pub flag_id: i64,
    /// The dashboard; the row goes with it.
    #[sea_orm(primary_key, auto_increment = false)]
    pub dashboard_id: i64,
    /// The owning project; the row goes with it.
    pub project_id: i64,
}

/// No joins start here.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
