//! The queue between those who bring events and the one task that writes them.
//!
//! It is bounded by what it may hold in memory. Who comes when it is full is
//! told so at once, before their events are even read.

use std::sync::{Arc, Mutex, OnceLock};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use super::Placed;
use crate::{
    model::{
        error::{Error, Result},
        event::Event,
    },
    telemetry::IngestMetrics,
};

/// What one unit of room stands for: bytes, or one event.
const UNIT_BYTES: usize = 256;
/// 128 MiB of bodies as they were sent; in memory, events take a few times that.
const ROOM: usize = 128 * 1024 * 1024 / UNIT_BYTES;

/// The right to wait in the queue.
#[derive(Debug)]
pub(super) struct Room(#[expect(dead_code, reason = "held to be dropped")] OwnedSemaphorePermit);

/// A request's events, waiting to be written.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) project_id: i64,
    pub(super) events: Placed<Event>,
    /// Told what was refused once the rest is committed.
    pub(super) answer: oneshot::Sender<Result<Placed<String>>>,
    pub(super) room: Room,
}

/// Where events go. Cheap to clone; clones share.
#[derive(Clone, Debug)]
pub(crate) struct Ingestion {
    sender: mpsc::UnboundedSender<Waiting>,
    receiver: Arc<Mutex<Option<mpsc::UnboundedReceiver<Waiting>>>>,
    room: Arc<Semaphore>,
    metrics: Arc<OnceLock<IngestMetrics>>,
}

impl Default for Ingestion {
    /// An empty queue that nobody serves yet.
    fn default() -> Self {
        let (sender, receiver) = mpsc::unbounded_channel();
        Self {
            sender,
            receiver: Arc::new(Mutex::new(Some(receiver))),
            room: Arc::new(Semaphore::new(ROOM)),
            metrics: Arc::default(),
        }
    }
}

impl Ingestion {
    /// Takes a place in the queue, if there is one.
    pub(super) fn reserve(&self, events: usize, bytes: usize) -> Result<Room> {
        // What is larger than the whole queue may have all of it.
        let units = (events + bytes / UNIT_BYTES).min(ROOM);
        let units = u32::try_from(units).unwrap_or(u32::MAX);
        let room = Arc::clone(&self.room).try_acquire_many_owned(units);
        room.map(Room).map_err(|_| Error::overloaded())
    }

    /// Has events written, and answers what was refused once the rest is committed.
    pub(super) async fn write(
        &self,
        project_id: i64,
        events: Placed<Event>,
        room: Room,
    ) -> Result<Placed<String>> {
        let (answer, answered) = oneshot::channel();
        let stopped = |_| Error::unavailable("nobody writes events any more");
        self.sender
            .send(Waiting { project_id, events, answer, room })
            .map_err(|_| Error::unavailable("nobody writes events any more"))?;
        self.count_waiting(1);
        answered.await.map_err(stopped)?
    }

    /// The requests that wait, for the one task that serves them; `None` when there is one already.
    pub(super) fn receiver(&self) -> Option<mpsc::UnboundedReceiver<Waiting>> {
        self.receiver.lock().ok()?.take()
    }

    /// Says where to count.
    pub(super) fn measure(&self, metrics: IngestMetrics) {
        // A second start finds the first one's.
        let _ = self.metrics.set(metrics);
    }

    pub(super) fn metrics(&self) -> Option<&IngestMetrics> {
        self.metrics.get()
    }

    pub(super) fn count_rejected(&self, events: usize) {
        if let Some(metrics) = self.metrics() {
            metrics.record_rejected(events);
        }
    }

    pub(super) fn count_waiting(&self, change: i64) {
        if let Some(metrics) = self.metrics() {
            metrics.record_waiting(change);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_comes_to_a_full_queue_is_told_so_at_once() {
        let queue = Ingestion::default();
        let held = queue.reserve(10, (ROOM - 10) * UNIT_BYTES).unwrap();
        let error = queue.reserve(1, 0).unwrap_err();
        assert_eq!((error.code.http_status(), error.reason.as_ref()), (503, "overloaded"));
        assert_eq!(error.retry_after.map(|delay| delay.as_secs()), Some(1));
        drop(held);
        assert!(queue.reserve(1, usize::MAX / 2).is_ok(), "one that fills it all is let in");
    }
}
