//! A project's flags, ready to be evaluated together.

use std::collections::HashMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;

use super::cohort::{Cohort, CohortSet};
use super::definition::Flag;
use super::dependency::Graph;
use super::property::{Matching, Terms};

/// What a project settles for all of its flags.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Where dates without an offset are read.
    pub time_zone: Tz,
    /// How `exact` treats booleans.
    pub matching: Matching,
    /// Group type names by index.
    pub group_types: HashMap<i64, String>,
}

/// A project's compiled flags, cohorts and settings.
///
/// Never changed once built: a change makes a new set that shares what stays.
#[derive(Debug)]
pub struct FlagSet {
    settings: Arc<Settings>,
    cohorts: Arc<CohortSet>,
    flags: Vec<Arc<Flag>>,
    index: Arc<Index>,
}

/// Where flags stand in their list, and in what order they are decided.
#[derive(Debug)]
struct Index {
    by_key: HashMap<Arc<str>, usize>,
    by_id: HashMap<i64, usize>,
    graph: Graph,
}

impl Index {
    fn of(flags: &[Arc<Flag>]) -> Self {
        let by_id: HashMap<i64, usize> =
            flags.iter().enumerate().map(|(at, flag)| (flag.id(), at)).collect();
        // A deleted flag may share its key with the one that took its place.
        let live = flags.iter().enumerate().filter(|(_, flag)| !flag.is_deleted());
        let by_key = live.map(|(at, flag)| (Arc::clone(flag.shared_key()), at)).collect();
        let graph = Graph::new(flags.iter().map(|flag| reads(flag, &by_id)).collect());
        Self { by_key, by_id, graph }
    }

    /// The index with one more flag, which stands last, reads no flag and is read by none.
    fn with(&self, flag: &Flag) -> Self {
        let (mut by_key, mut by_id) = (self.by_key.clone(), self.by_id.clone());
        let at = self.graph.order().len();
        by_id.insert(flag.id(), at);
        if !flag.is_deleted() {
            by_key.insert(Arc::clone(flag.shared_key()), at);
        }
        Self { by_key, by_id, graph: self.graph.with_lone_node() }
    }
}

impl FlagSet {
    /// A project's set. All of its flags belong here, those that are off or
    /// deleted too: others may depend on them.
    pub fn new(settings: Settings, flags: Vec<Arc<Flag>>, cohorts: Vec<Arc<Cohort>>) -> Self {
        let index = Arc::new(Index::of(&flags));
        Self {
            settings: Arc::new(settings),
            cohorts: Arc::new(CohortSet::new(cohorts)),
            flags,
            index,
        }
    }

    /// The set after some flags were changed or added, and some removed.
    ///
    /// Flags that stay are shared. So is the index, unless a flag came, went, or changed its
    /// key or what it reads: in most changes none does. A single new flag is added to it.
    pub fn with_changes(&self, changed: Vec<Arc<Flag>>, removed: &[i64]) -> Self {
        let mut flags = self.flags.clone();
        let (mut moved, mut added) = (!removed.is_empty(), 0);
        for flag in changed {
            match self.index.by_id.get(&flag.id()) {
                Some(&at) => {
                    moved |= !stands_alike(&flags[at], &flag);
                    flags[at] = flag;
                }
                None => {
                    added += 1;
                    flags.push(flag);
                }
            }
        }
        if !removed.is_empty() {
            flags.retain(|flag| !removed.contains(&flag.id()));
        }
        let index = match (moved, added, flags.last()) {
            (false, 0, _) => Arc::clone(&self.index),
            (false, 1, Some(last)) if self.is_lone(last) => Arc::new(self.index.with(last)),
            _ => Arc::new(Index::of(&flags)),
        };
        let (settings, cohorts) = (Arc::clone(&self.settings), Arc::clone(&self.cohorts));
        Self { settings, cohorts, flags, index }
    }

    /// The set after some cohorts were changed or added, and some removed; flags are shared.
    pub fn with_cohorts(&self, changed: Vec<Arc<Cohort>>, removed: &[i64]) -> Self {
        Self {
            settings: Arc::clone(&self.settings),
            cohorts: Arc::new(self.cohorts.with_changes(changed, removed)),
            flags: self.flags.clone(),
            index: Arc::clone(&self.index),
        }
    }

    /// Whether a new flag reads no flag, and none that is here reads it.
    fn is_lone(&self, flag: &Flag) -> bool {
        let id = flag.id();
        read_by(flag).is_empty() && !self.flags.iter().any(|other| read_by(other).contains(&id))
    }

    /// The flags, in the order given.
    pub fn flags(&self) -> &[Arc<Flag>] {
        &self.flags
    }

    /// The flag with this key that is not deleted.
    pub fn flag(&self, key: &str) -> Option<&Arc<Flag>> {
        self.index.by_key.get(key).map(|&at| &self.flags[at])
    }

    /// The flag with this id, deleted or not.
    pub fn flag_by_id(&self, id: i64) -> Option<&Arc<Flag>> {
        self.index.by_id.get(&id).map(|&at| &self.flags[at])
    }

    /// What the project settles for all of its flags.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The name of a group type.
    pub fn group_type(&self, index: i64) -> Option<&str> {
        self.settings.group_types.get(&index).map(String::as_str)
    }

    /// The cohort with this id.
    pub fn cohort(&self, id: i64) -> Option<&Arc<Cohort>> {
        self.cohorts.get(id)
    }

    /// The project's cohorts, in the order given.
    pub fn cohorts(&self) -> impl Iterator<Item = &Arc<Cohort>> {
        self.cohorts.iter()
    }

    pub(super) fn cohort_set(&self) -> &CohortSet {
        &self.cohorts
    }

    pub(super) fn graph(&self) -> &Graph {
        &self.index.graph
    }

    pub(super) fn position(&self, key: &str) -> Option<usize> {
        self.index.by_key.get(key).copied()
    }

    pub(super) fn position_by_id(&self, id: i64) -> Option<usize> {
        self.index.by_id.get(&id).copied()
    }

    pub(super) fn terms(&self, now: DateTime<Utc>) -> Terms {
        Terms { now, zone: self.settings.time_zone, matching: self.settings.matching }
    }
}

/// Whether one flag can take the other's place without anything else moving.
fn stands_alike(before: &Flag, after: &Flag) -> bool {
    before.key() == after.key()
        && before.is_deleted() == after.is_deleted()
        && read_by(before) == read_by(after)
}

/// The flags that a flag reads. One that is never served is false whatever it
/// reads, so it reads nothing.
fn read_by(flag: &Flag) -> &[i64] {
    if flag.is_served() { flag.dependencies() } else { &[] }
}

/// Their positions.
fn reads(flag: &Flag, positions: &HashMap<i64, usize>) -> Box<[usize]> {
    read_by(flag).iter().filter_map(|id| positions.get(id).copied()).collect()
}

#[cfg(test)]
mod tests;
