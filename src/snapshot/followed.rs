//! Brings projects to the states that are heard of, a few projects at a time.
//!
//! Each project is one task's affair, however often it is heard of, and a slow
//! one holds up neither the others nor whoever heard of it. What failed or took
//! too long is left, and tried again with the next poll.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::Semaphore, time::timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::Snapshots;
use crate::model::{
    error::{Error, Result},
    history_point::HistoryPoint,
};

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
    /// The projects that could not be brought there, to be tried again.
    failed: Arc<Mutex<HashMap<i64, Wanted>>>,
    turns: Arc<Semaphore>,
}

/// The state to come to; `None` for whatever the database has.
type Wanted = Option<HistoryPoint>;

impl Follower {
    pub(super) fn new(snapshots: Snapshots, tasks: TaskTracker, stop: CancellationToken) -> Self {
        let turns = Arc::new(Semaphore::new(AT_ONCE));
        let (wanted, failed) = (Arc::default(), Arc::default());
        Self { snapshots, tasks, stop, wanted, failed, turns }
    }

    /// Brings a project to a state, or to whatever the database has. While it is being brought to
    /// one, only the newest wish is remembered.
    pub(super) fn follow(&self, project_id: i64, point: Wanted) {
        match self.wanted().entry(project_id) {
            Entry::Occupied(mut wanted) => drop(wanted.insert(point)),
            Entry::Vacant(place) => {
                place.insert(point);
                let bringing = self.clone().bring(project_id, point);
                self.tasks.spawn(self.stop.clone().run_until_cancelled_owned(bringing));
            }
        }
    }

    /// Tries again what failed.
    pub(super) fn retry(&self) {
        let failed = std::mem::take(&mut *lock(&self.failed));
        failed.into_iter().for_each(|(project_id, point)| self.follow(project_id, point));
    }

    /// Until no more is wanted than was done.
    async fn bring(self, project_id: i64, mut next: Wanted) {
        loop {
            let done = self.brought(project_id, next).await;
            if let Err(error) = &done {
                let error = error.causes();
                tracing::warn!(project.id = project_id, error, "project was not refreshed");
                lock(&self.failed).insert(project_id, next);
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
                Some(point) => self.snapshots.refresh(project_id, point).await,
                None => self.snapshots.look(project_id).await,
            }
        };
        let brought = timeout(PATIENCE, brought).await.map_err(Error::unavailable).flatten();
        self.snapshots.stale.note(project_id, &brought);
        brought
    }

    fn wanted(&self) -> MutexGuard<'_, HashMap<i64, Wanted>> {
        lock(&self.wanted)
    }
}

/// The maps are whole at every step, so a panic elsewhere harms nothing here.
fn lock(projects: &Mutex<HashMap<i64, Wanted>>) -> MutexGuard<'_, HashMap<i64, Wanted>> {
    projects.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clock::Clock,
        model::{history_point::HistoryToken, project::Project},
        store::{
            Access, ProjectWrite, Store,
            projects::{insert, insert_organization},
        },
    };

    async fn snapshots() -> (Store, Snapshots, [i64; 2]) {
        let store = Store::connect("sqlite::memory:", Access::Create).await.unwrap();
        store.migrate_up().await.unwrap();
        let (txn, now) = (store.begin().await.unwrap(), Clock::system().now());
        let organization_id = insert_organization(&txn, "one", now).await.unwrap();
        let mut projects = [0; 2];
        for (id, token) in projects.iter_mut().zip(["phc_1", "phc_2"]) {
            *id = insert(&txn, Project::fresh(organization_id, token, now)).await.unwrap().id;
        }
        store.commit(txn).await.unwrap();
        let snapshots = Snapshots::new(store.clone());
        snapshots.warm().await.unwrap();
        (store, snapshots, projects)
    }

    /// A revision that changes nothing that is told.
    async fn commit(store: &Store, project_id: i64) -> HistoryPoint {
        let write = ProjectWrite::begin(store, project_id).await.unwrap().unwrap();
        write.commit(Clock::system().now()).await.unwrap()
    }

    #[tokio::test]
    async fn a_project_that_is_stuck_holds_up_no_other() {
        let (store, snapshots, [stuck, free]) = snapshots().await;
        let tasks = TaskTracker::new();
        let follower = Follower::new(snapshots.clone(), tasks.clone(), CancellationToken::new());
        let slot = snapshots.slot(stuck).unwrap();
        let before = slot.reached();
        let patching = slot.patching.lock().await;
        let mut last = [before; 2];
        for _ in 0..20 {
            for (project, last) in [stuck, free].into_iter().zip(&mut last) {
                *last = commit(&store, project).await;
                follower.follow(project, Some(*last));
            }
        }
        let mut told = snapshots.revisions_of(free).await.unwrap();
        told.wait_for(|point| *point == last[1]).await.unwrap();
        assert_eq!((slot.reached(), tasks.len()), (before, 1), "one task a project");
        drop(patching);
        let mut told = snapshots.revisions_of(stuck).await.unwrap();
        told.wait_for(|point| *point == last[0]).await.unwrap();
        tasks.close();
        tasks.wait().await;
        assert!(follower.wanted().is_empty());
    }

    #[tokio::test]
    async fn a_state_that_the_database_does_not_have_leads_to_the_one_that_it_has() {
        let (store, snapshots, [project, _]) = snapshots().await;
        let slot = snapshots.slot(project).unwrap();
        let committed = commit(&store, project).await;
        for revision in [0, 1, 99] {
            let target = HistoryPoint::new(revision, HistoryToken::random());
            snapshots.refresh(project, target).await.unwrap();
            assert_eq!((slot.reached(), slot.rebuilds()), (committed, 0), "{target:?}");
        }
    }
}
