//! What hangs on a flag from outside: other products' references to it, and
//! dashboards that people linked.

use std::collections::HashMap;

use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, Select,
};

use super::{
    ProjectWrite,
    entity::{feature_flag_dashboard, flag_link},
    failure,
    flags_labels::MOST_NAMED,
};
use crate::model::{
    error::Result,
    flag::FeatureFlag,
    link::{Link, LinkKind},
};

/// Fills in what refers to each flag.
pub(super) async fn add(
    connection: &impl ConnectionTrait,
    project_id: i64,
    flags: &mut [FeatureFlag],
) -> Result<()> {
    let mut query = flag_link::Entity::find().filter(flag_link::Column::ProjectId.eq(project_id));
    if flags.len() <= MOST_NAMED {
        query = query.filter(flag_link::Column::FlagId.is_in(flags.iter().map(|flag| flag.id)));
    }
    let rows =
        query.order_by_asc(flag_link::Column::RefId).all(connection).await.map_err(failure)?;
    let mut of_flag: HashMap<i64, Vec<Link>> = HashMap::new();
    for row in rows {
        of_flag.entry(row.flag_id).or_default().extend(link(row));
    }
    for flag in flags {
        flag.links = of_flag.remove(&flag.id).unwrap_or_default();
    }
    Ok(())
}

/// A link of a product that this release does not know is passed over.
pub(super) fn link(row: flag_link::Model) -> Option<Link> {
    Some(Link {
        kind: LinkKind::parse(&row.kind)?,
        ref_id: row.ref_id,
        name: row.name,
        started_at: row.started_at,
        ended_at: row.ended_at,
        deleted: row.deleted,
    })
}

/// Fills in the dashboards that people linked to each flag.
pub(super) async fn add_dashboards(
    connection: &impl ConnectionTrait,
    project_id: i64,
    flags: &mut [FeatureFlag],
) -> Result<()> {
    let links = dashboards(project_id)
        .filter(feature_flag_dashboard::Column::FlagId.is_in(flags.iter().map(|flag| flag.id)))
        .order_by_asc(feature_flag_dashboard::Column::DashboardId)
        .all(connection)
        .await
        .map_err(failure)?;
    let mut of_flag: HashMap<i64, Vec<i64>> = HashMap::new();
    for link in links {
        of_flag.entry(link.flag_id).or_default().push(link.dashboard_id);
    }
    for flag in flags {
        flag.analytics_dashboards = of_flag.remove(&flag.id).unwrap_or_default();
    }
    Ok(())
}

/// Makes these the dashboards of a flag, whatever it had.
pub(super) async fn replace_dashboards(
    write: &ProjectWrite,
    flag_id: i64,
    ids: &[i64],
) -> Result<()> {
    let project_id = write.project.id;
    feature_flag_dashboard::Entity::delete_many()
        .filter(feature_flag_dashboard::Column::ProjectId.eq(project_id))
        .filter(feature_flag_dashboard::Column::FlagId.eq(flag_id))
        .exec(&write.txn)
        .await
        .map_err(failure)?;
    let row = |id: &i64| feature_flag_dashboard::ActiveModel {
        flag_id: Set(flag_id),
        dashboard_id: Set(*id),
        project_id: Set(project_id),
    };
    if ids.is_empty() {
        return Ok(());
    }
    feature_flag_dashboard::Entity::insert_many(ids.iter().map(row))
        .exec_without_returning(&write.txn)
        .await
        .map(|_| ())
        .map_err(failure)
}

fn dashboards(project_id: i64) -> Select<feature_flag_dashboard::Entity> {
    feature_flag_dashboard::Entity::find()
        .filter(feature_flag_dashboard::Column::ProjectId.eq(project_id))
}
