//! Keeps snapshots and keys current: hears announcements, and polls for those
//! that were lost.
//!
//! On PostgreSQL a connection of its own listens, so a change is seen in
//! milliseconds; every second revisions are compared as well, so a lost
//! announcement costs a second and never a stale replica. On SQLite polling is
//! all there is: changes of other processes, such as the command line, are
//! seen within the interval, and this process's own at once.

use std::{collections::HashMap, time::Duration};

use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{Snapshots, followed::Follower};
use crate::{
    auth::Authenticator,
    model::error::{Code, Result},
    store::{
        Store,
        listen::{Announcement, Listener},
    },
};

const POSTGRES_POLL: Duration = Duration::from_secs(1);
const SQLITE_POLL: Duration = Duration::from_millis(500);
const RECONNECT: Duration = Duration::from_millis(500);

/// What keeps up with the database.
#[derive(Clone)]
struct Changes {
    store: Store,
    snapshots: Snapshots,
    authenticator: Authenticator,
    follower: Follower,
}

/// Starts to follow changes, until `stop`.
pub fn follow(
    store: &Store,
    snapshots: &Snapshots,
    authenticator: &Authenticator,
    tasks: &TaskTracker,
    stop: &CancellationToken,
) {
    let changes = Changes {
        store: store.clone(),
        snapshots: snapshots.clone(),
        authenticator: authenticator.clone(),
        follower: Follower::new(snapshots.clone(), tasks.clone(), stop.clone()),
    };
    if store.is_postgres() {
        let listen = changes.clone().listen();
        tasks.spawn(stop.clone().run_until_cancelled_owned(listen));
    }
    tasks.spawn(stop.clone().run_until_cancelled_owned(changes.poll()));
    tasks.spawn(stop.clone().run_until_cancelled_owned(store.clone().watch_writes()));
}

impl Changes {
    async fn poll(self) {
        let period = if self.store.is_postgres() { POSTGRES_POLL } else { SQLITE_POLL };
        let mut ticks = interval(period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut lower = HashMap::new();
        loop {
            ticks.tick().await;
            let found = self.catch_up().await;
            for (project_id, revision) in &found {
                // Once may be a matter of who was asked; twice, an earlier state was restored.
                if lower.contains_key(project_id) {
                    self.follower.go_back(*project_id, *revision);
                }
            }
            lower = found;
            self.authenticator.review_leases().await;
        }
    }

    /// Compares revisions, and has followed what is behind. Only whether they could be asked for
    /// tells whether the database is there; a project that cannot be read holds up no other.
    /// Answers the projects that the database has at a lower revision.
    async fn catch_up(&self) -> HashMap<i64, i64> {
        let Self { store, snapshots, .. } = self;
        // Before the revisions are asked for: what is made and read meanwhile is not gone.
        let mut held = snapshots.revisions();
        let mut lower = HashMap::new();
        let asked = store.revisions().await;
        // Connections to a file that was removed still answer.
        let in_place = store.reachability().check_file();
        let revisions = match asked.and_then(|revisions| in_place.clone().map(|()| revisions)) {
            Ok(revisions) => revisions,
            Err(error) => {
                tracing::debug!(error = error.causes(), "polling for changes failed");
                let is_misplaced = in_place.is_err();
                if is_misplaced && !store.reachability().is_lost() {
                    tracing::error!(error = error.causes(), "nothing can be stored");
                }
                let lost = is_misplaced || store.is_postgres() && error.code == Code::Unavailable;
                store.reachability().note(lost);
                return lower;
            }
        };
        store.note_answer();
        for (project_id, revision) in revisions {
            match held.remove(&project_id) {
                Some(known) if known == revision => snapshots.stale.remove(project_id),
                Some(known) if known > revision => drop(lower.insert(project_id, revision)),
                Some(_) | None => self.follower.follow(project_id, revision),
            }
        }
        for gone in held.into_keys() {
            snapshots.forget(gone);
        }
        lower
    }

    async fn listen(self) {
        loop {
            if let Err(error) = self.hear().await {
                tracing::debug!(error = error.causes(), "listening for changes failed");
            }
            sleep(RECONNECT).await;
        }
    }

    /// Hears until the connection is lost; what was missed meanwhile is caught up on first.
    async fn hear(&self) -> Result<()> {
        let Some(mut listener) = Listener::open(&self.store).await? else { return Ok(()) };
        // Keys and facts whose change was missed meanwhile count for less than a second, and are
        // what there is if the database goes again: they are not forgotten.
        self.catch_up().await;
        while let Some(announcement) = listener.next().await? {
            match announcement {
                Announcement::Keys(key_id) => {
                    self.authenticator.forget(key_id);
                    self.authenticator.review_leases().await;
                }
                Announcement::Revision { project_id, revision } => {
                    self.follower.follow(project_id, revision);
                }
                Announcement::People { project_id, changed } => {
                    self.snapshots.people().forget(project_id, &changed);
                }
            }
        }
        Ok(())
    }
}
