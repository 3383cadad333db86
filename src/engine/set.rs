//! A project's flags, ready to be evaluated together.

mod links;
mod plan;

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, OnceLock};

use chrono::{DateTime, Utc};
use chrono_tz::Tz;

use super::cohort::{Cohort, CohortSet};
use super::definition::Flag;
use super::lookup::{SharedMap, SharedVec};
use super::property::{Matching, Terms};
use super::work::Work;
use links::{Links, read_by};
use plan::Plan;
pub(super) use plan::Served;

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
    flags: Flags,
    index: Index,
    /// Made when first asked for: most changes come before anybody asks about all flags.
    plan: OnceLock<Plan>,
}

/// A set's flags by position, sharing what they can with the set that theirs was changed from: one
/// flag more or less does not cost what the project has of others. So do the maps beside them.
pub(super) type Flags = SharedVec<Arc<Flag>>;

/// Where flags stand, by number.
type Positions = SharedMap<i64, usize>;

/// Where flags stand in their list, and how they hang together.
#[derive(Debug, Clone, Default)]
struct Index {
    by_key: SharedMap<Arc<str>, usize>,
    by_id: Positions,
    links: Arc<Links>,
}

impl Index {
    fn of(flags: &Flags) -> Self {
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
    fn remove(&mut self, flags: &mut Flags, id: i64) -> bool {
        let Some(&at) = self.by_id.get(&id) else { return false };
        let gone = Arc::clone(&flags[at]);
        self.forget(&gone, at);
        let end = flags.len() - 1;
        let last = Arc::clone(&flags[end]);
        flags.drop_last_mut();
        if at == end {
            return !self.links.is_lone(&gone);
        }
        self.forget(&last, end);
        self.note(&last, at);
        let is_linked = !(self.links.is_lone(&gone) && self.links.is_lone(&last));
        flags.set_mut(at, last);
        is_linked
    }

    /// Puts a flag into the list; true if that changes which positions read which.
    fn put(&mut self, flags: &mut Flags, flag: Arc<Flag>) -> bool {
        let Some(&at) = self.by_id.get(&flag.id()) else {
            self.note(&flag, flags.len());
            let is_lone = self.links.is_lone(&flag);
            flags.push_back_mut(flag);
            return !is_lone;
        };
        let before = Arc::clone(&flags[at]);
        if before.key() != flag.key() || before.is_deleted() != flag.is_deleted() {
            self.forget(&before, at);
            self.note(&flag, at);
        }
        let reads_others = read_by(&before) != read_by(&flag);
        flags.set_mut(at, flag);
        reads_others
    }
}

impl FlagSet {
    /// A project's set. All of its flags belong here, those that are off or
    /// deleted too: others may depend on them.
    pub fn new(settings: Settings, flags: Vec<Arc<Flag>>, cohorts: Vec<Arc<Cohort>>) -> Self {
        let flags = flags.into_iter().collect();
        let index = Index::of(&flags);
        Self {
            settings: Arc::new(settings),
            cohorts: Arc::new(CohortSet::new(cohorts)),
            flags,
            index,
            plan: OnceLock::new(),
        }
    }

    /// The set after some flags were changed or added, and some removed.
    ///
    /// Flags that stay are shared. So is what is known of who reads whom, unless one changed what
    /// it reads, or one that reads or is read came or went.
    pub fn with_changes(&self, changed: Vec<Arc<Flag>>, removed: &[i64]) -> Self {
        let (mut flags, mut index) = (self.flags.clone(), self.index.clone());
        let touched: Vec<i64> = changed.iter().map(|flag| flag.id()).collect();
        let mut relinked = false;
        for id in removed {
            relinked |= index.remove(&mut flags, *id);
        }
        for flag in changed {
            relinked |= index.put(&mut flags, flag);
        }
        if relinked {
            let links = index.links.with_changes(&flags, &index.by_id, &touched);
            index.links = Arc::new(links);
        }
        let (settings, cohorts) = (Arc::clone(&self.settings), Arc::clone(&self.cohorts));
        Self { settings, cohorts, flags, index, plan: OnceLock::new() }
    }

    /// The set after some cohorts were changed or added, and some removed; flags are shared.
    pub fn with_cohorts(&self, changed: Vec<Arc<Cohort>>, removed: &[i64]) -> Self {
        Self {
            settings: Arc::clone(&self.settings),
            cohorts: Arc::new(self.cohorts.with_changes(changed, removed)),
            flags: self.flags.clone(),
            index: self.index.clone(),
            plan: OnceLock::new(),
        }
    }

    /// The flags; those that came later stand anywhere.
    pub fn flags(&self) -> &Flags {
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

    pub(super) fn links(&self) -> &Links {
        &self.index.links
    }

    pub(super) fn plan(&self) -> &Plan {
        self.plan.get_or_init(|| Plan::of(&self.flags, &self.index.links))
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

#[cfg(test)]
mod tests;
