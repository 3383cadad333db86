//! The one task that writes events: a share of every project that has some goes
//! into one transaction (group commit).
//!
//! What becomes of the events is worked out before that transaction begins. A
//! project whose persons somebody else has locked or changed, or whose events
//! spoil the transaction, is written alone and beside the others, in turn with
//! none of them (`alone`).

mod alone;

use std::{sync::Arc, time::Instant};

use super::queue::{Entry, Ingestion, Share};
use crate::{
    model::{error::Result, people::PeopleChanged},
    service::Services,
    store::{
        Transaction,
        ingest::{self, Call, Outcome, Part, Prepared, note_call},
        persons_write::try_lock_persons,
    },
    telemetry::IngestMetrics,
};

/// A share and what becomes of it.
type Ready = (Share, Prepared);

impl Services {
    /// Writes events as they come, for as long as the process lives. There is one such task.
    pub(crate) async fn write_events(self, metrics: IngestMetrics) {
        let queue: Ingestion = self.ingestion.clone();
        queue.measure(metrics);
        if !queue.serve() {
            return;
        }
        loop {
            let group = queue.next_group().await;
            self.write_group(group).await;
        }
    }

    /// Writes some projects' events, and answers the requests that brought them.
    async fn write_group(&self, group: Vec<Share>) {
        let mut ready: Vec<Ready> = Vec::with_capacity(group.len());
        for share in group {
            match self.store.prepare_events(&self.part(&share)).await {
                Ok(prepared) => ready.push((share, prepared)),
                Err(_) => self.write_beside(share),
            }
        }
        // The order in which all replicas lock projects.
        ready.sort_by_key(|(share, _)| share.project_id);
        let began = Instant::now();
        let written = match self.write_together(&ready).await {
            Ok(written) => written,
            Err(error) => {
                tracing::debug!(error = error.causes(), "a group is written one by one");
                ready.iter().map(|_| None).collect()
            }
        };
        if let Some(metrics) = self.ingestion.metrics() {
            metrics.record_commit(began.elapsed());
        }
        for ((share, prepared), calls) in ready.into_iter().zip(written) {
            match calls {
                Some(calls) => {
                    let left = self.finish(share.entries, &prepared, calls);
                    self.ingestion.done(share.project_id, left);
                }
                None => self.write_beside(share),
            }
        }
    }

    /// The events of a share, as they go to the store.
    fn part(&self, share: &Share) -> Part {
        self.part_of(share.project_id, &share.entries)
    }

    fn part_of(&self, project_id: i64, entries: &[Entry]) -> Part {
        let now = self.clock.now();
        let events = entries.iter().map(|entry| Arc::clone(&entry.event)).collect();
        Part { project_id, events, now, oldest_usage: self.ingest_settings.oldest_usage(now) }
    }

    /// Writes what is ready in one transaction. Returns, for each project that was written, the
    /// calls of flags that are still to be noted.
    async fn write_together(&self, ready: &[Ready]) -> Result<Vec<Option<Vec<Call>>>> {
        if ready.is_empty() {
            return Ok(Vec::new());
        }
        let txn = self.store.begin().await?;
        ingest::begin(&txn).await?;
        let (mut written, mut changed) = (Vec::with_capacity(ready.len()), Vec::new());
        for (share, prepared) in ready {
            if !try_lock_persons(&txn, share.project_id).await? {
                written.push(None);
                continue;
            }
            match ingest::write(&txn, prepared).await? {
                Outcome::Written(calls) => {
                    changed.push((share.project_id, &prepared.changed));
                    written.push(Some(calls));
                }
                Outcome::Outdated => written.push(None),
            }
        }
        self.commit_ingested(txn, changed).await?;
        Ok(written)
    }

    /// Commits, and forgets what was read of everybody concerned even where the outcome is not
    /// known: it may have been committed.
    async fn commit_ingested(
        &self,
        txn: Transaction,
        changed: Vec<(i64, &PeopleChanged)>,
    ) -> Result<()> {
        let outcome = self.commit_people(txn, changed.clone()).await;
        if outcome.is_err() {
            changed.into_iter().for_each(|(id, changed)| self.people_changed(id, changed));
        }
        outcome
    }

    /// Answers for the events that were written, and returns those that were not taken.
    fn finish(&self, mut entries: Vec<Entry>, prepared: &Prepared, calls: Vec<Call>) -> Vec<Entry> {
        let left = entries.split_off(prepared.taken);
        self.count(&entries, prepared);
        let refused = prepared.refused.clone();
        let settle = move || {
            for (place, entry) in entries.into_iter().enumerate() {
                entry.request.settle(entry.place, refused.get(&place).cloned());
            }
        };
        match calls.is_empty() {
            true => settle(),
            // Whoever changes those flags may take their time: others do not wait for them.
            false => drop(tokio::spawn(note_calls(self.clone(), calls, settle))),
        }
        left
    }

    fn count(&self, entries: &[Entry], prepared: &Prepared) {
        let kept = || {
            let places = entries.iter().enumerate();
            let is_kept = |place: &usize| {
                !prepared.repeated.contains(place) && !prepared.refused.contains_key(place)
            };
            places.filter(move |(place, _)| is_kept(place)).map(|(_, entry)| &entry.event)
        };
        if kept().any(|event| event.usage.as_ref().is_some_and(|usage| usage.is_enriched())) {
            self.usage_seen.tell();
        }
        if let Some(metrics) = self.ingestion.metrics() {
            metrics.record_repeated(prepared.repeated.len());
            metrics.record_uncounted("unknown_flag", prepared.unknown_flags);
            metrics.record_uncounted("too_old", prepared.too_old);
            kept().for_each(|event| metrics.record_event(event.kind.as_str()));
        }
    }
}

/// Notes calls of flags that somebody was changing, and then answers.
async fn note_calls(services: Services, calls: Vec<Call>, settle: impl FnOnce() + Send) {
    for call in calls {
        if let Err(error) = note_call(&services.store, call).await {
            tracing::warn!(error = error.causes(), "a call of a flag was not noted");
        }
    }
    settle();
}
