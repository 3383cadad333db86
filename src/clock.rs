//! The one place that asks what time it is.
//!
//! Everything below takes the time as an argument; use-cases ask a [`Clock`],
//! which a test replaces.

use std::{fmt, sync::Arc, time::Instant};

use chrono::{DateTime, SubsecRound, Utc};

/// Tells the time, to the microsecond, as databases keep it, and how much of it has passed.
#[derive(Clone)]
pub struct Clock {
    wall: Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>,
    monotonic: Arc<dyn Fn() -> Instant + Send + Sync>,
}

impl Clock {
    /// The machine's clock.
    #[must_use]
    pub fn system() -> Self {
        #[expect(clippy::disallowed_methods, reason = "the one place that may")]
        Self::new(Utc::now)
    }

    /// A clock that says what `tell` says, and measures with the machine's monotonic clock.
    pub fn new(tell: impl Fn() -> DateTime<Utc> + Send + Sync + 'static) -> Self {
        Self { wall: Arc::new(tell), monotonic: Arc::new(Instant::now) }
    }

    /// A clock that stands still.
    #[must_use]
    pub fn stopped(at: DateTime<Utc>) -> Self {
        let instant = Instant::now();
        Self { wall: Arc::new(move || at), monotonic: Arc::new(move || instant) }
    }

    /// The time.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        (self.wall)().trunc_subsecs(6)
    }

    /// The time on a clock that never jumps, for ages and leases.
    #[must_use]
    pub fn instant(&self) -> Instant {
        (self.monotonic)()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Clock({})", self.now())
    }
}
