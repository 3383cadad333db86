//! Takes events in: reads what is stored of those whom they name, works out
//! what becomes of it, and writes that by statements over sets.
//!
//! The three are apart so that a transaction is short: [`prepare`] reads and
//! computes without one, [`write()`] takes the locks, looks whether anybody wrote
//! to the same rows meanwhile, and writes. What is out of date is prepared
//! again.
//!
//! Projects are taken in the order of their numbers, each under the lock of its
//! persons (`persons_write`), so replicas that ingest at once wait for each
//! other in one direction. The only other rows that others write too are those
//! of flags, and they are never waited for here (see `calls`).

mod calls;
mod groups;
mod history;
mod merges;
mod people;
mod rows;
mod seen;
mod sweep;
mod usage;
mod work;

#[cfg(test)]
mod plans;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use chrono::{DateTime, Utc};
use futures::future::BoxFuture;
use sea_orm::{ConnectionTrait, DbBackend};
use uuid::Uuid;

pub(crate) use calls::{Call, note_call};
pub(super) use history::change;

use super::{Store, Transaction, groups::of_project, project_write::run};
use crate::model::{
    error::{Error, Result},
    event::Event,
    people::PeopleChanged,
};
use work::{Stored, Worked};

/// The most bytes that are read of persons and groups for one transaction.
const MAX_READ_BYTES: usize = 8 * 1024 * 1024;

/// Some events of one project, in their order.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    pub(crate) project_id: i64,
    pub(crate) events: Vec<Arc<Event>>,
    /// The time by our clock.
    pub(crate) now: DateTime<Utc>,
    /// The use of flags before this is not counted.
    pub(crate) oldest_usage: DateTime<Utc>,
}

/// What some events come to, before it is written.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) project_id: i64,
    /// How many events this is about, from the first; the others are for another transaction.
    pub(crate) taken: usize,
    /// Places of events that were there before, in this or another transaction.
    pub(crate) repeated: HashSet<usize>,
    /// Places of events that could not be used, and why.
    pub(crate) refused: BTreeMap<usize, String>,
    /// Whose stored facts change.
    pub(crate) changed: PeopleChanged,
    /// Events about flags that the project does not have.
    pub(crate) unknown_flags: usize,
    /// Events about the use of flags that happened too long ago.
    pub(crate) too_old: usize,
    now: DateTime<Utc>,
    uuids: HashSet<Uuid>,
    read: Read,
    persons: Vec<work::Settled>,
    groups: Vec<groups::Settled>,
    usage: usage::Usage,
    calls: Vec<Call>,
}

/// What was read, to be looked at again before anything is written.
#[derive(Debug, Default)]
struct Read {
    distinct_ids: BTreeSet<String>,
    persons: HashMap<String, people::Known>,
    group_places: BTreeSet<(i32, String)>,
    groups: HashMap<(i32, String), groups::Known>,
    /// `None` where no event is about a group.
    group_types: Option<BTreeMap<String, i32>>,
}

/// What came of writing.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// Everything is written, but for calls of flags that somebody else was changing.
    Written(Vec<Call>),
    /// Somebody wrote to the same rows after they were read. The transaction is to be given up.
    Outdated,
}

/// Reads what is stored of those whom events name, and works out what becomes of it.
///
/// Boxed, since the compiler does not see through all of its borrows that it can be sent.
pub(crate) fn prepare<'c, C: ConnectionTrait>(
    connection: &'c C,
    part: &'c Part,
) -> BoxFuture<'c, Result<Prepared>> {
    Box::pin(prepare_part(connection, part))
}

impl Store {
    /// As [`prepare`], reading where nothing is locked.
    pub(crate) async fn prepare_events(&self, part: &Part) -> Result<Prepared> {
        prepare(self.reader(), part).await
    }
}

