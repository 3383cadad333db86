//! `group_type`: the kinds of group a project knows.

use sea_orm::entity::prelude::*;

/// A kind of group, such as `company`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "group_type")]
pub struct Model {
    /// The owning project; the row goes with it.
    #[sea_orm(primary_key, auto_increment = false)]
    pub project_id: i64,
    /// Its number in `filters`, counted from 0.
    #[sea_orm(primary_key, auto_increment = false)]
    pub group_type_index: i32,
    /// Unique in its project.
    pub name: String,
    /// What people call one group of it.
    pub name_singular: Option<String>,
    /// What they call several.
    pub name_plural: Option<String>,
}

/// No joins start here.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
