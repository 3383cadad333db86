//! How often something may happen: so many times a second, with a burst of
//! one second's worth, for each of many keys.

use std::{
    hash::Hash,
    net::{IpAddr, Ipv6Addr},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use moka::sync::Cache;

const SECOND_NANOS: u64 = 1_000_000_000;
/// The most keys that are remembered; of more, those used least are forgotten, and begin anew.
const MAX_KEYS: u64 = 100_000;
/// A key that was not used for so long is forgotten. No debt lasts longer.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// A limit on the rate of each key, by the generic cell rate algorithm. Clones share.
#[derive(Clone, Debug)]
pub struct RateLimiter<K: Hash + Eq + Send + Sync + 'static> {
    /// The time that one takes, and that of all that may come at once, in nanoseconds.
    interval: u64,
    burst: u64,
    start: Instant,
    /// When each key will have used up what it asked for, in nanoseconds from the start.
    used_until: Cache<K, Arc<AtomicU64>>,
}

impl<K: Hash + Eq + Send + Sync + 'static> RateLimiter<K> {
    /// Creates a limit of so many a second for each key.
    #[must_use]
    pub fn new(per_second: u32) -> Self {
        Self::with_burst(per_second, per_second)
    }

    /// Creates a limit of so many a second for each key, and so many at once.
    #[must_use]
    pub fn with_burst(per_second: u32, burst: u32) -> Self {
        let used_until = Cache::builder().max_capacity(MAX_KEYS).time_to_idle(IDLE_TIMEOUT).build();
        let interval = SECOND_NANOS / u64::from(per_second.max(1));
        let burst = interval * u64::from(burst.max(1));
        Self { interval, burst, start: Instant::now(), used_until }
    }

    /// Takes `count` at once. A key that has not used up its burst may take more than is left of
    /// it: it then waits the longer for the next.
    ///
    /// # Errors
    ///
    /// The time to wait, when the burst is used up.
    pub fn take(&self, key: K, count: usize) -> Result<(), Duration> {
        self.take_at(key, count, self.now())
    }

    /// Takes `count`, whether the burst is used up or not: for what is done already.
    pub fn charge(&self, key: K, count: usize) {
        let (used_until, now) = (self.used_until.get_with(key, Arc::default), self.now());
        let charge = |used| Some(self.after(used, count, now));
        // An update without a condition does not fail.
        let _ = used_until.fetch_update(Ordering::Relaxed, Ordering::Relaxed, charge);
    }

    /// Checks whether the burst is used up, and takes nothing.
    ///
    /// # Errors
    ///
    /// The time to wait.
    pub fn check(&self, key: &K) -> Result<(), Duration> {
        let now = self.now();
        let used_until = self.used_until.get(key).map_or(0, |used| used.load(Ordering::Relaxed));
        self.wait(used_until, now)
    }

    fn take_at(&self, key: K, count: usize, now: u64) -> Result<(), Duration> {
        let used_until = self.used_until.get_with(key, Arc::default);
        let mut outcome = Ok(());
        let take = |used: u64| {
            outcome = self.wait(used, now);
            outcome.is_ok().then(|| self.after(used, count, now))
        };
        // The closure tells the outcome; an update that is refused changes nothing.
        let _ = used_until.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take);
        outcome
    }

    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// Until when a key has used up what it had, once it takes `count` more.
    fn after(&self, used_until: u64, count: usize, now: u64) -> u64 {
        let cost = u64::try_from(count).unwrap_or(u64::MAX).saturating_mul(self.interval);
        let longest = u64::try_from(IDLE_TIMEOUT.as_nanos()).unwrap_or(u64::MAX).max(self.burst);
        used_until.max(now).saturating_add(cost).min(now.saturating_add(longest))
    }

    fn wait(&self, used_until: u64, now: u64) -> Result<(), Duration> {
        let after = used_until.max(now) - now + self.interval;
        match after.checked_sub(self.burst) {
            None | Some(0) => Ok(()),
            Some(wait) => Err(Duration::from_nanos(wait)),
        }
    }
}

/// The address by which a client is counted: of IPv6 the network of 64 bits, as one client has all
/// of it.
#[must_use]
pub fn address_group(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLI: u64 = 1_000_000;

    #[test]
    fn a_burst_of_a_second_passes_and_then_the_rate() {
        let limiter = RateLimiter::new(10);
        let take = |millis: u64| limiter.take_at("a", 1, millis * MILLI);
        for _ in 0..10 {
            assert!(take(0).is_ok());
        }
        assert_eq!(take(0), Err(Duration::from_millis(100)));
        assert_eq!(take(50), Err(Duration::from_millis(50)), "a refusal costs nothing");
        assert!(take(100).is_ok());
        assert!(take(100).is_err());
        for _ in 0..10 {
            assert!(take(5_000).is_ok(), "what was not used is there again");
        }
        assert!(take(5_000).is_err(), "and no more");
        assert!(limiter.take_at("b", 1, 0).is_ok(), "another key is counted apart");
    }

    #[test]
    fn many_at_once_pass_and_are_paid_for_later() {
        let limiter = RateLimiter::new(10);
        let take = |count, millis: u64| limiter.take_at("a", count, millis * MILLI);
        assert!(take(50, 0).is_ok());
        assert_eq!(take(1, 0), Err(Duration::from_millis(4_100)));
        assert!(take(1, 4_100).is_ok());
        assert!(take(usize::MAX, 60_000).is_ok());
        assert!(take(1, 60_000 + 59_000).is_err());
        assert!(take(1, 60_000 + 60_000).is_ok(), "no debt lasts for ever");
    }

    #[test]
    fn a_check_takes_nothing() {
        let limiter = RateLimiter::new(1);
        for _ in 0..10 {
            assert!(limiter.check(&"a").is_ok());
        }
        assert!(limiter.take("a", 1).is_ok());
        assert!(limiter.check(&"a").is_err());
    }

    #[test]
    fn addresses_of_one_client_are_one() {
        let group = |text: &str| address_group(text.parse().unwrap()).to_string();
        assert_eq!(group("192.0.2.1"), "192.0.2.1");
        assert_eq!(group("::ffff:192.0.2.1"), "192.0.2.1");
        assert_eq!(group("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
    }
}