async fn prepare_part(connection: &impl ConnectionTrait, part: &Part) -> Result<Prepared> {
    let (read, stored, affordable) = read(connection, part).await?;
    let (events, now) = (part.events[..affordable].to_vec(), part.now);
    let working = tokio::task::spawn_blocking(move || work::work(&events, stored, now));
    let worked = working.await.map_err(Error::internal)??;
    let flag_keys = usage::flag_keys(&part.events[..worked.taken]);
    let flags = calls::flags(connection, part.project_id, &flag_keys).await?;
    let counted = || {
        let events = part.events[..worked.taken].iter().enumerate();
        let counts =
            |place: &usize| !worked.repeated.contains(place) && !worked.refused.contains_key(place);
        events.filter(move |(place, _)| counts(place)).map(|(_, event)| event)
    };
    let usage = usage::Usage::count(counted().map(AsRef::as_ref), &flags, part.oldest_usage)?;
    let calls = calls::behind(part.project_id, counted(), &flags, now);
    let histories = histories(connection, part.project_id, &worked).await?;
    let Worked { taken, repeated, refused, uuids, persons, groups, versions } = worked;
    let mut changed = PeopleChanged::default();
    let settling = tokio::task::spawn_blocking(move || {
        let persons = work::settle(persons, histories, &versions);
        let groups = groups.settle(&mut changed);
        (persons, groups, changed)
    });
    let (persons, groups, mut changed) = settling.await.map_err(Error::internal)?;
    people::note(connection, part.project_id, &persons, &mut changed).await?;
    Ok(Prepared {
        project_id: part.project_id,
        taken,
        repeated,
        refused,
        changed,
        unknown_flags: usage.unknown,
        too_old: usage.too_old,
        now,
        uuids,
        read,
        persons,
        groups,
        usage,
        calls,
    })
}

/// What is stored of those whom events name, and for how many events, from the first, that is.
async fn read(connection: &impl ConnectionTrait, part: &Part) -> Result<(Read, Stored, usize)> {
    let (events, id) = (&part.events, part.project_id);
    let mut stored = Stored::default();
    let uuids: HashSet<Uuid> = events.iter().filter_map(|event| event.uuid).collect();
    stored.seen = seen::stored(connection, id, &uuids).await?;
    let mut read = Read {
        distinct_ids: events.iter().flat_map(|e| people::ids_of(e)).map(str::to_owned).collect(),
        ..Read::default()
    };
    read.persons = people::known(connection, id, &read.distinct_ids).await?;
    if events.iter().any(|event| event.group.is_some()) {
        let types = of_project(connection, id).await?;
        let types: BTreeMap<String, i32> =
            types.into_iter().map(|kind| (kind.name, kind.index)).collect();
        read.group_places = groups::named(events.iter().map(AsRef::as_ref), &types);
        read.groups = groups::known(connection, id, &read.group_places).await?;
        stored.group_types = types.clone();
        read.group_types = Some(types);
    }
    let affordable = read.keep_affordable(events);
    people::read(connection, id, &read.persons, &mut stored).await?;
    let merged = read.may_be_merged(&events[..affordable]);
    people::read_unmergeable(connection, id, &merged, &mut stored).await?;
    let groups: Vec<i64> = read.groups.values().map(|known| known.id).collect();
    stored.groups = groups::stored(connection, id, &groups).await?;
    Ok((read, stored, affordable))
}

