//! The one task that writes events: everything that waits goes into one
//! transaction (group commit).
//!
//! A transaction that fails is divided until the event that spoils it stands
//! alone; that one is refused, and all others are written. When the database is
//! gone, everybody is told to come again.

use std::{
    collections::BTreeMap,
    ops::Range,
    time::{Duration, Instant},
};

use super::{
    Placed,
    queue::{Ingestion, Waiting},
};
use crate::{
    model::{
        error::{Code, Result},
        people::PeopleChanged,
    },
    service::Services,
    store::{
        ProjectWrite, Transaction,
        ingest::{GroupTypes, Item, Written, note_call, write},
    },
    telemetry::IngestMetrics,
};

/// The most events of a transaction; a larger request has one to itself.
const MOST_EVENTS: usize = 10_000;
/// How often a transaction is tried that met another's.
const TRIES: u32 = 5;
/// How long it is tried again: a database that does not answer is not asked on and on while all
/// others wait.
const RETRY_PERIOD: Duration = Duration::from_secs(5);

/// What is to be told to each request: what was refused, or why all of it failed.
type Answers = Vec<Result<Placed<String>>>;

impl Services {
    /// Writes events as they come, for as long as the process lives. There is one such task.
    pub(crate) async fn write_events(self, metrics: IngestMetrics) {
        let queue: Ingestion = self.ingestion.clone();
        queue.measure(metrics);
        let Some(mut requests) = queue.receiver() else { return };
        while let Some(first) = requests.recv().await {
            let mut events = first.events.len();
            let mut group = vec![first];
            while events < MOST_EVENTS {
                let Ok(next) = requests.try_recv() else { break };
                events += next.events.len();
                group.push(next);
            }
            queue.count_waiting(-i64::try_from(group.len()).unwrap_or_default());
            self.write_group(group).await;
        }
    }

    /// Writes some requests' events, and answers each.
    async fn write_group(&self, group: Vec<Waiting>) {
        let answers = self.answers(&group).await;
        for (request, answer) in group.into_iter().zip(answers) {
            // Its room is free before its sender can come again.
            drop(request.room);
            // Who has gone meanwhile does not ask any more.
            let _ = request.answer.send(answer);
        }
    }

    async fn answers(&self, group: &[Waiting]) -> Answers {
        let group_types = match self.group_types(group).await {
            Ok(types) => types,
            Err(error) => return vec![Err(error); group.len()],
        };
        let mut answers: Answers = vec![Ok(Vec::new()); group.len()];
        let mut items = Vec::new();
        for (request, waiting) in group.iter().enumerate() {
            let item = |place: &usize, event| {
                ((request, *place), Item { project_id: waiting.project_id, event })
            };
            items.extend(waiting.events.iter().map(|(place, event)| item(place, event)));
        }
        let (sources, items): (Vec<_>, Vec<_>) = items.into_iter().unzip();
        let whole = 0..items.len();
        let mut left: Vec<Range<usize>> = vec![whole];
        while let Some(part) = left.pop() {
            let refused = match self.write_part(&items[part.clone()], &group_types).await {
                Ok(refused) => refused,
                Err(error) if error.code == Code::Unavailable => {
                    // The rest would fare no better.
                    left.push(part);
                    for place in left.drain(..).flatten() {
                        answers[sources[place].0] = Err(error.clone());
                    }
                    break;
                }
                Err(error) if part.len() == 1 => {
                    tracing::error!(error = error.causes(), "an event could not be stored");
                    vec![(0, "it could not be stored".to_owned())]
                }
                Err(_) => {
                    // The last is taken first: events stay in their order.
                    let middle = part.start + part.len() / 2;
                    left.extend([middle..part.end, part.start..middle]);
                    continue;
                }
            };
            for (place, reason) in refused {
                let (request, place) = sources[part.start + place];
                if let Ok(answer) = &mut answers[request] {
                    answer.push((place, reason));
                }
            }
        }
        answers
    }

    /// Writes events in one transaction, and answers which were refused.
    async fn write_part(
        &self,
        items: &[Item<'_>],
        group_types: &GroupTypes,
    ) -> Result<Placed<String>> {
        let began = Instant::now();
        let mut tries = 1;
        let written = loop {
            let txn = self.store.begin().await?;
            match self.commit_part(txn, items, group_types).await {
                // It may have met another transaction; that one is through now.
                Err(error)
                    if error.code == Code::Unavailable
                        && tries < TRIES
                        && began.elapsed() < RETRY_PERIOD =>
                {
                    tries += 1;
                }
                outcome => break outcome?,
            }
        };
        for call in written.calls {
            if let Err(error) = note_call(&self.store, call).await {
                tracing::warn!(error = error.causes(), "a call of a flag was not noted");
            }
        }
        let kept = || {
            let places = items.iter().enumerate();
            places
                .filter(|(place, _)| !written.repeated.contains(place))
                .map(|(_, item)| item.event)
        };
        if kept().any(|event| event.usage.as_ref().is_some_and(|usage| usage.is_enriched())) {
            self.usage_seen.tell();
        }
        if let Some(metrics) = self.ingestion.metrics() {
            metrics.record_commit(began.elapsed(), written.repeated.len());
            kept().for_each(|event| metrics.record_event(event.kind.as_str()));
        }
        Ok(written.refused)
    }

    async fn commit_part(
        &self,
        txn: Transaction,
        items: &[Item<'_>],
        group_types: &GroupTypes,
    ) -> Result<Written> {
        let written = write(&txn, items, group_types, self.clock.now()).await?;
        let changed: Vec<(i64, &PeopleChanged)> =
            written.changed.iter().map(|(id, changed)| (*id, changed)).collect();
        self.commit_people(txn, changed).await?;
        Ok(written)
    }

    /// The numbers of all group types that the requests name, made where there is room for them.
    /// A new one is a change to the project, and so has a transaction of its own.
    async fn group_types(&self, group: &[Waiting]) -> Result<GroupTypes> {
        let mut wanted: BTreeMap<i64, Vec<&str>> = BTreeMap::new();
        for waiting in group {
            for (_, event) in &waiting.events {
                let names = wanted.entry(waiting.project_id).or_default();
                names.extend(event.group.as_ref().map(|group| group.group_type.as_str()));
            }
        }
        let mut types = GroupTypes::new();
        for (project_id, mut names) in wanted {
            names.sort_unstable();
            names.dedup();
            if names.is_empty() {
                continue;
            }
            let stored = self.store.group_types(project_id).await?;
            let mut known: BTreeMap<String, i32> =
                stored.into_iter().map(|kind| (kind.name, kind.index)).collect();
            let is_new = names.iter().any(|name| !known.contains_key(*name));
            let change = match is_new {
                true => ProjectWrite::begin(&self.store, project_id).await?,
                false => None,
            };
            if let Some(mut project) = change {
                let before = known.len();
                known = project.ensure_group_types(names).await?;
                if known.len() > before {
                    self.commit(project, self.clock.now()).await?;
                }
            }
            types.extend(known.into_iter().map(|(name, index)| ((project_id, name), index)));
        }
        Ok(types)
    }
}
