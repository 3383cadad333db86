//! A project's flags, ready to be evaluated together.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;

use super::cohort::{Cohort, CohortSet};
use super::definition::Flag;
use super::dependency::Graph;
use super::lookup::SharedMap;
use super::property::{Matching, Terms};
use super::work::Work;

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

/// Where flags stand in their list, and how they hang together.
///
/// The maps share what they can with those before: one flag more or less does not cost what
/// the project has of others.
#[derive(Debug, Clone, Default)]
struct Index {
    by_key: SharedMap<Arc<str>, usize>,
    by_id: SharedMap<i64, usize>,
    links: Arc<Links>,
}

/// Which flags read which.
#[derive(Debug, Default)]
struct Links {
    /// By position. Lone flags, which read none and which none reads, come and go without it.
    graph: Graph,
    /// What some flag reads, whether it is there or not.
    read: HashSet<i64>,
}

impl Index {
    fn of(flags: &[Arc<Flag>]) -> Self {
        let mut index = Self::default();
        for (at, flag) in flags.iter().enumerate() {
            index.note(flag, at);
        }
        index.links = Arc::new(Links::of(flags, &index.by_id));
        index
    }

    fn note(&mut self, flag: &Flag, at: usize) {
        self.by_id.insert_mut(flag.id(), at);
        // A deleted flag may share its key with the one that took its place.
        if !flag.is_deleted() {
            self.by_key.insert_mut(Arc::clone(flag.shared_key()), at);
        }
    }

    fn forget(&mut self, flag: &Flag, at: usize) {
        self.by_id.remove_mut(&flag.id());
        if self.by_key.get(flag.key()) == Some(&at) {
            self.by_key.remove_mut(flag.key());
        }
    }

    /// Takes a flag out of the list; the last one moves to its place. True if that changes which
    /// positions read which.
    fn remove(&mut self, flags: &mut Vec<Arc<Flag>>, id: i64) -> bool {
        let Some(&at) = self.by_id.get(&id) else { return false };
        let gone = flags.swap_remove(at);
        self.forget(&gone, at);
        let Some(moved) = flags.get(at) else { return !self.links.is_lone(&gone) };
        self.forget(moved, flags.len());
        self.note(moved, at);
        !(self.links.is_lone(&gone) && self.links.is_lone(moved))
    }

    /// Puts a flag into the list; true if that changes which positions read which.
    fn put(&mut self, flags: &mut Vec<Arc<Flag>>, flag: Arc<Flag>) -> bool {
        let Some(&at) = self.by_id.get(&flag.id()) else {
            self.note(&flag, flags.len());
            let is_lone = self.links.is_lone(&flag);
            flags.push(flag);
            return !is_lone;
        };
        let before = std::mem::replace(&mut flags[at], Arc::clone(&flag));
        if before.key() != flag.key() || before.is_deleted() != flag.is_deleted() {
            self.forget(&before, at);
            self.note(&flag, at);
        }
        read_by(&before) != read_by(&flag)
    }
}

impl Links {
    fn of(flags: &[Arc<Flag>], positions: &SharedMap<i64, usize>) -> Self {
        let position = |id: &i64| positions.get(id).copied();
        let reads = |flag: &Arc<Flag>| read_by(flag).iter().filter_map(position).collect();
        let graph = Graph::new(flags.iter().map(reads).collect());
        Self { graph, read: flags.iter().flat_map(|flag| read_by(flag)).copied().collect() }
    }

    fn is_lone(&self, flag: &Flag) -> bool {
        read_by(flag).is_empty() && !self.read.contains(&flag.id())
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
    /// Flags that stay are shared. So is what is known of who reads whom, unless one changed what
    /// it reads, or one that reads or is read came or went.
    pub fn with_changes(&self, changed: Vec<Arc<Flag>>, removed: &[i64]) -> Self {
        let mut flags = self.flags.clone();
        let mut index = Index::clone(&self.index);
        let mut relinked = false;
        for id in removed {
            relinked |= index.remove(&mut flags, *id);
        }
        for flag in changed {
            relinked |= index.put(&mut flags, flag);
        }
        if relinked {
            index.links = Arc::new(Links::of(&flags, &index.by_id));
        }
        let (settings, cohorts) = (Arc::clone(&self.settings), Arc::clone(&self.cohorts));
        Self { settings, cohorts, flags, index: Arc::new(index) }
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

    /// The flags; those that came later stand anywhere.
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

    /// The static cohorts that decide who is in a cohort: itself, or those it reads.
    pub fn static_cohorts(&self, id: i64) -> &[i64] {
        self.cohorts.listed(id)
    }

    /// The contexts of a long list that some flag names, so that comparing flags with the
    /// list costs what the project is worth, not what the caller sent.
    pub(super) fn contexts_that_matter<'c>(&self, asked: &'c [String]) -> Cow<'c, [String]> {
        const SHORT: usize = 16;
        if asked.len() <= SHORT {
            return Cow::Borrowed(asked);
        }
        let named: HashSet<&str> = self.flags.iter().flat_map(|flag| flag.contexts()).collect();
        let asked_for: HashSet<&str> = asked.iter().map(String::as_str).collect();
        let kept: Vec<String> =
            named.intersection(&asked_for).map(|context| (*context).to_owned()).collect();
        // An empty list would ask for every context.
        if kept.is_empty() { Cow::Borrowed(&asked[..1]) } else { Cow::Owned(kept) }
    }

    pub(super) fn cohort_set(&self) -> &CohortSet {
        &self.cohorts
    }

    pub(super) fn graph(&self) -> &Graph {
        &self.index.links.graph
    }

    /// Every position, each after what is read there.
    pub(super) fn order(&self) -> impl Iterator<Item = usize> {
        let (linked, end) = (self.graph().order(), self.flags.len());
        linked.iter().copied().filter(move |at| *at < end).chain(linked.len()..end)
    }

    pub(super) fn position(&self, key: &str) -> Option<usize> {
        self.index.by_key.get(key).copied()
    }

    pub(super) fn position_by_id(&self, id: i64) -> Option<usize> {
        self.index.by_id.get(&id).copied()
    }

    pub(super) fn terms(&self, now: DateTime<Utc>) -> Terms {
        Terms {
            now,
            zone: self.settings.time_zone,
            matching: self.settings.matching,
            work: Work::default(),
        }
    }
}

/// The flags that a flag reads. One that is never served is false whatever it
/// reads, so it reads nothing.
fn read_by(flag: &Flag) -> &[i64] {
    if flag.is_served(true) { flag.dependencies() } else { &[] }
}

#[cfg(test)]
mod tests;
