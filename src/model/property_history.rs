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

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

use super::json::{Object, same};

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
}

impl Properties {
    /// As they were stored: the properties, and what [`Properties::times`] gave. Times that
    /// cannot be read count as not known.
    #[must_use]
    pub fn stored(values: Object, times: &Value) -> Self {
        let fields = times.as_object().into_iter().flatten();
        let standing =
            |(name, value): (&String, &Value)| Some((name.clone(), Standing::from_json(value)?));
        Self { values, standings: fields.filter_map(standing).collect() }
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

    /// The length of the larger of what is stored, as JSON in bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        let values = serde_json::to_string(&self.values).map_or(0, |text| text.len());
        values.max(self.times().to_string().len())
    }

    /// Applies one change, whenever it arrives.
    pub fn apply(&mut self, change: &Change) -> Verdict {
        let at = change.occurred_at.timestamp_micros();
        let mut verdict = Verdict::Exact;
        match (change.kind, &change.properties) {
            (ChangeKind::Unset, Value::Array(names)) => {
                for name in names.iter().filter_map(Value::as_str) {
                    verdict = verdict.and(self.unset(name, at));
                }
            }
            (ChangeKind::Set, Value::Object(fields)) => {
                fields.iter().for_each(|(name, value)| self.set(name, value, at));
            }
            (ChangeKind::SetOnce, Value::Object(fields)) => {
                fields.iter().for_each(|(name, value)| self.set_once(name, value, at));
            }
            // Nothing else is stored.
            _ => {}
        }
        verdict
    }

    fn set(&mut self, name: &str, value: &Value, at: i64) {
        let standing = self.standing(name);
        if standing.is_older_than_last(at) {
            return;
        }
        let uncovered = standing.once.take();
        standing.note_later(uncovered);
        standing.settle(at, true);
        self.values.insert(name.to_owned(), value.clone());
    }

    fn set_once(&mut self, name: &str, value: &Value, at: i64) {
        let standing = self.standing(name);
        if standing.is_older_than_last(at) {
            return;
        }
        let has_no_effect = matches!(standing.last, Some((_, true)))
            || standing.once.is_some_and(|once| once <= at);
        if has_no_effect {
            return standing.note_later(Some(at));
        }
        let replaced = standing.once.replace(at);
        standing.note_later(replaced);
        self.values.insert(name.to_owned(), value.clone());
    }

    fn unset(&mut self, name: &str, at: i64) -> Verdict {
        let standing = self.standing(name);
        if standing.is_older_than_last(at) {
            return Verdict::Exact;
        }
        standing.settle(at, false);
        if standing.once.is_some() {
            return Verdict::Exact;
        }
        let is_hidden = standing.later.is_some();
        self.values.shift_remove(name);
        if is_hidden { Verdict::NeedsReplay } else { Verdict::Exact }
    }

    /// What [`replay`] gives, over what is there without a time.
    #[must_use]
    pub fn replayed<'c>(&self, changes: impl IntoIterator<Item = &'c Change>) -> Self {
        let is_ancient = |name: &String| {
            let last = self.standings.get(name).map(|standing| standing.last);
            last.is_none_or(|last| last == Standing::ANCIENT.last)
        };
        let ancient = self.values.iter().filter(|(name, _)| is_ancient(name));
        let mut properties = Self {
            values: ancient.map(|(name, value)| (name.clone(), value.clone())).collect(),
            standings: BTreeMap::new(),
        };
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
            let their_value = other.values.shift_remove(&name);
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
        let own_value = self.values.shift_remove(name);
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
            self.values.extend(value.map(|value| (name.to_owned(), value)));
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
        self.values.extend(value.map(|value| (name.to_owned(), value)));
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
