//! Forgets the ids of events that nobody sends again.

use chrono::{DateTime, Utc};
use sea_orm::DbBackend;

use super::rows;
use crate::{model::error::Result, store::Store};

/// Rows of one transaction, so that nobody waits long for it.
const ROWS_A_SWEEP: u64 = 1_000;

impl Store {
    /// Forgets the ids of events that arrived before a moment, at most 1,000 of them. Returns
    /// whether there may be more.
    ///
    /// # Errors
    ///
    /// `Unavailable` when the database is.
    pub(crate) async fn forget_events(&self, before: DateTime<Utc>) -> Result<bool> {
        let txn = self.begin().await?;
        let sql = match self.is_postgres() {
            true => delete(DbBackend::Postgres),
            false => delete(DbBackend::Sqlite),
        };
        let swept = rows::execute(&txn, &sql, vec![before.into()]).await?;
        self.commit(txn).await?;
        Ok(swept == ROWS_A_SWEEP)
    }
}

pub(super) fn delete(backend: DbBackend) -> String {
    match backend {
        DbBackend::Postgres => format!(
            "DELETE FROM ingested_event WHERE ctid = ANY (ARRAY(SELECT ctid FROM ingested_event \
             WHERE received_at < $1 ORDER BY received_at LIMIT {ROWS_A_SWEEP} \
             FOR UPDATE SKIP LOCKED))"
        ),
        _ => format!(
            "DELETE FROM ingested_event WHERE rowid IN (SELECT rowid FROM ingested_event \
             WHERE received_at < $1 ORDER BY received_at LIMIT {ROWS_A_SWEEP})"
        ),
    }
}
