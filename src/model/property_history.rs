//! How properties come to be what they are: changes in the order of their own
//! times, however late each arrives.
//!
//! **The replay rule.** Sort the changes to a person by `(occurred_at, id)`,
//! the id telling which arrived first. From nothing, each in turn:
//!
//! - `set` gives every property it names its value;
//! - `set_once` gives a value to each property that has none at that moment;
//! - `unset` takes away each property it names.
//!
//! What stands after the last change up to a moment is what the properties were
//! at that moment ([`replay`]). [`Properties::apply`] gives the same state one
//! change after the other in any order, so what live evaluation reads is what a
//! replay up to now gives: an older `set` never overwrites a newer one, an
//! `unset` spares what was set after it. It does so by keeping, beside each
//! value, the times that decided it (`Standing`). Only one case needs more
//! than those: a late `unset` that uncovers a `set_once` which had no effect
//! when it came. Then [`Verdict::NeedsReplay`] asks for the history.
//!
//! **Cost.** Every operation costs what the change itself weighs, not what the
//! properties weigh: sizes are kept up to date entry by entry, a change that
//! is refused is undone from what it moved out, and a removal moves one entry.

mod size;

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

use super::json::{Object, same};
use size::entry_bytes;

/// The largest properties of one person or group, as JSON in bytes.
pub const MAX_STORED_BYTES: usize = 512 * 1024;
/// The most properties of one person or group.
pub const MAX_PROPERTIES: usize = 5_000;
/// The most removed properties whose times are remembered, so that an older change that arrives
/// late does not bring them back. Beyond it the ones removed longest ago are forgotten.
const MAX_REMEMBERED_UNSETS: usize = 1_000;
/// The most bytes of names of removed properties that are remembered.
const MAX_REMEMBERED_UNSET_BYTES: usize = 64 * 1024;

/// What a change does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// Gives values.
    Set,
    /// Gives values where there are none.
    SetOnce,
    /// Takes values away.
    Unset,
}

impl ChangeKind {
    /// The stored name: `set`, `set_once` or `unset`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Set => "set",
            Self::SetOnce => "set_once",
            Self::Unset => "unset",
        }
    }

    /// Reads the stored name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Set, Self::SetOnce, Self::Unset].into_iter().find(|kind| kind.as_str() == text)
    }
}

/// One change to properties.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// What it does.
    pub kind: ChangeKind,
    /// An object of values; for `unset`, a list of names.
    pub properties: Value,
    /// The event's own time.
    pub occurred_at: DateTime<Utc>,
    /// The event that brought it.
    pub event_uuid: Option<Uuid>,
}

/// Whether a state could be told from what is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Verdict {
    /// The properties are what a replay would give.
    Exact,
    /// Only the history tells; the properties are to be taken from [`replay`].
    NeedsReplay,
}

impl Verdict {
    /// Exact only if both are.
    pub(super) fn and(self, other: Self) -> Self {
        if self == Self::Exact { other } else { self }
    }
}

/// The times that decided one property, in microseconds since the epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Standing {
    /// The newest `set` (true) or `unset` (false).
    last: Option<(i64, bool)>,
    /// The oldest `set_once` after `last`, where its value is the one that stands.
    once: Option<i64>,
    /// The newest `set_once` after `last` that had no effect.
    later: Option<i64>,
}

impl Standing {
    /// What is there without a time was there before everything.
    const ANCIENT: Self = Self { last: Some((i64::MIN, true)), once: None, later: None };

    fn is_older_than_last(self, at: i64) -> bool {
        self.last.is_some_and(|(last, _)| at < last)
    }

    fn note_later(&mut self, at: Option<i64>) {
        self.later = self.later.max(at);
    }

    /// Makes a change the newest; `set_once`s up to it no longer count.
    fn settle(&mut self, at: i64, is_set: bool) {
        self.last = Some((at, is_set));
        self.once = self.once.filter(|once| *once > at);
        self.later = self.later.filter(|later| *later > at);
    }

    /// The oldest `set_once` after a moment at or after `last`; `Err` where it is not known, as
    /// when another person's change and a `set_once` here are of one moment.
    fn once_after(self, moment: Option<i64>) -> Result<Option<i64>, ()> {
        if moment == self.last.map(|(at, _)| at) {
            return Ok(self.once);
        }
        match (self.once, self.later) {
            (Some(once), _) if Some(once) > moment => Ok(Some(once)),
            (once, later) if once == moment || later >= moment => Err(()),
            _ => Ok(None),
        }
    }

    fn newest_once(self) -> Option<i64> {
        self.once.max(self.later)
    }

