//! Neighbours in a list, packed: texts one after the other, so that a search runs over all of
//! them at once, and the rest in rows of a few bytes.

use chrono::{DateTime, Utc};
use memchr::memmem::Finder;

use super::{
    ListedFlag, Place,
    wanted::{Search, Wanted},
};

/// The runtimes there are; rows name them by position.
const RUNTIMES: [&str; 3] = ["server", "client", "all"];

/// Where a runtime stands among those there are.
pub(super) fn runtime(name: &str) -> Option<u8> {
    (0..).zip(RUNTIMES).find(|(_, known)| *known == name).map(|(at, _)| at)
}

/// Up to [`Block::MOST`] flags, oldest first.
#[derive(Debug)]
pub(super) struct Block {
    rows: Vec<Row>,
    /// What was typed, of all flags; a line break ends each.
    typed: String,
    loose: String,
    tags: Vec<i64>,
}

/// One flag; its texts and tags end where it says, and begin where those before it end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    pub(super) id: i64,
    pub(super) created_by: Option<i64>,
    created_at: DateTime<Utc>,
    typed_end: usize,
    loose_end: usize,
    tags_end: usize,
    pub(super) runtime: Option<u8>,
    pub(super) active: bool,
    pub(super) archived: bool,
    pub(super) has_variants: bool,
    pub(super) is_remote_configuration: bool,
    pub(super) has_contexts: bool,
}

impl Block {
    /// The most flags of one block: so many are copied when one of them changes.
    pub(super) const MOST: usize = 1024;

    pub(super) fn of(flags: &[ListedFlag]) -> Self {
        let (mut typed, mut loose, mut tags) = (String::new(), String::new(), Vec::new());
        let mut row = |flag: &ListedFlag| {
            typed.extend([&flag.typed, "\n"]);
            loose.extend([&flag.loose, "\n"]);
            tags.extend(&flag.tags);
            Row {
                id: flag.id,
                created_by: flag.created_by,
                created_at: flag.created_at,
                typed_end: typed.len(),
                loose_end: loose.len(),
                tags_end: tags.len(),
                runtime: flag.evaluation_runtime.as_deref().and_then(runtime),
                active: flag.active,
                archived: flag.archived,
                has_variants: flag.has_variants,
                is_remote_configuration: flag.is_remote_configuration,
                has_contexts: flag.has_contexts,
            }
        };
        let rows = flags.iter().map(&mut row).collect();
        Self { rows, typed, loose, tags }
    }

    pub(super) fn first(&self) -> Option<Place> {
        self.rows.first().map(|row| (row.created_at, row.id))
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = i64> {
        self.rows.iter().map(|row| row.id)
    }

    /// The flags as they were given.
    pub(super) fn flags(&self) -> impl Iterator<Item = ListedFlag> {
        self.rows.iter().enumerate().map(|(at, row)| ListedFlag {
            id: row.id,
            created_at: row.created_at,
            created_by: row.created_by,
            active: row.active,
            archived: row.archived,
            has_variants: row.has_variants,
            is_remote_configuration: row.is_remote_configuration,
            has_contexts: row.has_contexts,
            evaluation_runtime: row.runtime.map(|at| RUNTIMES[usize::from(at)].to_owned()),
            tags: self.tags_of(at).to_vec(),
            typed: self.typed_of(at).to_owned(),
            loose: self.loose[self.start(at, |row| row.loose_end)..row.loose_end - 1].to_owned(),
        })
    }

    /// Where what a row has begins: at the end of what the row before has.
    fn start(&self, at: usize, end: impl Fn(&Row) -> usize) -> usize {
        at.checked_sub(1).map_or(0, |before| end(&self.rows[before]))
    }

    /// The key and name of a row's flag.
    pub(super) fn typed_of(&self, at: usize) -> &str {
        &self.typed[self.start(at, |row| row.typed_end)..self.rows[at].typed_end - 1]
    }

    pub(super) fn tags_of(&self, at: usize) -> &[i64] {
        &self.tags[self.start(at, |row| row.tags_end)..self.rows[at].tags_end]
    }

    /// The numbers of the flags that are wanted, oldest first.
    pub(super) fn matching(&self, wanted: &Wanted<'_>) -> Vec<i64> {
        let admitted = |at: usize| {
            let row = &self.rows[at];
            wanted.admits(self, at, row).then_some(row.id)
        };
        match wanted.search() {
            Some(search) => self.found(search, wanted).into_iter().filter_map(admitted).collect(),
            None => (0..self.rows.len()).filter_map(admitted).collect(),
        }
    }

    /// The rows that a search finds, in order: by their texts, or by what refers to the flag.
    fn found(&self, search: &Search, wanted: &Wanted<'_>) -> Vec<usize> {
        let mut found = search.rows(self);
        if wanted.has_links() {
            found.extend((0..self.rows.len()).filter(|&at| wanted.is_linked(self.rows[at].id)));
            found.sort_unstable();
            found.dedup();
        }
        found
    }

    /// The rows in whose typed text something stands.
    pub(super) fn typed_with(&self, text: &Finder<'_>) -> Vec<usize> {
        self.rows_with(text, &self.typed, |row| row.typed_end)
    }

    /// The rows in whose loosened text something stands.
    pub(super) fn loose_with(&self, text: &Finder<'_>) -> Vec<usize> {
        self.rows_with(text, &self.loose, |row| row.loose_end)
    }

    /// No text that is searched for has a line break, so none is found across two rows.
    fn rows_with(&self, text: &Finder<'_>, all: &str, end: impl Fn(&Row) -> usize) -> Vec<usize> {
        let (mut found, mut at, mut from) = (Vec::new(), 0, 0);
        while let Some(hit) = text.find(&all.as_bytes()[from..]) {
            let hit = from + hit;
            at += self.rows[at..].iter().take_while(|row| end(row) <= hit).count();
            found.push(at);
            from = end(&self.rows[at]);
            at += 1;
        }
        found
    }
}
