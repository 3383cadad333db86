//! Keys that were read lately, and when all of that is to be forgotten.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use foldhash::fast::RandomState;
use rpds::HashTrieMapSync;

use super::secret::TokenHash;
use crate::model::{api_key::ApiKey, caller::Caller};

/// How long a known key still opens evaluation when the database is gone.
const KEPT: Duration = Duration::from_secs(600);
const MOST_KEPT: usize = 10_000;

/// A key as it was read.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) key: ApiKey,
    pub(super) caller: Arc<Caller>,
    /// Monotonic: a wall clock that goes back does not make it young again.
    pub(super) read_at: Instant,
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
    pub(super) fn get(&self, hash: &TokenHash, now: Instant) -> Option<Arc<Known>> {
        let held = self.0.held.load();
        held.get(hash).filter(|known| now.duration_since(known.read_at) < KEPT).cloned()
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

    /// Forgets one key, which was changed, and what is being read of any.
    pub(super) fn forget_key(&self, key_id: i64) {
        self.0.forgotten.fetch_add(1, Ordering::SeqCst);
        self.0.held.rcu(|held| {
            let mut rest = Held::clone(held);
            let of_key = held.iter().filter(|(_, known)| known.key.id == key_id);
            for (hash, _) in of_key {
                rest.remove_mut(hash);
            }
            rest
        });
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

    fn known(began: Instant, second: u64) -> Arc<Known> {
        let read_at = began + Duration::from_secs(second);
        let key = key(i64::try_from(second).unwrap());
        Arc::new(Known { caller: Arc::new(key.caller()), key, read_at })
    }

    fn hash(number: i64) -> TokenHash {
        let mut hash = TokenHash::default();
        hash[..8].copy_from_slice(&number.to_be_bytes());
        hash
    }

    #[test]
    fn a_key_is_known_for_ten_minutes() {
        let (keys, began) = (Keys::default(), Instant::now());
        keys.keep(hash(1), &known(began, 0), keys.stamp());
        let at = |second| keys.get(&hash(1), began + Duration::from_secs(second));
        assert!(at(599).is_some() && at(600).is_none());
    }

    #[test]
    fn of_too_many_keys_the_last_read_stay() {
        let (keys, began) = (Keys::default(), Instant::now());
        let most = i64::try_from(MOST_KEPT).unwrap();
        let second = |number: i64| u64::try_from(number / 100).unwrap();
        for number in 0..=most {
            keys.keep(hash(number), &known(began, 0), keys.stamp());
            keys.keep(hash(number), &known(began, second(number)), keys.stamp());
        }
        let at = known(began, second(most)).read_at;
        assert!(keys.get(&hash(most), at).is_some() && keys.get(&hash(most - 1), at).is_some());
        assert!(keys.get(&hash(0), at).is_none());
        assert!(keys.0.held.load().size() <= MOST_KEPT);
    }

    #[test]
    fn what_was_read_before_all_was_forgotten_is_not_kept() {
        let (keys, began) = (Keys::default(), Instant::now());
        for forget in [Keys::forget, |keys: &Keys| keys.forget_key(0)] {
            let stamp = keys.stamp();
            forget(&keys);
            keys.keep(hash(1), &known(began, 0), stamp);
            assert!(keys.get(&hash(1), began).is_none());
        }
    }

    #[test]
    fn a_key_that_changed_is_forgotten_and_the_others_stay() {
        let (keys, began) = (Keys::default(), Instant::now());
        for number in 1..=3 {
            let second = u64::try_from(number).unwrap();
            keys.keep(hash(number), &known(began, second), keys.stamp());
        }
        keys.forget_key(2);
        let held = [1, 2, 3].map(|number| keys.get(&hash(number), began).is_some());
        assert_eq!(held, [true, false, true]);
    }
}
