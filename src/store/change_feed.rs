//! Reads which projects changed, at a cost that does not depend on how many there are.
//!
//! Each revision is logged in the transaction that commits it. PostgreSQL commits out of order, so
//! a position there is the number of the logging transaction, and a read says up to which number
//! every transaction had ended when it looked ([`LoggedRevisions::horizon`]): the next one begins
//! there, and misses none that committed late, however late. SQLite has one writer, so rows are in
//! the order of their commits.

use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, FromQueryResult, QueryFilter, QueryOrder,
    QuerySelect, Statement,
};

use super::{Store, entity::project, failure};
use crate::model::{
    error::Result,
    history_point::{HistoryPoint, HistoryToken},
};

/// One logged revision of a project.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LoggedRevision {
    /// Where it stands among the revisions of all projects. Several may share a position.
    pub(crate) position: i64,
    pub(crate) project_id: i64,
    pub(crate) revision: i64,
    /// `None` for one that was written by a release without tokens, or by hand.
    pub(crate) token: Option<HistoryToken>,
}

/// Logged revisions, in no particular order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LoggedRevisions {
    pub(crate) rows: Vec<LoggedRevision>,
    /// What is logged later, or was not visible yet, is at this position or after it.
    pub(crate) horizon: i64,
}

impl Store {
    /// Returns the newest logged revisions, up to `limit`.
    ///
    /// # Errors
    ///
    /// `Unavailable` when the database is.
    pub(crate) async fn newest_logged(&self, limit: i64) -> Result<LoggedRevisions> {
        let sql = if self.is_postgres() { POSTGRES_NEWEST } else { SQLITE_NEWEST };
        self.logged(sql, limit).await
    }

    /// Returns the revisions that are logged at `position` or after it.
    ///
    /// # Errors
    ///
    /// As [`Store::newest_logged`].
    pub(crate) async fn logged_from(&self, position: i64) -> Result<LoggedRevisions> {
        let sql = if self.is_postgres() { POSTGRES_FROM } else { SQLITE_FROM };
        self.logged(sql, position).await
    }

    async fn logged(&self, sql: &str, value: i64) -> Result<LoggedRevisions> {
        let backend = self.probe.get_database_backend();
        let statement = Statement::from_sql_and_values(backend, sql, [value.into()]);
        let rows = Row::find_by_statement(statement).all(&self.probe).await.map_err(failure)?;
        let horizon = rows.first().map_or(0, |row| row.horizon);
        Ok(LoggedRevisions { rows: rows.iter().filter_map(Row::logged).collect(), horizon })
    }

    /// Returns the state of each of up to `limit` projects after the number `after`, by number.
    ///
    /// # Errors
    ///
    /// As [`Store::newest_logged`].
    pub(crate) async fn points_after(
        &self,
        after: i64,
        limit: u64,
    ) -> Result<Vec<(i64, HistoryPoint)>> {
        use project::Column::{HistoryToken as Token, Id, Revision};
        let rows: Vec<(i64, i64, i64)> = project::Entity::find()
            .select_only()
            .columns([Id, Revision, Token])
            .filter(Id.gt(after))
            .order_by_asc(Id)
            .limit(limit)
            .into_tuple()
            .all(&self.probe)
            .await
            .map_err(failure)?;
        let point = |token, revision| HistoryPoint::new(revision, HistoryToken::from_stored(token));
        Ok(rows.into_iter().map(|(id, revision, token)| (id, point(token, revision))).collect())
    }
}

/// The horizon stands in each row, and in one of its own when there is none.
#[derive(Debug, FromQueryResult)]
struct Row {
    horizon: i64,
    position: Option<i64>,
    project_id: Option<i64>,
    revision: Option<i64>,
    history_token: Option<i64>,
}

impl Row {
    fn logged(&self) -> Option<LoggedRevision> {
        Some(LoggedRevision {
            position: self.position?,
            project_id: self.project_id?,
            revision: self.revision?,
            token: self.history_token.map(HistoryToken::from_stored),
        })
    }
}

// Rows of a restored backup may carry numbers that this cluster has not given yet; they are beyond
// the ceiling.
const POSTGRES_FROM: &str = "\
    SELECT s.horizon, c.transaction_id AS position, c.project_id, c.revision, c.history_token \
    FROM (SELECT CAST(CAST(pg_snapshot_xmin(pg_current_snapshot()) AS text) AS bigint) AS horizon, \
          CAST(CAST(pg_snapshot_xmax(pg_current_snapshot()) AS text) AS bigint) AS ceiling) s \
    LEFT JOIN change_log c ON c.transaction_id >= $1 AND c.transaction_id < s.ceiling";

const POSTGRES_NEWEST: &str = "\
    SELECT s.horizon, c.transaction_id AS position, c.project_id, c.revision, c.history_token \
    FROM (SELECT CAST(CAST(pg_snapshot_xmin(pg_current_snapshot()) AS text) AS bigint) AS horizon, \
          CAST(CAST(pg_snapshot_xmax(pg_current_snapshot()) AS text) AS bigint) AS ceiling) s \
    LEFT JOIN LATERAL (SELECT * FROM change_log WHERE transaction_id < s.ceiling \
                       ORDER BY transaction_id DESC LIMIT $1) c ON true";

const SQLITE_FROM: &str = "\
    SELECT s.horizon, c.position, c.project_id, c.revision, c.history_token \
    FROM (SELECT coalesce(max(rowid), 0) + 1 AS horizon FROM change_log) s \
    LEFT JOIN (SELECT rowid AS position, * FROM change_log WHERE rowid >= $1) c ON true";

const SQLITE_NEWEST: &str = "\
    SELECT s.horizon, c.position, c.project_id, c.revision, c.history_token \
    FROM (SELECT coalesce(max(rowid), 0) + 1 AS horizon FROM change_log) s \
    LEFT JOIN (SELECT rowid AS position, * FROM change_log ORDER BY rowid DESC LIMIT $1) c ON true";
