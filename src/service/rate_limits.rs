//! How often one credential may call the operations that have a limit
//! (management-api 1.5).
//!
//! A limit is exact: so many calls in any sixty seconds, and the wait that a
//! refusal tells is the time until the oldest of them is a minute past. (A
//! bucket that refills as it empties would let twice as many through in the
//! first minute.) Each replica counts for itself. Only credentials that are
//! known are counted, so strangers cannot fill the memory; what is kept of
//! them is bounded too, and forgotten after an idle minute.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use moka::sync::Cache;

use crate::{
    limits::{RateLimit, RateLimiter, RatePolicy},
    model::{
        caller::{Caller, CredentialKind},
        error::Result,
    },
};

const WINDOW: Duration = Duration::from_secs(60);
const MOST_CREDENTIALS: u64 = 10_000;

/// The operations with a limit, each counted by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Limited {
    /// What remote configurations deliver.
    RemoteConfig,
    /// Definitions for evaluation in the caller's process, on all of their paths.
    Definitions,
    /// Evaluations for a test, which read the past.
    TestEvaluation,
}

impl Limited {
    /// Calls a minute.
    const fn most(self) -> usize {
        match self {
            Self::RemoteConfig | Self::Definitions => 600,
            Self::TestEvaluation => 240,
        }
    }
}

type Key = (Limited, CredentialKind, i64);

/// A credential, as it is counted.
pub(crate) type Credential = (CredentialKind, i64);

/// The calls of the last minute, oldest first.
type Calls = Arc<Mutex<VecDeque<Instant>>>;

/// Evaluations and events a second and credential; 0 is no limit.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rates {
    /// Evaluations, each subject of a batch counted.
    pub evaluation: u32,
    /// Events.
    pub ingestion: u32,
}

/// Knows who called what in the last minute. Clones share what they know.
#[derive(Clone, Debug)]
pub(crate) struct RateLimits(Option<Enabled>);

#[derive(Clone, Debug)]
struct Enabled {
    policy: RatePolicy,
    calls: Cache<Key, Calls>,
    evaluations: Option<RateLimiter<Credential>>,
    events: Option<RateLimiter<Credential>>,
}

impl RateLimits {
    /// Nobody is refused.
    pub(crate) const fn off() -> Self {
        Self(None)
    }

    /// The documented limits, and these rates.
    pub(crate) fn new(policy: RatePolicy, rates: Rates) -> Self {
        if policy.is_off() {
            return Self::off();
        }
        let calls = Cache::builder().max_capacity(MOST_CREDENTIALS).time_to_idle(WINDOW);
        let limiter = |rate: u32| (rate > 0).then(|| RateLimiter::new(rate));
        let (evaluations, events) = (limiter(rates.evaluation), limiter(rates.ingestion));
        Self(Some(Enabled { policy, calls: calls.build(), evaluations, events }))
    }

    /// Counts an evaluation.
    ///
    /// # Errors
    ///
    /// `Throttled`, with the time to wait, for one too many; it is not counted.
    pub(crate) fn count_evaluation(&self, credential: Credential) -> Result<()> {
        let Some(Enabled { policy, evaluations: Some(limiter), .. }) = &self.0 else {
            return Ok(());
        };
        policy.apply(RateLimit::Evaluation, limiter.take(credential, 1))
    }

    /// Counts more evaluations of a call that was let in.
    pub(crate) fn charge_evaluations(&self, credential: Credential, count: usize) {
        if let Some(Enabled { evaluations: Some(limiter), .. }) = &self.0 {
            limiter.charge(credential, count);
        }
    }

    /// Counts the events of a request.
    ///
    /// # Errors
    ///
    /// As [`Self::count_evaluation`].
    pub(crate) fn count_events(&self, credential: Credential, count: usize) -> Result<()> {
        let Some(Enabled { policy, events: Some(limiter), .. }) = &self.0 else { return Ok(()) };
        policy.apply(RateLimit::Ingestion, limiter.take(credential, count))
    }

