//! What a question asks of the store, told before anything is read.
//!
//! Reading is what evaluation costs most, so it is left out where it cannot
//! change an answer: for flags that read nothing stored, and for properties
//! that the request sent, which win over stored ones anyway.

use std::collections::BTreeSet;

use serde_json::Value;

use super::definition::Flag;
use super::property::form;
use super::set::FlagSet;
use super::subject::{Subject, property};
use super::{Audience, Selection};

/// What is to be read before the selected flags can be decided.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Needs {
    /// True if properties of the person are read that were not sent.
    pub properties: bool,
    /// The static cohorts of which membership decides, directly or through others.
    pub static_cohorts: BTreeSet<i64>,
    /// The groups of which properties are read that were not sent: the index
    /// of the type, and the key.
    pub groups: BTreeSet<(i64, String)>,
    /// True if stored hash keys can change an answer.
    pub hash_keys: bool,
}

impl Needs {
    /// True if nothing stored can change an answer.
    pub fn is_empty(&self) -> bool {
        !self.is_about_person() && self.groups.is_empty()
    }

    /// True if anything stored of the person can change an answer.
    pub fn is_about_person(&self) -> bool {
        self.properties || self.hash_keys || !self.static_cohorts.is_empty()
    }
}

/// What one flag, which need not be the set's own, and those it reads ask of the store.
pub fn needs_of(set: &FlagSet, flag: &Flag, subject: &Subject<'_>) -> Needs {
    let mut needs = Needs::default();
    needs.add(flag, set, subject);
    let read = flag.dependencies().iter().filter_map(|&id| set.position_by_id(id));
    for at in set.links().required(read) {
        needs.add(&set.flags()[at], set, subject);
    }
    needs
}

/// What the selected flags, and those they read, ask of the store about a
/// subject of whom only the request is known.
pub fn needs(set: &FlagSet, subject: &Subject<'_>, selection: &Selection<'_>) -> Needs {
    let mut needs = Needs::default();
    if selection.flag_keys.is_none() && set.plan().is_settled_by(|key| is_sent(subject, key)) {
        return needs;
    }
    let contexts = set.contexts_that_matter(selection.audience.evaluation_contexts);
    let audience = Audience { evaluation_contexts: &contexts, ..selection.audience };
    let mut add = |flag: &Flag| {
        if audience.admits(flag) {
            needs.add(flag, set, subject);
        }
    };
    match selection.positions(set) {
        None => set.plan().served().iter().for_each(|served| add(&served.flag)),
        Some(positions) => positions.into_iter().for_each(|at| add(&set.flags()[at])),
    }
    needs
}

impl Needs {
    fn add(&mut self, flag: &Flag, set: &FlagSet, subject: &Subject<'_>) {
        self.hash_keys |= flag.needs_hash_keys();
        self.properties =
            self.properties || flag.person_properties().any(|key| !is_sent(subject, key));
        for cohort in flag.cohorts() {
            // Its tree may name any property.
            self.properties = true;
            self.static_cohorts.extend(set.static_cohorts(cohort));
        }
        for (index, property) in flag.group_properties() {
            if let Some(key) = unsent_group(set, subject, index, property) {
                self.groups.insert((index, key));
            }
        }
    }
}

/// True if the request settles a person property, whatever is stored. Another
/// property that would stand in for it does not: a stored one goes before.
fn is_sent(subject: &Subject<'_>, key: &str) -> bool {
    key == "distinct_id" || subject.facts().sent.is_some_and(|sent| property(sent, key).is_some())
}

/// The key of the group whose stored properties settle this one, if any do.
fn unsent_group(
    set: &FlagSet,
    subject: &Subject<'_>,
    index: i64,
    property: &str,
) -> Option<String> {
    let group_type = set.group_type(index)?;
    let key = match subject.group_key(group_type)? {
        Value::String(key) if key.is_empty() => return None,
        key @ (Value::String(_) | Value::Number(_)) => form(key).into_owned(),
        _ => return None,
    };
    let sent = || subject.sent_group(group_type).is_some_and(|sent| sent.contains_key(property));
    (property != "$group_key" && !sent()).then_some(key)
}

#[cfg(test)]
mod tests;
