//! What a run of events makes of persons: who becomes whom, and what they are
//! like then.
//!
//! [`Persons`] starts from what is stored of everybody the events name, takes
//! the events one after the other, and ends with what is to be written, once,
//! however many events there were. It asks nobody, with one exception: the
//! rare change that only the history tells ([`Step::NeedsHistory`]).
//!
//! **Who becomes whom.** `$create_alias`, `$merge_dangerously` and an
//! `$identify` with `$anon_distinct_id` say that two ids are one person. An id
//! that nobody has joins the person of the other. Two persons become one: the
//! person of the event's own distinct id stays, the other's ids, history,
//! memberships and overrides become theirs. A person who was joined so before is
//! identified, and is not merged into another, save by `$merge_dangerously`: a
//! shared device must not make two people one. Such an event keeps its property
//! changes.
//!
//! **Properties of merged persons.** The two histories become one, in event
//! time. Where both had a property and that would let the other's value
//! stand, the surviving person's value is set anew, at the time of the merge.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{
    event::{Event, Identity},
    property_history::{Change, ChangeKind, Properties, Verdict},
};

/// The most that is stored of one person or group, as JSON in bytes.
pub const MAX_STORED_BYTES: usize = 1024 * 1024;

/// A person, as stored or about to be.
#[derive(Clone, Debug, Default)]
pub struct Person {
    /// The row's number; `None` for one to be made.
    pub id: Option<i64>,
    /// When they were first known.
    pub created_at: DateTime<Utc>,
    /// Whether they were joined with another id before.
    pub is_identified: bool,
    /// What they are like.
    pub properties: Properties,
    /// The length of the properties as JSON, or more.
    pub bytes: usize,
    /// Ids they did not have in store.
    pub gained_ids: Vec<String>,
    /// Changes to be recorded, in the order of arrival.
    pub changes: Vec<Change>,
    /// The rows of persons who became this one; where two claim one thing, the earlier wins.
    pub absorbed: Vec<i64>,
    /// Whether anything differs from what is stored.
    pub is_changed: bool,
    merged_into: Option<usize>,
}

/// What an event came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Step {
    /// It is taken in.
    Done,
    /// It is, once [`Persons::replay`] has seen the stored changes of this person.
    NeedsHistory(usize),
}

/// Everybody whom some events of one project name.
#[derive(Clone, Debug, Default)]
pub struct Persons {
    all: Vec<Person>,
    by_distinct_id: HashMap<String, usize>,
}

impl Persons {
    /// Adds a stored person, with those of their ids that events name.
    pub fn add_stored(&mut self, person: Person, distinct_ids: impl IntoIterator<Item = String>) {
        let place = self.all.len();
        self.by_distinct_id.extend(distinct_ids.into_iter().map(|id| (id, place)));
        self.all.push(person);
    }

    /// Takes in one event.
    ///
    /// # Errors
    ///
    /// A sentence, when the person would grow beyond what is stored of one.
    pub fn apply(&mut self, event: &Event) -> Result<Step, String> {
        if !event.is_about_person() {
            return Ok(Step::Done);
        }
        let brought = self.check_size(event)?;
        let mut verdict = match &event.identity {
            Some(identity) => self.join(event, identity),
            None => Verdict::Exact,
        };
        let place = self.person(&event.distinct_id, event.occurred_at);
        self.all[place].bytes += brought;
        for change in &event.changes {
            verdict = self.all[place].change(change.clone(), verdict);
        }
        Ok(match verdict {
            Verdict::Exact => Step::Done,
            Verdict::NeedsReplay => Step::NeedsHistory(place),
        })
    }

    /// The rows whose stored changes make up a person's history.
    #[must_use]
    pub fn rows_of(&self, place: usize) -> Vec<i64> {
        let person = &self.all[place];
        person.id.into_iter().chain(person.absorbed.iter().copied()).collect()
    }

    /// Works a person's properties out from their history: stored changes by number, which all
    /// arrived before the new ones.
    pub fn replay(&mut self, place: usize, stored: Vec<Change>) {
        let person = &mut self.all[place];
        let mut changes: Vec<&Change> = stored.iter().chain(&person.changes).collect();
        changes.sort_by_key(|change| change.occurred_at);
        person.properties = person.properties.replayed(changes);
    }

    /// Everybody who stays and differs from what is stored.
    pub fn into_changed(self) -> impl Iterator<Item = Person> {
        let stays = |person: &Person| person.merged_into.is_none() && person.is_changed;
        self.all.into_iter().filter(stays)
    }

