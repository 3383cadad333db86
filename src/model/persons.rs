//! What a run of events makes of persons: who becomes whom, and what they are
//! like then.
//!
//! [`Persons`] starts from what is stored of everybody the events name, takes
//! the events one after the other, and ends with what is to be written, once,
//! however many events there were. It asks nobody, with one exception: the
//! rare change that only the history tells ([`Persons::awaiting_history`]).
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
//!
//! **Bounds.** A person has at most [`MAX_STORED_BYTES`] and [`MAX_PROPERTIES`].
//! An event that would go beyond is refused as a whole, and so is a merge of
//! persons whose properties together are beyond: that is told from their sizes
//! alone, so that refusing costs nothing.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use uuid::Uuid;

#[cfg(doc)]
use super::property_history::{MAX_PROPERTIES, MAX_STORED_BYTES};
use super::{
    event::{Event, Identity},
    property_history::{Change, ChangeKind, Properties, TooLarge, Verdict},
};

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
    /// Ids they did not have in store.
    pub gained_ids: Vec<String>,
    /// Changes to be recorded, in the order of arrival.
    pub changes: Vec<Change>,
    /// The rows of persons who became this one; where two claim one thing, the earlier wins.
    pub absorbed: Vec<i64>,
    /// Whether anything differs from what is stored.
    pub is_changed: bool,
    /// Whether they have too much to be merged into another.
    pub is_unmergeable: bool,
    /// Whether only their history tells what their properties are.
    pub needs_history: bool,
    merged_into: Option<usize>,
}

/// What an event does to the identities of those whom it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Joining {
    /// Nothing: it is about the person of its own id.
    Nothing,
    /// Two ids are said to be one person, and are one already.
    Same,
    /// The other id's person takes the event's own id, which nobody has.
    TakeOwnId(usize),
    /// The person of the event's own id takes the other id, which nobody has.
    TakeOtherId,
    /// One person becomes another.
    Merge { from: usize, into: usize },
}

/// Everybody whom some events of one project name.
#[derive(Clone, Debug, Default)]
pub struct Persons {
    all: Vec<Person>,
    by_distinct_id: HashMap<String, usize>,
    /// How often somebody came to need their history.
    histories_needed: usize,
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
    /// A sentence, when the person would grow beyond what is stored of one; nothing has changed
    /// then.
    pub fn apply(&mut self, event: &Event) -> Result<(), String> {
        if !event.is_about_person() {
            return Ok(());
        }
        let joining = self.joining(event);
        let place = match joining {
            Joining::Merge { from, into } => {
                self.check_merge(from, into, event)?;
                self.merge(from, into, event.occurred_at, event.uuid);
                into
            }
            Joining::TakeOwnId(place) => place,
            _ => self.person(&event.distinct_id, event.occurred_at),
        };
        let needed_history = self.all[place].needs_history;
        self.all[place].change_all(&event.changes).map_err(refusal)?;
        self.histories_needed += usize::from(self.all[place].needs_history && !needed_history);
        match (joining, &event.identity) {
            (Joining::TakeOwnId(_), _) => self.attach(&event.distinct_id, place),
            (Joining::TakeOtherId, Some(identity)) => self.attach(&identity.other, place),
            _ => {}
        }
        if joining != Joining::Nothing {
            let person = &mut self.all[place];
            person.is_changed |= !person.is_identified;
            person.is_identified = true;
        }
        Ok(())
    }

    /// Returns how often somebody came to need their history: a bound of
    /// [`Persons::awaiting_history`].
    #[must_use]
    pub fn histories_needed(&self) -> usize {
        self.histories_needed
    }

    /// Returns those whose properties only their history tells, until [`Persons::replay`].
    pub fn awaiting_history(&self) -> impl Iterator<Item = usize> {
        let waits = |person: &Person| person.needs_history && person.merged_into.is_none();
        self.all.iter().enumerate().filter(move |(_, person)| waits(person)).map(|(place, _)| place)
    }

    /// The rows whose stored changes make up a person's history.
    #[must_use]
    pub fn rows_of(&self, place: usize) -> Vec<i64> {
        let person = &self.all[place];
        person.id.into_iter().chain(person.absorbed.iter().copied()).collect()
    }

