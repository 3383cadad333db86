//! Whether traffic should come to this replica: starting, ready, stale or draining.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use crate::{snapshot::StaleProjects, store::Reachability};

/// The readiness of the service. Clones share.
#[derive(Clone, Debug)]
pub(super) struct Readiness(Arc<State>);

#[derive(Debug)]
struct State {
    /// Set when requests are served.
    database: OnceLock<Reachability>,
    stale_projects: OnceLock<StaleProjects>,
    draining: AtomicBool,
    /// How old answers from memory may become; `None` is any age.
    max_staleness: Option<Duration>,
}

/// What probes are told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Report {
    pub(super) status: Status,
    /// Whether answers come from memory alone, or those of some projects do.
    pub(super) is_stale: bool,
    /// Whether the last write was taken.
    pub(super) is_writable: bool,
    /// Time since the database last answered.
    pub(super) staleness: Duration,
    /// Projects that could not be brought to the state that the database has.
    pub(super) stale_projects: Vec<i64>,
}

/// The word in the body of `/readyz`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    /// Requests are not served yet: the database is waited for, or its schema is brought up.
    Starting,
    /// Requests are served.
    Ready,
    /// Requests are served from a memory that is older than allowed.
    Stale,
    /// The file of an embedded database is not in its place: nothing can be stored.
    NoDatabaseFile,
    /// Requests are served for the moment, and the service is about to stop.
    Draining,
}

impl Status {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Stale => "stale",
            Self::NoDatabaseFile => "no_database_file",
            Self::Draining => "draining",
        }
    }
}

impl Readiness {
    /// Returns the readiness of a service that starts. Zero for `max_staleness` is any age.
    pub(super) fn starting(max_staleness: Duration) -> Self {
        let max_staleness = Some(max_staleness).filter(|most| !most.is_zero());
        Self(Arc::new(State {
            database: OnceLock::new(),
            stale_projects: OnceLock::new(),
            draining: AtomicBool::new(false),
            max_staleness,
        }))
    }

    /// Notes that requests are served from now on.
    pub(super) fn serve(&self, database: Reachability, stale_projects: StaleProjects) {
        // A service starts once.
        let _ = self.0.stale_projects.set(stale_projects);
        let _ = self.0.database.set(database);
    }

    /// Notes that traffic should go elsewhere from now on.
    pub(super) fn drain(&self) {
        self.0.draining.store(true, Ordering::Relaxed);
    }

    /// Returns what to tell a probe now.
    pub(super) fn report(&self) -> Report {
        let State { database, stale_projects, draining, max_staleness } = &*self.0;
        let database = database.get();
        let staleness = database.map(Reachability::unanswered_for).unwrap_or_default();
        let is_over_age = max_staleness.is_some_and(|most| staleness > most);
        let is_lost = database.is_some_and(Reachability::is_lost);
        let stale_projects = stale_projects.get().map(StaleProjects::ids).unwrap_or_default();
        let status = match (draining.load(Ordering::Relaxed), database) {
            (true, _) => Status::Draining,
            (false, None) => Status::Starting,
            (false, Some(database)) if database.check_file().is_err() => Status::NoDatabaseFile,
            (false, Some(_)) if is_over_age => Status::Stale,
            (false, Some(_)) => Status::Ready,
        };
        let is_stale = is_lost || is_over_age || !stale_projects.is_empty();
        let is_writable = database.is_some_and(|database| !database.is_unwritable());
        Report { status, is_stale, is_writable, staleness, stale_projects }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_phase_has_its_word() {
        let (any, none) = (Duration::ZERO, Duration::from_nanos(1));
        let status = |readiness: &Readiness| {
            let report = readiness.report();
            (report.status.as_str(), report.is_stale)
        };
        let readiness = Readiness::starting(any);
        assert_eq!(status(&readiness), ("starting", false));
        let database = Reachability::default();
        readiness.serve(database.clone(), StaleProjects::default());
        assert_eq!(status(&readiness), ("ready", false));
        database.note(true);
        assert_eq!(status(&readiness), ("ready", true), "memory of any age is served");
        let strict = Readiness::starting(none);
        strict.serve(database, StaleProjects::default());
        assert_eq!(status(&strict), ("stale", true));
        for readiness in [&readiness, &strict] {
            readiness.drain();
            assert_eq!(status(readiness), ("draining", true));
        }
    }
}
