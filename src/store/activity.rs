//! The activity log: written with each change, read newest first.

use chrono::{DateTime, Utc};
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, EntityTrait, ExprTrait, QueryFilter,
    QueryOrder, QuerySelect, sea_query::Expr,
};
use uuid::Uuid;

use super::{
    ProjectWrite, Store,
    entity::{activity_log, feature_flag},
    failure, stored_json, users,
};
use crate::model::{
    activity::{Activity, Actor, FLAG_SCOPE, NewActivity},
    error::Result,
};

/// Which rows of the log are wanted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ActivityPage {
    /// Rows about this flag alone, or about all flags of the project.
    pub(crate) flag_id: Option<i64>,
    /// How many rows to leave out, newest first.
    pub(crate) offset: u64,
    /// How many rows at most.
    pub(crate) limit: u64,
}

impl ProjectWrite {
    /// Writes a row about a flag and counts it; a change of nothing writes none.
    pub(crate) async fn log(
        &mut self,
        new: NewActivity,
        user_id: Option<i64>,
        now: DateTime<Utc>,
    ) -> Result<()> {
        if new.changes.is_empty() && new.action == crate::model::activity::Action::Updated {
            return Ok(());
        }
        let row = activity_log::ActiveModel {
            id: Set(Uuid::now_v7()),
            project_id: Set(self.project.id),
            user_id: Set(user_id),
            activity: Set(new.action.as_str().to_owned()),
            scope: Set(FLAG_SCOPE.to_owned()),
            item_id: Set(Some(new.flag_id.to_string())),
            version: Set(new.version()),
            detail: Set(new.detail().to_string()),
            is_system: Set(user_id.is_none()),
            created_at: Set(now),
        };
        row.insert(&self.txn).await.map_err(failure)?;
        self.activity_added += 1;
        use feature_flag::Column;
        feature_flag::Entity::update_many()
            .col_expr(Column::ActivityCount, Expr::col(Column::ActivityCount).add(1))
            .filter(Column::ProjectId.eq(self.project.id))
            .filter(Column::Id.eq(new.flag_id))
            .exec(&self.txn)
            .await
            .map(|_| ())
            .map_err(failure)
    }
}

impl Store {
    /// Rows about flags, newest first; rows of one instant by id, newest first.
    pub(crate) async fn activity(
        &self,
        project_id: i64,
        page: ActivityPage,
    ) -> Result<Vec<Activity>> {
        use activity_log::Column;
        let mut query = activity_log::Entity::find()
            .filter(Column::ProjectId.eq(project_id))
            .filter(Column::Scope.eq(FLAG_SCOPE));
        if let Some(flag_id) = page.flag_id {
            query = query.filter(Column::ItemId.eq(flag_id.to_string()));
        }
        let rows = query
            .order_by_desc(Column::CreatedAt)
            .order_by_desc(Column::Id)
            .offset(page.offset)
            .limit(page.limit)
            .all(self.reader())
            .await
            .map_err(failure)?;
        let authors = rows.iter().filter_map(|row| row.user_id).collect();
        let users = users::by_ids(self.reader(), authors).await?;
        let actor = |id| {
            users.get(&id).map(|user| Actor {
                first_name: user.first_name.clone(),
                email: user.email.clone(),
            })
        };
        rows.into_iter().map(|row| noun(row.user_id.and_then(actor), row)).collect()
    }

    /// How many rows one flag has; `None` when the project has no such flag.
    pub(crate) async fn flag_activity_count(
        &self,
        project_id: i64,
        flag_id: i64,
    ) -> Result<Option<i64>> {
        feature_flag::Entity::find_by_id(flag_id)
            .filter(feature_flag::Column::ProjectId.eq(project_id))
            .select_only()
            .column(feature_flag::Column::ActivityCount)
            .into_tuple()
            .one(self.reader())
            .await
            .map_err(failure)
    }
}

fn noun(user: Option<Actor>, row: activity_log::Model) -> Result<Activity> {
    Ok(Activity {
        id: row.id,
        user,
        activity: row.activity,
        scope: row.scope,
        item_id: row.item_id,
        detail: stored_json(&row.detail)?,
        created_at: row.created_at,
    })
}
