//! Ends connections on which nothing happens: those that do not say in time
//! what they speak or what they ask, those of HTTP/1.1 that wait for a next
//! request, never finish its head, or do not read its answer.
//!
//! hyper can do this by a timer for each request, which costs a fortieth of
//! what a short answer does. Here a connection counts what it hears and says, and
//! is looked at now and then. HTTP/2 has pings for the purpose, once it has begun in earnest.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{sync::Notify, time::sleep};

/// How long connections may be silent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timeouts {
    /// From the start to the first request; of HTTP/2, to the first frame.
    pub(super) handshake: Duration,
    /// Between the requests of HTTP/1.1, and within one.
    pub(super) idle: Duration,
    /// Within an answer on HTTP/2, for a reader who takes nothing.
    pub(super) write: Duration,
}

/// What happens on a connection. Clones share.
#[derive(Clone, Debug, Default)]
pub(super) struct Activity(Arc<Seen>);

#[derive(Debug, Default)]
struct Seen {
    /// Whether it begins as HTTP/2 does, and whether it begins otherwise; neither at first.
    is_http2: AtomicBool,
    is_http1: AtomicBool,
    /// Whether it came to a request, or to the first frame of HTTP/2.
    is_established: AtomicBool,
    /// Whether any request was heard.
    has_asked: AtomicBool,
    /// Requests that were heard, and pieces of answers that were taken.
    steps: AtomicU64,
    /// Requests that are being answered.
    open: AtomicUsize,
    /// Told when the connection has to make room for another.
    evicted: Notify,
}

/// A request that is being answered, until this is dropped.
#[derive(Debug)]
pub(super) struct Open(Activity);

/// How HTTP/2 begins; no method of HTTP/1.1 does.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// The preface, and the head of the frame that has to follow.
const OPENING_BYTES: usize = PREFACE.len() + 9;
/// Where the type of that frame stands, and the type that it has to be.
const FRAME_TYPE: usize = PREFACE.len() + 3;
const SETTINGS: u8 = 4;

/// Reads the first bytes of a connection, however they arrive, until they tell what it speaks.
#[derive(Debug)]
pub(super) struct Opening {
    bytes: [u8; OPENING_BYTES],
    length: usize,
}

impl Default for Opening {
    fn default() -> Self {
        Self { bytes: [0; OPENING_BYTES], length: 0 }
    }
}

impl Opening {
    /// Whether there is nothing more to find out.
    pub(super) fn is_over(&self) -> bool {
        self.length == OPENING_BYTES
    }

    /// Takes the next bytes.
    pub(super) fn read(&mut self, bytes: &[u8], activity: &Activity) {
        let taken = bytes.len().min(OPENING_BYTES - self.length);
        self.bytes[self.length..self.length + taken].copy_from_slice(&bytes[..taken]);
        self.length += taken;
        let preface = self.length.min(PREFACE.len());
        if self.bytes[..preface] != PREFACE[..preface] {
            activity.0.is_http1.store(true, Ordering::Relaxed);
            self.length = OPENING_BYTES;
        } else if preface == PREFACE.len() {
            activity.0.is_http2.store(true, Ordering::Relaxed);
            if self.is_over() && self.bytes[FRAME_TYPE] == SETTINGS {
                activity.establish();
            }
        }
    }
}

impl Activity {
    /// Whether the connection is known to carry one request at a time.
    pub(super) fn is_http1(&self) -> bool {
        self.0.is_http1.load(Ordering::Relaxed)
    }

    /// Whether a request ever came on the connection.
    pub(super) fn has_asked(&self) -> bool {
        self.0.has_asked.load(Ordering::Relaxed)
    }

    fn is_established(&self) -> bool {
        self.0.is_established.load(Ordering::Relaxed)
    }

    fn establish(&self) {
        self.0.is_established.store(true, Ordering::Relaxed);
    }

    /// A request was heard.
    pub(super) fn heard(&self) -> Open {
        self.0.open.fetch_add(1, Ordering::Relaxed);
        self.0.has_asked.store(true, Ordering::Relaxed);
        self.establish();
        self.step();
        Open(self.clone())
    }

    /// Something was sent, which nobody can bring about by sending slowly.
    pub(super) fn step(&self) {
        self.0.steps.fetch_add(1, Ordering::Relaxed);
    }

    /// Has the connection make room for another.
    pub(super) fn evict(&self) {
        self.0.evicted.notify_one();
    }

