//! Flags compiled from their stored form.
//!
//! Everything that depends on the definition alone is done here, once: the
//! filters are parsed, patterns and sets built, variants given their ends and
//! payloads. Compiling never fails. A flag that cannot be understood becomes
//! one that fails alone, so that no definition can take a project down.

mod filter;
mod parse;

use std::sync::Arc;

use serde_json::Value;

pub(super) use filter::{
    CohortTest, Expected, Filter, FlagTest, PERSON_METADATA_PREFIX, PersonTest, Test,
};

use super::bucket::{self, Rollout};
use super::rendered::Rendered;
use super::runtime::Runtime;

/// A flag as stored.
#[derive(Debug, Clone, Copy)]
pub struct FlagSource<'a> {
    /// What flag filters refer to.
    pub id: i64,
    /// What callers ask for; part of what rollouts hash.
    pub key: &'a str,
    /// The definition's version, if it has one.
    pub version: Option<i64>,
    /// False for a flag that is switched off.
    pub active: bool,
    /// True for a flag that is kept only so that it can be restored.
    pub deleted: bool,
    /// The documented `filters` object.
    pub filters: &'a Value,
    /// True if people keep their result when they log in.
    pub ensure_experience_continuity: bool,
    /// `all`, `client` or `server`; anything else means all.
    pub evaluation_runtime: Option<&'a str>,
    /// `device_id`; anything else means the distinct id.
    pub bucketing_identifier: Option<&'a str>,
    /// Where the flag is evaluated at all; empty for everywhere.
    pub evaluation_contexts: &'a [String],
    /// True for a remote configuration whose payload is ciphertext.
    pub has_encrypted_payloads: bool,
    /// True if an experiment is linked to the flag.
    pub has_experiment: bool,
}

impl<'a> FlagSource<'a> {
    /// An active flag that nothing is known of but its filters.
    pub fn new(id: i64, key: &'a str, filters: &'a Value) -> Self {
        Self {
            id,
            key,
            version: None,
            active: true,
            deleted: false,
            filters,
            ensure_experience_continuity: false,
            evaluation_runtime: None,
            bucketing_identifier: None,
            evaluation_contexts: &[],
            has_encrypted_payloads: false,
            has_experiment: false,
        }
    }
}

/// A compiled flag.
#[derive(Debug)]
pub struct Flag {
    id: i64,
    key: Arc<str>,
    version: Option<i64>,
    active: bool,
    deleted: bool,
    runtime: Option<Runtime>,
    contexts: Box<[Box<str>]>,
    has_encrypted_payloads: bool,
    has_experiment: bool,
    rules: Result<Rules, Malformed>,
    rendered: Rendered,
}

/// What is wrong with a definition, for the log.
pub(super) type Malformed = &'static str;

/// What a flag decides by.
#[derive(Debug)]
pub(super) struct Rules {
    /// What rollouts and variants hash before an identifier.
    pub(super) prefix: Box<str>,
    pub(super) conditions: Box<[Condition]>,
    pub(super) variants: Box<[Variant]>,
    /// The payload of a flag that is on without a variant.
    pub(super) payload: Option<Box<str>>,
    pub(super) aggregation: Aggregation,
    pub(super) holdout: Option<Holdout>,
    /// The person property that answers for early access, if any does.
    pub(super) enrollment: Option<Box<str>>,
    pub(super) early_exit: bool,
    /// True if devices, not people, are put into buckets.
    pub(super) by_device: bool,
    /// True if stored hash keys and anonymous ids take part in bucketing.
    pub(super) continuity: bool,
    /// Ids of the flags that flag filters read, each once.
    pub(super) dependencies: Box<[i64]>,
}

/// Filters that must all hold, and the share of identifiers let in then.
#[derive(Debug)]
pub(super) struct Condition {
    pub(super) filters: Box<[Filter]>,
    pub(super) rollout: Rollout,
    /// The variant given instead of the hashed one, if the flag has it.
    pub(super) variant: Option<Box<str>>,
    pub(super) aggregation: Aggregation,
    /// True if some filter is held against people's properties last.
    pub(super) defers: bool,
}

/// One value of a flag.
#[derive(Debug)]
pub(super) struct Variant {
    pub(super) key: Box<str>,
    /// Where its share ends on `0.0..=1.0`.
    pub(super) end: f64,
    pub(super) payload: Option<Box<str>>,
}

/// Identifiers kept out of an experiment.
#[derive(Debug)]
pub(super) struct Holdout {
    pub(super) rollout: Rollout,
    /// `holdout-<id>`, the variant such identifiers get.
    pub(super) variant: Box<str>,
    pub(super) payload: Option<Box<str>>,
}

/// Whom a condition counts: people, or the groups of one type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Aggregation {
    Person,
    /// The group type's index, not checked against the project.
    Group(i64),
}

impl Flag {
    /// Compiles a stored flag, if need be to one that fails alone.
    pub fn compile(source: &FlagSource<'_>) -> Self {
        Self {
            id: source.id,
            key: source.key.into(),
            version: source.version,
            active: source.active,
            deleted: source.deleted,
            runtime: source.evaluation_runtime.and_then(Runtime::of_flag),
            contexts: source
                .evaluation_contexts
                .iter()
                .map(|context| context.as_str().into())
                .collect(),
            has_encrypted_payloads: source.has_encrypted_payloads,
            has_experiment: source.has_experiment,
            rules: parse::rules(source),
            rendered: Rendered::default(),
        }
    }

