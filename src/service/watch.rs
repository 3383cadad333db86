//! Follows a project for somebody who wants to hear of its changes.
//!
//! A [`Watch`] holds where its reader is, and nothing of what it missed: asked
//! for the next event, it tells all that came since in one. What is told of
//! definitions is shared by everybody who watches them (`snapshot::told`).

mod places;

use std::{sync::Arc, time::Duration};

use tokio::{sync::watch, time::timeout};
use tokio_util::sync::CancellationToken;

use self::places::{Place, Places};
use super::Services;
use crate::{
    auth::{Lease, Leases},
    model::{
        caller::{Caller, CredentialKind},
        error::{Error, Result},
        history_point::{HistoryPoint, WatchPosition},
        project::ProjectRef,
    },
    snapshot::told::{Ledger, Told},
};

/// What all watches have in common. Cheap to clone; clones share.
#[derive(Clone, Debug)]
pub struct Watches {
    heartbeat: Duration,
    leases: Leases,
    stop: CancellationToken,
    places: Places,
}

/// How often a watcher hears from the service when nothing happens.
const HEARTBEAT: Duration = Duration::from_secs(15);

impl Default for Watches {
    /// Watches that nothing ends.
    fn default() -> Self {
        Self::new(HEARTBEAT, Leases::default(), CancellationToken::new())
    }
}

impl Watches {
    /// Watches that hear from the service at least so often, and end at `stop`.
    #[must_use]
    pub fn new(heartbeat: Duration, leases: Leases, stop: CancellationToken) -> Self {
        Self { heartbeat, leases, stop, places: Places::default() }
    }

    /// A key was revoked: it opens nothing from now on, and what was opened with it ends.
    pub(super) fn revoked(&self, key_id: i64) {
        self.leases.revoke(key_id);
    }
}

/// Somebody who watches a project.
#[derive(Debug)]
pub(crate) struct Watch {
    /// What definitions are told from; `None` for whoever hears of revisions alone.
    ledger: Option<Arc<Ledger>>,
    newest: watch::Receiver<HistoryPoint>,
    /// The state that the reader has, once it has one.
    position: Option<WatchPosition>,
    /// Whether it was told anything yet.
    greeted: bool,
    stopping: bool,
    heartbeat: Duration,
    lease: Lease,
    stop: CancellationToken,
    _place: Place,
}

/// What a watcher hears.
#[derive(Debug)]
pub(crate) enum Heard {
    /// Definitions changed, or this is how they are.
    Told(Arc<Told>),
    /// A state was reached; what changed is not for this reader.
    Noticed(HistoryPoint),
    /// Nothing happened; the reader is at this state.
    Nothing(WatchPosition),
    /// The service stops; the reader is at this state.
    Stopping(WatchPosition),
}

impl Services {
    /// Begins to watch a project, from the state that the caller has.
    ///
    /// # Errors
    ///
    /// As [`Services::evaluated`]; `Overloaded` when too many watch already; `Unavailable` when
    /// only the database knows the definitions, and it is gone.
    pub(crate) async fn watch(
        &self,
        caller: &Caller,
        project: &ProjectRef,
        from: Option<WatchPosition>,
    ) -> Result<Watch> {
        let id = self.evaluated(caller, project).await?.project.id;
        let lease = self.watches.leases.take(caller);
        let place = self.watches.places.take(caller.kind, &lease)?;
        // Elsewhere it may have come further than this process has; nobody is to be told less.
        if let Some(position) = from {
            self.snapshots.reach(id, position).await?;
        }
        // Taken before the ledger, so that no change falls between the two.
        let newest = self.snapshots.revisions_of(id).await?;
        let ledger = match caller.kind {
            CredentialKind::ProjectToken => None,
            CredentialKind::Personal | CredentialKind::ProjectSecret => {
                Some(self.snapshots.ledger(id).await?)
            }
        };
        Ok(Watch {
            ledger,
            newest,
            position: from,
            greeted: false,
            stopping: false,
            heartbeat: self.watches.heartbeat,
            lease,
            stop: self.watches.stop.clone(),
            _place: place,
        })
    }
}

impl Watch {
    /// The next event; waits for it.
    ///
    /// # Errors
    ///
    /// Why the watch is over: `Unauthenticated` when the credential holds no more, `NotFound`
    /// when the project is gone, `Unavailable` after the service said that it stops, and when the
    /// database was put back to an earlier revision. Another history at the same revision or a
    /// later one is told as a snapshot.
    pub(crate) async fn next(&mut self) -> Result<Heard> {
        if self.stopping {
            return Err(Error::unavailable("the service stops").saying(STOPPING));
        }
        loop {
            // A reader who always finds news comes to no wait, and is let go all the same.
            self.lease.check()?;
            if self.stop.is_cancelled() {
                return Ok(self.stopped());
            }
            // Before the news is looked at, so that none is overlooked.
            let newest = *self.newest.borrow_and_update();
            if let Some(heard) = self.news(newest)? {
                self.greeted = true;
                return Ok(heard);
            }
            let at = self.position.unwrap_or(newest.into());
            tokio::select! {
                biased;
                () = self.lease.ended() => {}
                () = self.stop.cancelled() => {}
                changed = timeout(self.heartbeat, self.newest.changed()) => match changed {
                    Ok(Ok(())) => {}
                    Ok(Err(_)) => return Err(Error::not_found()),
                    Err(_) => return Ok(Heard::Nothing(at)),
                },
            }
        }
    }

    /// Whether the credential still holds: a reader may take long over what it is told.
    ///
    /// # Errors
    ///
    /// `Unauthenticated` when it does not.
    pub(crate) fn check(&self) -> Result<()> {
        self.lease.check()
    }

    /// Whether the end of the watch is the service's own.
    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping
    }

    fn stopped(&mut self) -> Heard {
        self.stopping = true;
        Heard::Stopping(self.position.unwrap_or((*self.newest.borrow()).into()))
    }

    /// What there is to be told at once.
    fn news(&mut self, newest: HistoryPoint) -> Result<Option<Heard>> {
        let newest = self.ledger.as_ref().map_or(newest, |ledger| ledger.point());
        // Within a watch revisions never fall.
        if self.greeted && self.position.is_some_and(|at| at.revision > newest.revision) {
            return Err(Error::unavailable("the database was put back").saying(PUT_BACK));
        }
        if self.position.is_some_and(|at| at.is_at(newest)) {
            // A reader that said no token has that of its revision from now on.
            self.position = Some(newest.into());
            return Ok((!self.greeted).then_some(Heard::Nothing(newest.into())));
        }
        let heard = match &self.ledger {
            Some(ledger) => Heard::Told(ledger.told(self.position)?),
            None => Heard::Noticed(newest),
        };
        self.position = match &heard {
            Heard::Told(told) => Some(told.point.into()),
            _ => Some(newest.into()),
        };
        Ok(Some(heard))
    }
}

const PUT_BACK: &str = "The definitions are of an earlier revision now. Please watch again.";
const STOPPING: &str = "The service is stopping. Please watch again.";
