//! The use-cases, one file each: check the caller, apply the rules of `model`,
//! write one transaction, refresh what evaluation reads.
//!
//! Both edges call these and nothing below them, so a permission or a rule
//! cannot be forgotten by one of them.

pub(crate) mod access;
pub(crate) mod activity;
pub(crate) mod api_keys;
pub(crate) mod batch;
pub(crate) mod blast_radius;
pub(crate) mod bootstrap;
pub(crate) mod bulk;
mod cohort_members;
mod cohorts;
mod continuity;
mod dashboards;
pub(crate) mod definitions;
mod enrichment;
pub(crate) mod evaluation;
mod flag_log;
mod flag_rules;
pub(crate) mod flags;
mod groups;
pub(crate) mod import;
pub(crate) mod ingest;
pub(crate) mod keys;
mod known;
pub(crate) mod page;
mod people;
pub(crate) mod persons;
pub(crate) mod projects;
pub(crate) mod rate_limits;
pub(crate) mod reasons;
pub(crate) mod remote_config;
pub(crate) mod rotation;
pub(crate) mod status;
pub(crate) mod test_evaluation;
mod usage_dashboard;
pub(crate) mod versions;
pub(crate) mod watch;

use std::{
    ops::Deref,
    sync::Arc,
    time::{Duration, Instant},
};

pub use enrichment::UsageSeen;
pub use ingest::IngestSettings;
use ingest::Ingestion;
pub use rate_limits::Rates;
use rate_limits::{Credential, Limited, RateLimits};
pub use watch::Watches;

use crate::{
    clock::Clock,
    encryption::Encryptor,
    limits::RatePolicy,
    model::{caller::Caller, error::Result, unknown_fields::Warning},
    snapshot::{Snapshots, lists::Lists},
    store::Store,
};

/// The use-cases. Cheap to clone: each request does.
#[derive(Clone, Debug)]
pub struct Services(Arc<Means>);

/// What every use-case stands on.
#[derive(Clone, Debug)]
pub struct Means {
    pub(crate) store: Store,
    pub(crate) snapshots: Snapshots,
    pub(crate) lists: Lists,
    pub(crate) clock: Clock,
    pub(crate) encryptor: Encryptor,
    pub(crate) ingestion: Ingestion,
    ingest_settings: IngestSettings,
    limits: RateLimits,
    pub(crate) usage_seen: UsageSeen,
    watches: Watches,
    refresh_timeout: Duration,
}

/// How long the answer to a write waits for this replica to serve the change.
const REFRESH_TIMEOUT: Duration = Duration::from_secs(5);

/// What a write resulted in, and what was odd about it.
#[derive(Debug)]
pub(crate) struct Written<T> {
    pub(crate) value: T,
    pub(crate) warnings: Vec<Warning>,
}

impl Deref for Services {
    type Target = Means;

    fn deref(&self) -> &Means {
        &self.0
    }
}

impl Services {
    /// The use-cases over one store, without rate limits.
    #[must_use]
    pub fn new(store: Store, snapshots: Snapshots, clock: Clock, encryptor: Encryptor) -> Self {
        let (ingestion, usage_seen) = (Ingestion::default(), UsageSeen::default());
        let (lists, limits) = (Lists::new(store.clone()), RateLimits::off());
        let watches = Watches::default();
        Self(Arc::new(Means {
            store,
            snapshots,
            lists,
            clock,
            encryptor,
            ingestion,
            ingest_settings: IngestSettings::default(),
            limits,
            usage_seen,
            watches,
            refresh_timeout: REFRESH_TIMEOUT,
        }))
    }

    /// The same use-cases, with watches that end when these say so.
    #[must_use]
    pub fn with_watches(mut self, watches: Watches) -> Self {
        Arc::make_mut(&mut self.0).watches = watches;
        self
    }

    /// The same use-cases, taking events in by these settings.
    #[must_use]
    pub fn with_ingest_settings(mut self, settings: IngestSettings) -> Self {
        Arc::make_mut(&mut self.0).ingest_settings = settings;
        self
    }

    /// Returns the same use-cases, whose writes wait this long for the replica to serve them.
    #[must_use]
    pub fn with_refresh_timeout(mut self, timeout: Duration) -> Self {
        Arc::make_mut(&mut self.0).refresh_timeout = timeout;
        self
    }

    /// The same use-cases, with the documented rate limits and these.
    #[must_use]
    pub fn with_rate_limits(mut self, policy: RatePolicy, rates: Rates) -> Self {
        Arc::make_mut(&mut self.0).limits = RateLimits::new(policy, rates);
        self
    }

    /// Counts more evaluations of a call that was let in: the subjects of a batch.
    pub(crate) fn charge_evaluations(&self, caller: &Caller, count: usize) {
        self.limits.charge_evaluations((caller.kind, caller.credential_id), count);
    }

    /// Counts the events of a request.
    ///
    /// # Errors
    ///
    /// `Throttled`, with the time to wait, when the credential has sent too many.
    pub(crate) fn throttle_events(&self, credential: Credential, count: usize) -> Result<()> {
        self.limits.count_events(credential, count)
    }

    /// Counts a call of an operation with a limit.
    ///
    /// # Errors
    ///
    /// `Throttled`, with the time to wait, when the credential has called too often.
    pub(crate) fn throttle(&self, caller: &Caller, limited: Limited) -> Result<()> {
        self.limits.count(limited, caller, Instant::now())
    }
}
