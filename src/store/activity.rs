//! The activity log: written with each change, read newest first.

use chrono::{DateTime, Utc};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, Condition, EntityTrait, ExprTrait, PaginatorTrait, QueryFilter, QueryOrder,
    QuerySelect, Select,
    sea_query::{Expr, SimpleExpr},
};
use uuid::Uuid;

use super::{
    ProjectWrite, Store,
    among::among,
    damage,
    entity::{activity_log, feature_flag},
    failure,
    project_write::ROWS,
    sizes::bytes_of,
    users,
};
use crate::model::{
    activity::{Action, Activity, ActivityFilter, Actor, FLAG_SCOPE, Mark, NewActivity, Start},
    error::Result,
};

/// Which rows of the log are wanted.
#[derive(Clone, Debug)]
pub(crate) struct ActivityPage {
    /// Rows about this flag alone, or about all flags of the project.
    pub(crate) flag_id: Option<i64>,
    /// What they are narrowed to.
    pub(crate) filter: ActivityFilter,
    /// Where the page begins.
    pub(crate) start: Start,
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
        self.log_all(vec![new], user_id, now).await
    }

    /// As [`ProjectWrite::log`], for at most one row each of many flags.
    pub(crate) async fn log_all(
        &mut self,
        mut rows: Vec<NewActivity>,
        user_id: Option<i64>,
        now: DateTime<Utc>,
    ) -> Result<()> {
        rows.retain(|new| !new.changes.is_empty() || new.action != Action::Updated);
        if rows.is_empty() {
            return Ok(());
        }
        self.log_counted(&rows, user_id, now).await?;
        use feature_flag::Column;
        feature_flag::Entity::update_many()
            .col_expr(Column::ActivityCount, Expr::col(Column::ActivityCount).add(1))
            .filter(Column::ProjectId.eq(self.project.id))
            .filter(among(&self.txn, Column::Id, rows.iter().map(|new| new.flag_id)))
            .exec(&self.txn)
            .await
            .map(|_| ())
            .map_err(failure)
    }

    /// Writes rows that are already counted at their flags.
    pub(super) async fn log_counted(
        &mut self,
        rows: &[NewActivity],
        user_id: Option<i64>,
        now: DateTime<Utc>,
    ) -> Result<()> {
        self.user(user_id).await?;
        rows.iter().for_each(|new| self.audit.note(new));
        for rows in rows.chunks(ROWS) {
            let rows = rows.iter().map(|new| self.row(new, user_id, now));
            activity_log::Entity::insert_many(rows)
                .exec_without_returning(&self.txn)
                .await
                .map_err(failure)?;
        }
        self.activity_added += i64::try_from(rows.len()).unwrap_or(i64::MAX);
        Ok(())
    }

    fn row(
        &self,
        new: &NewActivity,
        user_id: Option<i64>,
        now: DateTime<Utc>,
    ) -> activity_log::ActiveModel {
        activity_log::ActiveModel {
            id: Set(Uuid::now_v7()),
            project_id: Set(self.project.id),
            user_id: Set(user_id),
            activity: Set(new.action.as_str().to_owned()),
            scope: Set(FLAG_SCOPE.to_owned()),
            item_id: Set(Some(new.flag_id.to_string())),
            version: Set(new.version()),
            revision: Set(self.next_revision()),
            detail: Set(new.detail().to_string()),
            is_system: Set(user_id.is_none()),
            created_at: Set(now),
        }
    }
}

impl Store {
    /// Rows about flags, those committed last first: their ids, and the size of their detail.
    pub(crate) async fn activity_sizes(
        &self,
        project_id: i64,
        page: &ActivityPage,
    ) -> Result<Vec<(Uuid, i64)>> {
        use activity_log::Column;
        let matching = matching(project_id, page);
        let rows = match page.start {
            Start::Offset(offset) => matching.offset(Ord::min(offset, i64::MAX.unsigned_abs())),
            Start::After(mark) => matching.filter(older_than(mark)),
        };
        newest_first(rows)
            .select_only()
            .column(Column::Id)
            .column_as(bytes_of(Column::Detail), "bytes")
            .limit(page.limit)
            .into_tuple()
            .all(self.reader())
            .await
            .map_err(failure)
    }

    /// These rows, those committed last first.
    pub(crate) async fn activity_among(
        &self,
        project_id: i64,
        ids: Vec<Uuid>,
    ) -> Result<Vec<Activity>> {
        use activity_log::Column;
        let rows = activity_log::Entity::find()
            .filter(Column::ProjectId.eq(project_id))
            .filter(Column::Id.is_in(ids));
        let rows = newest_first(rows).all(self.reader()).await.map_err(failure)?;
        let authors = rows.iter().filter_map(|row| row.user_id).collect();
        let users = users::by_ids(self.reader(), authors).await?;
        let actor = |id| {
            users.get(&id).map(|user| Actor {
                first_name: user.first_name.clone(),
                email: user.email.clone(),
            })
        };
        Ok(rows.into_iter().map(|row| noun(row.user_id.and_then(actor), row)).collect())
    }

    /// How many rows there are, counted one by one: for filters, whose totals nobody keeps.
    pub(crate) async fn activity_count(&self, project_id: i64, page: &ActivityPage) -> Result<i64> {
        let count = matching(project_id, page).count(self.reader()).await.map_err(failure)?;
        Ok(i64::try_from(count).unwrap_or(i64::MAX))
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

fn matching(project_id: i64, page: &ActivityPage) -> Select<activity_log::Entity> {
    use activity_log::Column;
    let ActivityFilter { user_id, action, since, until } = &page.filter;
    let narrowed = Condition::all()
        .add(Column::ProjectId.eq(project_id))
        .add(Column::Scope.eq(FLAG_SCOPE))
        .add_option(page.flag_id.map(|id| Column::ItemId.eq(id.to_string())))
        .add_option(user_id.map(|id| Column::UserId.eq(id)))
        .add_option(action.map(|action| Column::Activity.eq(action.as_str())))
        .add_option(since.map(|since| Column::CreatedAt.gte(since)))
        .add_option(until.map(|until| Column::CreatedAt.lt(until)));
    activity_log::Entity::find().filter(narrowed)
}

/// Orders rows by their commits, the last first: by the revision that each led to, and within one
/// change by id. Times tell the order only of rows that are older than the column.
pub(super) fn newest_first(rows: Select<activity_log::Entity>) -> Select<activity_log::Entity> {
    use activity_log::Column;
    [Column::Revision, Column::CreatedAt, Column::Id]
        .into_iter()
        .fold(rows, |rows, column| rows.order_by_desc(column))
}

/// Compared as one value, so that an index leads straight to the place.
fn older_than(mark: Mark) -> SimpleExpr {
    use activity_log::Column;
    let place = [Column::Revision, Column::CreatedAt, Column::Id].map(Expr::col);
    let mark = [Expr::val(mark.revision), Expr::val(mark.at), Expr::val(mark.id)];
    Expr::tuple(place).lt(Expr::tuple(mark))
}

fn noun(user: Option<Actor>, row: activity_log::Model) -> Activity {
    Activity {
        detail: damage::object_or_null("activity_log.detail", row.id, &row.detail),
        id: row.id,
        user,
        activity: row.activity,
        scope: row.scope,
        item_id: row.item_id,
        created_at: row.created_at,
        revision: row.revision,
    }
}
