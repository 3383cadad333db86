//! Very many watchers, and when the last of them has heard of a revision.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, Instant},
};

use flagstaff::wire::v1::{
    WatchFlagsRequest, evaluation_service_client::EvaluationServiceClient,
    watch_flags_response::Event,
};
use tokio::task::JoinSet;
use tonic::transport::Channel;

use super::{authorized, connection, sure};
use crate::process::Process;

/// How often everybody is looked at: what is measured may be so much too long.
const LOOK: Duration = Duration::from_millis(1);

pub(crate) struct Crowd {
    /// The revision that each watcher has heard of last, -1 before it heard anything.
    heard: Arc<[AtomicI64]>,
    _watching: JoinSet<()>,
}

impl Crowd {
    /// Opens all connections, and as many streams on each, at once.
    pub(crate) async fn open(
        replica: &Process,
        watchers: usize,
        connections: usize,
        from: Option<i64>,
    ) -> Self {
        let heard: Arc<[_]> = (0..watchers).map(|_| AtomicI64::new(-1)).collect();
        let opened = (0..connections).map(|_| connection(replica));
        let channels = futures::future::join_all(opened).await;
        let mut watching = JoinSet::new();
        for (place, channel) in (0..watchers).zip(channels.iter().cycle()) {
            watching.spawn(watch(channel.clone(), from, place, Arc::clone(&heard)));
        }
        Self { heard, _watching: watching }
    }

    /// When the last watcher came to a revision.
    pub(crate) async fn reached(&self, revision: i64) -> Instant {
        sure(async {
            let mut looks = tokio::time::interval(LOOK);
            while !self.heard.iter().all(|heard| heard.load(Ordering::Relaxed) >= revision) {
                looks.tick().await;
            }
            Instant::now()
        })
        .await
    }
}

async fn watch(channel: Channel, from: Option<i64>, place: usize, heard: Arc<[AtomicI64]>) {
    let request = authorized(WatchFlagsRequest { from_revision: from, ..Default::default() });
    let mut client = EvaluationServiceClient::new(channel);
    let mut stream = client.watch_flags(request).await.expect("a watch").into_inner();
    while let Ok(Some(message)) = stream.message().await {
        if !matches!(&message.event, Some(Event::Snapshot(snapshot)) if snapshot.has_more) {
            heard[place].store(message.revision, Ordering::Relaxed);
        }
    }
}