    /// How many bytes an event brings to its person, if they have room for them.
    fn check_size(&mut self, event: &Event) -> Result<usize, String> {
        let brought: usize = event.changes.iter().map(|c| c.properties.to_string().len()).sum();
        let Some(place) = self.find(&event.distinct_id) else { return Ok(brought) };
        let person = &mut self.all[place];
        if person.bytes + brought > MAX_STORED_BYTES {
            // What is brought may replace as much as it brings.
            let mut after = person.properties.clone();
            for change in &event.changes {
                let _: Verdict = after.apply(change);
            }
            let bytes = after.size();
            if bytes > MAX_STORED_BYTES {
                return Err(format!("its person would be larger than {MAX_STORED_BYTES} bytes"));
            }
            person.bytes = bytes.saturating_sub(brought);
        }
        Ok(brought)
    }

    fn find(&self, distinct_id: &str) -> Option<usize> {
        let mut place = *self.by_distinct_id.get(distinct_id)?;
        while let Some(into) = self.all[place].merged_into {
            place = into;
        }
        Some(place)
    }

    /// The person of an id, made where there is none.
    fn person(&mut self, distinct_id: &str, now: DateTime<Utc>) -> usize {
        if let Some(place) = self.find(distinct_id) {
            return place;
        }
        self.all.push(Person { created_at: now, is_changed: true, ..Person::default() });
        let place = self.all.len() - 1;
        self.attach(distinct_id, place);
        place
    }

    fn attach(&mut self, distinct_id: &str, place: usize) {
        self.by_distinct_id.insert(distinct_id.to_owned(), place);
        self.all[place].gained_ids.push(distinct_id.to_owned());
        self.all[place].is_changed = true;
    }

    /// Makes two ids one person's.
    fn join(&mut self, event: &Event, identity: &Identity) -> Verdict {
        if identity.other == event.distinct_id {
            return Verdict::Exact;
        }
        let (own, other) = (self.find(&event.distinct_id), self.find(&identity.other));
        let mut verdict = Verdict::Exact;
        let place = match (own, other) {
            (Some(own), Some(other)) if own == other => own,
            (Some(_), Some(other))
                if self.all[other].is_identified && !identity.even_identified =>
            {
                return Verdict::Exact;
            }
            (Some(own), Some(other)) => {
                verdict = self.merge(other, own, event.occurred_at, event.uuid);
                own
            }
            (None, Some(other)) => {
                self.attach(&event.distinct_id, other);
                other
            }
            (_, None) => {
                let own = self.person(&event.distinct_id, event.occurred_at);
                self.attach(&identity.other, own);
                own
            }
        };
        let person = &mut self.all[place];
        person.is_changed |= !person.is_identified;
        person.is_identified = true;
        verdict
    }

    fn merge(
        &mut self,
        from: usize,
        into: usize,
        merged_at: DateTime<Utc>,
        event_uuid: Option<Uuid>,
    ) -> Verdict {
        let gone = std::mem::take(&mut self.all[from]);
        self.all[from].merged_into = Some(into);
        let person = &mut self.all[into];
        person.created_at = person.created_at.min(gone.created_at);
        person.bytes += gone.bytes;
        person.gained_ids.extend(gone.gained_ids);
        person.changes.extend(gone.changes);
        person.absorbed.extend(gone.id.into_iter().chain(gone.absorbed));
        person.is_changed = true;
        let (verdict, overruled) = person.properties.absorb(gone.properties);
        if overruled.is_empty() {
            return verdict;
        }
        let properties = overruled.into();
        let restated =
            Change { kind: ChangeKind::Set, properties, occurred_at: merged_at, event_uuid };
        person.change(restated, verdict)
    }
}

impl Person {
    /// A person as stored in a row; `bytes` is the length of the properties as JSON.
    #[must_use]
    pub fn stored(
        id: i64,
        created_at: DateTime<Utc>,
        properties: Properties,
        bytes: usize,
    ) -> Self {
        Self { id: Some(id), created_at, properties, bytes, ..Self::default() }
    }

    /// Applies a change and keeps it for the history.
    fn change(&mut self, change: Change, verdict: Verdict) -> Verdict {
        let applied = self.properties.apply(&change);
        self.changes.push(change);
        self.is_changed = true;
        verdict.and(applied)
    }
}

#[cfg(test)]
mod tests;
