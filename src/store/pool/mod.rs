//! Pools of connections, with time limits on all that is done with one.
//!
//! SeaORM builds the statements and reads the rows; connections and transactions are this
//! module's, on sqlx's pools. The difference is what happens when something goes wrong: no caller
//! that leaves, no server that falls silent and no transaction that the database ended by itself
//! leaves a connection behind that looks fine and is not.

mod connection;
mod limits;
mod probe;
mod rows;
mod statement;
mod transaction;
mod trust;

use std::sync::Arc;

use sea_orm::{
    DbBackend,
    sqlx::{
        self, Connection as _, PgPool, SqlitePool,
        pool::{PoolConnectionMetadata, PoolOptions},
        postgres::{PgConnectOptions, Postgres},
        sqlite::{Sqlite, SqliteConnectOptions},
    },
};
use tokio::{sync::oneshot, time::timeout};

pub(super) use limits::Limits;
pub(super) use probe::Probe;
pub(crate) use transaction::Transaction;
pub(super) use trust::Trust;

use connection::{Connection, Raw};
use limits::{is_lost, is_of_others, is_timed_out};
use statement::{Answer, Request, connection_trait, unexpected};
use trust::Verdict;

use super::{Reachability, failure::is_of_database};

/// How often a read or a BEGIN is tried again that met a dead connection.
const MAX_RETRIES: u32 = 2;

/// A pool of connections. Cheap to clone; clones share.
#[derive(Clone, Debug)]
pub(super) struct Pool(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    source: Source,
    limits: Limits,
    trust: Trust,
    reachable: Reachability,
}

#[derive(Debug)]
enum Source {
    Postgres(PgPool),
    Sqlite { pool: SqlitePool, is_in_memory: bool },
}

impl Pool {
    /// A pool of connections to PostgreSQL; none is opened yet.
    pub(super) fn postgres(
        options: PgConnectOptions,
        max_connections: u32,
        limits: Limits,
        trust: &Trust,
        reachable: &Reachability,
    ) -> Self {
        let doubt = trust.clone();
        let pool =
            sized::<Postgres>(max_connections, limits).before_acquire(move |connection, idle| {
                let verdict = verdict(&doubt, &idle);
                Box::pin(async move {
                    Ok(match verdict {
                        Verdict::Use => true,
                        Verdict::Ping => {
                            matches!(timeout(limits.ping(), connection.ping()).await, Ok(Ok(())))
                        }
                        Verdict::Discard => false,
                    })
                })
            });
        let source = Source::Postgres(pool.connect_lazy_with(options));
        let (trust, reachable) = (trust.clone(), reachable.clone());
        Self(Arc::new(Shared { source, limits, trust, reachable }))
    }

    /// A pool of connections to a file, or the one connection to a database in memory; none is
    /// opened yet.
    pub(super) fn sqlite(
        options: SqliteConnectOptions,
        max_connections: u32,
        is_in_memory: bool,
        limits: Limits,
    ) -> Self {
        let mut pool = sized::<Sqlite>(max_connections, limits);
        if is_in_memory {
            // The data would go with its connection.
            pool = pool.max_lifetime(None).idle_timeout(None);
        }
        let source = Source::Sqlite { pool: pool.connect_lazy_with(options), is_in_memory };
        let (trust, reachable) = (Trust::default(), Reachability::default());
        Self(Arc::new(Shared { source, limits, trust, reachable }))
    }

    pub(super) fn backend(&self) -> DbBackend {
        match self.0.source {
            Source::Postgres(_) => DbBackend::Postgres,
            Source::Sqlite { .. } => DbBackend::Sqlite,
        }
    }

    /// Takes a connection and gives it back, to see whether one can be had.
    pub(super) async fn open_one(&self) -> Result<(), sqlx::Error> {
        self.acquire().await?.release().await;
        Ok(())
    }

    /// SeaORM's own view of the connections to a file, for migrations.
    pub(super) fn sqlite_pool(&self) -> Option<&SqlitePool> {
        match &self.0.source {
            Source::Sqlite { pool, .. } => Some(pool),
            Source::Postgres(_) => None,
        }
    }

