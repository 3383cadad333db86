//! A connection taken from a pool.

use futures::{StreamExt, TryStreamExt, stream::BoxStream};
use sea_orm::{
    DbBackend, QueryResult, Statement,
    sqlx::{self, PgConnection, Postgres, Sqlite, pool::PoolConnection},
};
use tokio::{runtime::Handle, time::timeout};

use super::{
    limits::{Limits, is_lost, limited},
    statement::{Answer, Request, query},
    trust::Trust,
};

/// A connection taken from a pool: closed when dropped, unless it is given back.
///
/// A connection in an unknown state is never used again: whoever is not sure drops it.
#[derive(Debug)]
pub(super) struct Connection {
    raw: Option<Raw>,
    limits: Limits,
    trust: Trust,
}

#[derive(Debug)]
pub(super) enum Raw {
    Postgres(PoolConnection<Postgres>),
    Sqlite(PoolConnection<Sqlite>),
    /// The database lives in this connection, and would go with it.
    Memory(PoolConnection<Sqlite>),
}

impl Connection {
    pub(super) fn new(raw: Raw, limits: Limits, trust: Trust) -> Self {
        Self { raw: Some(raw), limits, trust }
    }

    pub(super) fn backend(&self) -> DbBackend {
        match self.raw {
            Some(Raw::Postgres(_)) => DbBackend::Postgres,
            _ => DbBackend::Sqlite,
        }
    }

    /// Runs a statement within the time limit of statements.
    pub(super) async fn run(&mut self, request: &Request) -> Result<Answer, sqlx::Error> {
        let limit = self.limits.statement;
        self.run_within(request, limit).await
    }

    /// Begins a transaction. On SQLite that may wait for other processes' writes, which is bounded
    /// by its busy time-out.
    pub(super) async fn begin(&mut self, begin: &str) -> Result<(), sqlx::Error> {
        let limit = match self.backend() {
            DbBackend::Postgres => self.limits.round_trip,
            _ => self.limits.statement,
        };
        self.run_within(&Request::Batch(begin.to_owned()), limit).await.map(drop)
    }

    async fn run_within(
        &mut self,
        request: &Request,
        limit: std::time::Duration,
    ) -> Result<Answer, sqlx::Error> {
        let raw = self.raw.as_mut().ok_or(sqlx::Error::WorkerCrashed)?;
        let work = async {
            match raw {
                Raw::Postgres(connection) => request.run_on_postgres(connection).await,
                Raw::Sqlite(connection) | Raw::Memory(connection) => {
                    request.run_on_sqlite(connection).await
                }
            }
        };
        let outcome = limited(work, limit, self.limits.ping(), &self.trust).await;
        if outcome.as_ref().is_err_and(is_lost) {
            self.trust.lost_one();
        }
        outcome
    }

    /// The rows of a statement as they come.
    pub(super) fn rows<'c>(
        &'c mut self,
        statement: &'c Statement,
    ) -> BoxStream<'c, Result<QueryResult, sqlx::Error>> {
        match self.raw.as_mut() {
            Some(Raw::Postgres(connection)) => {
                query::<Postgres>(statement).fetch(&mut **connection).map_ok(Into::into).boxed()
            }
            Some(Raw::Sqlite(connection) | Raw::Memory(connection)) => {
                query::<Sqlite>(statement).fetch(&mut **connection).map_ok(Into::into).boxed()
            }
            None => futures::stream::once(async { Err(sqlx::Error::WorkerCrashed) }).boxed(),
        }
    }

    pub(super) fn limits(&self) -> Limits {
        self.limits
    }

    /// Gives the connection back. One that shows no sign of life in time is closed.
    pub(super) async fn release(mut self) {
        let limit = self.limits.ping();
        // Dropping the future that gives it back closes it, and leaves its place to another.
        let _ = match self.raw.take() {
            Some(Raw::Postgres(mut connection)) => {
                timeout(limit, connection.return_to_pool()).await
            }
            Some(Raw::Sqlite(mut connection)) => timeout(limit, connection.return_to_pool()).await,
            Some(Raw::Memory(mut connection)) => {
                connection.return_to_pool().await;
                return;
            }
            None => return,
        };
    }

    /// Closes the connection without a farewell; the database rolls back what is open in it.
    pub(super) async fn close(mut self) {
        if let Some(raw) = self.raw.take() {
            close(raw, self.limits).await;
        }
    }
}

async fn close(raw: Raw, limits: Limits) {
    match raw {
        Raw::Postgres(connection) => hang_up(connection.detach()),
        // Its place is kept until the file is closed, so that no other meets its locks.
        Raw::Sqlite(connection) => {
            if timeout(limits.round_trip, connection.close()).await.is_err() {
                tracing::warn!("a connection to the database file did not close in time");
            }
        }
        Raw::Memory(mut connection) => {
            // Fails where no transaction is open any more, which is as well.
            let _ = Request::Batch("ROLLBACK".into()).run_on_sqlite(&mut connection).await;
            connection.return_to_pool().await;
        }
    }
}

/// Closes the socket at once: a server that does not answer is not waited for.
fn hang_up(connection: PgConnection) {
    drop(connection);
}

impl Drop for Connection {
    fn drop(&mut self) {
        let Some(raw) = self.raw.take() else { return };
        match (raw, Handle::try_current()) {
            (Raw::Postgres(connection), _) => hang_up(connection.detach()),
            (raw, Ok(runtime)) => drop(runtime.spawn(close(raw, self.limits))),
            // Without a runtime the process is ending.
            (_, Err(_)) => {}
        }
    }
}
