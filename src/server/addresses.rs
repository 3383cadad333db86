//! Limits on what one address may do: requests, and credentials that do not
//! hold. Who is behind a request does not matter here, so that strangers are
//! bounded as well.

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use crate::{
    limits::{RateLimit, RateLimiter, RatePolicy, address_group},
    model::error::Result,
};

/// Credentials that do not hold, of one address: so many at once, and then so many a second.
const FAILED_CREDENTIALS_BURST: u32 = 1_000;
const FAILED_CREDENTIALS_PER_SECOND: u32 = 10;

/// The limits of addresses. Clones share.
#[derive(Clone, Debug)]
pub(super) struct AddressLimits {
    policy: RatePolicy,
    requests: Option<RateLimiter<IpAddr>>,
    failures: RateLimiter<IpAddr>,
    /// Whether there ever was a failure, so that a service without one looks nothing up.
    has_failures: Arc<AtomicBool>,
}

impl AddressLimits {
    /// Creates limits with so many requests a second and address; 0 is no limit.
    pub(super) fn new(policy: RatePolicy, requests_per_second: u32) -> Self {
        let has_limit = requests_per_second > 0 && !policy.is_off();
        Self {
            policy,
            requests: has_limit.then(|| RateLimiter::new(requests_per_second)),
            failures: RateLimiter::with_burst(
                FAILED_CREDENTIALS_PER_SECOND,
                FAILED_CREDENTIALS_BURST,
            ),
            has_failures: Arc::default(),
        }
    }

    /// Counts a request.
    ///
    /// # Errors
    ///
    /// `Throttled` for one too many.
    pub(super) fn count_request(&self, client: IpAddr) -> Result<()> {
        let Some(requests) = &self.requests else { return Ok(()) };
        self.policy.apply(RateLimit::Address, requests.take(address_group(client), 1))
    }

    /// Checks whether this address may have a credential looked up that is not known yet.
    ///
    /// # Errors
    ///
    /// `Throttled` after too many that did not hold.
    pub(super) fn check_failures(&self, client: IpAddr) -> Result<()> {
        if self.policy.is_off() || !self.has_failures.load(Ordering::Relaxed) {
            return Ok(());
        }
        let outcome = self.failures.check(&address_group(client));
        self.policy.apply(RateLimit::FailedCredentials, outcome)
    }

    /// Counts a credential that does not hold.
    pub(super) fn count_failure(&self, client: IpAddr) {
        if !self.policy.is_off() {
            self.has_failures.store(true, Ordering::Relaxed);
            self.failures.charge(address_group(client), 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::config::RateLimitMode;

    const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
    const OTHER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2));

    #[test]
    fn after_too_many_failures_an_address_waits_and_others_do_not() {
        let limits = AddressLimits::new(RatePolicy::new(RateLimitMode::On), 0);
        for _ in 0..FAILED_CREDENTIALS_BURST {
            limits.check_failures(CLIENT).unwrap();
            limits.count_failure(CLIENT);
        }
        // More than come back while this runs.
        (0..FAILED_CREDENTIALS_BURST).for_each(|_| limits.count_failure(CLIENT));
        assert_eq!(limits.check_failures(CLIENT).unwrap_err().code.http_status(), 429);
        assert!(limits.check_failures(OTHER).is_ok());
        assert!(limits.count_request(CLIENT).is_ok(), "requests are counted apart");
    }

    #[test]
    fn without_limits_nothing_is_refused() {
        let limits = AddressLimits::new(RatePolicy::new(RateLimitMode::Off), 1);
        for _ in 0..1_000 {
            limits.count_failure(CLIENT);
            limits.check_failures(CLIENT).unwrap();
            limits.count_request(CLIENT).unwrap();
        }
    }
}