    /// The newest time of all.
    fn newest(self) -> Option<i64> {
        self.newest_once().max(self.last.map(|(at, _)| at))
    }

    /// Moves times after `now` to `earlier`; `once` stays after `last`, and `later` after `once`.
    fn cap(&mut self, now: i64, earlier: i64) {
        let capped = |at: i64| if at > now { earlier } else { at };
        self.last = self.last.map(|(at, is_set)| (capped(at), is_set));
        let last = self.last.map_or(i64::MIN, |(at, _)| at.saturating_add(1));
        self.once = self.once.map(|at| capped(at).max(last));
        let once = self.once.map_or(last, |at| at.saturating_add(1));
        self.later = self.later.map(|at| capped(at).max(once));
    }

    fn to_json(self) -> Value {
        match self {
            Self { last: Some((at, true)), once: None, later: None } => json!(at),
            Self { last, once, later } => {
                json!([last.map(|(at, _)| at), last.is_some_and(|(_, set)| set), once, later])
            }
        }
    }

    fn from_json(value: &Value) -> Option<Self> {
        if let Some(at) = value.as_i64() {
            return Some(Self { last: Some((at, true)), ..Self::default() });
        }
        let [last, is_set, once, later] = value.as_array()?.as_slice() else { return None };
        let last = last.as_i64().map(|at| (at, is_set.as_bool().unwrap_or_default()));
        Some(Self { last, once: once.as_i64(), later: later.as_i64() })
    }
}

/// Properties as they now stand, and what decided each.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Properties {
    values: Object,
    standings: BTreeMap<String, Standing>,
    /// The bytes of each entry of `values` as JSON.
    entry_bytes: HashMap<String, usize>,
    /// The sum of `entry_bytes`.
    bytes: usize,
}

/// Properties beyond [`MAX_STORED_BYTES`] or [`MAX_PROPERTIES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TooLarge {
    /// Too many bytes.
    #[error("would be larger than {MAX_STORED_BYTES} bytes")]
    Bytes,
    /// Too many properties.
    #[error("would have more than {MAX_PROPERTIES} properties")]
    Properties,
}

impl TooLarge {
    /// Checks a size in bytes and in number.
    ///
    /// # Errors
    ///
    /// The bound that is exceeded.
    pub fn check(bytes: usize, properties: usize) -> Result<(), Self> {
        match (bytes > MAX_STORED_BYTES, properties > MAX_PROPERTIES) {
            (true, _) => Err(Self::Bytes),
            (_, true) => Err(Self::Properties),
            _ => Ok(()),
        }
    }
}

/// What one step of a change replaced.
struct Undo {
    name: String,
    standing: Option<Standing>,
    /// `None` where the value stayed; else the value before, if there was one.
    value: Option<Option<Value>>,
}

impl Properties {
    /// As they were stored: the properties, and what [`Properties::times`] gave. Times that
    /// cannot be read count as not known.
    #[must_use]
    pub fn stored(values: Object, times: &Value) -> Self {
        let fields = times.as_object().into_iter().flatten();
        let standing =
            |(name, value): (&String, &Value)| Some((name.clone(), Standing::from_json(value)?));
        let sizes = values.iter().map(|(name, value)| (name.clone(), entry_bytes(name, value)));
        let entry_bytes: HashMap<String, usize> = sizes.collect();
        let bytes = entry_bytes.values().sum();
        Self { values, standings: fields.filter_map(standing).collect(), entry_bytes, bytes }
    }

    /// The properties themselves.
    #[must_use]
    pub fn values(&self) -> &Object {
        &self.values
    }

    /// What decided them, to be stored beside them.
    #[must_use]
    pub fn times(&self) -> Value {
        let fields = self.standings.iter();
        fields.map(|(name, standing)| (name.clone(), standing.to_json())).collect::<Object>().into()
    }

    /// The size of the properties as JSON in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Applies one change, whenever it arrives.
    pub fn apply(&mut self, change: &Change) -> Verdict {
        self.apply_recorded(change, &mut Vec::new())
    }

    /// Applies changes that belong together: all of them, or none.
    ///
    /// # Errors
    ///
    /// [`TooLarge`] if the properties would outgrow a bound; changes that do not make them larger
    /// are always applied.
    pub fn apply_within_bounds(&mut self, changes: &[Change]) -> Result<Verdict, TooLarge> {
        let (bytes, count) = (self.bytes, self.values.len());
        let (mut undo, mut verdict) = (Vec::new(), Verdict::Exact);
        for change in changes {
            verdict = verdict.and(self.apply_recorded(change, &mut undo));
        }
        let grown = |after: usize, before: usize| if after > before { after } else { 0 };
        let checked = TooLarge::check(grown(self.bytes, bytes), grown(self.values.len(), count));
        match checked {
            Ok(()) => Ok(verdict),
            Err(error) => {
                undo.into_iter().rev().for_each(|step| self.undo(step));
                Err(error)
            }
        }
    }

