//! The feed of definitions in parts, kept up with changes flag by flag.
//!
//! Watchers are told of each change at once, so the feed is not written anew
//! for it: each flag's text is kept, and only those that a change can have
//! altered are written again. That includes flags that read a changed one,
//! since they name it by key. The texts are those of the whole feed, by the
//! same code.
//!
//! What is read of a change may be newer than the revision it is read for,
//! never older, and comes again with its own: so each flag that a step names is
//! told, whether or not its text is another.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use serde_json::Value;

use super::{
    Feed, cohorts,
    dependencies::{self, Chains},
    log::{Log, Missed, Step},
    omission::{self, Candidate},
    told,
};
use crate::{
    model::{
        definitions::Definitions,
        error::{Error, Result},
        flag::FeatureFlag,
        history_point::{HistoryPoint, WatchPosition},
    },
    rules_format::RulesFormat,
};

/// What watchers are told, as JSON texts of the feed's parts.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Event {
    /// All there is.
    Snapshot {
        /// The feed, without its flags.
        head: String,
        /// Its flags, sorted by key.
        flags: Vec<Arc<str>>,
    },
    /// What changed.
    Delta {
        /// The state since which.
        from: HistoryPoint,
        /// Flags that are new or changed, sorted by key.
        upserted: Vec<Arc<str>>,
        /// Flags that left the feed, with the keys they had.
        removed: Vec<(i64, String)>,
        /// The trees of the cohorts that these flags refer to.
        cohorts: BTreeMap<i64, Value>,
    },
}

/// What was read of a change.
#[derive(Clone, Debug, Default)]
pub(crate) struct Changed {
    /// The state after each of its revisions, oldest first.
    pub(crate) points: Vec<HistoryPoint>,
    /// The flags that it is about.
    pub(crate) flag_ids: Vec<i64>,
    /// Those of them that belong in the feed.
    pub(crate) flags: Vec<FeatureFlag>,
    /// The keys of the others, as far as these are known.
    pub(crate) keys: HashMap<i64, String>,
    /// The cohorts that it is about.
    pub(crate) cohort_ids: Vec<i64>,
    /// The trees of those that have one.
    pub(crate) trees: BTreeMap<i64, Value>,
}

/// A project's feed, and what changed in it lately. A clone shares what does not change.
#[derive(Clone, Debug)]
pub(crate) struct Book {
    point: HistoryPoint,
    property_matching_version: i32,
    group_types: BTreeMap<i64, String>,
    trees: Arc<BTreeMap<i64, Value>>,
    flags: HashMap<i64, Arc<Entry>>,
    log: Log,
}

/// One flag of the feed.
#[derive(Clone, Debug)]
struct Entry {
    key: String,
    /// Whether its filters are in a supported rules format.
    is_supported: bool,
    reads: Vec<Option<i64>>,
    cohorts: Vec<i64>,
    text: Arc<str>,
    /// Kept of those that read flags: they are written again when one of these changes.
    source: Option<Arc<FeatureFlag>>,
}

impl Book {
    /// The feed as it is, and what is known of the time before.
    pub(crate) fn new(definitions: Definitions, log: Log) -> Result<Self> {
        let mut book = Self {
            point: definitions.project.point(),
            property_matching_version: definitions.project.property_matching_version,
            group_types: definitions.group_types,
            trees: Arc::new(definitions.cohorts),
            flags: HashMap::new(),
            log,
        };
        book.write(definitions.flags, &HashSet::new())?;
        Ok(book)
    }

    /// Returns the state that it is at.
    pub(crate) fn point(&self) -> HistoryPoint {
        self.point
    }

    /// Whether a watcher's position is of the book's history, as far as it says.
    pub(crate) fn is_past(&self, position: WatchPosition) -> bool {
        position.is_at(self.point) || self.log.is_past(position)
    }

    /// Takes over what changed.
    pub(crate) fn apply(&mut self, changed: Changed) -> Result<()> {
        let point = changed.points.last().copied().unwrap_or(self.point);
        let mut step = Step {
            points: changed.points,
            whole: self.refers_to(&changed.cohort_ids),
            ..Step::default()
        };
        let found: HashSet<i64> = changed.flags.iter().map(|flag| flag.id).collect();
        for id in changed.flag_ids.iter().filter(|id| !found.contains(id)) {
            // It may be known here no more, or never have been, where it was read after it went.
            let known = self.flags.remove(id).map(|entry| entry.key.clone());
            match known.or_else(|| changed.keys.get(id).cloned()) {
                Some(key) => step.gone.push((*id, key)),
                None => step.whole = true,
            }
        }
        let affected = self.with_readers(changed.flag_ids.iter().copied());
        self.write(changed.flags, &affected)?;
        if !changed.cohort_ids.is_empty() {
            let trees = Arc::make_mut(&mut self.trees);
            changed.cohort_ids.iter().for_each(|id| drop(trees.remove(id)));
            trees.extend(changed.trees);
        }
        step.whole |= self.refers_to(&changed.cohort_ids);
        step.flag_ids = changed.flag_ids;
        self.point = point;
        self.log.push(step);
        Ok(())
    }

