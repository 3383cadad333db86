//! Writes the events of one project beside the others, where something stands
//! in the way of writing them together.
//!
//! A transaction that fails is divided until the event that spoils it stands
//! alone; that one is refused, and all others are written. When the database is
//! gone, everybody is told to come again.

use std::time::{Duration, Instant};

use crate::{
    model::error::{Code, Error, Result},
    service::{
        Services,
        ingest::queue::{Entry, Share},
    },
    store::{
        ingest::{self, Call, Outcome, Prepared},
        persons_write::lock_persons,
    },
};

/// How often a transaction is tried that met another's.
const TRIES: u32 = 5;
/// How many of those read before they lock. Where others keep writing to the same rows, the last
/// ones lock first, and read what nobody changes any more.
const TRIES_BEFORE_LOCKING: u32 = 3;
/// How long it is tried again: a database that does not answer is not asked on and on.
const RETRY_PERIOD: Duration = Duration::from_secs(5);

impl Services {
    /// Has a share written by a task of its own; the project has its next turn afterwards.
    pub(super) fn write_beside(&self, share: Share) {
        let services = self.clone();
        tokio::spawn(async move {
            // Closed by nobody.
            let _turn = services.ingestion.lone_writers().acquire_owned().await;
            let project_id = share.project_id;
            services.write_alone(share).await;
            services.ingestion.done(project_id, Vec::new());
        });
    }

    async fn write_alone(&self, share: Share) {
        let mut parts = vec![share.entries];
        while let Some(mut entries) = parts.pop() {
            match self.write_entries(share.project_id, &entries).await {
                Ok((prepared, calls)) => {
                    let left = self.finish(entries, &prepared, calls);
                    if !left.is_empty() {
                        parts.push(left);
                    }
                }
                Err(error) if error.code == Code::Unavailable => {
                    // The rest would fare no better.
                    parts.push(entries);
                    return parts.iter().flatten().for_each(|entry| entry.request.fail(&error));
                }
                Err(error) if entries.len() == 1 => {
                    tracing::error!(error = error.causes(), "an event could not be stored");
                    let refused = || Some("it could not be stored".to_owned());
                    entries.iter().for_each(|entry| entry.request.settle(entry.place, refused()));
                }
                Err(_) => {
                    // The last is taken first: events stay in their order.
                    let second = entries.split_off(entries.len() / 2);
                    parts.extend([second, entries]);
                }
            }
        }
    }

    /// Writes events in a transaction of their own.
    async fn write_entries(
        &self,
        project_id: i64,
        entries: &[Entry],
    ) -> Result<(Prepared, Vec<Call>)> {
        let began = Instant::now();
        let mut error = Error::unavailable("somebody else writes to the same persons");
        for attempt in 0..TRIES {
            let written = match attempt < TRIES_BEFORE_LOCKING {
                true => self.read_then_lock(project_id, entries).await,
                false => self.lock_then_read(project_id, entries).await,
            };
            match written {
                Ok(Some(written)) => return Ok(written),
                Ok(None) => {}
                // It may have met another transaction; that one is through now.
                Err(met) if met.code == Code::Unavailable => error = met,
                Err(met) => return Err(met),
            }
            // Nobody is there to ask.
            self.store.reachability().check()?;
            if began.elapsed() > RETRY_PERIOD {
                break;
            }
        }
        Err(error)
    }

    /// `None` when what was read was out of date.
    async fn read_then_lock(
        &self,
        project_id: i64,
        entries: &[Entry],
    ) -> Result<Option<(Prepared, Vec<Call>)>> {
        let part = self.part_of(project_id, entries);
        let prepared = self.store.prepare_events(&part).await?;
        let txn = self.store.begin().await?;
        ingest::begin(&txn).await?;
        lock_persons(&txn, project_id).await?;
        let Outcome::Written(calls) = ingest::write(&txn, &prepared).await? else {
            return Ok(None);
        };
        self.commit_ingested(txn, vec![(project_id, &prepared.changed)]).await?;
        Ok(Some((prepared, calls)))
    }

    async fn lock_then_read(
        &self,
        project_id: i64,
        entries: &[Entry],
    ) -> Result<Option<(Prepared, Vec<Call>)>> {
        let txn = self.store.begin().await?;
        ingest::begin(&txn).await?;
        lock_persons(&txn, project_id).await?;
        let prepared = ingest::prepare(&txn, &self.part_of(project_id, entries)).await?;
        let Outcome::Written(calls) = ingest::write(&txn, &prepared).await? else {
            return Ok(None);
        };
        self.commit_ingested(txn, vec![(project_id, &prepared.changed)]).await?;
        Ok(Some((prepared, calls)))
    }
}