    /// Forgets when properties were removed, beyond the newest removals.
    pub fn forget_oldest_unsets(&mut self) {
        let removed = self.standings.iter().filter(|(name, _)| !self.values.contains_key(*name));
        let mut removed: Vec<_> =
            removed.map(|(name, standing)| (standing.newest(), name.clone())).collect();
        removed.sort_unstable_by(|a, b| b.cmp(a));
        let mut bytes = 0;
        for (place, (_, name)) in removed.into_iter().enumerate() {
            bytes += name.len();
            if place >= MAX_REMEMBERED_UNSETS || bytes > MAX_REMEMBERED_UNSET_BYTES {
                self.standings.remove(&name);
            }
        }
    }

    /// Moves times after `now` to `earlier`, for properties that were written while the clock was
    /// ahead: otherwise no change could overwrite them until the clock reaches those times.
    pub fn cap_times(&mut self, now: DateTime<Utc>, earlier: DateTime<Utc>) {
        let (now, earlier) = (now.timestamp_micros(), earlier.timestamp_micros());
        self.standings.values_mut().for_each(|standing| standing.cap(now, earlier));
    }

    fn apply_recorded(&mut self, change: &Change, undo: &mut Vec<Undo>) -> Verdict {
        let at = change.occurred_at.timestamp_micros();
        let mut verdict = Verdict::Exact;
        match (change.kind, &change.properties) {
            (ChangeKind::Unset, Value::Array(names)) => {
                for name in names.iter().filter_map(Value::as_str) {
                    verdict = verdict.and(self.unset(name, at, undo));
                }
            }
            (ChangeKind::Set, Value::Object(fields)) => {
                fields.iter().for_each(|(name, value)| self.set(name, value, at, undo));
            }
            (ChangeKind::SetOnce, Value::Object(fields)) => {
                fields.iter().for_each(|(name, value)| self.set_once(name, value, at, undo));
            }
            // Nothing else is stored.
            _ => {}
        }
        verdict
    }

    fn set(&mut self, name: &str, value: &Value, at: i64, undo: &mut Vec<Undo>) {
        let before = self.standings.get(name).copied();
        let standing = self.standing(name);
        if standing.is_older_than_last(at) {
            return;
        }
        let uncovered = standing.once.take();
        standing.note_later(uncovered);
        standing.settle(at, true);
        let replaced = self.put(name, value.clone());
        undo.push(Undo { name: name.to_owned(), standing: before, value: Some(replaced) });
    }

    fn set_once(&mut self, name: &str, value: &Value, at: i64, undo: &mut Vec<Undo>) {
        let before = self.standings.get(name).copied();
        let standing = self.standing(name);
        if standing.is_older_than_last(at) {
            return;
        }
        let has_no_effect = matches!(standing.last, Some((_, true)))
            || standing.once.is_some_and(|once| once <= at);
        let mut replaced = None;
        if has_no_effect {
            standing.note_later(Some(at));
        } else {
            let later = standing.once.replace(at);
            standing.note_later(later);
            replaced = Some(self.put(name, value.clone()));
        }
        undo.push(Undo { name: name.to_owned(), standing: before, value: replaced });
    }

    fn unset(&mut self, name: &str, at: i64, undo: &mut Vec<Undo>) -> Verdict {
        let before = self.standings.get(name).copied();
        let standing = self.standing(name);
        if standing.is_older_than_last(at) {
            return Verdict::Exact;
        }
        standing.settle(at, false);
        let (is_once, is_hidden) = (standing.once.is_some(), standing.later.is_some());
        let removed = if is_once { None } else { Some(self.take(name)) };
        undo.push(Undo { name: name.to_owned(), standing: before, value: removed });
        if is_hidden && !is_once { Verdict::NeedsReplay } else { Verdict::Exact }
    }

    fn undo(&mut self, step: Undo) {
        match step.value {
            Some(Some(value)) => drop(self.put(&step.name, value)),
            Some(None) => drop(self.take(&step.name)),
            None => {}
        }
        match step.standing {
            Some(standing) => drop(self.standings.insert(step.name, standing)),
            None => drop(self.standings.remove(&step.name)),
        }
    }

    /// Gives a property a value, and returns the one before.
    fn put(&mut self, name: &str, value: Value) -> Option<Value> {
        let bytes = entry_bytes(name, &value);
        let before = self.entry_bytes.insert(name.to_owned(), bytes).unwrap_or_default();
        self.bytes = self.bytes + bytes - before;
        self.values.insert(name.to_owned(), value)
    }

