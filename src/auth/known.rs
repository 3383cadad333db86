//! Keys that were read lately, and when all of that is to be forgotten.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use chrono::{DateTime, Utc};
use foldhash::fast::RandomState;
use moka::sync::Cache;

use super::secret::TokenHash;
use crate::model::{api_key::ApiKey, caller::Caller};

/// How long a known key still opens evaluation when the database is gone.
const KEPT: Duration = Duration::from_secs(600);
const MOST_KEPT: u64 = 10_000;

/// A key as it was read.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) key: ApiKey,
    pub(super) caller: Arc<Caller>,
    pub(super) read_at: DateTime<Utc>,
}

/// Known keys by the hash of their token. Clones share.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    held: Cache<TokenHash, Arc<Known>, RandomState>,
    /// How often all was forgotten.
    forgotten: Arc<AtomicU64>,
}

impl Default for Keys {
    /// None is known yet.
    fn default() -> Self {
        // What is hashed here is a hash already, which nobody can choose.
        let held = Cache::builder()
            .max_capacity(MOST_KEPT)
            .time_to_live(KEPT)
            .build_with_hasher(RandomState::default());
        Self { held, forgotten: Arc::default() }
    }
}

impl Keys {
    /// What is known, however old.
    pub(super) fn get(&self, hash: &TokenHash) -> Option<Arc<Known>> {
        self.held.get(hash)
    }

    /// Taken before a key is read, to be given back with what was found.
    pub(super) fn stamp(&self) -> u64 {
        self.forgotten.load(Ordering::SeqCst)
    }

    /// Keeps what was read, unless keys were changed since the reading began at `stamp`.
    pub(super) fn keep(&self, hash: TokenHash, known: &Arc<Known>, stamp: u64) {
        if self.stamp() == stamp {
            self.held.insert(hash, Arc::clone(known));
        }
        // A change between the two found nothing to forget.
        if self.stamp() != stamp {
            self.held.invalidate(&hash);
        }
    }

    /// Forgets all: some keys were changed.
    pub(super) fn forget(&self) {
        // In this order, so that what is kept in between is seen to be of before.
        self.forgotten.fetch_add(1, Ordering::SeqCst);
        self.held.invalidate_all();
    }
}
