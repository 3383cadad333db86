//! Dashboards and their tiles.

use chrono::{DateTime, Utc};
use sea_orm::{ActiveModelTrait, ActiveValue::Set, EntityTrait};
use serde_json::Value;

use super::{
    ProjectWrite,
    entity::{dashboard, tile},
    failure,
};
use crate::model::error::Result;

/// A dashboard about to be made.
#[derive(Clone, Debug)]
pub(crate) struct NewDashboard {
    pub(crate) name: String,
    pub(crate) description: String,
    /// How it came about, such as `template`.
    pub(crate) creation_mode: &'static str,
    pub(crate) filters: Value,
    pub(crate) tags: Value,
    pub(crate) tiles: Vec<NewTile>,
}

/// A tile about to be made.
#[derive(Clone, Debug)]
pub(crate) struct NewTile {
    pub(crate) name: &'static str,
    pub(crate) description: String,
    pub(crate) query: Value,
    pub(crate) color: Option<&'static str>,
}

impl ProjectWrite {
    /// Makes a dashboard with its tiles, and answers its number.
    pub(crate) async fn insert_dashboard(
        &self,
        new: NewDashboard,
        now: DateTime<Utc>,
    ) -> Result<i64> {
        let row = dashboard::ActiveModel {
            project_id: Set(self.project.id),
            name: Set(new.name),
            description: Set(new.description),
            creation_mode: Set(new.creation_mode.to_owned()),
            filters: Set(new.filters.to_string()),
            tags: Set(new.tags.to_string()),
            deleted: Set(false),
            created_at: Set(now),
            ..Default::default()
        };
        let dashboard_id = row.insert(&self.txn).await.map_err(failure)?.id;
        let tile = |new: NewTile| tile::ActiveModel {
            project_id: Set(self.project.id),
            dashboard_id: Set(dashboard_id),
            name: Set(new.name.to_owned()),
            description: Set(new.description),
            query: Set(new.query.to_string()),
            color: Set(new.color.map(str::to_owned)),
            layouts: Set("{}".into()),
            created_at: Set(now),
            ..Default::default()
        };
        tile::Entity::insert_many(new.tiles.into_iter().map(tile))
            .exec_without_returning(&self.txn)
            .await
            .map_err(failure)?;
        Ok(dashboard_id)
    }
}