    /// Works a person's properties out from their history: stored changes by number, which all
    /// arrived before the new ones. Properties that would be beyond the bounds stay as they are.
    pub fn replay(&mut self, place: usize, stored: Vec<Change>) {
        let person = &mut self.all[place];
        let mut changes: Vec<&Change> = stored.iter().chain(&person.changes).collect();
        changes.sort_by_key(|change| change.occurred_at);
        let replayed = person.properties.replayed(changes);
        if TooLarge::check(replayed.bytes(), replayed.values().len()).is_ok() {
            person.properties = replayed;
        }
        person.needs_history = false;
    }

    /// Everybody who stays and differs from what is stored.
    pub fn into_changed(self) -> impl Iterator<Item = Person> {
        let stays = |person: &Person| person.merged_into.is_none() && person.is_changed;
        self.all.into_iter().filter(stays)
    }

    /// What an event says of identities, held against who has them.
    fn joining(&mut self, event: &Event) -> Joining {
        let Some(identity) = &event.identity else { return Joining::Nothing };
        if identity.other == event.distinct_id {
            return Joining::Nothing;
        }
        match (self.find(&event.distinct_id), self.find(&identity.other)) {
            (Some(own), Some(other)) if own == other => Joining::Same,
            (Some(_), Some(other)) if self.is_apart(other, identity) => Joining::Nothing,
            (Some(into), Some(from)) => Joining::Merge { from, into },
            (None, Some(other)) => Joining::TakeOwnId(other),
            (_, None) => Joining::TakeOtherId,
        }
    }

    fn is_apart(&self, place: usize, identity: &Identity) -> bool {
        self.all[place].is_identified && !identity.even_identified
    }

    /// Checks that two persons together have room in one, by their sizes.
    fn check_merge(&self, from: usize, into: usize, event: &Event) -> Result<(), String> {
        if self.all[from].is_unmergeable {
            return Err("its person has too many changes or ids to become another".to_owned());
        }
        let (from, into) = (&self.all[from].properties, &self.all[into].properties);
        let count = from.values().len() + into.values().len() + event.property_count();
        TooLarge::check(from.bytes() + into.bytes() + event.bytes, count).map_err(refusal)
    }

    /// The person of an id. Those who were merged point straight to who they became afterwards,
    /// so that a chain of merges is not walked again and again.
    fn find(&mut self, distinct_id: &str) -> Option<usize> {
        let first = *self.by_distinct_id.get(distinct_id)?;
        let mut last = first;
        while let Some(into) = self.all[last].merged_into {
            last = into;
        }
        let mut place = first;
        while let Some(into) = self.all[place].merged_into {
            self.all[place].merged_into = Some(last);
            place = into;
        }
        Some(last)
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

    fn merge(
        &mut self,
        from: usize,
        into: usize,
        merged_at: DateTime<Utc>,
        event_uuid: Option<Uuid>,
    ) {
        let gone = std::mem::take(&mut self.all[from]);
        self.all[from].merged_into = Some(into);
        let person = &mut self.all[into];
        person.created_at = person.created_at.min(gone.created_at);
        person.needs_history |= gone.needs_history;
        person.gained_ids.extend(gone.gained_ids);
        person.changes.extend(gone.changes);
        person.absorbed.extend(gone.id.into_iter().chain(gone.absorbed));
        person.is_changed = true;
        let (verdict, overruled) = person.properties.absorb(gone.properties);
        self.histories_needed += usize::from(verdict == Verdict::NeedsReplay);
        person.needs_history |= verdict == Verdict::NeedsReplay;
        if overruled.is_empty() {
            return;
        }
        let properties = overruled.into();
        let restated =
            Change { kind: ChangeKind::Set, properties, occurred_at: merged_at, event_uuid };
        let verdict = person.properties.apply(&restated);
        person.needs_history |= verdict == Verdict::NeedsReplay;
        person.changes.push(restated);
    }
}

impl Person {
    /// A person as stored in a row.
    #[must_use]
    pub fn stored(id: i64, created_at: DateTime<Utc>, properties: Properties) -> Self {
        Self { id: Some(id), created_at, properties, ..Self::default() }
    }

    /// Applies an event's changes, all or none, and keeps them for the history.
    fn change_all(&mut self, changes: &[Change]) -> Result<(), TooLarge> {
        let verdict = self.properties.apply_within_bounds(changes)?;
        self.needs_history |= verdict == Verdict::NeedsReplay;
        self.is_changed |= !changes.is_empty();
        self.changes.extend_from_slice(changes);
        Ok(())
    }
}

fn refusal(error: TooLarge) -> String {
    format!("its person {error}")
}

#[cfg(test)]
mod tests;