    /// Ends when the connection has to make room.
    pub(super) async fn evicted(&self) {
        self.0.evicted.notified().await;
    }

    /// Ends when the connection is to be closed: when it was not established in time, when nothing
    /// happened on it for the idle timeout (and at most twice that long after), or when it has to
    /// make room.
    pub(super) async fn ends(&self, timeouts: Timeouts) {
        tokio::select! {
            () = self.evicted() => {}
            () = self.falls_silent(timeouts) => {}
        }
    }

    async fn falls_silent(&self, timeouts: Timeouts) {
        tokio::select! {
            () = self.misses(timeouts.handshake) => {}
            () = self.idles(timeouts.idle) => {}
        }
    }

    /// Ends if the connection is not established in time.
    async fn misses(&self, handshake: Duration) {
        sleep(handshake).await;
        if self.is_established() {
            std::future::pending().await
        }
    }

    /// Ends once nothing happened on an established connection.
    async fn idles(&self, idle: Duration) {
        loop {
            let before = self.steps();
            sleep(idle).await;
            if self.is_established() && self.is_silent_since(before) {
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

    const FIRST_FRAME: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

    fn opened(pieces: &[&[u8]]) -> Activity {
        let (activity, mut opening) = (Activity::default(), Opening::default());
        pieces.iter().for_each(|piece| opening.read(piece, &activity));
        activity
    }

    #[test]
    fn a_connection_is_silent_unless_something_is_heard_sent_or_answered() {
        let activity = Activity::default();
        assert!(activity.is_silent_since(0), "nothing was ever said");
        Opening::default().read(b"GET /flags HTTP/1.1\r\n", &activity);
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
    fn what_a_connection_speaks_is_known_as_soon_as_its_bytes_tell() {
        let state = |pieces: &[&[u8]]| {
            let activity = opened(pieces);
            let is_http2 = activity.0.is_http2.load(Ordering::Relaxed);
            (activity.is_http1(), is_http2, activity.is_established())
        };
        for (pieces, expected) in [
            (&[][..], (false, false, false)),
            (&[&b"P"[..]], (false, false, false)),
            (&[b"P", b"OST / HTTP/1.1\r\n"], (true, false, false)),
            (&[b"PROPFIND / HTTP/1.1"], (true, false, false)),
            (&[b"PRI * HT"], (false, false, false)),
            (&[b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"], (false, true, false)),
            (&[b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\0\0\0\x04"], (false, true, false)),
            (&[FIRST_FRAME], (false, true, true)),
            (&[&FIRST_FRAME[..7], &FIRST_FRAME[7..30], &FIRST_FRAME[30..]], (false, true, true)),
            (&[b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x01\0\0\0\0\0"], (false, true, false)),
            (&[b"PRI * HTTP/1.1\r\n"], (true, false, false)),
        ] {
            assert_eq!(state(pieces), expected, "{pieces:?}");
        }
        let bytewise: Vec<_> = FIRST_FRAME.chunks(1).collect();
        assert_eq!(state(&bytewise), (false, true, true));
    }

    #[test]
    fn http2_is_left_to_its_pings() {
        assert!(!opened(&[FIRST_FRAME]).is_silent_since(0));
        assert!(opened(&[b"PROPFIND / HTTP/1.1"]).is_silent_since(0));
    }

    const QUICK: Duration = Duration::from_millis(1);
    const NEVER: Duration = Duration::from_secs(3600);

    #[tokio::test]
    async fn a_connection_that_is_not_established_ends_by_the_handshake_timeout() {
        let timeouts = Timeouts { handshake: QUICK, idle: NEVER, write: NEVER };
        for pieces in [&[][..], &[&b"PRI * HT"[..]], &[&b"GET / HT"[..]]] {
            let activity = opened(pieces);
            // Bytes that go out, such as an acknowledgement, do not help.
            activity.step();
            activity.ends(timeouts).await;
        }
    }

    #[tokio::test]
    async fn a_connection_of_http1_that_falls_silent_ends_by_the_idle_timeout() {
        let activity = opened(&[b"GET / HTTP/1.1\r\n\r\n"]);
        drop(activity.heard());
        activity.ends(Timeouts { handshake: NEVER, idle: QUICK, write: NEVER }).await;
    }

    #[tokio::test]
    async fn a_connection_ends_when_it_is_evicted() {
        let activity = opened(&[FIRST_FRAME]);
        activity.evict();
        activity.ends(Timeouts { handshake: NEVER, idle: NEVER, write: NEVER }).await;
    }
}