    /// Takes a property out, and returns the value that it had.
    fn take(&mut self, name: &str) -> Option<Value> {
        self.bytes -= self.entry_bytes.remove(name).unwrap_or_default();
        // Moves one entry, where keeping the order of the others would move all.
        self.values.swap_remove(name)
    }

    /// What [`replay`] gives, over what is there without a time.
    #[must_use]
    pub fn replayed<'c>(&self, changes: impl IntoIterator<Item = &'c Change>) -> Self {
        let is_ancient = |name: &String| {
            let last = self.standings.get(name).map(|standing| standing.last);
            last.is_none_or(|last| last == Standing::ANCIENT.last)
        };
        let ancient = self.values.iter().filter(|(name, _)| is_ancient(name));
        let ancient = ancient.map(|(name, value)| (name.clone(), value.clone())).collect();
        let mut properties = Self::stored(ancient, &Value::Null);
        for change in changes {
            // In order, nothing is ever uncovered.
            let _ = properties.apply(change);
        }
        properties
    }

    fn standing(&mut self, name: &str) -> &mut Standing {
        let is_ancient = !self.standings.contains_key(name) && self.values.contains_key(name);
        let fresh = if is_ancient { Standing::ANCIENT } else { Standing::default() };
        self.standings.entry(name.to_owned()).or_insert(fresh)
    }

    /// Takes in another person's properties, as if both histories had always been one.
    ///
    /// Answers also what the newer of the two would now overrule: the properties that both had and
    /// that are no longer as they were here, with the values they had here.
    pub fn absorb(&mut self, other: Self) -> (Verdict, Object) {
        let (mut verdict, mut overruled) = (Verdict::Exact, Object::new());
        let names: std::collections::BTreeSet<String> =
            other.standings.keys().chain(other.values.keys()).cloned().collect();
        let mut other = other;
        for name in names {
            let theirs = *other.standing(&name);
            let their_value = other.take(&name);
            let before = self.values.get(&name).cloned();
            let had_both = before.is_some() && their_value.is_some();
            let outcome = self.join(&name, theirs, their_value);
            let stands =
                before.as_ref().zip(self.values.get(&name)).is_some_and(|(a, b)| same(a, b));
            if let Some(before) =
                before.filter(|_| had_both && !(stands && outcome == Verdict::Exact))
            {
                overruled.insert(name, before);
            }
            verdict = verdict.and(outcome);
        }
        (verdict, overruled)
    }

    /// Joins one property with another person's of the same name.
    fn join(&mut self, name: &str, theirs: Standing, their_value: Option<Value>) -> Verdict {
        let own_value = self.take(name);
        let own = self.standing(name);
        if own_value.is_some() && *own == Standing::default() {
            *own = Standing::ANCIENT;
        }
        let mine = *own;
        let last = mine.last.max(theirs.last);
        let moment = last.map(|(at, _)| at);
        let newest = mine.newest_once().max(theirs.newest_once()).filter(|at| Some(*at) > moment);
        *own = Standing { last, once: None, later: newest };
        // Which of two came first at one moment, only their ids tell.
        let tied = moment.is_some_and(|at| at != i64::MIN)
            && mine.last.map(|(at, _)| at) == theirs.last.map(|(at, _)| at);
        if tied {
            return Verdict::NeedsReplay;
        }
        if let Some((_, true)) = last {
            let value = if mine.last == last { own_value } else { their_value };
            value.map(|value| self.put(name, value));
            return Verdict::Exact;
        }
        let (once, value) = match (mine.once_after(moment), theirs.once_after(moment)) {
            (Ok(None), Ok(None)) => return Verdict::Exact,
            (Ok(Some(a)), Ok(Some(b))) if a == b => return Verdict::NeedsReplay,
            (Ok(Some(a)), Ok(b)) if b.is_none_or(|b| a < b) => (a, own_value),
            (Ok(_), Ok(Some(b))) => (b, their_value),
            _ => return Verdict::NeedsReplay,
        };
        own.once = Some(once);
        own.later = newest.filter(|at| *at > once);
        value.map(|value| self.put(name, value));
        Verdict::Exact
    }
}

/// What properties were after these changes, given in the order of `(occurred_at, id)`.
///
/// For a moment of the past, give the changes that had occurred by then.
#[must_use]
pub fn replay<'c>(changes: impl IntoIterator<Item = &'c Change>) -> Properties {
    Properties::default().replayed(changes)
}

#[cfg(test)]
mod tests;
