//! What is known of tokens by their text, in parts that are locked apart, so that the requests of
//! many connections do not wait for one lock.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use parking_lot::RwLock;

/// How many parts there are.
pub(super) const SHARDS: usize = 16;

/// One part.
pub(super) type Shard<V> = RwLock<HashMap<Box<str>, V>>;

/// All of them.
pub(super) struct Shards<V> {
    hasher: RandomState,
    all: [Shard<V>; SHARDS],
}

impl<V> Shards<V> {
    pub(super) fn new() -> Self {
        Self { hasher: RandomState::new(), all: std::array::from_fn(|_| Shard::default()) }
    }

    /// The part that a token belongs to.
    pub(super) fn of(&self, token: &str) -> &Shard<V> {
        let hash = self.hasher.hash_one(token).to_ne_bytes();
        &self.all[usize::from(hash[0]) % SHARDS]
    }

    pub(super) fn all(&self) -> &[Shard<V>] {
        &self.all
    }
}
