//! The connection that tells whether the database is there.

use std::{sync::Arc, time::Duration};

use futures::{StreamExt, stream::FuturesUnordered};
use sea_orm::{
    DbBackend,
    sqlx::{self, ConnectOptions, PgConnection, postgres::PgConnectOptions},
};
use tokio::{
    sync::Mutex,
    time::{interval, sleep},
};

use super::{
    Limits, Pool, Trust,
    limits::{is_lost, limited, timed_out},
    shielded,
    statement::{Answer, Request, connection_trait, unexpected},
};

/// How long an attempt to connect is alone: a server that is back answers a new one at once, while
/// the system repeats a lost first packet after longer and longer pauses.
const NEXT_ATTEMPT: Duration = Duration::from_secs(1);

/// Asks whether the database is there, and the little that must be answered even if pools are busy.
#[derive(Clone, Debug)]
pub(in crate::store) enum Probe {
    /// A file is asked as others ask it.
    File(Pool),
    /// A server is asked on a connection of its own, outside of any pool, and on a new one where
    /// that fails: no pool that is busy or stuck is taken for a database that is gone, and no dead
    /// connection for a dead server.
    Server(Arc<ServerProbe>),
}

#[derive(Debug)]
pub(in crate::store) struct ServerProbe {
    options: PgConnectOptions,
    limits: Limits,
    trust: Trust,
    held: Arc<Mutex<Option<PgConnection>>>,
}

impl Probe {
    pub(in crate::store) fn server(
        options: PgConnectOptions,
        limits: Limits,
        trust: &Trust,
    ) -> Self {
        let (trust, held) = (trust.clone(), Arc::default());
        Self::Server(Arc::new(ServerProbe { options, limits, trust, held }))
    }

    /// Notes that all connections that were opened until now are dead.
    pub(in crate::store) fn distrust_all(&self) {
        if let Self::Server(probe) = self {
            probe.trust.lost_all();
        }
    }

    /// Closes the connection.
    pub(in crate::store) async fn close(&self) {
        match self {
            Self::File(pool) => pool.close().await,
            Self::Server(probe) => drop(probe.held.lock().await.take()),
        }
    }

    fn backend(&self) -> DbBackend {
        match self {
            Self::File(pool) => pool.backend(),
            Self::Server(_) => DbBackend::Postgres,
        }
    }

    async fn run(&self, request: Request) -> Result<Answer, sqlx::Error> {
        let probe = match self {
            Self::File(pool) => return pool.run(request).await,
            Self::Server(probe) => Arc::clone(probe),
        };
        let mut held = Arc::clone(&probe.held).lock_owned().await;
        shielded(async move { probe.ask(&mut held, &request).await }).await
    }
}

connection_trait!(Probe);

impl ServerProbe {
    async fn ask(
        &self,
        held: &mut Option<PgConnection>,
        request: &Request,
    ) -> Result<Answer, sqlx::Error> {
        let mut was_lost = false;
        if let Some(mut connection) = held.take() {
            match self.ask_on(&mut connection, request).await {
                Err(error) if is_lost(&error) => was_lost = true,
                outcome => {
                    *held = Some(connection);
                    return outcome;
                }
            }
        }
        let mut connection = self.connect().await?;
        let answer = self.ask_on(&mut connection, request).await?;
        *held = Some(connection);
        if was_lost {
            // The server is there, and the old connection was not: the others are no better.
            self.trust.lost_all();
        }
        Ok(answer)
    }

    async fn ask_on(
        &self,
        connection: &mut PgConnection,
        request: &Request,
    ) -> Result<Answer, sqlx::Error> {
        let limit = self.limits.ping();
        limited(request.run_on_postgres(connection), limit, limit, &Trust::default()).await
    }

    /// Opens a connection, with further attempts while one is not answered.
    async fn connect(&self) -> Result<PgConnection, sqlx::Error> {
        let mut attempts = FuturesUnordered::new();
        let mut next = interval(NEXT_ATTEMPT);
        let limit = sleep(self.limits.round_trip);
        tokio::pin!(limit);
        loop {
            tokio::select! {
                Some(done) = attempts.next() => match done {
                    Ok(connection) => return Ok(connection),
                    Err(error) if attempts.is_empty() => return Err(error),
                    Err(_) => {}
                },
                _ = next.tick() => attempts.push(self.options.connect()),
                () = &mut limit => return Err(timed_out()),
            }
        }
    }
}
