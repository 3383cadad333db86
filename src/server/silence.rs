//! Ends connections of HTTP/1.1 on which nothing happens: those that wait for a
//! next request, and those that never finish the head of one.
//!
//! hyper can do this by a timer for each request, which costs a fortieth of
//! what a short answer does. Here a connection counts what it hears and says, and
//! is looked at now and then. HTTP/2 has pings for the purpose.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::time::sleep;

/// What happens on a connection. Clones share.
#[derive(Clone, Debug, Default)]
pub(super) struct Activity(Arc<Seen>);

#[derive(Debug, Default)]
struct Seen {
    /// Whether it begins as HTTP/2 does, and whether it begins otherwise; neither at first.
    is_http2: AtomicBool,
    is_http1: AtomicBool,
    /// Requests that were heard, and pieces of answers that were taken.
    steps: AtomicU64,
    /// Requests that are being answered.
    open: AtomicUsize,
}

/// A request that is being answered, until this is dropped.
#[derive(Debug)]
pub(super) struct Open(Activity);

/// How HTTP/2 begins; no method of HTTP/1.1 does.
const PREFACE: &[u8] = b"PRI * ";

impl Activity {
    /// Takes note of the first bytes of a connection.
    pub(super) fn begins(&self, bytes: &[u8]) {
        let version = if bytes.starts_with(PREFACE) { &self.0.is_http2 } else { &self.0.is_http1 };
        version.store(true, Ordering::Relaxed);
    }

    /// Whether the connection is known to carry one request at a time.
    pub(super) fn is_http1(&self) -> bool {
        self.0.is_http1.load(Ordering::Relaxed)
    }

    /// A request was heard.
    pub(super) fn heard(&self) -> Open {
        self.0.open.fetch_add(1, Ordering::Relaxed);
        self.step();
        Open(self.clone())
    }

    /// Something was sent, which nobody can bring about by sending slowly.
    pub(super) fn step(&self) {
        self.0.steps.fetch_add(1, Ordering::Relaxed);
    }

    /// Ends once nothing happened for `patience`, and at most twice that long after.
    pub(super) async fn ends(&self, patience: Duration) {
        loop {
            let before = self.steps();
            sleep(patience).await;
            if self.is_silent_since(before) {
                return;
            }
        }
    }

    fn is_silent_since(&self, steps: u64) -> bool {
        let is_http2 = self.0.is_http2.load(Ordering::Relaxed);
        !is_http2 && steps == self.steps() && self.0.open.load(Ordering::Relaxed) == 0
    }

    fn steps(&self) -> u64 {
        self.0.steps.load(Ordering::Relaxed)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_silent_unless_something_is_heard_sent_or_answered() {
        let activity = Activity::default();
        assert!(activity.is_silent_since(0), "nothing was ever said");
        activity.begins(b"GET /flags HTTP/1.1\r\n");
        assert!(activity.is_silent_since(0), "a head that is not finished");
        let open = activity.heard();
        assert!(!activity.is_silent_since(0), "a request");
        assert!(!activity.is_silent_since(1), "it is being answered");
        drop(open);
        assert!(activity.is_silent_since(1));
        activity.step();
        assert!(!activity.is_silent_since(1), "an answer goes out");
        assert!(activity.is_silent_since(2));
    }

    #[test]
    fn http2_is_left_to_its_pings() {
        for (bytes, is_http2) in
            [(&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], true), (b"PROPFIND / HTTP/1.1", false)]
        {
            let activity = Activity::default();
            assert!(!activity.is_http1(), "it has not begun");
            activity.begins(bytes);
            assert_eq!((activity.is_http1(), activity.is_silent_since(0)), (!is_http2, !is_http2));
        }
    }

    #[tokio::test]
    async fn a_silent_connection_ends() {
        Activity::default().ends(Duration::from_millis(1)).await;
    }
}