impl Read {
    /// Keeps what as many events name, from the first, as may be read for one transaction: their
    /// number, one at the least.
    fn keep_affordable(&mut self, events: &[Arc<Event>]) -> usize {
        let (mut bytes, mut persons) = (0, HashSet::new());
        let (mut distinct_ids, mut places) = (BTreeSet::new(), BTreeSet::new());
        let mut taken = 0;
        for event in events {
            for id in people::ids_of(event) {
                let known = self.persons.get(id).filter(|known| persons.insert(known.id));
                bytes += known.map_or(0, |known| known.bytes);
                distinct_ids.insert(id.to_owned());
            }
            let types = self.group_types.as_ref();
            let place = event.group.as_ref().zip(types).and_then(|(group, types)| {
                Some((*types.get(&group.group_type)?, group.key.clone()))
            });
            if let Some(place) = place
                && places.insert(place.clone())
            {
                bytes += self.groups.get(&place).map_or(0, |known| known.bytes);
            }
            if bytes > MAX_READ_BYTES && taken > 0 {
                break;
            }
            taken += 1;
        }
        if taken < events.len() {
            // The last event's names may be among them: that reads one more, and no wrong one.
            self.persons.retain(|id, _| distinct_ids.contains(id));
            self.groups.retain(|place, _| places.contains(place));
            self.distinct_ids = distinct_ids;
            self.group_places = places;
        }
        taken
    }

    /// Those who may become somebody else.
    fn may_be_merged(&self, events: &[Arc<Event>]) -> BTreeSet<i64> {
        let merged = events.iter().filter_map(|event| {
            let other = self.persons.get(&event.identity.as_ref()?.other)?;
            let own = self.persons.get(&event.distinct_id).map(|own| own.id);
            (own != Some(other.id)).then_some(other.id)
        });
        merged.collect()
    }
}

/// The histories of those whose properties only these tell, by their places.
async fn histories(
    connection: &impl ConnectionTrait,
    project_id: i64,
    worked: &Worked,
) -> Result<Vec<(usize, Vec<crate::model::property_history::Change>)>> {
    let mut histories = Vec::new();
    for place in worked.persons.awaiting_history() {
        let rows = worked.persons.rows_of(place);
        let history = history::stored(connection, project_id, &rows).await?;
        histories.extend(history.map(|history| (place, history)));
    }
    Ok(histories)
}

/// Plans the statements of a transaction anew each time: a plan that was made while a table was
/// small would read all of it later.
pub(crate) async fn begin(txn: &Transaction) -> Result<()> {
    match txn.get_database_backend() {
        DbBackend::Postgres => {
            run(txn, "SET LOCAL plan_cache_mode = force_custom_plan", Vec::new()).await
        }
        _ => Ok(()),
    }
}

/// Writes what events come to, under the lock of the project's persons; nothing is announced or
/// committed yet.
///
/// Boxed, since the compiler does not see through all of its borrows that it can be sent.
pub(crate) fn write<'t>(
    txn: &'t Transaction,
    prepared: &'t Prepared,
) -> BoxFuture<'t, Result<Outcome>> {
    Box::pin(write_prepared(txn, prepared))
}

async fn write_prepared(txn: &Transaction, prepared: &Prepared) -> Result<Outcome> {
    let write = Write { txn, id: prepared.project_id, now: prepared.now };
    if !prepared.read.still_holds(&write).await? || !seen::remember(&write, &prepared.uuids).await?
    {
        return Ok(Outcome::Outdated);
    }
    people::write(&write, &prepared.persons).await?;
    groups::write(&write, &prepared.groups).await?;
    prepared.usage.write(&write).await?;
    calls::write(&write, &prepared.calls).await.map(Outcome::Written)
}

impl Read {
    /// Whether everything is as it was read.
    async fn still_holds(&self, write: &Write<'_>) -> Result<bool> {
        if people::known(write.txn, write.id, &self.distinct_ids).await? != self.persons {
            return Ok(false);
        }
        let Some(types) = &self.group_types else { return Ok(true) };
        let now = of_project(write.txn, write.id).await?;
        let now: BTreeMap<String, i32> =
            now.into_iter().map(|kind| (kind.name, kind.index)).collect();
        Ok(now == *types
            && groups::known(write.txn, write.id, &self.group_places).await? == self.groups)
    }
}

/// One project's part of a transaction.
struct Write<'t> {
    txn: &'t Transaction,
    id: i64,
    now: DateTime<Utc>,
}

impl Write<'_> {
    fn backend(&self) -> DbBackend {
        self.txn.get_database_backend()
    }
}
