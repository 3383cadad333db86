//! What hangs on a flag from outside: other products' references to it, and
//! dashboards that people linked.

use std::collections::HashMap;

use futures::future::try_join;
use sea_orm::{
    ActiveValue::Set, ColumnTrait, Condition, ConnectionTrait, EntityTrait, QueryFilter,
    QueryOrder, Select,
};

use super::{
    ProjectWrite,
    entity::{feature_flag_dashboard, flag_link},
    failure,
    flags_labels::{self, OfFlags, named},
};
use crate::model::{
    error::Result,
    flag::FeatureFlag,
    link::{Link, LinkKind},
};

/// What decides about flags and is not in their rows.
#[derive(Debug)]
pub(super) struct Beside {
    contexts: OfFlags<String>,
    links: OfFlags<Link>,
}

impl Beside {
    /// That of these flags, or of all; read at once, where the connection can.
    pub(super) async fn of(
        connection: &impl ConnectionTrait,
        project_id: i64,
        flag_ids: Option<&[i64]>,
    ) -> Result<Self> {
        let contexts = flags_labels::contexts_of(connection, project_id, flag_ids);
        let (contexts, links) = try_join(contexts, of(connection, project_id, flag_ids)).await?;
        Ok(Self { contexts, links })
    }

    /// Gives each flag its own.
    pub(super) fn fill(mut self, flags: &mut [FeatureFlag]) {
        for flag in flags {
            flag.evaluation_contexts = self.contexts.remove(&flag.id).unwrap_or_default();
            flag.links = self.links.remove(&flag.id).unwrap_or_default();
        }
    }
}

/// What refers to these flags, or to any.
async fn of(
    connection: &impl ConnectionTrait,
    project_id: i64,
    flag_ids: Option<&[i64]>,
) -> Result<OfFlags<Link>> {
    let named = named(flag_ids).map(|ids| flag_link::Column::FlagId.is_in(ids));
    let rows = flag_link::Entity::find()
        .filter(flag_link::Column::ProjectId.eq(project_id))
        .filter(Condition::all().add_option(named))
        .order_by_asc(flag_link::Column::RefId)
        .all(connection)
        .await
        .map_err(failure)?;
    let mut of_flag = OfFlags::new();
    for row in rows {
        of_flag.entry(row.flag_id).or_default().extend(link(row));
    }
    Ok(of_flag)
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
