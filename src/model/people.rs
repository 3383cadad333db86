//! Whose stored facts a write was about, as processes tell each other.
//!
//! Evaluation keeps what it read of people and groups for a moment. Whoever
//! changes them names them here, so that every replica reads them anew. Past a
//! bound the names are dropped and the whole project is meant: forgetting too
//! much costs a query, forgetting too little a wrong answer.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// Names that are kept one by one; beyond it "many" changed.
pub const MAX_NAMES: usize = 1_000;

/// The people and groups of one project whose stored facts changed: properties, cohort
/// memberships, hash keys, identities, or that they exist at all.
///
/// A person is named by distinct id, and by every one: what was kept under another of their ids
/// is not found otherwise, and lives on for a second.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeopleChanged {
    #[serde(rename = "ids", default, skip_serializing_if = "BTreeSet::is_empty")]
    distinct_ids: BTreeSet<String>,
    /// Index of the group type, and key.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    groups: BTreeSet<(i32, String)>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    many: bool,
}

impl PeopleChanged {
    /// Too many to name: anyone of the project may have changed.
    #[must_use]
    pub fn many() -> Self {
        Self { many: true, ..Self::default() }
    }

    /// Adds the person known by this distinct id.
    pub fn note_person(&mut self, distinct_id: impl Into<String>) {
        if !self.many {
            self.distinct_ids.insert(distinct_id.into());
            self.bound();
        }
    }

    /// Adds a group of the type with this index.
    pub fn note_group(&mut self, group_type_index: i32, key: impl Into<String>) {
        if !self.many {
            self.groups.insert((group_type_index, key.into()));
            self.bound();
        }
    }

    /// True if nobody changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.many && self.distinct_ids.is_empty() && self.groups.is_empty()
    }

    /// True if anyone of the project may have changed; nobody is named then.
    #[must_use]
    pub fn is_many(&self) -> bool {
        self.many
    }

    /// The people, by distinct id.
    pub fn distinct_ids(&self) -> impl Iterator<Item = &str> {
        self.distinct_ids.iter().map(String::as_str)
    }

    /// The groups: index of their type, and key.
    pub fn groups(&self) -> impl Iterator<Item = (i32, &str)> {
        self.groups.iter().map(|(index, key)| (*index, key.as_str()))
    }

    fn bound(&mut self) {
        if self.distinct_ids.len() + self.groups.len() > MAX_NAMES {
            *self = Self::many();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_many_to_name_are_many() {
        let mut changed = PeopleChanged::default();
        assert!(changed.is_empty());
        (0..MAX_NAMES).for_each(|n| changed.note_person(n.to_string()));
        assert_eq!((changed.is_many(), changed.distinct_ids().count()), (false, MAX_NAMES));
        changed.note_person("0");
        assert!(!changed.is_many(), "it was named already");
        changed.note_group(0, "one more");
        assert_eq!(changed, PeopleChanged::many());
        changed.note_person("after");
        assert_eq!(changed, PeopleChanged::many());
        assert!(!changed.is_empty());
    }
}
