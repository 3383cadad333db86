//! Notices that the database can be asked but not written, and when it can be written again.

use std::time::Duration;

use sea_orm::{ConnectionTrait, QueryResult, Statement};

use super::{Store, failure};
use crate::model::error::{Error, Result};

/// How often the database is tried while nothing can be written.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);
/// How often a server is tried while all seems well: it may have become a standby, or the pool
/// of writers may be stuck.
const CHECK_INTERVAL: Duration = Duration::from_secs(5);

impl Store {
    /// Keeps what [`super::Reachability`] says of writes true while nobody writes. Never ends.
    pub(crate) async fn watch_writes(self) {
        loop {
            let is_unwritable = self.reachable.is_unwritable();
            let pause = if is_unwritable { RETRY_INTERVAL } else { CHECK_INTERVAL };
            tokio::time::sleep(pause).await;
            if self.reachable.is_lost() || !(self.is_postgres() || is_unwritable) {
                continue;
            }
            if let Err(error) = self.try_write().await {
                tracing::debug!(error = error.causes(), "the database cannot be written");
            }
        }
    }

    /// Commits a transaction that could write. Its outcome is noted by the transaction itself.
    async fn try_write(&self) -> Result<()> {
        let txn = self.begin().await?;
        match self.is_postgres() {
            true => {
                let ask = "SELECT current_setting('transaction_read_only') = 'on'";
                let ask = Statement::from_string(txn.get_database_backend(), ask);
                let row = txn.query_one_raw(ask).await.map_err(failure)?;
                let is_standby = |row: QueryResult| row.try_get_by_index(0).map_err(failure);
                if row.map(is_standby).transpose()?.unwrap_or(true) {
                    let error = "the server accepts no writes, as a standby does";
                    self.reachable.note_unwritable(&std::io::Error::other(error));
                    return Err(Error::unavailable(error));
                }
            }
            // Writes a page of the file, and changes nothing: nobody uses that number.
            false => {
                txn.execute_unprepared("PRAGMA user_version = 0").await.map_err(failure)?;
            }
        }
        self.commit(txn).await
    }
}
