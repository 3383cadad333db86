//! Holds what was read, with bounds, and knows what of it no longer counts.
//!
//! Each entry carries the [`Stamp`] that was taken before its query began. A
//! change moves the stamps of those it is about, so an entry read before a
//! change never counts after it, in whatever order the two arrive here. An
//! entry that only grew old is still served when the database is gone; one
//! that is known to have changed never is.

use std::{
    hash::{BuildHasher, Hash, RandomState},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use moka::sync;

use super::entry::{Entry, Group, Person};
use crate::model::people::PeopleChanged;

/// How long what was read counts without asking again.
pub(super) const FRESH: Duration = Duration::from_secs(1);
/// How long it is kept for the case that the database goes.
const KEPT: Duration = Duration::from_secs(3600);
/// How much is kept, in bytes, roughly.
const MOST_BYTES: u64 = 64 << 20;
/// Counters that people and groups share by hash: a change then costs some strangers a query.
const COUNTERS: usize = 1 << 14;

/// What an entry is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Key {
    /// The person with this distinct id, in a project.
    Person(i64, String),
    /// A group: project, index of its type, key.
    Group(i64, i32, String),
}

/// How many changes a key had seen when it was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp(u64);

/// What is held, and how often it changed.
#[derive(Clone, Debug)]
pub(super) struct Cache {
    held: sync::Cache<Key, Arc<Entry>>,
    changes: Arc<Changes>,
}

#[derive(Debug)]
struct Changes {
    /// By the hash of a key, or of a project for what is about all of it.
    counters: Box<[AtomicU64]>,
    all: AtomicU64,
    hasher: RandomState,
}
