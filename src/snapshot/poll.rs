//! Looks for changes whose announcement was lost, at a cost that does not grow with the number of
//! projects.
//!
//! Each look reads the revisions that were logged since the one before, by index, and compares a
//! slice of the projects, one after the other: that finds what no log tells, such as a project that
//! was deleted or rewritten by hand. All projects are compared in one look only when something says
//! that more may have been missed: at the start, after the database was away, and when a revision
//! that was seen is gone from it.

use super::{
    changes::Changes,
    window::{ChangeWindow, OVERLAP},
};
use crate::model::{
    error::{Code, Result},
    history_point::HistoryPoint,
};

/// How many projects one look compares, and how many at a time when all are compared.
const SLICE: u64 = 500;
const LARGE_SLICE: u64 = 5_000;

/// Where polling is.
#[derive(Debug, Default)]
pub(super) struct Poll {
    /// `None` when all projects are to be compared.
    window: Option<ChangeWindow>,
    sweep: Sweep,
}

/// A walk over all projects, slice by slice.
#[derive(Debug)]
struct Sweep {
    /// The last project that was compared.
    after: i64,
    /// The projects that were held when the walk began and have not been compared yet, in order.
    held: Option<Vec<i64>>,
}

impl Default for Sweep {
    fn default() -> Self {
        Self { after: i64::MIN, held: None }
    }
}

impl Changes {
    /// Looks once. Only whether the database could be asked tells whether it is there; a project
    /// that cannot be read holds up no other.
    pub(super) async fn look(&self, poll: &mut Poll) {
        let reachability = self.store.reachability();
        let looked = self.catch_up(poll).await;
        // Connections to a file that was removed still answer.
        let in_place = reachability.check_file();
        let error = match looked.and(in_place.clone()) {
            Ok(()) => return self.store.note_answer(),
            Err(error) => error,
        };
        tracing::debug!(error = error.causes(), "polling for changes failed");
        let is_misplaced = in_place.is_err();
        if is_misplaced && !reachability.is_lost() {
            tracing::error!(error = error.causes(), "nothing can be stored");
        }
        // It may be another database that comes back.
        *poll = Poll::default();
        let is_gone = self.store.is_postgres() && error.code == Code::Unavailable;
        reachability.note(is_misplaced || is_gone);
    }

    async fn catch_up(&self, poll: &mut Poll) -> Result<()> {
        if let Some(window) = &mut poll.window {
            let read = self.store.logged_from(window.from()).await?;
            if let Some(changed) = window.advance(read) {
                self.follower.retry();
                changed.into_iter().for_each(|(id, point)| self.follower.follow(id, point));
                return self.compare(&mut poll.sweep, SLICE).await.map(|_| ());
            }
            tracing::warn!(
                "revisions that were read are gone from the database, which was restored or lost \
                 commits in a fail-over: comparing all projects"
            );
            self.authenticator.forget(None);
            self.snapshots.forget_oldest();
            let people = self.snapshots.people();
            self.snapshots.held_ids().into_iter().for_each(|id| people.forget_project(id));
        }
        let overlap = i64::try_from(OVERLAP).unwrap_or(i64::MAX);
        // Before projects are compared, so that no change falls between the two.
        let newest = self.store.newest_logged(overlap).await?;
        poll.sweep = Sweep::default();
        while !self.compare(&mut poll.sweep, LARGE_SLICE).await? {}
        poll.window = Some(ChangeWindow::new(newest));
        Ok(())
    }

    /// Compares the next projects, and has followed what is different. Returns whether these were
    /// the last ones.
    async fn compare(&self, sweep: &mut Sweep, limit: u64) -> Result<bool> {
        // Before the database is asked: what is made and read meanwhile is not gone.
        let mut held = sweep.held.take().unwrap_or_else(|| self.snapshots.held_ids());
        let found = self.store.points_after(sweep.after, limit).await?;
        for (id, point) in &found {
            match self.snapshots.reached(*id) == Some(*point) {
                true => self.snapshots.stale.remove(*id),
                // Not to that state as such: it may be one that was passed, and restored since.
                false => self.follower.follow(*id, None),
            }
        }
        let is_last = u64::try_from(found.len()).is_ok_and(|count| count < limit);
        let last = found.last().filter(|_| !is_last).map_or(i64::MAX, |(id, _)| *id);
        let later = held.split_off(held.partition_point(|id| *id <= last));
        for gone in missing(&held, &found) {
            self.snapshots.forget(gone);
        }
        *sweep = match is_last {
            true => Sweep::default(),
            false => Sweep { after: last, held: Some(later) },
        };
        Ok(is_last)
    }
}

/// The projects that were not found; both are in order.
fn missing(held: &[i64], found: &[(i64, HistoryPoint)]) -> Vec<i64> {
    let is_found = |id: &i64| found.binary_search_by_key(id, |(id, _)| *id).is_ok();
    held.iter().copied().filter(|id| !is_found(id)).collect()
}
