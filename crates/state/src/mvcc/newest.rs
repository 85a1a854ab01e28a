//! Where each key's newest record stands, while a store is loaded: found by a hash of the key,
//! which takes one look where the index takes many. Becomes the index when all records are there.

use std::collections::hash_map::Entry as Found;
use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasherDefault, Hasher};
use std::hint::black_box;

use super::history::{Segments, Spot};
use super::index::{Entry, Index, Keyed};
use super::record::KvRef;

/// How many keys are looked for together: each is in memory that nobody has looked at lately, and
/// their waits overlap.
pub(super) const AHEAD: usize = 16;

/// A hash of keys, for the time of a load.
pub type KeyHash = Box<dyn Fn(&[u8]) -> u64 + Send>;

/// See the module.
pub(super) struct Newest {
    hash: KeyHash,
    by_hash: HashMap<u64, Spot, BuildHasherDefault<Hashed>>,
    /// Keys that came after another of the same hash.
    others: BTreeMap<Box<[u8]>, Spot>,
}

impl Newest {
    pub(super) fn new(hash: KeyHash) -> Self {
        Self { hash, by_hash: HashMap::default(), others: BTreeMap::new() }
    }

    /// The hashes of the first [`AHEAD`] keys. What [`Newest::of`] will look at is then at hand.
    pub(super) fn look_ahead(&self, records: &[KvRef<'_>], history: &Segments) -> [u64; AHEAD] {
        let mut hashes = [0; AHEAD];
        for (hash, record) in hashes.iter_mut().zip(records) {
            *hash = (self.hash)(record.key);
        }
        let mut spots = [None; AHEAD];
        for (spot, hash) in spots.iter_mut().zip(hashes).take(records.len()) {
            *spot = self.by_hash.get(&hash).copied();
        }
        let found = spots.map(|spot| spot.map(|spot| history.at_spot(spot).1));
        // One byte of each, and nothing between that would wait for it.
        black_box(found.iter().flatten().fold(0, |sum: u8, bytes| sum.wrapping_add(bytes[0])));
        hashes
    }

    /// The newest record of `key` so far, and what to change when the next one stands.
    pub(super) fn of<'h>(
        &mut self,
        key: &[u8],
        hash: u64,
        history: &'h Segments,
    ) -> (Option<KvRef<'h>>, &mut Spot) {
        match self.by_hash.entry(hash) {
            Found::Vacant(vacant) => (None, vacant.insert(Spot::default())),
            Found::Occupied(first) => {
                let spot = first.into_mut();
                let newest = record(history, *spot);
                if newest.key == key {
                    return (Some(newest), spot);
                }
                let newest = self.others.get(key).map(|spot| record(history, *spot));
                (newest, self.others.entry(Box::from(key)).or_default())
            }
        }
    }

    /// The index of these records.
    pub(super) fn into_index(self, history: &Segments) -> Index {
        let spots = self.by_hash.into_values().chain(self.others.into_values());
        let mut spots: Vec<Spot> = spots.collect();
        // Neighbours in history are read together.
        spots.sort_unstable();
        let keyed = history.walk(&spots).map(|newest| {
            Keyed::new(newest.key, Entry { at: newest.at(), tombstone: newest.tombstone })
        });
        Index::build(keyed.collect())
    }
}

fn record(history: &Segments, spot: Spot) -> KvRef<'_> {
    let (at, bytes) = history.at_spot(spot);
    KvRef::decode(bytes, at)
}

/// What is a hash already.
#[derive(Default)]
pub(crate) struct Hashed(u64);

impl Hasher for Hashed {
    fn write(&mut self, _: &[u8]) {
        unreachable!("only hashes are hashed");
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
