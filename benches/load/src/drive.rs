//! Sends requests: as fast as they are answered, or at a fixed rate.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::future::join_all;
use load_bench::ask::{Ask, Protocol};

use crate::client::Link;

/// Open connections to one server, with the callers on them.
#[derive(Debug)]
pub(crate) struct Callers(Vec<Link>);

/// What was answered.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answered {
    /// How long each call took, in nanoseconds.
    pub(crate) nanos: Vec<u64>,
    /// From the first request to the last answer.
    pub(crate) elapsed: Duration,
}

impl Answered {
    /// Calls a second.
    pub(crate) fn rate(&self) -> f64 {
        self.nanos.len() as f64 / self.elapsed.as_secs_f64()
    }

    /// The latency that this share of the calls did not exceed, in milliseconds.
    pub(crate) fn percentile(&mut self, share: f64) -> f64 {
        let last = self.nanos.len() - 1;
        let at = ((last as f64) * share).round() as usize;
        *self.nanos.select_nth_unstable(at).1 as f64 / 1e6
    }
}

/// Connections and callers on each, by protocol: 32 callers in all.
const fn width(protocol: Protocol) -> (usize, usize) {
    match protocol {
        Protocol::Rest => (32, 1),
        Protocol::Grpc => (4, 8),
    }
}

impl Callers {
    /// 32 callers: on a connection each with HTTP/1.1, eight on one with HTTP/2.
    pub(crate) async fn connect(protocol: Protocol, address: SocketAddr) -> Self {
        let (connections, callers) = width(protocol);
        let mut links = Vec::new();
        for _ in 0..connections {
            links.extend(Link::open(protocol, address).await.shared(callers));
        }
        Self(links)
    }

    /// One caller.
    pub(crate) async fn one(protocol: Protocol, address: SocketAddr) -> Self {
        Self(vec![Link::open(protocol, address).await])
    }

    /// Each caller sends its next request when the last one is answered.
    pub(crate) async fn closed(&mut self, ask: &Arc<Ask>, time: Duration) -> Answered {
        let started = Instant::now();
        let links = std::mem::take(&mut self.0).into_iter().enumerate();
        let callers = links.map(|(at, mut link)| {
            let ask = Arc::clone(ask);
            tokio::spawn(async move {
                let mut nanos = Vec::new();
                let mut round = at * 7;
                while started.elapsed() < time {
                    let request = ask.request(round);
                    let sent = Instant::now();
                    link.call(request).await;
                    nanos.push(sent.elapsed().as_nanos() as u64);
                    round += 1;
                }
                (link, nanos)
            })
        });
        self.gather(callers.collect(), started).await
    }

    /// The callers send `rate` requests a second together, each at its time, whether or not
    /// earlier ones are answered late: what a call waited for its turn counts.
    pub(crate) async fn fixed(&mut self, ask: &Arc<Ask>, rate: f64, time: Duration) -> Answered {
        let started = Instant::now();
        let links = std::mem::take(&mut self.0);
        let step = Duration::from_secs_f64(links.len() as f64 / rate);
        let stagger = step / links.len() as u32;
        let callers = links.into_iter().enumerate().map(|(at, mut link)| {
            let ask = Arc::clone(ask);
            tokio::spawn(async move {
                let mut nanos = Vec::new();
                let mut due = started + stagger * at as u32;
                while due < started + time {
                    let is_late = Instant::now() > due;
                    tokio::time::sleep_until(due.into()).await;
                    // A timer that rang late is not the server's doing.
                    let sent = if is_late { due } else { Instant::now() };
                    link.call(ask.request(nanos.len() + at)).await;
                    nanos.push(sent.elapsed().as_nanos() as u64);
                    due += step;
                }
                (link, nanos)
            })
        });
        self.gather(callers.collect(), started).await
    }

    async fn gather(
        &mut self,
        callers: Vec<tokio::task::JoinHandle<(Link, Vec<u64>)>>,
        started: Instant,
    ) -> Answered {
        let mut answered = Answered::default();
        for caller in join_all(callers).await {
            let (link, nanos) = caller.expect("a caller that got its answers");
            self.0.push(link);
            answered.nanos.extend(nanos);
        }
        answered.elapsed = started.elapsed();
        answered
    }
}