    /// What flag filters refer to.
    pub fn id(&self) -> i64 {
        self.id
    }

    /// What callers ask for.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The definition's version, if it has one.
    pub fn version(&self) -> Option<i64> {
        self.version
    }

    /// False for a flag that is switched off.
    pub fn is_active(&self) -> bool {
        self.active
    }

    /// True for a flag that is kept only so that it can be restored.
    pub fn is_deleted(&self) -> bool {
        self.deleted
    }

    /// True if an experiment is linked to the flag.
    pub fn has_experiment(&self) -> bool {
        self.has_experiment
    }

    /// What keeps the definition from being understood, for the log.
    pub fn problem(&self) -> Option<&'static str> {
        self.rules.as_ref().err().copied()
    }

    /// True if stored hash keys can change what the flag answers: it keeps
    /// people's results across logins, and not everyone gets the same one.
    pub fn needs_hash_keys(&self) -> bool {
        self.rules().is_some_and(|rules| rules.continuity && rules.divides())
    }

    /// True if stored hash keys are kept for this flag at all.
    pub fn has_continuity(&self) -> bool {
        self.rules().is_some_and(|rules| rules.continuity)
    }

    /// The person properties that its own filters and its early access name.
    /// A property named twice comes twice.
    pub fn person_properties(&self) -> impl Iterator<Item = &str> {
        let enrollment = self.rules().and_then(|rules| rules.enrollment.as_deref());
        self.filters().filter_map(Filter::person_property).chain(enrollment)
    }

    /// The cohorts that its own filters name.
    pub fn cohorts(&self) -> impl Iterator<Item = i64> {
        self.filters().filter_map(|filter| match &filter.test {
            Test::Cohort(test) => test.id,
            _ => None,
        })
    }

    /// The group properties that its filters read: the index of the group's
    /// type, and the name. A property named twice comes twice.
    pub fn group_properties(&self) -> impl Iterator<Item = (i64, &str)> {
        let conditions = self.rules().map_or(&[][..], |rules| &rules.conditions);
        conditions.iter().flat_map(|condition| {
            let read = |filter| Filter::group_type(filter, condition.aggregation);
            condition.filters.iter().filter_map(move |filter| Some((read(filter)?, &*filter.key)))
        })
    }

    /// The flags that its filters read, each once.
    pub fn dependencies(&self) -> &[i64] {
        self.rules().map_or(&[], |rules| &rules.dependencies)
    }

    pub(super) fn shared_key(&self) -> &Arc<str> {
        &self.key
    }

    pub(super) fn rules(&self) -> Option<&Rules> {
        self.rules.as_ref().ok()
    }

    pub(super) fn rendered(&self) -> &Rendered {
        &self.rendered
    }

    /// The only runtime the flag is for, if there is but one.
    pub(super) fn runtime(&self) -> Option<Runtime> {
        self.runtime
    }

    /// False for a flag no caller is answered about, whoever asks; one with encrypted payloads
    /// is such a flag but for those who manage it.
    pub(super) fn is_served(&self, encrypted_too: bool) -> bool {
        self.active && !self.deleted && self.is_shown(encrypted_too)
    }

    /// False for a flag whose payloads are not for the audience.
    pub(super) fn is_shown(&self, encrypted_too: bool) -> bool {
        encrypted_too || !self.has_encrypted_payloads
    }

    /// True for a flag that is there but off.
    pub fn is_switched_off(&self) -> bool {
        !self.active && !self.deleted
    }

    /// The contexts the flag is evaluated in; none for everywhere.
    pub(super) fn contexts(&self) -> impl Iterator<Item = &str> {
        self.contexts.iter().map(|context| &**context)
    }

    /// True if the flag is evaluated in one of `contexts`; either side naming
    /// none means everywhere.
    pub(super) fn is_in_context(&self, contexts: &[String]) -> bool {
        contexts.is_empty()
            || self.contexts.is_empty()
            || self.contexts.iter().any(|own| contexts.iter().any(|asked| **asked == **own))
    }

    fn filters(&self) -> impl Iterator<Item = &Filter> {
        let conditions = self.rules().map_or(&[][..], |rules| &rules.conditions);
        conditions.iter().flat_map(|condition| &condition.filters)
    }
}

impl Condition {
    /// Its filters as they are tested: cohorts cost most, so they come last.
    pub(super) fn in_order(&self) -> impl Iterator<Item = &Filter> {
        let later = if self.defers { &self.filters[..] } else { &[] };
        let is_now = |filter: &&Filter| !self.defers || !filter.is_deferred();
        let later = later.iter().filter(|filter| filter.is_deferred());
        self.filters.iter().filter(is_now).chain(later)
    }
}

impl Rules {
    /// The position of the variant with this key.
    pub(super) fn variant(&self, key: &str) -> Option<usize> {
        self.variants.iter().position(|variant| &*variant.key == key)
    }

    /// The position of the variant whose share holds `hash`.
    pub(super) fn variant_at(&self, hash: f64) -> Option<usize> {
        bucket::pick(self.variants.iter().map(|variant| variant.end), hash)
    }

    /// True if the answer depends on a hash.
    fn divides(&self) -> bool {
        let reachable = self.variants.iter().scan(0.0, |start, variant| {
            let share = variant.end - *start;
            *start = variant.end;
            Some(share > 0.0)
        });
        reachable.filter(|reachable| *reachable).count() > 1
            || self.conditions.iter().any(|condition| !condition.rollout.takes_all())
    }
}

#[cfg(test)]
mod tests;