    /// Counts a call.
    ///
    /// # Errors
    ///
    /// `Throttled`, with the time to wait, for one too many; it is not counted.
    pub(crate) fn count(&self, limited: Limited, caller: &Caller, now: Instant) -> Result<()> {
        let Some(Enabled { policy, calls, .. }) = &self.0 else { return Ok(()) };
        let key = (limited, caller.kind, caller.credential_id);
        let calls = calls.get_with(key, Calls::default);
        let mut calls = calls.lock().unwrap_or_else(PoisonError::into_inner);
        while calls.front().is_some_and(|oldest| *oldest + WINDOW <= now) {
            calls.pop_front();
        }
        match calls.front().filter(|_| calls.len() >= limited.most()) {
            Some(oldest) => policy.apply(RateLimit::Operation, Err(*oldest + WINDOW - now)),
            None => {
                calls.push_back(now);
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{config::RateLimitMode, model::caller::Reach};

    fn limits(rates: Rates) -> RateLimits {
        RateLimits::new(RatePolicy::new(RateLimitMode::On), rates)
    }

    #[test]
    fn evaluations_and_events_are_counted_apart_and_batches_by_what_they_hold() {
        let limits = limits(Rates { evaluation: 5, ingestion: 5 });
        let (one, other) = ((CredentialKind::ProjectToken, 1), (CredentialKind::Personal, 1));
        limits.count_evaluation(one).unwrap();
        limits.charge_evaluations(one, 100);
        let refused = limits.count_evaluation(one).unwrap_err();
        assert!(refused.retry_after.unwrap() > Duration::from_secs(15), "{refused:?}");
        limits.count_evaluation(other).unwrap();
        limits.count_events(one, 100).unwrap();
        assert!(limits.count_events(one, 1).is_err());
    }

    fn caller(credential_id: i64) -> Caller {
        Caller {
            kind: CredentialKind::ProjectSecret,
            credential_id,
            organization_id: 1,
            user_id: None,
            reach: Reach::Organization,
            scopes: Vec::new(),
            expires_at: None,
        }
    }

    fn at(began: Instant, millis: u64) -> Instant {
        began + Duration::from_millis(millis)
    }

    #[test]
    fn as_many_as_the_limit_pass_in_any_minute_and_no_more() {
        let (limits, caller, began) = (limits(Rates::default()), caller(1), Instant::now());
        let count = |millis| limits.count(Limited::RemoteConfig, &caller, at(began, millis));
        for call in 0..600 {
            assert!(count(call * 50).is_ok(), "{call}");
        }
        let refused = count(30_000).unwrap_err();
        assert_eq!(refused.detail, "Request was throttled. Expected available in 30 seconds.");
        assert!(count(59_999).is_err(), "a refusal is not counted, and does not help either");
        assert!(count(60_000).is_ok(), "the first is a minute past");
        assert!(count(60_001).is_err());
        assert!(count(60_050).is_ok(), "and then the second");
    }

    #[test]
    fn credentials_and_operations_are_counted_apart() {
        let (limits, one, other) = (limits(Rates::default()), caller(1), caller(2));
        let now = Instant::now();
        for _ in 0..240 {
            limits.count(Limited::TestEvaluation, &one, now).unwrap();
        }
        assert!(limits.count(Limited::TestEvaluation, &one, now).is_err());
        assert!(limits.count(Limited::Definitions, &one, now).is_ok());
        assert!(limits.count(Limited::TestEvaluation, &other, now).is_ok());
        let personal = Caller { kind: CredentialKind::Personal, ..one };
        assert!(limits.count(Limited::TestEvaluation, &personal, now).is_ok());
    }

    #[test]
    fn nobody_is_refused_with_limits_off() {
        for _ in 0..1_000 {
            let now = Instant::now();
            RateLimits::off().count(Limited::RemoteConfig, &caller(1), now).unwrap();
        }
    }
}
