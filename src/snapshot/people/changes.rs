//! Tells whether something changed since it was asked for.
//!
//! A [`Stamp`] is taken before a query begins. A change moves the stamps of
//! those it is about, so what was read before a change never counts after it,
//! in whatever order query and change arrive here.

use std::{
    hash::{BuildHasher, Hash, RandomState},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// Counters that keys share by their hash: a change costs some strangers a query too.
const COUNTERS: usize = 1 << 14;

/// How many changes a key had seen. Equal stamps mean that none came between.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Stamp(u64);

/// Counts changes by key and by project. Clones share.
#[derive(Clone, Debug)]
pub(super) struct Changes {
    counters: Arc<[AtomicU64]>,
    hasher: RandomState,
}

impl Default for Changes {
    fn default() -> Self {
        Self {
            counters: (0..COUNTERS).map(|_| AtomicU64::default()).collect(),
            hasher: RandomState::new(),
        }
    }
}

impl Changes {
    /// How many changes could have been about this key of a project. Counters only grow, so
    /// their sum tells when one of them did.
    pub(super) fn stamp(&self, project_id: i64, key: &impl Hash) -> Stamp {
        let counters = [self.of_key(project_id, key), self.of_project(project_id)];
        Stamp(counters.map(|counter| counter.load(Ordering::SeqCst)).iter().sum())
    }

    /// The key changed.
    pub(super) fn note(&self, project_id: i64, key: &impl Hash) {
        self.of_key(project_id, key).fetch_add(1, Ordering::SeqCst);
    }

    /// Any key of the project may have changed.
    pub(super) fn note_project(&self, project_id: i64) {
        self.of_project(project_id).fetch_add(1, Ordering::SeqCst);
    }

    fn of_key(&self, project_id: i64, key: &impl Hash) -> &AtomicU64 {
        self.counter(self.hasher.hash_one((project_id, key)))
    }

    fn of_project(&self, project_id: i64) -> &AtomicU64 {
        self.counter(self.hasher.hash_one(project_id))
    }

    fn counter(&self, hash: u64) -> &AtomicU64 {
        let place = usize::try_from(hash % COUNTERS as u64).expect("smaller than the table");
        &self.counters[place]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_moves_the_stamps_of_those_it_is_about() {
        let changes = Changes::default();
        let stamps = || [(1, "ann"), (1, "bob"), (2, "ann")].map(|(p, id)| changes.stamp(p, &id));
        let moved = |before: [Stamp; 3]| {
            let now = stamps();
            [0, 1, 2].map(|at| before[at] != now[at])
        };
        let before = stamps();
        assert_eq!(moved(before), [false; 3]);
        changes.note(1, &"ann");
        assert!(moved(before)[0]);
        let before = stamps();
        changes.note_project(1);
        assert_eq!(moved(before)[..2], [true; 2]);
    }
}
