//! `person`: someone flags are evaluated for.

use sea_orm::entity::prelude::*;

/// A person.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "person")]
pub struct Model {
    /// Never reused, not even after the row is gone.
    #[sea_orm(primary_key)]
    pub id: i64,
    /// The owning project; the row goes with it.
    pub project_id: i64,
    /// Unique in its project.
    pub uuid: Uuid,
    /// JSON object as it now is; `person_change` tells how it came to be.
    pub properties: String,
    /// What searches look in: `email` and `name` of `properties`, in lower case.
    pub search_text: String,
    /// JSON object: the times that decided each property, as `model::property_history` has it.
    pub property_times: String,
    /// Whether they were joined with another id before; such a person is not merged into another.
    pub is_identified: bool,
    /// When they were first known.
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
