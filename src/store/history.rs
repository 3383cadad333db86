//! A flag's activity rows as the steps of its history.

use chrono::{DateTime, Utc};
use futures::TryStreamExt;
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, EntityTrait, PaginatorTrait, QueryFilter, QuerySelect,
    Select,
};

use super::{
    ProjectWrite, Store,
    activity::newest_first,
    entity::activity_log::{Column, Entity, Model},
    failure,
};
use crate::model::{
    activity::{Action, FLAG_SCOPE},
    error::Result,
    history::{Standing, Step},
};

/// The kinds of rows that lead to versions.
const COUNTING: [Action; 3] = [Action::Updated, Action::Deleted, Action::Restored];

/// The most rows that a version is rebuilt from (management-api 4.5).
const MOST_STEPS: u64 = 10_000;

impl Store {
    /// The steps of a flag that led to `version` or beyond, newest first.
    pub(crate) async fn steps(&self, project: i64, flag: i64, version: i64) -> Result<Vec<Step>> {
        steps(self.reader(), project, flag, version).await
    }

    /// What a flag's rows up to a moment, that one included, say of it then.
    pub(crate) async fn standing_at(
        &self,
        project: i64,
        flag: i64,
        at: DateTime<Utc>,
    ) -> Result<Standing> {
        let until = || newest_first(about(project, flag)).filter(Column::CreatedAt.lte(at));
        let counted = until()
            .select_only()
            .column(Column::Version)
            .filter(Column::Activity.is_in(COUNTING.map(Action::as_str)))
            .filter(Column::Version.is_not_null());
        let lives = [Action::Deleted, Action::Restored].map(Action::as_str);
        let life =
            until().select_only().column(Column::Activity).filter(Column::Activity.is_in(lives));
        let version: Option<i64> =
            counted.into_tuple().one(self.reader()).await.map_err(failure)?;
        let life: Option<String> = life.into_tuple().one(self.reader()).await.map_err(failure)?;
        let is_deleted = life.as_deref() == Some(Action::Deleted.as_str());
        Ok(Standing { version, is_deleted })
    }

    /// What `read` makes of one part of the steps that led to versions, the first included, newest
    /// first; and how many steps there are in all. Their details are held one at a time.
    pub(crate) async fn version_steps<T: Send>(
        &self,
        project_id: i64,
        flag_id: i64,
        (offset, limit): (u64, u64),
        read: impl Fn(&Step) -> Option<T> + Send,
    ) -> Result<(Vec<T>, i64)> {
        let counts = Condition::any()
            .add(Column::Version.is_not_null())
            .add(Column::Activity.eq(Action::Created.as_str()));
        let wanted = about(project_id, flag_id).filter(counts);
        let total = wanted.clone().count(self.reader()).await.map_err(failure)?;
        let part = newest_first(wanted).offset(offset).limit(limit);
        let mut rows = part.stream(self.reader()).await.map_err(failure)?;
        let mut results = Vec::new();
        while let Some(row) = rows.try_next().await.map_err(failure)? {
            results.extend(read(&step(row)));
        }
        Ok((results, i64::try_from(total).unwrap_or(i64::MAX)))
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
    let rows = newest_first(about(project_id, flag_id))
        .filter(Column::Activity.is_in(COUNTING.map(Action::as_str)))
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

fn step(row: Model) -> Step {
    Step {
        version: row.version,
        activity: row.activity,
        detail: row.detail,
        at: row.created_at,
        by: row.user_id,
    }
}
