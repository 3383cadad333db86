//! What is stored of people and groups, as evaluation reads it: at most one
//! query a question, and what it found is kept for a moment.
//!
//! A hot person so costs one query a second, and is read anew at once when a
//! change is announced. People nobody knows are kept like others. A database
//! that is slow is waited for only so long, and one that is known to be gone
//! not at all: what is kept and not known to have changed is used then, up to
//! ten minutes old, and of the rest the caller learns that it is not known.

mod changes;
mod kept;

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use changes::Stamp;
use kept::{Kept, Trust, Weigh};
use serde_json::{Map, Value};

use super::flights::Flights;
use crate::{
    model::{
        error::{Error, Result},
        people::PeopleChanged,
    },
    store::{
        Store,
        stored_facts::{FactsWanted, GroupFacts, PersonFacts},
    },
};

/// How long evaluation waits for a database that is slow.
pub(crate) const PATIENCE: Duration = Duration::from_millis(250);

/// The stored facts that were read lately. Cheap to clone; clones share.
#[derive(Clone, Debug)]
pub(crate) struct People {
    store: Store,
    patience: Duration,
    people: Kept<String, Person>,
    groups: Kept<(i32, String), Group>,
    flights: Flights<Question, Result<Arc<Read>>>,
    queries: Arc<AtomicU64>,
}

/// What is known of a person, as far as was asked.
#[derive(Debug)]
pub(crate) struct Person {
    /// None for somebody who is not stored.
    pub(crate) facts: Option<PersonFacts>,
    /// The static cohorts that were asked about, in order.
    cohort_ids: Arc<[i64]>,
}

/// What is known of a group; `None` if it is not stored.
#[derive(Debug)]
pub(crate) struct Group(Option<GroupFacts>);

/// What came of a question. Whoever is missing in it could not be read.
#[derive(Debug, Default)]
pub(crate) struct Read {
    /// By distinct id.
    pub(crate) people: HashMap<String, Arc<Person>>,
    /// By index of the type, and key.
    pub(crate) groups: HashMap<(i32, String), Arc<Group>>,
}

/// What is asked of the database. Those who ask after a change do not join those who asked
/// before it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Question {
    project_id: i64,
    wanted: FactsWanted,
    stamps: Vec<Stamp>,
}

impl People {
    /// Has read nothing yet.
    pub(crate) fn new(store: Store) -> Self {
        Self {
            store,
            patience: PATIENCE,
            people: Kept::new(),
            groups: Kept::new(),
            flights: Flights::default(),
            queries: Arc::default(),
        }
    }

