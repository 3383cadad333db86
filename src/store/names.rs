//! What cohorts and groups are called, for those that filters refer to.

use std::collections::HashMap;

use sea_orm::{ColumnTrait, Condition, ConnectionTrait, EntityTrait, QueryFilter, QuerySelect};

use super::{
    ProjectWrite, Store, damage,
    entity::{cohort, group},
    failure,
};
use crate::model::{
    decoration::{Names, named_groups},
    error::Result,
    filters::References,
    flag::FeatureFlag,
};

/// Names are a courtesy; a page that refers to more things shows the others without.
const MOST_NAMED: usize = 5_000;

impl Store {
    /// Names for all that the filters of some flags of one project refer to; no query without need.
    pub(crate) async fn names_in(&self, flags: &[FeatureFlag]) -> Result<Names> {
        names_in(self.reader(), flags).await
    }
}

impl ProjectWrite {
    /// As [`Store::names_in`], on the connection that holds the lock: a writer that waited for
    /// a second one could wait for those that wait for it.
    pub(crate) async fn names_in(&self, flags: &[FeatureFlag]) -> Result<Names> {
        names_in(&self.txn, flags).await
    }
}

async fn names_in(connection: &impl ConnectionTrait, flags: &[FeatureFlag]) -> Result<Names> {
    let Some(project_id) = flags.first().map(|flag| flag.project_id) else {
        return Ok(Names::default());
    };
    let cohorts = flags.iter().flat_map(|flag| References::of(&flag.filters).cohorts).collect();
    let groups = flags.iter().flat_map(|flag| named_groups(&flag.filters)).collect();
    Ok(Names {
        cohorts: cohort_names(connection, project_id, cohorts).await?,
        groups: group_names(connection, project_id, groups).await?,
    })
}

async fn cohort_names(
    connection: &impl ConnectionTrait,
    project_id: i64,
    ids: Vec<i64>,
) -> Result<HashMap<i64, String>> {
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let rows: Vec<(i64, String)> = cohort::Entity::find()
        .select_only()
        .columns([cohort::Column::Id, cohort::Column::Name])
        .filter(cohort::Column::ProjectId.eq(project_id))
        .filter(cohort::Column::Id.is_in(ids.into_iter().take(MOST_NAMED)))
        .into_tuple()
        .all(connection)
        .await
        .map_err(failure)?;
    Ok(rows.into_iter().collect())
}

/// A group is called by its property `name`.
async fn group_names(
    connection: &impl ConnectionTrait,
    project_id: i64,
    wanted: Vec<(i64, String)>,
) -> Result<HashMap<(i64, String), String>> {
    if wanted.is_empty() {
        return Ok(HashMap::new());
    }
    let mut keys: HashMap<i64, Vec<String>> = HashMap::new();
    for (index, key) in wanted.into_iter().take(MOST_NAMED) {
        keys.entry(index).or_default().push(key);
    }
    let any = keys.into_iter().fold(Condition::any(), |any, (index, keys)| {
        let of_type = Condition::all().add(group::Column::GroupTypeIndex.eq(index));
        any.add(of_type.add(group::Column::GroupKey.is_in(keys)))
    });
    let rows = group::Entity::find()
        .filter(group::Column::ProjectId.eq(project_id))
        .filter(any)
        .all(connection)
        .await
        .map_err(failure)?;
    let named = rows.into_iter().filter_map(|row| {
        let properties = damage::json("group.properties", row.id, &row.properties)?;
        let name = properties.get("name")?.as_str()?.to_owned();
        Some(((i64::from(row.group_type_index), row.group_key), name))
    });
    Ok(named.collect())
}
