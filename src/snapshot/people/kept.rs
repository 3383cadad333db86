//! Keeps what was read, with bounds, and says how far it can be trusted.

use std::{
    fmt,
    hash::Hash,
    sync::Arc,
    time::{Duration, Instant},
};

use moka::sync::Cache;

use super::changes::{Changes, Stamp};

/// How long what was read counts without asking again: where a change is not announced, it is
/// seen after this.
const FRESH: Duration = Duration::from_secs(1);
/// How long it is kept for the case that the database goes.
const KEPT: Duration = Duration::from_secs(600);
/// How much is kept of each kind, in bytes, roughly.
const MOST_BYTES: u64 = 64 << 20;

/// What an entry takes beside its key and its value, roughly.
const OVERHEAD: usize = 200;

/// What can be kept, or told apart by.
pub(super) trait Weigh: Send + Sync + 'static {
    /// Roughly what it takes in memory, in bytes.
    fn bytes(&self) -> usize;
}

/// Values by key, each key in a project. Clones share.
pub(super) struct Kept<K, V> {
    held: Cache<(i64, K), Entry<V>>,
    changes: Changes,
}

#[derive(Debug)]
struct Entry<V> {
    value: Arc<V>,
    stamp: Stamp,
    read_at: Instant,
}

/// How far a value can be trusted.
#[derive(Debug)]
pub(super) enum Trust<V> {
    /// Read a moment ago.
    Fresh(Arc<V>),
    /// Older, and not known to have changed: what there is while the database is gone.
    Old(Arc<V>),
    /// Not kept, or known to have changed.
    None,
}

impl<K, V> Kept<K, V>
where
    K: Weigh + Clone + Eq + Hash,
    V: Weigh,
{
    /// Keeps nothing yet.
    pub(super) fn new() -> Self {
        let weight = |(_, key): &(i64, K), entry: &Entry<V>| {
            u32::try_from(key.bytes() + entry.value.bytes() + OVERHEAD).unwrap_or(u32::MAX)
        };
        let held =
            Cache::builder().weigher(weight).max_capacity(MOST_BYTES).time_to_live(KEPT).build();
        Self { held, changes: Changes::default() }
    }

    /// Taken before a key is read, to be given back with what was found.
    pub(super) fn stamp(&self, project_id: i64, key: &K) -> Stamp {
        self.changes.stamp(project_id, key)
    }

    /// Keeps what was read at `now` by a query that began at `stamp`.
    pub(super) fn put(&self, project_id: i64, key: K, value: Arc<V>, stamp: Stamp, now: Instant) {
        self.held.insert((project_id, key), Entry { value, stamp, read_at: now });
    }

    /// What is kept of a key. Never what was read before a change to it, even if that query
    /// came back after the change.
    pub(super) fn get(&self, project_id: i64, key: &K, now: Instant) -> Trust<V> {
        let Some(entry) = self.held.get(&(project_id, key.clone())) else { return Trust::None };
        if entry.stamp != self.stamp(project_id, key) {
            return Trust::None;
        }
        match now.saturating_duration_since(entry.read_at) < FRESH {
            true => Trust::Fresh(entry.value),
            false => Trust::Old(entry.value),
        }
    }

    /// A key changed.
    pub(super) fn forget(&self, project_id: i64, key: K) {
        self.changes.note(project_id, &key);
        self.held.invalidate(&(project_id, key));
    }

    /// Any key of the project may have changed.
    pub(super) fn forget_project(&self, project_id: i64) {
        self.changes.note_project(project_id);
    }
}

impl Weigh for String {
    fn bytes(&self) -> usize {
        self.len()
    }
}

impl Weigh for (i32, String) {
    fn bytes(&self) -> usize {
        self.1.len()
    }
}

impl<K, V> Clone for Kept<K, V> {
    fn clone(&self) -> Self {
        Self { held: self.held.clone(), changes: self.changes.clone() }
    }
}

impl<K, V> fmt::Debug for Kept<K, V> {
    /// Nothing of what is kept belongs in a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kept").finish_non_exhaustive()
    }
}

impl<V> Clone for Entry<V> {
    fn clone(&self) -> Self {
        Self { value: Arc::clone(&self.value), stamp: self.stamp, read_at: self.read_at }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Weigh for &'static str {
        fn bytes(&self) -> usize {
            self.len()
        }
    }

    type Texts = Kept<&'static str, &'static str>;

    fn read(kept: &Texts, now: Instant) -> &'static str {
        match kept.get(1, &"ann", now) {
            Trust::Fresh(value) => *value,
            Trust::Old(_) => "old",
            Trust::None => "none",
        }
    }

    fn put(kept: &Texts, value: &'static str, stamp: Stamp, now: Instant) {
        kept.put(1, "ann", Arc::new(value), stamp, now);
    }

    #[test]
    fn what_was_read_counts_for_a_moment_and_is_old_then() {
        let (kept, now) = (Texts::new(), Instant::now());
        assert_eq!(read(&kept, now), "none");
        put(&kept, "pro", kept.stamp(1, &"ann"), now);
        assert_eq!(read(&kept, now), "pro");
        assert_eq!(read(&kept, now + FRESH / 2), "pro");
        assert_eq!(read(&kept, now + FRESH), "old");
        assert!(matches!(kept.get(2, &"ann", now), Trust::None), "another project's");
    }

    #[test]
    fn what_was_read_before_a_change_never_counts_after_it() {
        let forget: [fn(&Texts); 2] = [|kept| kept.forget(1, "ann"), |kept| kept.forget_project(1)];
        for forget in forget {
            let (kept, now) = (Texts::new(), Instant::now());
            let before = kept.stamp(1, &"ann");
            put(&kept, "before", before, now);
            forget(&kept);
            assert_eq!(read(&kept, now), "none");
            put(&kept, "late", before, now);
            assert_eq!(read(&kept, now), "none", "its query began before the change");
            put(&kept, "after", kept.stamp(1, &"ann"), now);
            assert_eq!(read(&kept, now), "after");
        }
    }
}
