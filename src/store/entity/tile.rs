//! `tile`: one insight on a dashboard.

use sea_orm::entity::prelude::*;

/// A tile.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "tile")]
pub struct Model {
    /// Never reused, not even after the row is gone.
    #[sea_orm(primary_key)]
    pub id: i64,
    /// The owning project; the row goes with it.
    pub project_id: i64,
    /// The dashboard it lies on; the tile goes with it.
    pub dashboard_id: i64,
    /// The insight's title.
    pub name: String,
    /// May be empty; the generated text marks a tile as not edited by hand.
    pub description: String,
    /// JSON of what the insight shows.
    pub query: String,
    /// Such as `blue`; null for the plain one.
    pub color: Option<String>,
    /// JSON object of positions by screen size.
    pub layouts: String,
    /// When the row was made.
    pub created_at: DateTimeUtc,
}

/// No joins start here.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
