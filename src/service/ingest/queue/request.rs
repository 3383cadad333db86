//! A request whose events wait, each by itself, to be written.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::oneshot;

use super::Room;
use crate::{
    model::{
        error::{Error, Result},
        event::Event,
    },
    service::ingest::Placed,
    telemetry::IngestMetrics,
};

/// What an event weighs that may merge persons: it moves what others only name.
const MERGE_WEIGHT: usize = 10;

/// An event that waits, and the request that brought it.
#[derive(Clone, Debug)]
pub(in crate::service::ingest) struct Entry {
    pub(in crate::service::ingest) request: Arc<Request>,
    /// Its place in the request.
    pub(in crate::service::ingest) place: usize,
    pub(in crate::service::ingest) event: Arc<Event>,
}

impl Entry {
    pub(super) fn new(request: Arc<Request>, place: usize, event: Event) -> Self {
        Self { request, place, event: Arc::new(event) }
    }

    pub(super) fn weight(&self) -> usize {
        if self.event.identity.is_some() { MERGE_WEIGHT } else { 1 }
    }
}

/// A request that is answered once all of its events are committed or refused, or one of them can
/// not be written now.
#[derive(Debug)]
pub(in crate::service::ingest) struct Request(Mutex<Option<Open>>);

/// What is missing to the answer.
#[derive(Debug)]
struct Open {
    left: usize,
    rejected: Placed<String>,
    answer: oneshot::Sender<Result<Placed<String>>>,
    room: Room,
    metrics: Option<IngestMetrics>,
}

impl Request {
    pub(super) fn new(
        events: usize,
        answer: oneshot::Sender<Result<Placed<String>>>,
        room: Room,
        metrics: Option<&IngestMetrics>,
    ) -> Arc<Self> {
        let metrics = metrics.cloned();
        if let Some(metrics) = &metrics {
            metrics.record_waiting(1);
        }
        let open = Open { left: events, rejected: Vec::new(), answer, room, metrics };
        Arc::new(Self(Mutex::new(Some(open))))
    }

    /// True once there is an answer: the events that still wait need not be written.
    pub(super) fn is_answered(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_none()
    }

    /// Notes that one event is committed, or why it is refused.
    pub(in crate::service::ingest) fn settle(&self, place: usize, refused: Option<String>) {
        let mut request = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(open) = request.as_mut() else { return };
        open.rejected.extend(refused.map(|reason| (place, reason)));
        open.left -= 1;
        if open.left == 0
            && let Some(mut open) = request.take()
        {
            let rejected = std::mem::take(&mut open.rejected);
            open.answer(Ok(rejected));
        }
    }

    /// Answers that the events cannot be written now.
    pub(in crate::service::ingest) fn fail(&self, error: &Error) {
        let open = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(open) = open {
            open.answer(Err(error.clone()));
        }
    }
}

impl Open {
    fn answer(self, answer: Result<Placed<String>>) {
        // Its room is free before its sender can come again.
        drop(self.room);
        if let Some(metrics) = self.metrics {
            metrics.record_waiting(-1);
        }
        // Who has gone meanwhile does not ask any more.
        let _ = self.answer.send(answer);
    }
}