    /// The same, waiting this long for the database.
    pub(crate) fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// How many queries were begun, counted on.
    pub(crate) fn queries(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.queries)
    }

    /// Forgets what was read of these people and groups, and what is being read of them now.
    pub(crate) fn forget(&self, project_id: i64, changed: &PeopleChanged) {
        if changed.is_many() {
            self.forget_project(project_id);
        }
        for id in changed.distinct_ids() {
            self.people.forget(project_id, id.to_owned());
        }
        for (index, key) in changed.groups() {
            self.groups.forget(project_id, (index, key.to_owned()));
        }
    }

    /// Forgets everyone of a project.
    pub(crate) fn forget_project(&self, project_id: i64) {
        self.people.forget_project(project_id);
        self.groups.forget_project(project_id);
    }

    /// What is stored of these people and groups. Does not fail: whoever could not be read in
    /// time is missing in the answer.
    pub(crate) async fn read(&self, project_id: i64, wanted: FactsWanted) -> Read {
        let mut read = Read::default();
        let cohort_ids = wanted.cohort_ids.clone();
        let missing = self.recall(project_id, wanted, &mut read, Instant::now());
        if missing.is_empty() {
            return read;
        }
        match self.ask(project_id, &missing).await {
            Ok(found) => read.add(&found),
            Err(error) => {
                tracing::debug!(error = error.causes(), "stored facts were not read");
                self.recall_old(project_id, FactsWanted { cohort_ids, ..missing }, &mut read);
            }
        }
        read
    }

    /// Takes what is fresh, and answers what is left to ask.
    fn recall(
        &self,
        project_id: i64,
        wanted: FactsWanted,
        read: &mut Read,
        now: Instant,
    ) -> FactsWanted {
        let mut missing = FactsWanted { cohort_ids: wanted.cohort_ids, ..FactsWanted::default() };
        let mut more = Vec::new();
        for id in wanted.distinct_ids {
            match self.people.get(project_id, &id, now) {
                _ if id.contains('\0') => read.add_person(id, Arc::new(Person::unknown())),
                Trust::Fresh(person) if person.covers(&missing.cohort_ids) => {
                    read.add_person(id, person);
                }
                // Two questions about other cohorts each should not push each other out.
                Trust::Fresh(person) => {
                    more.extend_from_slice(&person.cohort_ids);
                    missing.distinct_ids.push(id);
                }
                Trust::Old(_) | Trust::None => missing.distinct_ids.push(id),
            }
        }
        for group in wanted.groups {
            match self.groups.get(project_id, &group, now) {
                _ if group.1.contains('\0') => read.add_group(group, Arc::new(Group(None))),
                Trust::Fresh(known) => read.add_group(group, known),
                Trust::Old(_) | Trust::None => missing.groups.push(group),
            }
        }
        missing.cohort_ids.append(&mut more);
        missing.cohort_ids.sort_unstable();
        missing.cohort_ids.dedup();
        missing
    }

    /// Takes what only grew old.
    fn recall_old(&self, project_id: i64, missing: FactsWanted, read: &mut Read) {
        let now = Instant::now();
        for id in missing.distinct_ids {
            if let Trust::Fresh(person) | Trust::Old(person) = self.people.get(project_id, &id, now)
                && person.covers(&missing.cohort_ids)
            {
                read.add_person(id, person);
            }
        }
        for group in missing.groups {
            if let Trust::Fresh(known) | Trust::Old(known) =
                self.groups.get(project_id, &group, now)
            {
                read.add_group(group, known);
            }
        }
    }

    /// Asks the database, together with whoever asks the same just now.
    async fn ask(&self, project_id: i64, missing: &FactsWanted) -> Result<Arc<Read>> {
        self.store.reachability().check()?;
        let people = missing.distinct_ids.iter().map(|id| self.people.stamp(project_id, id));
        let groups = missing.groups.iter().map(|group| self.groups.stamp(project_id, group));
        let stamps = people.chain(groups).collect();
        let question = Question { project_id, wanted: missing.clone(), stamps };
        let asked = (self.clone(), question.clone());
        self.flights.join(question, || async move { asked.0.query(asked.1).await }).await
    }

    /// One query; what it found is kept.
    async fn query(&self, question: Question) -> Result<Arc<Read>> {
        let Question { project_id, wanted, stamps } = question;
        self.queries.fetch_add(1, Ordering::Relaxed);
        let found = self.store.stored_facts(project_id, &wanted);
        let mut found = tokio::time::timeout(self.patience, found)
            .await
            .map_err(Error::unavailable)
            .flatten()?;
        let (now, mut stamps) = (Instant::now(), stamps.into_iter());
        let mut read = Read::default();
        let cohort_ids: Arc<[i64]> = wanted.cohort_ids.into();
        for (id, stamp) in wanted.distinct_ids.into_iter().zip(&mut stamps) {
            if found.damaged_people.contains(&id) {
                continue;
            }
            let facts = found.people.remove(&id);
            let person = Arc::new(Person { facts, cohort_ids: Arc::clone(&cohort_ids) });
            self.people.put(project_id, id.clone(), Arc::clone(&person), stamp, now);
            read.add_person(id, person);
        }
        for (key, stamp) in wanted.groups.into_iter().zip(stamps) {
            if found.damaged_groups.contains(&key) {
                continue;
            }
            let group = Arc::new(Group(found.groups.remove(&key)));
            self.groups.put(project_id, key.clone(), Arc::clone(&group), stamp, now);
            read.add_group(key, group);
        }
        Ok(Arc::new(read))
    }
}

impl Person {
    /// Somebody of whom nothing is stored.
    pub(crate) fn unknown() -> Self {
        Self { facts: None, cohort_ids: Arc::default() }
    }

    /// True if it was asked whether they are in these cohorts, which come in order.
    fn covers(&self, cohort_ids: &[i64]) -> bool {
        self.facts.is_none()
            || cohort_ids.iter().all(|id| self.cohort_ids.binary_search(id).is_ok())
    }
}

impl Group {
    /// Its properties, if it is stored.
    pub(crate) fn properties(&self) -> Option<Arc<Map<String, Value>>> {
        self.0.as_ref().map(|facts| Arc::clone(&facts.properties))
    }
}

impl Weigh for Person {
    fn bytes(&self) -> usize {
        self.facts.as_ref().map_or(0, |facts| facts.bytes) + 16 * self.cohort_ids.len()
    }
}

impl Weigh for Group {
    fn bytes(&self) -> usize {
        self.0.as_ref().map_or(0, |facts| facts.bytes)
    }
}

impl Read {
    fn add_person(&mut self, id: String, person: Arc<Person>) {
        self.people.insert(id, person);
    }

    fn add_group(&mut self, key: (i32, String), group: Arc<Group>) {
        self.groups.insert(key, group);
    }

    fn add(&mut self, other: &Self) {
        self.people.extend(other.people.iter().map(|(id, person)| (id.clone(), person.clone())));
        self.groups.extend(other.groups.iter().map(|(key, group)| (key.clone(), group.clone())));
    }
}