    /// Begins a transaction with this statement; where it may write, its outcome is noted.
    pub(super) async fn begin(
        &self,
        begin: &'static str,
        writes: Option<Reachability>,
    ) -> Result<Transaction, sqlx::Error> {
        let mut retries = 0;
        loop {
            let begun = match self.acquire().await {
                Ok(connection) => {
                    let writes = writes.clone();
                    shielded(Transaction::begin(connection, begin, writes)).await
                }
                Err(error) => Err(error),
            };
            match begun {
                Err(error) if self.is_worth_a_retry(&error) && retries < MAX_RETRIES => {
                    retries += 1
                }
                Err(error) => {
                    note_failure(writes.as_ref(), &error);
                    return Err(error);
                }
                Ok(begun) => return Ok(begun),
            }
        }
    }

    /// Closes the pool, after the work in it is done.
    pub(super) async fn close(&self) {
        match &self.0.source {
            Source::Postgres(pool) => pool.close().await,
            Source::Sqlite { pool, .. } => pool.close().await,
        }
    }

    async fn acquire(&self) -> Result<Connection, sqlx::Error> {
        let Shared { source, limits, trust, reachable } = &*self.0;
        // A pool would wait for a connection that is known not to come.
        if reachable.is_lost() {
            return Err(limits::timed_out());
        }
        let raw = match source {
            Source::Postgres(pool) => Raw::Postgres(pool.acquire().await?),
            Source::Sqlite { pool, is_in_memory: false } => Raw::Sqlite(pool.acquire().await?),
            Source::Sqlite { pool, is_in_memory: true } => Raw::Memory(pool.acquire().await?),
        };
        Ok(Connection::new(raw, *limits, trust.clone()))
    }

    /// Runs a statement on a connection of its own; one that only reads is tried again where the
    /// connection was dead.
    async fn run(&self, mut request: Request) -> Result<Answer, sqlx::Error> {
        let mut retries = 0;
        loop {
            let connection = self.acquire().await?;
            let (asked, outcome) = run_alone(connection, request).await?;
            match outcome {
                Err(error)
                    if asked.is_read()
                        && self.is_worth_a_retry(&error)
                        && retries < MAX_RETRIES =>
                {
                    retries += 1;
                    request = asked;
                }
                outcome => return outcome,
            }
        }
    }

    /// After a time-out the caller has waited long enough.
    fn is_worth_a_retry(&self, error: &sqlx::Error) -> bool {
        is_lost(error) && !is_timed_out(error) && !self.0.reachable.is_lost()
    }
}

connection_trait!(Pool);

/// Notes why nothing could be written, unless the statement is to blame.
fn note_failure(writes: Option<&Reachability>, error: &sqlx::Error) {
    if let Some(writes) = writes
        && is_of_database(error)
        && !is_of_others(error)
    {
        writes.note_unwritable(error);
    }
}

fn verdict(trust: &Trust, idle: &PoolConnectionMetadata) -> Verdict {
    trust.verdict(idle.age, idle.idle_for)
}

fn sized<DB: sqlx::Database>(max_connections: u32, limits: Limits) -> PoolOptions<DB> {
    PoolOptions::new()
        .max_connections(max_connections)
        .min_connections(0)
        .acquire_timeout(limits.round_trip)
        .test_before_acquire(false)
}

/// Runs a statement to its end, whether or not the caller waits for it, and answers before the
/// connection is given back.
async fn run_alone(
    mut connection: Connection,
    request: Request,
) -> Result<(Request, Result<Answer, sqlx::Error>), sqlx::Error> {
    let (answer, answered) = oneshot::channel();
    tokio::spawn(async move {
        let outcome = connection.run(&request).await;
        let is_usable = !outcome.as_ref().is_err_and(is_lost);
        // A caller that left is not told.
        let _ = answer.send((request, outcome));
        match is_usable {
            true => connection.release().await,
            false => connection.close().await,
        }
    });
    answered.await.map_err(|_| sqlx::Error::WorkerCrashed)
}

/// Runs work to its end, whether or not the caller waits for it.
async fn shielded<T: Send + 'static>(
    work: impl Future<Output = Result<T, sqlx::Error>> + Send + 'static,
) -> Result<T, sqlx::Error> {
    tokio::spawn(work).await.unwrap_or_else(|_| Err(sqlx::Error::WorkerCrashed))
}
