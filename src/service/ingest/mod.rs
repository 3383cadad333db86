//! Takes events in: read, queued, committed with others', and only then
//! answered (architecture 4).
//!
//! Each event is judged by itself. One that cannot be used is named in the
//! [`Receipt`], and costs no other its place.

mod group_types;
mod queue;
mod sweep;
mod writer;

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
use uuid::Uuid;

pub(crate) use queue::Ingestion;

use super::Services;
use crate::model::{
    caller::{Caller, CredentialKind, Scope},
    error::{Error, Result},
    event::{Event, Sent},
    project::ProjectRef,
};

/// Bodies beyond this are read on a thread of their own, so that other calls go on meanwhile.
const LARGE_BYTES: usize = 64 * 1024;

/// What ingestion is told by settings.
#[derive(Clone, Copy, Debug)]
pub struct IngestSettings {
    /// The use of a flag that happened longer ago is not counted.
    pub usage_max_age: Duration,
    /// How long the ids of events are remembered.
    pub dedup_window: Duration,
}

impl Default for IngestSettings {
    fn default() -> Self {
        const DAY: Duration = Duration::from_secs(24 * 60 * 60);
        Self { usage_max_age: 90 * DAY, dedup_window: 30 * DAY }
    }
}

impl IngestSettings {
    /// The use of flags before this is not counted.
    fn oldest_usage(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        before(now, self.usage_max_age)
    }
}

/// A moment before another, or the earliest of all.
fn before(now: DateTime<Utc>, age: Duration) -> DateTime<Utc> {
    let age = TimeDelta::from_std(age).unwrap_or(TimeDelta::MAX);
    now.checked_sub_signed(age).unwrap_or(DateTime::UNIX_EPOCH)
}

/// The events of one request.
#[derive(Debug)]
pub(crate) struct Batch {
    /// As they were sent; `Err` for one that could not even be read, with the reason.
    pub(crate) events: Vec<Result<Value, String>>,
    /// When the request was sent and arrived.
    pub(crate) sent: Sent,
    /// What an event without a name is called.
    pub(crate) unnamed: Option<&'static str>,
    /// The size of it all, unpacked.
    pub(crate) bytes: usize,
}

/// What came of a request; all of it is committed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Receipt {
    /// Events taken in or let go, repeated ones included.
    pub(crate) accepted: usize,
    /// Places of events that were refused, in order, and why.
    pub(crate) rejected: Vec<(usize, String)>,
}

impl Services {
    /// The project into which a caller's events go.
    ///
    /// # Errors
    ///
    /// `Forbidden` without `person:write` (the public token needs no scope) or for another
    /// project; `NotFound` where there is none.
    pub(crate) async fn ingested(&self, caller: &Caller, project: &ProjectRef) -> Result<i64> {
        if caller.kind != CredentialKind::ProjectToken {
            caller.granted(Scope::PERSON_WRITE)?;
        }
        Ok(self.reach(caller, project).await?.id)
    }

    /// The project that a public token opens, for the wires that carry it in the body.
    ///
    /// # Errors
    ///
    /// `Unauthenticated` for an unknown token.
    pub(crate) async fn ingested_by_token(&self, token: &str) -> Result<i64> {
        let unknown = || Error::authentication_failed("Invalid project token.");
        Ok(self.snapshots.project_of_token(token).await?.ok_or_else(unknown)?.id)
    }

    /// Takes in a request's events; when this answers, they are committed.
    ///
    /// # Errors
    ///
    /// `Invalid` without any event, `Overloaded` when too much is waiting already, `Unavailable`
    /// when the database is: then events with a uuid can be sent again. Of a large request some
    /// events may be committed then.
    pub(crate) async fn ingest(&self, project_id: i64, batch: Batch) -> Result<Receipt> {
        if batch.events.is_empty() {
            return Err(Error::field("events", "required", "At least one event is required."));
        }
        let room = self.ingestion.reserve(project_id, batch.events.len(), batch.bytes)?;
        let total = batch.events.len();
        let (events, mut rejected) = match batch.bytes > LARGE_BYTES {
            true => {
                let reading = tokio::task::spawn_blocking(move || read(batch));
                reading.await.map_err(Error::internal)?
            }
            false => read(batch),
        };
        if !events.is_empty() {
            self.ensure_group_types(project_id, &events).await?;
            rejected.extend(self.ingestion.write(project_id, events, room).await?);
            rejected.sort_by_key(|(place, _)| *place);
        }
        self.ingestion.count_rejected(rejected.len());
        Ok(Receipt { accepted: total - rejected.len(), rejected })
    }
}

/// Events by their place in the request.
type Placed<T> = Vec<(usize, T)>;

fn read(batch: Batch) -> (Placed<Event>, Placed<String>) {
    let (mut events, mut rejected) = (Vec::with_capacity(batch.events.len()), Vec::new());
    for (place, raw) in batch.events.into_iter().enumerate() {
        match raw.and_then(|raw| Event::parse(raw, &batch.sent, batch.unnamed)) {
            Ok(mut event) => {
                // The service's own retry counts once then, as the sender's does.
                event.identify(Uuid::now_v7);
                events.push((place, event));
            }
            Err(reason) => rejected.push((place, reason)),
        }
    }
    (events, rejected)
}
