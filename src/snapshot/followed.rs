//! Brings projects to the revisions that are heard of, a few projects at a time.
//!
//! Each project is one task's affair, however often it is heard of, and a slow
//! one holds up neither the others nor whoever heard of it. What failed or took
//! too long is left; polling finds it behind, and has it followed again.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::Semaphore, time::timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::Snapshots;
use crate::model::error::{Error, Result};

/// How many projects are read at a time, each in up to three queries at once: a little more than
/// there are connections for, so that none of those is idle.
const AT_ONCE: usize = 3;
/// How long one may take before others have its turn.
const PATIENCE: Duration = Duration::from_secs(10);

/// Follows projects in tasks of its own. Clones share.
#[derive(Clone)]
pub(super) struct Follower {
    snapshots: Snapshots,
    tasks: TaskTracker,
    stop: CancellationToken,
    /// The projects that somebody is at, and what is wanted of them.
    wanted: Arc<Mutex<HashMap<i64, Wanted>>>,
    turns: Arc<Semaphore>,
}

/// A revision to come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    /// Or beyond it.
    Forward(i64),
    /// From a higher one, which is no more.
    Back(i64),
}

impl Wanted {
    /// Both, as far as both are possible.
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Forward(one), Self::Forward(two)) => Self::Forward(one.max(two)),
            (_, latest) => latest,
        }
    }
}

impl Follower {
    pub(super) fn new(snapshots: Snapshots, tasks: TaskTracker, stop: CancellationToken) -> Self {
        let turns = Arc::new(Semaphore::new(AT_ONCE));
        Self { snapshots, tasks, stop, wanted: Arc::default(), turns }
    }

    /// A project reached a revision.
    pub(super) fn follow(&self, project_id: i64, revision: i64) {
        self.want(project_id, Wanted::Forward(revision));
    }

    /// A project was put back to a revision.
    pub(super) fn go_back(&self, project_id: i64, revision: i64) {
        self.want(project_id, Wanted::Back(revision));
    }

    fn want(&self, project_id: i64, more: Wanted) {
        match self.wanted().entry(project_id) {
            Entry::Occupied(mut wanted) => {
                let both = wanted.get().and(more);
                wanted.insert(both);
            }
            Entry::Vacant(place) => {
                place.insert(more);
                let bringing = self.clone().bring(project_id, more);
                self.tasks.spawn(self.stop.clone().run_until_cancelled_owned(bringing));
            }
        }
    }

    /// Until no more is wanted than was done.
    async fn bring(self, project_id: i64, mut next: Wanted) {
        loop {
            let done = self.brought(project_id, next).await;
            if let Err(error) = &done {
                let error = error.causes();
                tracing::warn!(project.id = project_id, error, "project was not refreshed");
            }
            let mut wanted = self.wanted();
            match wanted.get(&project_id) {
                Some(more) if done.is_ok() && *more != next => next = *more,
                _ => {
                    wanted.remove(&project_id);
                    return;
                }
            }
        }
    }

    async fn brought(&self, project_id: i64, wanted: Wanted) -> Result<()> {
        let _turn = self.turns.acquire().await.map_err(Error::internal)?;
        let brought = async {
            match wanted {
                Wanted::Forward(revision) => self.snapshots.refresh(project_id, revision).await,
                Wanted::Back(_) => self.snapshots.go_back(project_id).await,
            }
        };
        let brought = timeout(PATIENCE, brought).await.map_err(Error::unavailable).flatten();
        self.snapshots.stale.note(project_id, &brought);
        brought
    }

    fn wanted(&self) -> MutexGuard<'_, HashMap<i64, Wanted>> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clock::Clock,
        model::project::Project,
        store::{
            Access, Store,
            projects::{insert, insert_organization},
        },
    };

    async fn snapshots() -> (Snapshots, [i64; 2]) {
        let store = Store::connect("sqlite::memory:", Access::Create).await.unwrap();
        store.migrate_up().await.unwrap();
        let (txn, now) = (store.begin().await.unwrap(), Clock::system().now());
        let organization_id = insert_organization(&txn, "one", now).await.unwrap();
        let mut projects = [0; 2];
        for (id, token) in projects.iter_mut().zip(["phc_1", "phc_2"]) {
            *id = insert(&txn, Project::fresh(organization_id, token, now)).await.unwrap().id;
        }
        store.commit(txn).await.unwrap();
        let snapshots = Snapshots::new(store);
        snapshots.warm().await.unwrap();
        (snapshots, projects)
    }

    #[tokio::test]
    async fn a_project_that_is_stuck_holds_up_no_other() {
        let (snapshots, [stuck, free]) = snapshots().await;
        let tasks = TaskTracker::new();
        let follower = Follower::new(snapshots.clone(), tasks.clone(), CancellationToken::new());
        let slot = snapshots.slot(stuck).unwrap();
        let before = slot.revision();
        let patching = slot.patching.lock().await;
        for revision in 10..100 {
            follower.follow(stuck, revision);
            follower.follow(free, revision);
        }
        assert_eq!(tasks.len(), 2, "one a project, however often it is heard of");
        let mut told = snapshots.revisions_of(free).await.unwrap();
        told.wait_for(|revision| *revision == 99).await.unwrap();
        assert_eq!(slot.revision(), before);
        drop(patching);
        let mut told = snapshots.revisions_of(stuck).await.unwrap();
        told.wait_for(|revision| *revision == 99).await.unwrap();
        tasks.close();
        tasks.wait().await;
        assert!(follower.wanted().is_empty());
    }
}
