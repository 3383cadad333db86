//! Keeps snapshots and keys current: hears announcements, and polls for those
//! that were lost.
//!
//! On PostgreSQL a connection of its own listens, so a change is seen in
//! milliseconds; every second the database is polled as well, so a lost
//! announcement costs a second and never a stale replica. On SQLite polling is
//! all there is: changes of other processes, such as the command line, are
//! seen within the interval, and this process's own at once.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::Notify,
    time::{MissedTickBehavior, interval, sleep},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{Snapshots, followed::Follower, poll::Poll};
use crate::{
    auth::Authenticator,
    model::error::Result,
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
pub(super) struct Changes {
    pub(super) store: Store,
    pub(super) snapshots: Snapshots,
    pub(super) authenticator: Authenticator,
    pub(super) follower: Follower,
    /// Has the database polled at once.
    wake: Arc<Notify>,
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
        wake: Arc::default(),
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
        let mut poll = Poll::default();
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = self.wake.notified() => {}
            }
            self.look(&mut poll).await;
            self.authenticator.review_leases().await;
        }
    }

    async fn listen(self) {
        loop {
            if let Err(error) = self.hear().await {
                tracing::debug!(error = error.causes(), "listening for changes failed");
            }
            sleep(RECONNECT).await;
        }
    }

    /// Hears until the connection is lost; what was missed meanwhile is polled for first.
    async fn hear(&self) -> Result<()> {
        let Some(mut listener) = Listener::open(&self.store).await? else { return Ok(()) };
        // Keys and facts whose change was missed meanwhile count for less than a second, and are
        // what there is if the database goes again: they are not forgotten.
        self.wake.notify_one();
        while let Some(announcement) = listener.next().await? {
            match announcement {
                Announcement::Keys(key_id) => {
                    self.authenticator.forget(key_id);
                    self.authenticator.review_leases().await;
                }
                Announcement::Revision { project_id, point } => {
                    self.follower.follow(project_id, point);
                }
                Announcement::People { project_id, changed } => {
                    self.snapshots.people().forget(project_id, &changed);
                }
            }
        }
        Ok(())
    }
}
