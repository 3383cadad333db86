//! The flags of a project as lists choose from them: in the order of the list, with no more
//! than its filters ask for (management-api 3.7).
//!
//! A list tells how many flags match, so each request looks at all of them. They lie packed in
//! blocks, which makes that a matter of a millisecond for 100,000; a changed flag costs its own
//! block anew, and the others are shared with the state before.

mod block;
mod wanted;

use std::sync::Arc;

use chrono::{DateTime, Utc};

use block::Block;
pub use wanted::Outside;
use wanted::Wanted;

use super::flag_filter::FlagFilter;

/// A live flag, by what lists look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedFlag {
    /// Its number.
    pub id: i64,
    /// What lists are ordered by.
    pub created_at: DateTime<Utc>,
    /// Its maker.
    pub created_by: Option<i64>,
    /// Whether it is on.
    pub active: bool,
    /// Whether it is put away.
    pub archived: bool,
    /// Whether it is multivariate.
    pub has_variants: bool,
    /// Whether it only delivers a payload.
    pub is_remote_configuration: bool,
    /// Whether it names evaluation contexts.
    pub has_contexts: bool,
    /// Where it is evaluated, as stored.
    pub evaluation_runtime: Option<String>,
    /// The numbers of its tags.
    pub tags: Vec<i64>,
    /// Its key and name in lower case, a line break between them.
    pub typed: String,
    /// The same, with separators loosened.
    pub loose: String,
}

impl ListedFlag {
    fn place(&self) -> Place {
        (self.created_at, self.id)
    }
}

/// Where a flag stands, oldest first.
type Place = (DateTime<Utc>, i64);

/// Which part of a list is wanted, in which direction.
#[derive(Clone, Copy, Debug)]
pub struct Part {
    /// From the newest to the oldest.
    pub newest_first: bool,
    /// How many to leave out.
    pub offset: usize,
    /// How many at most.
    pub limit: usize,
}

/// What a list holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chosen {
    /// The flags of the part, in order.
    pub ids: Vec<i64>,
    /// How many match in all.
    pub total: usize,
}

/// All live flags of a project, oldest first.
#[derive(Clone, Debug, Default)]
pub struct FlagIndex {
    /// None is empty, and each ends before the next begins.
    blocks: Vec<Arc<Block>>,
}

impl FlagIndex {
    /// The index over these flags, in whatever order they come.
    #[must_use]
    pub fn new(mut flags: Vec<ListedFlag>) -> Self {
        flags.sort_unstable_by_key(ListedFlag::place);
        let blocks = flags.chunks(Block::MOST / 2).map(|chunk| Arc::new(Block::of(chunk)));
        Self { blocks: blocks.collect() }
    }

    /// The index after some flags changed: `found` are those of them that lists still know.
    #[must_use]
    pub fn patched(&self, changed: &[i64], found: Vec<ListedFlag>) -> Self {
        let mut changed = changed.to_vec();
        changed.sort_unstable();
        let mut blocks: Vec<_> =
            self.blocks.iter().filter_map(|block| without(block, &changed)).collect();
        for flag in found {
            insert(&mut blocks, flag);
        }
        Self { blocks }
    }

    /// The part of the flags that match, and how many do; `None` where that depends on when
    /// flags were called, which changes without any notice here.
    #[must_use]
    pub fn choose(&self, filter: &FlagFilter, outside: &Outside, part: Part) -> Option<Chosen> {
        let wanted = Wanted::of(filter, outside)?;
        let mut chosen = Chosen::default();
        let mut take = |id: i64| {
            if chosen.total >= part.offset && chosen.ids.len() < part.limit {
                chosen.ids.push(id);
            }
            chosen.total += 1;
        };
        match part.newest_first {
            true => self.blocks.iter().rev().for_each(|block| {
                block.matching(&wanted).into_iter().rev().for_each(&mut take);
            }),
            false => self.blocks.iter().for_each(|block| {
                block.matching(&wanted).into_iter().for_each(&mut take);
            }),
        }
        Some(chosen)
    }
}

/// A block without some flags; the same one if it has none of them, none if it has no other.
fn without(block: &Arc<Block>, gone: &[i64]) -> Option<Arc<Block>> {
    let is_gone = |id: i64| gone.binary_search(&id).is_ok();
    if !block.ids().any(is_gone) {
        return Some(Arc::clone(block));
    }
    let left: Vec<_> = block.flags().filter(|flag| !is_gone(flag.id)).collect();
    (!left.is_empty()).then(|| Arc::new(Block::of(&left)))
}

fn insert(blocks: &mut Vec<Arc<Block>>, flag: ListedFlag) {
    let after = blocks.partition_point(|block| block.first() <= Some(flag.place()));
    let at = after.saturating_sub(1);
    let mut flags: Vec<_> = blocks.get(at).into_iter().flat_map(|block| block.flags()).collect();
    let place = flags.partition_point(|other| other.place() <= flag.place());
    flags.insert(place, flag);
    let size = if flags.len() > Block::MOST { Block::MOST / 2 } else { Block::MOST };
    let end = (at + 1).min(blocks.len());
    blocks.splice(at..end, flags.chunks(size).map(|chunk| Arc::new(Block::of(chunk))));
}

#[cfg(test)]
mod tests;
