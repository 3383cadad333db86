//! Maps and sets that are filled from definitions and then only looked into.
//!
//! What callers send is never put into one, so nobody can choose what collides,
//! and a hash that is quicker than the standard one will do.

use std::collections::{HashMap, HashSet};

use foldhash::fast::RandomState;
use rpds::{HashTrieMapSync, VectorSync};

pub(super) type Map<K, V> = HashMap<K, V, RandomState>;

/// One that shares what it can with the map that it was changed from.
pub(super) type SharedMap<K, V> = HashTrieMapSync<K, V, RandomState>;

/// A list of the same kind.
pub(super) type SharedVec<T> = VectorSync<T>;

pub(super) type Set<T> = HashSet<T, RandomState>;
