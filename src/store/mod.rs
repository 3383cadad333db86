//! The only code that knows SeaORM: connections, transactions, repositories.
//!
//! There is one store over SQLite or PostgreSQL. Callers see nouns of `model`
//! and its [`Error`]; entities and driver errors stop here. Everything that
//! changes a project goes through a `ProjectWrite`, which holds the project's
//! row lock, keeps its totals and announces its new revision in the same
//! transaction.

pub(crate) mod activity;
mod among;
pub(crate) mod audience;
pub(crate) mod changes;
pub(crate) mod cohort_members;
mod cohorts;
mod connect;
pub(crate) mod dashboards;
mod definitions;
mod entity;
mod facts;
mod flag_links;
pub(crate) mod flag_list;
mod flag_outside;
mod flag_rows;
mod flags;
pub(crate) mod flags_bulk;
mod flags_labels;
mod groups;
mod hash_keys;
mod history;
pub(crate) mod ingest;
pub(crate) mod keys;
pub(crate) mod listen;
mod migrate;
mod names;
mod person_past;
pub(crate) mod persons;
pub(crate) mod persons_write;
mod project_write;
pub(crate) mod projects;
mod reachability;
mod setup_lock;
pub(crate) mod sqlite_file;
pub(crate) mod stored_facts;
mod tags_bulk;
pub(crate) mod usage_series;
pub(crate) mod users;

use std::fmt;

use sea_orm::{
    DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, RuntimeErr, SqliteTransactionMode,
    TransactionOptions, TransactionTrait, sqlx,
};

pub use connect::{Access, ConnectError};
pub use migrate::MigrationState;
pub(crate) use project_write::ProjectWrite;
pub use reachability::Reachability;
pub use setup_lock::SetupLock;

use crate::model::{error::Error, json};

/// A database, open and ready.
///
/// On SQLite those who write and those who read have connections of their own: one writer, and
/// several readers that never wait for it. On PostgreSQL they share a pool.
#[derive(Clone)]
pub struct Store {
    write: DatabaseConnection,
    read: DatabaseConnection,
    /// Asks for revisions alone, so that a pool that is busy is not taken for a database that is gone.
    watch: DatabaseConnection,
    /// Reads what changed: few connections, which therefore know the queries by heart.
    follow: DatabaseConnection,
    url: String,
    reachable: Reachability,
}

/// A transaction as use-cases hold it: begun, written in and committed by the store.
pub(crate) type Transaction = DatabaseTransaction;

impl fmt::Debug for Store {
    /// The URL may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("reachable", &self.reachable).finish_non_exhaustive()
    }
}

impl Store {
    /// Whether changes are announced by NOTIFY, and rows are locked one by one.
    #[must_use]
    pub fn is_postgres(&self) -> bool {
        self.write.get_database_backend() == DbBackend::Postgres
    }

    /// Whether the database was there when last looked at.
    #[must_use]
    pub fn reachability(&self) -> &Reachability {
        &self.reachable
    }

    /// Begins a transaction that may write; on SQLite it takes the write lock at once.
    ///
    /// With the database known to be gone it fails at once, rather than after a time-out.
    pub(crate) async fn begin(&self) -> Result<DatabaseTransaction, Error> {
        self.reachable.check()?;
        let options = TransactionOptions {
            sqlite_transaction_mode: (!self.is_postgres())
                .then_some(SqliteTransactionMode::Immediate),
            ..TransactionOptions::default()
        };
        self.write.begin_with_options(options).await.map_err(failure)
    }

    /// Commits a transaction that [`Store::begin`] began.
    pub(crate) async fn commit(&self, txn: DatabaseTransaction) -> Result<(), Error> {
        txn.commit().await.map_err(failure)
    }

    pub(crate) fn reader(&self) -> &DatabaseConnection {
        &self.read
    }

    /// The same, reading where nobody is in the way of those who follow changes.
    pub(crate) fn following(&self) -> Self {
        Self { read: self.follow.clone(), ..self.clone() }
    }

    /// Asks the database whether it is there.
    ///
    /// # Errors
    ///
    /// `Unavailable` when it does not answer in time.
    pub async fn ping(&self) -> Result<(), Error> {
        self.read.ping().await.map_err(Error::unavailable)
    }

    /// Closes the connections, after the work in them is done.
    pub async fn close(self) {
        let Self { write, read, watch, follow, .. } = self;
        for connection in [follow, watch, read, write] {
            if let Err(error) = connection.close().await {
                tracing::warn!(%error, "database connection did not close cleanly");
            }
        }
    }
}

/// Turns a driver's failure into ours: unreachable, or a defect.
pub(crate) fn failure(error: DbErr) -> Error {
    if is_transient(&error) { Error::unavailable(error) } else { Error::internal(error) }
}

/// Whether the same call may succeed when tried again.
fn is_transient(error: &DbErr) -> bool {
    let runtime = match error {
        DbErr::ConnectionAcquire(_) => return true,
        DbErr::Conn(runtime) | DbErr::Exec(runtime) | DbErr::Query(runtime) => runtime,
        _ => return false,
    };
    let RuntimeErr::SqlxError(error) = runtime else { return false };
    match error.as_ref() {
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => true,
        sqlx::Error::Database(error) => error.code().is_some_and(|code| is_transient_code(&code)),
        _ => false,
    }
}

/// PostgreSQL's classes of lost connections, closed databases, shutdown, conflicts and time-outs;
/// SQLite's busy.
fn is_transient_code(code: &str) -> bool {
    const POSTGRES: [&str; 9] =
        ["08", "53", "55000", "57P", "57014", "40001", "40P01", "55P03", "25006"];
    const SQLITE_BUSY: [&str; 4] = ["5", "261", "517", "773"];
    (code.len() == 5 && POSTGRES.iter().any(|prefix| code.starts_with(prefix)))
        || SQLITE_BUSY.contains(&code)
}

/// JSON that the service itself wrote; anything else is damage.
fn stored_json(text: &str) -> Result<serde_json::Value, Error> {
    json::parse_stored(text).map_err(Error::internal)
}

/// A JSON object that the service itself wrote.
fn stored_object(text: &str) -> Result<json::Object, Error> {
    match stored_json(text)? {
        serde_json::Value::Object(fields) => Ok(fields),
        _ => Err(Error::internal("what is stored is no JSON object")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_passing_troubles_are_worth_a_retry() {
        let cases = [
            ("57P01", true),
            ("08006", true),
            ("55000", true),
            ("40001", true),
            ("53300", true),
            ("5", true),
            ("23505", false),
            ("42P01", false),
            ("1", false),
        ];
        for (code, transient) in cases {
            assert_eq!(is_transient_code(code), transient, "{code}");
        }
    }
}
