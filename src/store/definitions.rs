//! All that a project's flags are decided by, read as of one moment.

use std::collections::BTreeMap;

use futures::{TryFutureExt, future::try_join};
use sea_orm::{ColumnTrait, Condition, ConnectionTrait, EntityTrait, QueryFilter};
use serde_json::Value;

use super::{
    Store,
    among::among,
    cohorts, damage,
    entity::{cohort, feature_flag, project},
    failure,
    flag_links::Beside,
    flags::{bare, live},
    groups, projects,
};
use crate::model::{definitions::Definitions, error::Result, flag::FeatureFlag};

impl Store {
    /// A project's definitions as others may know them; `None` when there is no such project.
    ///
    /// One transaction reads it all, so that it belongs to the revision it says.
    pub(crate) async fn definitions_for_others(
        &self,
        project_id: i64,
    ) -> Result<Option<Definitions>> {
        let txn = self.begin_snapshot().await?;
        let row = project::Entity::find_by_id(project_id).one(&txn).await.map_err(failure)?;
        let Some(row) = row else { return Ok(None) };
        let types = groups::of_project(&txn, project_id).await?;
        let definitions = Definitions {
            project: projects::noun(row),
            flags: flags(&txn, project_id, None).await?,
            cohorts: trees(&txn, project_id, None).await?,
            group_types: types.into_iter().map(|kind| (kind.index.into(), kind.name)).collect(),
        };
        self.commit(txn).await?;
        Ok(Some(definitions))
    }

    /// Those among some flags that others may know, as in [`Store::definitions_for_others`].
    pub(crate) async fn flags_for_others(
        &self,
        project_id: i64,
        ids: &[i64],
    ) -> Result<Vec<FeatureFlag>> {
        match ids {
            [] => Ok(Vec::new()),
            ids => flags(self.reader(), project_id, Some(ids)).await,
        }
    }

    /// The trees of those among some cohorts that have one.
    pub(crate) async fn cohort_trees(
        &self,
        project_id: i64,
        ids: &[i64],
    ) -> Result<BTreeMap<i64, Value>> {
        match ids {
            [] => Ok(BTreeMap::new()),
            ids => trees(self.reader(), project_id, Some(ids)).await,
        }
    }
}

async fn flags(
    connection: &impl ConnectionTrait,
    project_id: i64,
    ids: Option<&[i64]>,
) -> Result<Vec<FeatureFlag>> {
    let wanted = ids.map(|ids| among(connection, feature_flag::Column::Id, ids.iter().copied()));
    let rows = live(project_id)
        .filter(Condition::all().add_option(wanted))
        .filter(feature_flag::Column::Internal.eq(false))
        .filter(
            Condition::any()
                .add(feature_flag::Column::HasEncryptedPayloads.is_null())
                .add(feature_flag::Column::HasEncryptedPayloads.eq(false)),
        )
        .all(connection)
        .map_err(failure);
    let (rows, beside) = try_join(rows, Beside::of(connection, project_id, ids)).await?;
    // One whose text is damaged is left out alone; SDKs ask the service for what they do not find.
    let mut flags: Vec<_> =
        rows.into_iter().map(bare).filter(|flag| !flag.filters.is_null()).collect();
    beside.fill(&mut flags);
    // Databases differ in how they order text.
    flags.sort_unstable_by(|a, b| a.key.cmp(&b.key));
    Ok(flags)
}

/// The trees of the cohorts that have one.
async fn trees(
    connection: &impl ConnectionTrait,
    project_id: i64,
    ids: Option<&[i64]>,
) -> Result<BTreeMap<i64, Value>> {
    let wanted = ids.map(|ids| among(connection, cohort::Column::Id, ids.iter().copied()));
    let rows = cohorts::live(project_id)
        .filter(Condition::all().add_option(wanted))
        .filter(cohort::Column::IsStatic.eq(false))
        .all(connection)
        .await
        .map_err(failure)?;
    let mut trees = BTreeMap::new();
    for row in rows {
        let Some(filters) = row.filters else { continue };
        let mut filters = damage::object_or_null("cohort.filters", row.id, &filters);
        let tree = filters["properties"].take();
        if tree["values"].is_array() {
            trees.insert(row.id, tree);
        }
    }
    Ok(trees)
}
