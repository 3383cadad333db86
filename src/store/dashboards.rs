//! Dashboards and their tiles.

use chrono::{DateTime, Utc};
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter,
    QueryOrder, sea_query::Expr,
};
use serde_json::Value;

use super::{
    ProjectWrite, Store, damage,
    entity::{dashboard, feature_flag, tile},
    failure,
};
use crate::model::{
    dashboard::{Dashboard, Tile},
    error::Result,
};

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

impl Store {
    /// A dashboard that is not softly deleted, with its tiles.
    pub(crate) async fn dashboard(&self, project_id: i64, id: i64) -> Result<Option<Dashboard>> {
        find(self.reader(), project_id, id).await
    }
}

impl ProjectWrite {
    /// As [`Store::dashboard`], on the connection that holds the lock.
    pub(crate) async fn dashboard(&self, id: i64) -> Result<Option<Dashboard>> {
        find(&self.txn, self.project.id, id).await
    }

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
        self.insert_tiles(dashboard_id, new.tiles, now).await?;
        Ok(dashboard_id)
    }

    /// Adds tiles at the end of a dashboard.
    pub(crate) async fn insert_tiles(
        &self,
        dashboard_id: i64,
        tiles: Vec<NewTile>,
        now: DateTime<Utc>,
    ) -> Result<()> {
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
        tile::Entity::insert_many(tiles.into_iter().map(tile))
            .exec_without_returning(&self.txn)
            .await
            .map(|_| ())
            .map_err(failure)
    }

    /// Stores a tile's new text and query.
    pub(crate) async fn update_tile(&self, tile: &Tile) -> Result<()> {
        tile::Entity::update_many()
            .col_expr(tile::Column::Description, Expr::value(tile.description.clone()))
            .col_expr(tile::Column::Query, Expr::value(tile.query.to_string()))
            .filter(tile::Column::ProjectId.eq(self.project.id))
            .filter(tile::Column::Id.eq(tile.id))
            .exec(&self.txn)
            .await
            .map(|_| ())
            .map_err(failure)
    }

    /// Makes a dashboard the one of a flag's usage. The flag itself does not change by it.
    pub(crate) async fn link_usage_dashboard(&self, flag_id: i64, id: i64) -> Result<()> {
        feature_flag::Entity::update_many()
            .col_expr(feature_flag::Column::UsageDashboardId, Expr::value(id))
            .filter(feature_flag::Column::ProjectId.eq(self.project.id))
            .filter(feature_flag::Column::Id.eq(flag_id))
            .exec(&self.txn)
            .await
            .map(|_| ())
            .map_err(failure)
    }
}

async fn find(
    connection: &impl ConnectionTrait,
    project_id: i64,
    id: i64,
) -> Result<Option<Dashboard>> {
    let row = dashboard::Entity::find_by_id(id)
        .filter(dashboard::Column::ProjectId.eq(project_id))
        .filter(dashboard::Column::Deleted.eq(false))
        .one(connection)
        .await
        .map_err(failure)?;
    let Some(row) = row else { return Ok(None) };
    let tiles = tile::Entity::find()
        .filter(tile::Column::ProjectId.eq(project_id))
        .filter(tile::Column::DashboardId.eq(id))
        .order_by_asc(tile::Column::Id)
        .all(connection)
        .await
        .map_err(failure)?;
    Ok(Some(noun(row, tiles)))
}

fn noun(row: dashboard::Model, tiles: Vec<tile::Model>) -> Dashboard {
    let tags = damage::json("dashboard.tags", row.id, &row.tags).unwrap_or_default();
    let tags = tags.as_array().into_iter().flatten().filter_map(Value::as_str);
    let mut tags: Vec<_> = tags.map(str::to_owned).collect();
    tags.sort();
    let tile = |row: tile::Model| Tile {
        query: damage::json("tile.query", row.id, &row.query).unwrap_or_default(),
        id: row.id,
        name: row.name,
        description: row.description,
    };
    Dashboard {
        filters: damage::object_or_null("dashboard.filters", row.id, &row.filters),
        id: row.id,
        name: row.name,
        description: row.description,
        tags,
        tiles: tiles.into_iter().map(tile).collect(),
    }
}
