//! The only code that knows SeaORM: connections, transactions, repositories.
//!
//! There is one store over SQLite or PostgreSQL. Callers see nouns of `model`
//! and its [`Error`]; entities and driver errors stop here. Everything that
//! changes a project goes through a `ProjectWrite`, which holds the project's
//! row lock, keeps its totals and announces its new revision in the same
//! transaction.

pub(crate) mod activity;
mod activity_redaction;
mod among;
pub(crate) mod audience;
mod audit;
pub(crate) mod change_feed;
mod change_log;
pub(crate) mod changes;
pub(crate) mod cohort_members;
mod cohorts;
mod connect;
mod damage;
pub(crate) mod dashboards;
mod definitions;
mod encrypted_flags;
mod entity;
mod facts;
mod failure;
mod flag_links;
pub(crate) mod flag_list;
mod flag_outside;
mod flag_rows;
mod flags;
pub(crate) mod flags_bulk;
mod flags_labels;
mod group_types;
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
mod pool;
mod project_write;
pub(crate) mod projects;
mod reachability;
mod settings;
mod setup_lock;
mod sizes;
pub(crate) mod sqlite_file;
mod sqlite_wal;
pub(crate) mod stored_facts;
mod tags_bulk;
pub(crate) mod usage_series;
pub(crate) mod users;
mod write_check;
mod write_queue;

use std::fmt;

use sea_orm::DbBackend;

pub use connect::{Access, ConnectError};
pub(crate) use damage::reads as damaged_reads;
pub(crate) use encrypted_flags::EncryptedFlag;
pub(crate) use failure::failure;
pub use migrate::MigrationState;
/// A transaction as use-cases hold it: begun, written in and committed by the store.
pub(crate) use pool::Transaction;
pub(crate) use project_write::ProjectWrite;
pub use reachability::Reachability;
pub use settings::PoolSettings;
pub use setup_lock::SetupLock;

use failure::driver_failure;
use pool::{Pool, Probe};
use write_queue::WriteQueue;

use crate::model::error::Error;

/// A database, open and ready.
///
/// What is written, what evaluation and keys need, what changed and everything else that is read
/// have connections of their own, so that one kind of work does not keep the others waiting. On
/// SQLite there is one writer, and readers never wait for it.
#[derive(Clone)]
pub struct Store {
    write: Pool,
    read: Pool,
    /// Keys, projects, and what evaluation reads of people and groups.
    facts: Pool,
    /// Reads what changed: few connections, which therefore know the queries by heart.
    follow: Pool,
    /// Asks for revisions alone, so that a pool that is busy is not taken for a database that is gone.
    probe: Probe,
    url: String,
    reachable: Reachability,
    project_queue: WriteQueue,
    persons_queue: WriteQueue,
}

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
        self.write.backend() == DbBackend::Postgres
    }

    /// Whether the database was there when last looked at.
    #[must_use]
    pub fn reachability(&self) -> &Reachability {
        &self.reachable
    }

    /// Begins a transaction that may write; on SQLite it takes the write lock at once.
    ///
    /// With the database known to be gone it fails at once, rather than after a time-out.
    pub(crate) async fn begin(&self) -> Result<Transaction, Error> {
        self.reachable.check()?;
        let begin = if self.is_postgres() { "BEGIN" } else { "BEGIN IMMEDIATE" };
        let begun = self.write.begin(begin, Some(self.reachable.clone())).await;
        begun.map_err(driver_failure)
    }

    /// As [`Store::begin`], for a change to a project: those of one project wait for their turn
    /// without a connection.
    ///
    /// # Errors
    ///
    /// `Overloaded` at once where too many wait already.
    pub(crate) async fn begin_project(&self, project_id: i64) -> Result<Transaction, Error> {
        self.reachable.check()?;
        let turn = self.project_queue.enter(project_id).await?;
        Ok(self.begin().await?.with_turn(turn).await)
    }

    /// As [`Store::begin_project`], for a change to the people of a project.
    ///
    /// # Errors
    ///
    /// As [`Store::begin_project`].
    pub(crate) async fn begin_persons(&self, project_id: i64) -> Result<Transaction, Error> {
        self.reachable.check()?;
        let turn = self.persons_queue.enter(project_id).await?;
        Ok(self.begin().await?.with_turn(turn).await)
    }

    /// Begins a transaction that reads one state of the database.
    async fn begin_snapshot(&self) -> Result<Transaction, Error> {
        // SQLite's transactions see one state, and know no other level.
        let begin = match self.is_postgres() {
            true => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
            false => "BEGIN",
        };
        self.read.begin(begin, None).await.map_err(driver_failure)
    }

    /// Commits a transaction that [`Store::begin`] began.
    pub(crate) async fn commit(&self, txn: Transaction) -> Result<(), Error> {
        txn.commit().await.map_err(driver_failure)
    }

    fn reader(&self) -> &Pool {
        &self.read
    }

    /// Reads what evaluation and authentication wait for.
    fn facts(&self) -> &Pool {
        &self.facts
    }

    /// The same, reading where nobody is in the way of those who follow changes.
    pub(crate) fn following(&self) -> Self {
        Self { read: self.follow.clone(), facts: self.follow.clone(), ..self.clone() }
    }

    /// Notes that the database answered. If it was lost, no connection from before is used again.
    pub(crate) fn note_answer(&self) {
        if self.reachable.is_lost() {
            self.probe.distrust_all();
        }
        self.reachable.note_answer();
    }

    /// Asks the database whether it is there.
    ///
    /// # Errors
    ///
    /// `Unavailable` when it does not answer in time.
    pub async fn ping(&self) -> Result<(), Error> {
        self.read.open_one().await.map_err(Error::unavailable)
    }

    /// Closes the connections, after the work in them is done.
    pub async fn close(self) {
        self.probe.close().await;
        for pool in [self.follow, self.facts, self.read, self.write] {
            pool.close().await;
        }
    }
}
