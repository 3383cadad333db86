//! `group`: companies and the like, for flags that go by group.
//!
//! The name is a reserved word; SeaORM quotes it everywhere.

use sea_orm::entity::prelude::*;

/// A group.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "group")]
pub struct Model {
    /// Never reused, not even after the row is gone.
    #[sea_orm(primary_key)]
    pub id: i64,
    /// The owning project; the row goes with it.
    pub project_id: i64,
    /// Which `group_type` it is of.
    pub group_type_index: i32,
    /// Unique among the groups of its type.
    pub group_key: String,
    /// JSON object.
    pub properties: String,
    /// JSON object: the times that decided each property, as `model::property_history` has it.
    pub property_times: String,
    /// When the row was made.
    pub created_at: DateTimeUtc,
    /// When `properties` last changed.
    pub updated_at: DateTimeUtc,
    /// How often the row was written.
    pub version: i64,
}

/// No joins start here.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
