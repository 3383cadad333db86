//! What events make of persons and groups: computed between reading and
//! writing, on a thread where it holds nobody up.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use serde_json::Value;
use uuid::Uuid;

use super::groups::Groups;
use crate::{
    model::{
        error::Result,
        event::Event,
        person::search_text,
        persons::{Person, Persons},
        property_history::{Change, Properties},
    },
    store::{
        damage,
        entity::{group, person},
    },
};

/// The most persons of a transaction whose history is read.
const MAX_HISTORIES: usize = 16;

/// What is stored of everybody and everything that some events name.
#[derive(Debug, Default)]
pub(super) struct Stored {
    /// Events that were taken in before.
    pub(super) seen: HashSet<Uuid>,
    /// Rows, and the ids that the events name them by.
    pub(super) persons: Vec<(person::Model, Vec<String>)>,
    /// Persons with too much to move to another.
    pub(super) unmergeable: HashSet<i64>,
    pub(super) group_types: BTreeMap<String, i32>,
    pub(super) groups: Vec<group::Model>,
}

/// What the events came to.
#[derive(Debug, Default)]
pub(super) struct Worked {
    /// How many events were taken, from the first.
    pub(super) taken: usize,
    /// Those that were there before.
    pub(super) repeated: HashSet<usize>,
    /// Those that could not be used, and why.
    pub(super) refused: BTreeMap<usize, String>,
    /// The ids of those that count.
    pub(super) uuids: HashSet<Uuid>,
    pub(super) persons: Persons,
    pub(super) groups: Groups,
    /// The versions of the rows that were read.
    pub(super) versions: HashMap<i64, i64>,
}

/// A person as they will be stored.
#[derive(Debug)]
pub(super) struct Settled {
    pub(super) person: Person,
    /// The public id of a person to be made.
    pub(super) uuid: Uuid,
    pub(super) version: i64,
    pub(super) properties: String,
    pub(super) times: String,
    pub(super) searched: String,
}

/// Takes in events, one after the other, until too many need a history.
pub(super) fn work(
    events: &[Arc<Event>],
    stored: Stored,
    now: chrono::DateTime<chrono::Utc>,
) -> Result<Worked> {
    let mut worked = Worked::default();
    for (row, distinct_ids) in stored.persons {
        worked.versions.insert(row.id, row.version);
        let mut person = person(row, now);
        person.is_unmergeable = person.id.is_some_and(|id| stored.unmergeable.contains(&id));
        worked.persons.add_stored(person, distinct_ids);
    }
    worked.groups = Groups::read(stored.group_types, stored.groups, now);
    for (place, event) in events.iter().enumerate() {
        if worked.persons.histories_needed() >= MAX_HISTORIES {
            break;
        }
        worked.taken = place + 1;
        let is_repeated = |uuid| stored.seen.contains(&uuid) || worked.uuids.contains(&uuid);
        if event.uuid.is_some_and(is_repeated) {
            worked.repeated.insert(place);
            continue;
        }
        let outcome = match &event.group {
            Some(group) => worked.groups.apply(group),
            None => worked.persons.apply(event),
        };
        match outcome {
            Ok(()) => worked.uuids.extend(event.uuid),
            Err(reason) => drop(worked.refused.insert(place, reason)),
        }
    }
    Ok(worked)
}

/// Works out the rows of everybody who changed, with the histories of those who need them.
pub(super) fn settle(
    mut persons: Persons,
    histories: Vec<(usize, Vec<Change>)>,
    versions: &HashMap<i64, i64>,
) -> Vec<Settled> {
    for (place, history) in histories {
        persons.replay(place, history);
    }
    let settled = |mut person: Person| {
        person.properties.forget_oldest_unsets();
        let (properties, searched) = texts(&person.properties);
        let version = person.id.and_then(|id| versions.get(&id)).map_or(0, |version| version + 1);
        let times = person.properties.times().to_string();
        Settled { uuid: Uuid::now_v7(), version, properties, times, searched, person }
    };
    persons.into_changed().map(settled).collect()
}

/// The stored text of properties, and what searches look in.
fn texts(properties: &Properties) -> (String, String) {
    let properties = Value::Object(properties.values().clone());
    (properties.to_string(), search_text(&properties))
}

/// A stored person. Properties that cannot be read are worked out anew from the history.
fn person(row: person::Model, now: chrono::DateTime<chrono::Utc>) -> Person {
    let (values, times) = (&row.properties, &row.property_times);
    let properties = damage::properties("person.properties", row.id, values, times);
    let needs_history = properties.is_none();
    let properties = capped(properties.unwrap_or_default(), row.updated_at, now);
    let mut person = Person::stored(row.id, row.created_at, properties);
    person.is_identified = row.is_identified;
    person.needs_history = needs_history;
    person
}

/// Properties whose times are not in the future, as those may be that were written when the clock
/// was ahead.
pub(super) fn capped(
    mut properties: Properties,
    updated_at: chrono::DateTime<chrono::Utc>,
    now: chrono::DateTime<chrono::Utc>,
) -> Properties {
    if updated_at > now {
        properties.cap_times(now, now - chrono::TimeDelta::hours(1));
    }
    properties
}
