//! Which open connections may still be used, after some of them turned out to be dead.
//!
//! A server that fails over, restarts or disappears behind a partition takes all connections with
//! it, and those that are idle at that moment say nothing. One sign is enough to doubt the others.

use std::{sync::Arc, time::Duration};

use tokio::{sync::watch, time::Instant};

/// A connection that was used more lately than this is not asked whether it is there before it is
/// used again, which would double the way to the database and back.
const IDLE_BEFORE_PING: Duration = Duration::from_secs(1);

/// Shared by all pools of a store. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(in crate::store) struct Trust(Arc<watch::Sender<Signs>>);

/// When connections were last found dead.
#[derive(Clone, Copy, Debug, Default)]
struct Signs {
    /// One connection was lost: others may be.
    one_lost: Option<Instant>,
    /// A new connection works where an old one did not: all that are older are dead.
    all_lost: Option<Instant>,
}

/// What to do with an idle connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Use it.
    Use,
    /// Ask it whether it is there, and use it if so.
    Ping,
    /// Close it.
    Discard,
}

impl Trust {
    /// Notes that one connection was lost: those that were idle at that time are asked before
    /// their next use.
    pub(super) fn lost_one(&self) {
        self.0.send_modify(|signs| signs.one_lost = Some(Instant::now()));
    }

    /// Notes that all connections that were opened until now are dead.
    pub(super) fn lost_all(&self) {
        self.0.send_modify(|signs| signs.all_lost = Some(Instant::now()));
    }

    /// What to do with a connection of this age that was idle for this long.
    pub(super) fn verdict(&self, age: Duration, idle_for: Duration) -> Verdict {
        judge(*self.0.borrow(), Instant::now(), age, idle_for)
    }

    /// Returns when, from now on, all open connections are found dead.
    pub(super) async fn all_are_lost(&self) {
        let mut signs = self.0.subscribe();
        let before = signs.borrow_and_update().all_lost;
        // The sender lives as long as `self`.
        let _ = signs.wait_for(|signs| signs.all_lost != before).await;
    }
}

fn judge(signs: Signs, now: Instant, age: Duration, idle_for: Duration) -> Verdict {
    let since = |sign: Option<Instant>| sign.map(|at| now.saturating_duration_since(at));
    if since(signs.all_lost).is_some_and(|elapsed| elapsed <= age) {
        return Verdict::Discard;
    }
    let is_doubtful = since(signs.one_lost).is_some_and(|elapsed| elapsed <= idle_for);
    match idle_for >= IDLE_BEFORE_PING || is_doubtful {
        true => Verdict::Ping,
        false => Verdict::Use,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_judged_by_what_happened_since_it_was_used() {
        let now = Instant::now();
        let ago = |seconds: u64| Some(now - Duration::from_secs(seconds));
        let cases = [
            ("nothing happened", None, None, 60, 0, Verdict::Use),
            ("idle for long", None, None, 60, 5, Verdict::Ping),
            ("one lost while it was idle", ago(0), None, 60, 0, Verdict::Ping),
            ("used since one was lost", ago(3), None, 60, 0, Verdict::Use),
            ("older than the fail-over", None, ago(10), 60, 0, Verdict::Discard),
            ("older, and idle", ago(10), ago(10), 60, 20, Verdict::Discard),
            ("opened since the fail-over", None, ago(10), 5, 0, Verdict::Use),
        ];
        for (name, one_lost, all_lost, age, idle, expected) in cases {
            let (age, idle) = (Duration::from_secs(age), Duration::from_secs(idle));
            assert_eq!(judge(Signs { one_lost, all_lost }, now, age, idle), expected, "{name}");
        }
    }

    #[tokio::test]
    async fn what_runs_hears_that_its_connection_is_dead() {
        let trust = Trust::default();
        trust.lost_all();
        let hearing = trust.all_are_lost();
        tokio::pin!(hearing);
        assert!(futures::poll!(&mut hearing).is_pending(), "only what happens from now on");
        trust.lost_one();
        assert!(futures::poll!(&mut hearing).is_pending());
        trust.lost_all();
        hearing.await;
    }
}
