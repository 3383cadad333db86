//! `dashboard`: a page of tiles, kept for a flag's usage.

use sea_orm::entity::prelude::*;

/// A dashboard.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "dashboard")]
pub struct Model {
    /// Never reused, not even after the row is gone.
    #[sea_orm(primary_key)]
    pub id: i64,
    /// The owning project; the row goes with it.
    pub project_id: i64,
    /// Shown to people; not unique.
    pub name: String,
    /// May be empty.
    pub description: String,
    /// `default` or, for generated usage dashboards, `template`.
    pub creation_mode: String,
    /// JSON object that applies to every tile, such as `{"date_from": "-30d"}`.
    pub filters: String,
    /// JSON array of strings.
    pub tags: String,
    /// Softly deleted: hidden, and kept.
    pub deleted: bool,
    /// When the row was made.
    pub created_at: DateTimeUtc,
}

/// No joins start here.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
