//! What becomes of a caller who exceeds a rate: refused, or only counted.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use crate::{
    config::RateLimitMode,
    model::error::{Error, Result},
};

/// The limits on rates, as the metric names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RateLimit {
    /// The documented limits of single operations.
    Operation,
    /// Evaluations of one token.
    Evaluation,
    /// Events of one token.
    Ingestion,
    /// Requests of one address.
    Address,
    /// Credentials of one address that do not hold.
    FailedCredentials,
}

impl RateLimit {
    const ALL: [Self; 5] = [
        Self::Operation,
        Self::Evaluation,
        Self::Ingestion,
        Self::Address,
        Self::FailedCredentials,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Operation => "operation",
            Self::Evaluation => "evaluation",
            Self::Ingestion => "ingestion",
            Self::Address => "address",
            Self::FailedCredentials => "failed_credentials",
        }
    }
}

/// Applies limits on rates, and counts how often they are exceeded. Clones share the counts.
#[derive(Clone, Debug)]
pub struct RatePolicy {
    mode: RateLimitMode,
    exceeded: Arc<[AtomicU64; RateLimit::ALL.len()]>,
}

impl RatePolicy {
    /// Creates a policy that has counted nothing.
    #[must_use]
    pub fn new(mode: RateLimitMode) -> Self {
        Self { mode, exceeded: Arc::default() }
    }

    /// Whether there are limits at all.
    #[must_use]
    pub fn is_off(&self) -> bool {
        self.mode == RateLimitMode::Off
    }

    /// Applies the outcome of a look at a limit.
    ///
    /// # Errors
    ///
    /// `Throttled`, with the time to wait, unless excesses are only counted.
    pub fn apply(&self, limit: RateLimit, outcome: Result<(), Duration>) -> Result<()> {
        let Err(wait) = outcome else { return Ok(()) };
        self.exceeded[limit as usize].fetch_add(1, Ordering::Relaxed);
        match self.mode {
            RateLimitMode::On => Err(Error::throttled(wait)),
            RateLimitMode::Off | RateLimitMode::Count => Ok(()),
        }
    }

    /// Returns how often each limit was exceeded.
    pub fn counts(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let count = |limit: RateLimit| self.exceeded[limit as usize].load(Ordering::Relaxed);
        RateLimit::ALL.into_iter().map(move |limit| (limit.name(), count(limit)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excess_is_refused_or_only_counted() {
        let exceeded = Err(Duration::from_secs(3));
        for (mode, is_refused) in [(RateLimitMode::On, true), (RateLimitMode::Count, false)] {
            let policy = RatePolicy::new(mode);
            policy.apply(RateLimit::Ingestion, Ok(())).unwrap();
            let outcome = policy.apply(RateLimit::Ingestion, exceeded);
            assert_eq!(outcome.is_err(), is_refused, "{mode:?}");
            let counts: Vec<_> = policy.counts().filter(|(_, count)| *count > 0).collect();
            assert_eq!(counts, [("ingestion", 1)], "{mode:?}");
        }
    }
}
