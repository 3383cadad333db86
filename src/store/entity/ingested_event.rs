//! `ingested_event`: events already taken in, so that a retry counts once.

use sea_orm::entity::prelude::*;

/// One event's id.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "ingested_event")]
pub struct Model {
    /// The owning project; the row goes with it.
    #[sea_orm(primary_key, auto_increment = false)]
    pub project_id: i64,
    /// The event's id, as its sender chose it.
    #[sea_orm(primary_key, auto_increment = false)]
    pub uuid: Uuid,
    /// When it arrived; old rows are swept by it.
    pub received_at: DateTimeUtc,
}

/// No joins start here.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
