//! The one owner of BEGIN, the statements between, and COMMIT.
//!
//! What the database and this process believe of a transaction must never differ, so nothing here
//! can be cancelled half-way: each step runs in a task of its own to its end or its time limit,
//! even if the caller leaves. After a failed statement nothing but a rollback is possible, and a
//! connection whose state is unknown is closed, not given back.

use std::{io, sync::Arc};

use sea_orm::{DbBackend, sqlx};
use tokio::{runtime::Handle, sync::Mutex};

use super::{
    connection::Connection,
    limits::may_roll_back,
    note_failure, shielded,
    statement::{Answer, Request, connection_trait, unexpected},
};
use crate::store::{Reachability, write_queue::Turn};

/// A transaction; rolled back when dropped.
#[derive(Debug)]
pub(crate) struct Transaction {
    backend: DbBackend,
    session: Arc<Mutex<Session>>,
    is_open: bool,
}

#[derive(Debug)]
struct Session {
    /// `None` while a statement runs, and after the connection was closed.
    connection: Option<Connection>,
    /// A statement failed, or never ended: nothing can be committed.
    has_failed: bool,
    /// Where it is noted whether the database can be written; `None` for one that only reads.
    writes: Option<Reachability>,
    /// The right to write, given back when all of it is over.
    turn: Option<Turn>,
}

impl Transaction {
    /// Begins on a connection; closes it if that fails.
    pub(super) async fn begin(
        mut connection: Connection,
        begin: &'static str,
        writes: Option<Reachability>,
    ) -> Result<Self, sqlx::Error> {
        if let Err(error) = connection.begin(begin).await {
            connection.close().await;
            return Err(error);
        }
        let backend = connection.backend();
        let connection = Some(connection);
        let session = Session { connection, has_failed: false, writes, turn: None };
        Ok(Self { backend, session: Arc::new(Mutex::new(session)), is_open: true })
    }

    /// Holds a turn in a queue of writers until the transaction is over.
    pub(in crate::store) async fn with_turn(self, turn: Turn) -> Self {
        self.session.lock().await.turn = Some(turn);
        self
    }

    /// Commits.
    ///
    /// # Errors
    ///
    /// The driver's: after a time-out or a lost connection the outcome is unknown, after any other
    /// nothing was committed.
    pub(in crate::store) async fn commit(mut self) -> Result<(), sqlx::Error> {
        let mut session = Arc::clone(&self.session).lock_owned().await;
        self.is_open = false;
        shielded(async move { session.commit().await }).await
    }

    fn backend(&self) -> DbBackend {
        self.backend
    }

    async fn run(&self, request: Request) -> Result<Answer, sqlx::Error> {
        let mut session = Arc::clone(&self.session).lock_owned().await;
        shielded(async move { session.run(request).await }).await
    }
}

connection_trait!(Transaction);

impl Drop for Transaction {
    fn drop(&mut self) {
        if !self.is_open {
            return;
        }
        let session = Arc::clone(&self.session);
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(async move { session.lock().await.roll_back().await });
        }
    }
}

/// Notes that something was written, if it is where it will be found: the file of an embedded
/// database may have been moved meanwhile.
fn written(writes: &Reachability) -> Result<(), sqlx::Error> {
    writes.check_file().map_err(|error| sqlx::Error::Io(io::Error::other(error)))?;
    writes.note_written();
    Ok(())
}

impl Session {
    /// Runs a statement; after one that failed, none is run.
    async fn run(&mut self, request: Request) -> Result<Answer, sqlx::Error> {
        if self.has_failed {
            return Err(over());
        }
        let mut connection = self.connection.take().ok_or_else(over)?;
        // True until the outcome is known.
        self.has_failed = true;
        let outcome = connection.run(&request).await;
        self.note(&outcome);
        let is_postgres = connection.backend() == DbBackend::Postgres;
        match &outcome {
            Ok(_) => {
                self.has_failed = false;
                self.connection = Some(connection);
            }
            Err(error) if may_roll_back(error, is_postgres) => self.connection = Some(connection),
            Err(_) => connection.close().await,
        }
        outcome
    }

    async fn commit(&mut self) -> Result<(), sqlx::Error> {
        if self.has_failed {
            self.roll_back().await;
            return Err(over());
        }
        let mut connection = self.connection.take().ok_or_else(over)?;
        let outcome = connection.run(&Request::Batch("COMMIT".into())).await;
        self.note(&outcome);
        match outcome {
            Ok(_) => drop(tokio::spawn(connection.release())),
            Err(_) => connection.close().await,
        }
        self.turn = None;
        outcome?;
        self.writes.as_ref().map_or(Ok(()), written)
    }

    fn note(&self, outcome: &Result<Answer, sqlx::Error>) {
        if let Err(error) = outcome {
            note_failure(self.writes.as_ref(), error);
        }
    }

    async fn roll_back(&mut self) {
        if let Some(mut connection) = self.connection.take() {
            match connection.run(&Request::Batch("ROLLBACK".into())).await {
                Ok(_) => connection.release().await,
                Err(_) => connection.close().await,
            }
        }
        self.turn = None;
    }
}

/// A statement in a transaction that has ended.
fn over() -> sqlx::Error {
    sqlx::Error::Protocol("the transaction is over: an earlier statement failed".into())
}
