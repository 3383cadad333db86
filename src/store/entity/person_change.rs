//! `person_change`: who set which properties when.
//!
//! Replayed in order of `(occurred_at, id)`, it gives a person's properties at any
//! moment.

use sea_orm::entity::prelude::*;

/// One change to a person's properties.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "person_change")]
pub struct Model {
    /// Never reused, not even after the row is gone.
    #[sea_orm(primary_key)]
    pub id: i64,
    /// The owning project; the row goes with it.
    pub project_id: i64,
    /// The person; the row goes with them.
    pub person_id: i64,
    /// The event that brought it; null for a change by API.
    pub event_uuid: Option<Uuid>,
    /// `set`, `set_once` or `unset`.
    pub kind: String,
    /// JSON object of values for `set` and `set_once`, JSON array of names for
    /// `unset`.
    pub properties: String,
    /// The event's own time.
    pub occurred_at: DateTimeUtc,
    /// When it reached the database.
    pub recorded_at: DateTimeUtc,
}

/// No joins start here.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
