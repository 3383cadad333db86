//! Keeps snapshots and keys current: hears announcements, and polls for those
//! that were lost.
//!
//! On PostgreSQL a connection of its own listens, so a change is seen in
//! milliseconds; every second revisions are compared as well, so a lost
//! announcement costs a second and never a stale replica. On SQLite polling is
//! all there is: changes of other processes, such as the command line, are
//! seen within the interval, and this process's own at once.

use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::Snapshots;
use crate::{
    auth::Authenticator,
    model::error::{Code, Error, Result},
    store::{
        Store,
        listen::{Announcement, Listener},
    },
};

const POSTGRES_POLL: Duration = Duration::from_secs(1);
const SQLITE_POLL: Duration = Duration::from_millis(500);
const RECONNECT: Duration = Duration::from_millis(500);
/// How long a look at the revisions may take before the database counts as gone.
const PATIENCE: Duration = Duration::from_secs(1);

/// Starts to follow changes, until `stop`.
pub fn follow(
    store: &Store,
    snapshots: &Snapshots,
    authenticator: &Authenticator,
    tasks: &TaskTracker,
    stop: &CancellationToken,
) {
    let poll = poll(store.clone(), snapshots.clone(), authenticator.clone());
    tasks.spawn(stop.clone().run_until_cancelled_owned(poll));
    if store.is_postgres() {
        let listen = listen(store.clone(), snapshots.clone(), authenticator.clone());
        tasks.spawn(stop.clone().run_until_cancelled_owned(listen));
    }
}

async fn poll(store: Store, snapshots: Snapshots, authenticator: Authenticator) {
    let mut ticks = interval(if store.is_postgres() { POSTGRES_POLL } else { SQLITE_POLL });
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        catch_up(&store, &snapshots).await;
        authenticator.review_leases().await;
    }
}

/// Compares revisions, and refreshes what is behind. Only whether they could be asked for tells
/// whether the database is there; a project that cannot be read holds up no other.
async fn catch_up(store: &Store, snapshots: &Snapshots) {
    // A pool waits longer for a lost database than anybody should have to.
    let asked = timeout(PATIENCE, store.revisions()).await;
    let revisions = match asked.map_err(Error::unavailable).flatten() {
        Ok(revisions) => revisions,
        Err(error) => {
            tracing::debug!(error = error.causes(), "polling for changes failed");
            return store
                .reachability()
                .note(store.is_postgres() && error.code == Code::Unavailable);
        }
    };
    store.reachability().note(false);
    let mut held = snapshots.revisions();
    for (project_id, revision) in revisions {
        if held.remove(&project_id).is_none_or(|known| known < revision) {
            refresh(snapshots, project_id, revision).await;
        }
    }
    for gone in held.into_keys() {
        snapshots.forget(gone).await;
    }
}

async fn refresh(snapshots: &Snapshots, project_id: i64, revision: i64) {
    if let Err(error) = snapshots.refresh(project_id, revision).await {
        tracing::warn!(
            project.id = project_id,
            error = error.causes(),
            "project was not refreshed"
        );
    }
}

async fn listen(store: Store, snapshots: Snapshots, authenticator: Authenticator) {
    loop {
        if let Err(error) = hear(&store, &snapshots, &authenticator).await {
            tracing::debug!(error = error.causes(), "listening for changes failed");
        }
        sleep(RECONNECT).await;
    }
}

/// Hears until the connection is lost; what was missed meanwhile is caught up on first.
async fn hear(store: &Store, snapshots: &Snapshots, authenticator: &Authenticator) -> Result<()> {
    let Some(mut listener) = Listener::open(store).await? else { return Ok(()) };
    authenticator.forget();
    snapshots.people().forget_all();
    catch_up(store, snapshots).await;
    while let Some(announcement) = listener.next().await? {
        match announcement {
            Announcement::Keys => {
                authenticator.forget();
                authenticator.review_leases().await;
            }
            Announcement::Revision { project_id, revision } => {
                refresh(snapshots, project_id, revision).await;
            }
            Announcement::People { project_id, changed } => {
                snapshots.people().forget(project_id, &changed);
            }
        }
    }
    Ok(())
}
