//! Whether the database answers, and since when it has not.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::watch;

use super::sqlite_file::OpenFile;
use crate::model::error::Error;

/// Whether the last look at the database succeeded. Shared by all clones of a store.
#[derive(Clone, Debug)]
pub struct Reachability(Arc<State>);

#[derive(Debug)]
struct State {
    lost: watch::Sender<bool>,
    /// Monotonic: a wall clock that jumps makes an answer neither older nor newer.
    answered_at: Mutex<Instant>,
    /// The file of an embedded database.
    file: Option<OpenFile>,
    is_unwritable: AtomicBool,
}

impl Default for Reachability {
    fn default() -> Self {
        Self::of(None)
    }
}

impl Reachability {
    /// Returns the reachability of a database that was just opened, on this file if it is embedded.
    pub(super) fn of(file: Option<OpenFile>) -> Self {
        let answered_at = Mutex::new(Instant::now());
        let (lost, is_unwritable) = (watch::Sender::new(false), AtomicBool::new(false));
        Self(Arc::new(State { lost, answered_at, file, is_unwritable }))
    }

    /// True while the database cannot be asked: answers come from memory as it was.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        *self.0.lost.borrow()
    }

    /// True while the last write failed for a reason that is not its own: no database, no room, no
    /// connection, a standby.
    #[must_use]
    pub fn is_unwritable(&self) -> bool {
        self.is_lost() || self.0.is_unwritable.load(Ordering::Relaxed)
    }

    /// Notes that something was written.
    pub(super) fn note_written(&self) {
        if self.0.is_unwritable.swap(false, Ordering::Relaxed) {
            tracing::info!("database can be written again");
        }
    }

    /// Notes that nothing could be written, for a reason that is not the statement's.
    pub(super) fn note_unwritable(&self, error: &dyn std::error::Error) {
        if !self.0.is_unwritable.swap(true, Ordering::Relaxed) {
            tracing::error!(%error, "database cannot be written");
        }
    }

    /// Returns the time since the database last answered a look at its revisions.
    #[must_use]
    pub fn unanswered_for(&self) -> Duration {
        self.answered_at().elapsed()
    }

    /// Spares the wait for a database that is known to be gone: a pool waits longer than anybody
    /// should have to.
    ///
    /// # Errors
    ///
    /// `Unavailable` when it is.
    pub(crate) fn check(&self) -> Result<(), Error> {
        self.check_file()?;
        match self.is_lost() {
            true => Err(unreachable()),
            false => Ok(()),
        }
    }

    /// Makes sure that the file of an embedded database is in its place.
    ///
    /// # Errors
    ///
    /// `Unavailable` while it is moved, removed or replaced.
    pub(crate) fn check_file(&self) -> Result<(), Error> {
        self.0.file.as_ref().map_or(Ok(()), OpenFile::check)
    }

    /// Runs a query until the database is known to be gone.
    ///
    /// # Errors
    ///
    /// Those of the query, and `Unavailable` when the database is gone, or goes meanwhile.
    pub(crate) async fn unless_lost<T>(
        &self,
        query: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let mut lost = self.0.lost.subscribe();
        tokio::select! {
            biased;
            // The sender lives as long as `self`.
            _ = lost.wait_for(|lost| *lost) => Err(unreachable()),
            outcome = query => outcome,
        }
    }

    /// Notes that the database answered.
    pub(crate) fn note_answer(&self) {
        *self.answered_at() = Instant::now();
        self.note(false);
    }

    /// Notes the outcome of a look, and logs it if it differs from the last.
    pub(crate) fn note(&self, lost: bool) {
        if self.0.lost.send_replace(lost) != lost {
            match lost {
                true => tracing::warn!("database is unreachable, answering from memory"),
                false => tracing::info!("database is back"),
            }
        }
    }

    fn answered_at(&self) -> std::sync::MutexGuard<'_, Instant> {
        self.0.answered_at.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn unreachable() -> Error {
    Error::unavailable("the database is known to be unreachable")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_that_is_lost_cannot_be_written_either() {
        let seen = Reachability::default();
        assert!(!seen.is_lost() && !seen.is_unwritable());
        seen.note(true);
        assert!(seen.is_unwritable());
        seen.note(false);
        assert!(!seen.is_unwritable());
        seen.note_unwritable(&std::fmt::Error);
        assert!(!seen.is_lost() && seen.is_unwritable());
        seen.note_written();
        assert!(!seen.is_unwritable());
    }

    #[tokio::test]
    async fn a_query_ends_when_the_database_is_known_to_be_gone() {
        let reachability = Reachability::default();
        assert!(reachability.unless_lost(async { Ok(1) }).await.is_ok());
        let waiting = reachability.unless_lost(std::future::pending::<Result<(), Error>>());
        let (outcome, ()) = tokio::join!(waiting, async { reachability.note(true) });
        assert_eq!(outcome.unwrap_err().code, crate::model::error::Code::Unavailable);
        assert!(reachability.unless_lost(async { Ok(1) }).await.is_err(), "it is not asked");
        reachability.note_answer();
        assert!(reachability.unless_lost(async { Ok(1) }).await.is_ok());
    }
}