    /// How large the texts of its flags are together, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.flags.values().map(|entry| entry.text.len()).sum()
    }

    /// All there is.
    pub(crate) fn whole(&self) -> Result<Event> {
        let omitted = self.omitted();
        let given = self.flags.iter().filter(|(id, _)| !omitted.contains(id));
        let given: Vec<&Entry> = given.map(|(_, entry)| entry.as_ref()).collect();
        let named = given.iter().flat_map(|entry| entry.cohorts.iter().copied());
        let head = Feed {
            flags: Vec::new(),
            group_type_mapping: &self.group_types,
            cohorts: cohorts::referenced(named, &self.trees),
            minimal_flag_called_events: false,
            property_matching_version: self.property_matching_version,
        };
        let head = serde_json::to_string(&head).map_err(Error::internal)?;
        Ok(Event::Snapshot { head, flags: texts(given) })
    }

    /// What changed after a revision; `None` where only the whole will do.
    pub(crate) fn since(&self, from: i64) -> Option<Event> {
        if from > self.point.revision {
            return None;
        }
        let start = self.point_at(from)?;
        let Missed { flag_ids, mut gone } = self.log.since(from)?;
        let affected = self.with_readers(flag_ids.iter().copied());
        let omitted = self.omitted();
        let (mut upserted, mut withdrawn) = (Vec::new(), Vec::new());
        for (id, entry) in affected.iter().filter_map(|id| Some((*id, self.flags.get(id)?))) {
            match omitted.contains(&id) {
                false => upserted.push(entry.as_ref()),
                true => withdrawn.push((id, entry.key.clone())),
            }
        }
        gone.retain(|id, _| !self.flags.contains_key(id));
        // Whoever had them from before is told that they left.
        gone.extend(withdrawn);
        let mut removed: Vec<_> = gone.into_iter().collect();
        removed.sort_unstable();
        let named = upserted.iter().flat_map(|entry| entry.cohorts.iter().copied());
        let referenced = cohorts::referenced(named, &self.trees).into_iter();
        let cohorts = referenced.map(|(id, tree)| (id, tree.clone())).collect();
        Some(Event::Delta { from: start, upserted: texts(upserted), removed, cohorts })
    }

    fn point_at(&self, revision: i64) -> Option<HistoryPoint> {
        let own = (revision == self.point.revision).then_some(self.point);
        own.or_else(|| self.log.point_at(revision))
    }

    /// Writes new flags, and those among `affected` again that read others.
    fn write(&mut self, new: Vec<FeatureFlag>, affected: &HashSet<i64>) -> Result<()> {
        let mut sources: HashMap<i64, Arc<FeatureFlag>> =
            new.into_iter().map(|flag| (flag.id, Arc::new(flag))).collect();
        for flag in sources.values() {
            self.flags.insert(flag.id, Arc::new(Entry::unwritten(flag)));
        }
        for id in affected {
            let entry = self.flags.get(id).filter(|_| !sources.contains_key(id));
            let source = entry.and_then(|entry| entry.source.clone());
            sources.extend(source.map(|flag| (*id, flag)));
        }
        let is_reader = |flag: &FeatureFlag| !dependencies::reads(&flag.filters).is_empty();
        let chains = match sources.values().any(|flag| is_reader(flag)) {
            true => self.chains(),
            false => Chains::of(&[]),
        };
        let mut texts = Vec::with_capacity(sources.len());
        for flag in sources.values() {
            let mut filters = flag.filters.clone();
            chains.rewrite(flag.id, &mut filters);
            texts.push(serde_json::to_string(&told(flag, filters)).map_err(Error::internal)?);
        }
        for ((id, flag), text) in sources.into_iter().zip(texts) {
            let Some(entry) = self.flags.get_mut(&id).map(Arc::make_mut) else { continue };
            entry.text = text.into();
            entry.source = (!entry.reads.is_empty()).then_some(flag);
        }
        Ok(())
    }

    fn chains(&self) -> Chains<'_> {
        let known = self.flags.iter().map(|(id, entry)| (*id, &*entry.key, &*entry.reads));
        Chains::known(known)
    }

    /// These flags, and all that read them, directly or through others.
    fn with_readers(&self, ids: impl Iterator<Item = i64>) -> HashSet<i64> {
        let flags = self.flags.iter().map(|(id, entry)| (*id, &*entry.reads));
        omission::with_readers(ids.collect(), flags)
    }

    /// The flags that it keeps and does not give.
    fn omitted(&self) -> HashSet<i64> {
        omission::omitted(self.flags.iter().map(|(id, entry)| Candidate {
            id: *id,
            is_supported: entry.is_supported,
            reads: &entry.reads,
        }))
    }

    /// Whether some flag goes by one of these cohorts, directly or through others.
    fn refers_to(&self, cohort_ids: &[i64]) -> bool {
        let named = self.flags.values().flat_map(|entry| entry.cohorts.iter().copied());
        let found = cohorts::referenced(named, &self.trees);
        cohort_ids.iter().any(|id| found.contains_key(id))
    }
}

impl Event {
    /// How large its texts are together, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        let all = |texts: &[Arc<str>]| texts.iter().map(|text| text.len()).sum::<usize>();
        match self {
            Self::Snapshot { head, flags } => head.len() + all(flags),
            Self::Delta { upserted, removed, cohorts, .. } => {
                let keys: usize = removed.iter().map(|(_, key)| key.len()).sum();
                let trees: usize = cohorts.values().map(|tree| tree.to_string().len()).sum();
                all(upserted) + keys + trees
            }
        }
    }
}

impl Entry {
    fn unwritten(flag: &FeatureFlag) -> Self {
        Self {
            key: flag.key.clone(),
            is_supported: RulesFormat::of(&flag.filters).is_supported(),
            reads: dependencies::reads(&flag.filters),
            cohorts: cohorts::named(&flag.filters).collect(),
            text: Arc::default(),
            source: None,
        }
    }
}

/// Texts in the order of their flags' keys.
fn texts(mut entries: Vec<&Entry>) -> Vec<Arc<str>> {
    entries.sort_unstable_by(|a, b| a.key.cmp(&b.key));
    entries.into_iter().map(|entry| Arc::clone(&entry.text)).collect()
}

#[cfg(test)]
mod tests;
