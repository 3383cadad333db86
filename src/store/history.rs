//! A flag's activity rows as the steps of its history.

use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder,
    QuerySelect, Select,
};

use super::{
    ProjectWrite, Store,
    entity::activity_log::{Column, Entity, Model},
    failure,
};
use crate::model::{
    activity::{Action, FLAG_SCOPE},
    error::Result,
    history::Step,
};

/// The most rows that a version is rebuilt from (management-api 4.5).
const MOST_STEPS: u64 = 10_000;

impl Store {
    /// The steps of a flag that led to `version` or beyond, newest first.
    pub(crate) async fn steps(&self, project: i64, flag: i64, version: i64) -> Result<Vec<Step>> {
        steps(self.reader(), project, flag, version).await
    }

    /// One part of the steps that led to versions, the first included, newest first; and how many
    /// there are in all.
    pub(crate) async fn version_steps(
        &self,
        project_id: i64,
        flag_id: i64,
        offset: u64,
        limit: u64,
    ) -> Result<(Vec<Step>, i64)> {
        let counts = Condition::any()
            .add(Column::Version.is_not_null())
            .add(Column::Activity.eq(Action::Created.as_str()));
        let wanted = about(project_id, flag_id).filter(counts);
        let total = wanted.clone().count(self.reader()).await.map_err(failure)?;
        let rows = newest_first(wanted)
            .offset(offset)
            .limit(limit)
            .all(self.reader())
            .await
            .map_err(failure)?;
        Ok((rows.into_iter().map(step).collect(), i64::try_from(total).unwrap_or(i64::MAX)))
    }
}

impl ProjectWrite {
    /// As [`Store::steps`], on the connection that holds the lock.
    pub(crate) async fn steps(&self, flag: i64, version: i64) -> Result<Vec<Step>> {
        steps(&self.txn, self.project.id, flag, version).await
    }
}

async fn steps(
    connection: &impl ConnectionTrait,
    project_id: i64,
    flag_id: i64,
    version: i64,
) -> Result<Vec<Step>> {
    let kinds = [Action::Updated, Action::Deleted, Action::Restored].map(Action::as_str);
    let rows = newest_first(about(project_id, flag_id))
        .filter(Column::Activity.is_in(kinds))
        .filter(Column::Version.gte(version))
        .limit(MOST_STEPS)
        .all(connection)
        .await
        .map_err(failure)?;
    Ok(rows.into_iter().map(step).collect())
}

fn about(project_id: i64, flag_id: i64) -> Select<Entity> {
    Entity::find()
        .filter(Column::ProjectId.eq(project_id))
        .filter(Column::Scope.eq(FLAG_SCOPE))
        .filter(Column::ItemId.eq(flag_id.to_string()))
}

fn newest_first(rows: Select<Entity>) -> Select<Entity> {
    rows.order_by_desc(Column::CreatedAt).order_by_desc(Column::Id)
}

fn step(row: Model) -> Step {
    Step {
        version: row.version,
        activity: row.activity,
        detail: row.detail,
        at: row.created_at,
        by: row.user_id,
    }
}
