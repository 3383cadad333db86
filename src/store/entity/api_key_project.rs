//! `api_key_project`: the projects a key opens, unless it opens all.

use sea_orm::entity::prelude::*;

/// One project opened by one key.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "api_key_project")]
pub struct Model {
    /// The key; the row goes with it.
    #[sea_orm(primary_key, auto_increment = false)]
    pub api_key_id: i64,
    /// The owning project; the row goes with it.
    #[sea_orm(primary_key, auto_increment = false)]
    pub project_id: i64,
}

/// No joins start here.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
