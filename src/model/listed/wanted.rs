//! A filter of lists, made ready to be held against every flag.

use std::collections::HashSet;

use memchr::memmem::Finder;

use super::block::{Block, Row, runtime};
use crate::model::flag_filter::{Activity, FlagFilter, FlagType, loosened};

/// What the names in a filter stand for, looked up when it is asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outside {
    /// The flags of experiments whose name the search finds.
    pub linked: HashSet<i64>,
    /// The flags that any experiment refers to, when those are wanted.
    pub experiments: HashSet<i64>,
    /// The flags with keys that are left out.
    pub excluded: HashSet<i64>,
    /// The numbers of the wanted tags.
    pub tags: Vec<i64>,
    /// The numbers of the tags that are left out.
    pub excluded_tags: Vec<i64>,
}

pub(super) struct Wanted<'a> {
    filter: &'a FlagFilter,
    outside: &'a Outside,
    archived: bool,
    active: Option<bool>,
    created_by: Option<HashSet<i64>>,
    /// The number of the runtime; none when there is no such runtime.
    runtime: Option<Option<u8>>,
    search: Option<Search>,
}

impl<'a> Wanted<'a> {
    /// `None` for a filter that needs to know when flags were called.
    pub(super) fn of(filter: &'a FlagFilter, outside: &'a Outside) -> Option<Self> {
        let active = match filter.activity {
            Some(Activity::Stale) => return None,
            activity => activity.map(|activity| activity == Activity::Active),
        };
        Some(Self {
            filter,
            outside,
            archived: filter.archived.unwrap_or(false),
            active,
            created_by: filter.created_by.as_ref().map(|users| users.iter().copied().collect()),
            runtime: filter.evaluation_runtime.as_deref().map(runtime),
            search: filter.search.as_deref().map(Search::of),
        })
    }

    pub(super) fn search(&self) -> Option<&Search> {
        self.search.as_ref()
    }

    /// Whether the search finds some flags by what refers to them.
    pub(super) fn has_links(&self) -> bool {
        !self.outside.linked.is_empty()
    }

    pub(super) fn is_linked(&self, id: i64) -> bool {
        self.outside.linked.contains(&id)
    }

    /// Whether a flag passes all but the search.
    pub(super) fn admits(&self, block: &Block, at: usize, row: &Row) -> bool {
        let (filter, outside) = (self.filter, self.outside);
        let made_by = |users: &HashSet<i64>| row.created_by.is_some_and(|id| users.contains(&id));
        let tagged = |tags: &[i64]| block.tags_of(at).iter().any(|tag| tags.contains(tag));
        row.archived == self.archived
            && self.active.is_none_or(|active| row.active == active)
            && self.created_by.as_ref().is_none_or(made_by)
            && filter.flag_type.is_none_or(|kind| self.is_of(kind, row))
            && self.runtime.is_none_or(|runtime| runtime.is_some() && row.runtime == runtime)
            && filter.has_contexts.is_none_or(|has| row.has_contexts == has)
            && filter.key.as_deref().is_none_or(|key| is_key(block.typed_of(at), key))
            && (outside.excluded.is_empty() || !outside.excluded.contains(&row.id))
            && (filter.tags.is_none() || tagged(&outside.tags))
            && (outside.excluded_tags.is_empty() || !tagged(&outside.excluded_tags))
    }

    fn is_of(&self, kind: FlagType, row: &Row) -> bool {
        match kind {
            FlagType::Boolean => !row.has_variants,
            FlagType::Multivariant => row.has_variants,
            FlagType::RemoteConfig => row.is_remote_configuration,
            FlagType::Experiment => self.outside.experiments.contains(&row.id),
        }
    }
}

/// The key is the first line, in lower case.
fn is_key(typed: &str, key: &str) -> bool {
    typed.strip_prefix(key).is_some_and(|rest| rest.starts_with('\n'))
}

/// A term that is searched for. It stands anywhere in a key or a name, as typed, but for its
/// spaces, each of which stands for any run of separators.
pub(super) struct Search {
    text: Finder<'static>,
    /// Whether the term has spaces, so that the text is looked for where separators are loosened.
    is_loose: bool,
    /// The parts between spaces that have separators of their own, which must stand as typed.
    strict: Vec<Finder<'static>>,
}

impl Search {
    fn of(term: &str) -> Self {
        let finder = |text: &str| Finder::new(text).into_owned();
        if !term.contains(char::is_whitespace) {
            return Self { text: finder(term), is_loose: false, strict: Vec::new() };
        }
        let strict = term.split_whitespace().filter(|word| word.contains(['-', '_']));
        let strict = strict.map(finder).collect();
        Self { text: finder(&loosened(term)), is_loose: true, strict }
    }

    /// The rows that it finds, in order.
    pub(super) fn rows(&self, block: &Block) -> Vec<usize> {
        if !self.is_loose {
            return block.typed_with(&self.text);
        }
        let mut found = block.loose_with(&self.text);
        let as_typed = |at: &usize| {
            let typed = block.typed_of(*at).as_bytes();
            self.strict.iter().all(|word| word.find(typed).is_some())
        };
        found.retain(as_typed);
        found
    }
}
