//! Refuses requests early while the service cannot keep up, so that those it
//! takes are answered in time.
//!
//! What waits for a processor waits in the runtime's queue, where its age cannot be
//! seen. So the delay of that queue is measured: a task asks for its turn now and
//! then, and notes how long it waits for it. As in `CoDel`, what counts is the shortest delay
//! of an interval: a burst has short ones in between, a standing queue has not. While
//! there is a standing queue, a growing share of requests is refused before
//! anything is done for them; once it is gone, the share shrinks.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    task::yield_now,
    time::{Instant, sleep},
};

use crate::model::error::{Error, Result};

/// Time between two looks at the delay.
const SAMPLE_INTERVAL: Duration = Duration::from_millis(10);
/// Time between two changes of the share that is refused.
const CONTROL_INTERVAL: Duration = Duration::from_millis(100);
/// The queue has to stand for so many intervals before anything is refused: another process that
/// takes the processors for a moment is no overload.
const PATIENCE_INTERVALS: u32 = 3;
/// Shares are counted in thousandths.
const WHOLE: u32 = 1000;
/// By how much the share grows and shrinks in one interval, and the most it may be.
const GROWTH: u32 = 100;
const SHRINKAGE: u32 = 50;
const MAX_SHARE: u32 = 950;

/// Decides which requests are refused. Clones share.
#[derive(Clone, Debug)]
pub(super) struct LoadShedder(Arc<State>);

#[derive(Debug)]
struct State {
    /// The delay that is no overload; zero refuses nothing.
    max_delay: Duration,
    /// The share of requests that are refused.
    share: AtomicU32,
    requests: AtomicU64,
    refused: AtomicU64,
}

/// How the share follows the delays.
#[derive(Debug, Default, PartialEq, Eq)]
struct Control {
    share: u32,
    /// Intervals with a standing queue, one after the other.
    standing: u32,
}

impl Control {
    fn update(&mut self, is_standing: bool) {
        match is_standing {
            true => {
                self.standing += 1;
                if self.standing > PATIENCE_INTERVALS {
                    self.share = (self.share + GROWTH).min(MAX_SHARE);
                }
            }
            false => {
                self.standing = 0;
                self.share = self.share.saturating_sub(SHRINKAGE);
            }
        }
    }
}

impl LoadShedder {
    /// Creates a shedder that refuses nothing yet.
    pub(super) fn new(max_delay: Duration) -> Self {
        Self(Arc::new(State {
            max_delay,
            share: AtomicU32::default(),
            requests: AtomicU64::default(),
            refused: AtomicU64::default(),
        }))
    }

    /// Measures the delay of the runtime that this runs on, for ever.
    pub(super) async fn run(self) {
        if self.0.max_delay.is_zero() {
            return;
        }
        let mut control = Control::default();
        loop {
            let delay = shortest_delay().await;
            control.update(delay > self.0.max_delay);
            self.0.share.store(control.share, Ordering::Relaxed);
        }
    }

    /// Decides about one request.
    ///
    /// # Errors
    ///
    /// `Overloaded`, when it is one of those that are refused.
    pub(super) fn admit(&self) -> Result<()> {
        let share = self.0.share.load(Ordering::Relaxed);
        if share == 0 {
            return Ok(());
        }
        let number = self.0.requests.fetch_add(1, Ordering::Relaxed);
        match is_refused(number, share) {
            true => {
                self.0.refused.fetch_add(1, Ordering::Relaxed);
                Err(Error::overloaded())
            }
            false => Ok(()),
        }
    }

    /// Returns how many requests were refused so far.
    pub(super) fn refused(&self) -> u64 {
        self.0.refused.load(Ordering::Relaxed)
    }
}

/// Whether the request of this number is one of the share, which is spread evenly.
fn is_refused(number: u64, share: u32) -> bool {
    let (share, whole) = (u64::from(share), u64::from(WHOLE));
    (number % whole) * share % whole < share
}

/// The shortest time that a task waits for its turn, within one interval.
async fn shortest_delay() -> Duration {
    let start = Instant::now();
    let mut shortest = Duration::MAX;
    while start.elapsed() < CONTROL_INTERVAL {
        let asked = Instant::now();
        yield_now().await;
        shortest = shortest.min(asked.elapsed());
        sleep(SAMPLE_INTERVAL).await;
    }
    shortest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_grows_while_a_queue_stands_and_shrinks_when_it_is_gone() {
        let mut control = Control::default();
        let mut after = |standing: u32, gone: u32| {
            (0..standing).for_each(|_| control.update(true));
            (0..gone).for_each(|_| control.update(false));
            control.share
        };
        assert_eq!(after(3, 0), 0, "a moment is no overload");
        assert_eq!(after(1, 0), 100);
        assert_eq!(after(2, 0), 300);
        assert_eq!(after(0, 1), 250);
        assert_eq!(after(1, 0), 250, "it has to stand again");
        assert_eq!(after(100, 0), MAX_SHARE, "some are always taken");
        assert_eq!(after(0, 100), 0);
    }

    #[test]
    fn the_share_of_requests_is_refused_and_spread_evenly() {
        for share in [1, 50, 100, 300, 500, 950] {
            let refused = |numbers: std::ops::Range<u64>| {
                numbers.filter(|number| is_refused(*number, share)).count()
            };
            assert_eq!(refused(0..1000), share as usize, "{share}");
            let expected = share as usize / 10;
            assert!(refused(200..300).abs_diff(expected) <= 1, "{share}");
        }
    }

    #[test]
    fn nothing_is_refused_without_overload() {
        let shedder = LoadShedder::new(Duration::from_millis(100));
        assert!((0..1000).all(|_| shedder.admit().is_ok()));
        shedder.0.share.store(500, Ordering::Relaxed);
        assert_eq!((0..1000).filter(|_| shedder.admit().is_err()).count(), 500);
        assert_eq!(shedder.refused(), 500);
    }
}
