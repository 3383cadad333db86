//! Keys that were read lately, and when all of that is to be forgotten.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use arc_swap::ArcSwap;
use chrono::{DateTime, TimeDelta, Utc};
use foldhash::fast::RandomState;
use rpds::HashTrieMapSync;

use super::secret::TokenHash;
use crate::model::{api_key::ApiKey, caller::Caller};

/// How long a known key still opens evaluation when the database is gone.
const KEPT: TimeDelta = TimeDelta::minutes(10);
const MOST_KEPT: usize = 10_000;

/// A key as it was read.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) key: ApiKey,
    pub(super) caller: Arc<Caller>,
    pub(super) read_at: DateTime<Utc>,
}

/// Known keys by the hash of their token. Clones share. Whoever looks one up takes no lock; whoever
/// keeps one makes a new map that shares what stays with the one before.
#[derive(Clone, Debug, Default)]
pub(super) struct Keys(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    held: ArcSwap<Held>,
    /// How often all was forgotten.
    forgotten: AtomicU64,
}

/// What is hashed here is a hash already, which nobody can choose.
type Held = HashTrieMapSync<TokenHash, Arc<Known>, RandomState>;

impl Keys {
    /// What is known, however old it is within [`KEPT`].
    pub(super) fn get(&self, hash: &TokenHash, now: DateTime<Utc>) -> Option<Arc<Known>> {
        let held = self.0.held.load();
        held.get(hash).filter(|known| now - known.read_at < KEPT).cloned()
    }

    /// Taken before a key is read, to be given back with what was found.
    pub(super) fn stamp(&self) -> u64 {
        self.0.forgotten.load(Ordering::SeqCst)
    }

    /// Keeps what was read, unless keys were changed since the reading began at `stamp`.
    pub(super) fn keep(&self, hash: TokenHash, known: &Arc<Known>, stamp: u64) {
        if self.stamp() == stamp {
            self.0.held.rcu(|held| with_room(held).insert(hash, Arc::clone(known)));
        }
        // A change between the two found nothing to forget.
        if self.stamp() != stamp {
            self.0.held.rcu(|held| held.remove(&hash));
        }
    }

    /// Forgets all: some keys were changed.
    pub(super) fn forget(&self) {
        // In this order, so that what is kept in between is seen to be of before.
        self.0.forgotten.fetch_add(1, Ordering::SeqCst);
        self.0.held.store(Arc::default());
    }
}

/// The same with room for one more: of too many, those stay that were read last.
fn with_room(held: &Held) -> Held {
    if held.size() < MOST_KEPT {
        return held.clone();
    }
    let mut times: Vec<_> = held.values().map(|known| known.read_at).collect();
    let (_, middle, _) = times.select_nth_unstable(MOST_KEPT / 2);
    let mut kept = Held::default();
    for (hash, known) in held.iter().filter(|(_, known)| known.read_at > *middle) {
        kept.insert_mut(*hash, Arc::clone(known));
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::lease::tests::key;

    fn known(second: i64) -> Arc<Known> {
        let read_at = DateTime::UNIX_EPOCH + TimeDelta::seconds(second);
        let key = key(second);
        Arc::new(Known { caller: Arc::new(key.caller()), key, read_at })
    }

    fn hash(number: i64) -> TokenHash {
        let mut hash = TokenHash::default();
        hash[..8].copy_from_slice(&number.to_be_bytes());
        hash
    }

    #[test]
    fn a_key_is_known_for_ten_minutes() {
        let keys = Keys::default();
        keys.keep(hash(1), &known(0), keys.stamp());
        let at = |second| keys.get(&hash(1), known(second).read_at);
        assert!(at(599).is_some() && at(600).is_none());
    }

    #[test]
    fn of_too_many_keys_the_last_read_stay() {
        let keys = Keys::default();
        let most = i64::try_from(MOST_KEPT).unwrap();
        for number in 0..=most {
            keys.keep(hash(number), &known(0), keys.stamp());
            keys.keep(hash(number), &known(number / 100), keys.stamp());
        }
        let at = known(most / 100).read_at;
        assert!(keys.get(&hash(most), at).is_some() && keys.get(&hash(most - 1), at).is_some());
        assert!(keys.get(&hash(0), at).is_none());
        assert!(keys.0.held.load().size() <= MOST_KEPT);
    }

    #[test]
    fn what_was_read_before_all_was_forgotten_is_not_kept() {
        let keys = Keys::default();
        let stamp = keys.stamp();
        keys.forget();
        keys.keep(hash(1), &known(0), stamp);
        assert!(keys.get(&hash(1), known(0).read_at).is_none());
    }
}
