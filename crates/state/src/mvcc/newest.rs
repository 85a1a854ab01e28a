//! Where each key's newest record stands, while a store is loaded: found by a hash of the key, which
//! takes one look where the index takes many. Becomes the index when all records are there.

use std::collections::hash_map::Entry as Found;
use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasherDefault, Hasher};

use super::history::{Place, Segments};
use super::index::{Entry, Index, Keyed};

/// A hash of keys, for the time of a load.
pub type KeyHash = Box<dyn Fn(&[u8]) -> u64 + Send>;

/// See the module.
pub(super) struct Newest {
    hash: KeyHash,
    by_hash: HashMap<u64, Spot, BuildHasherDefault<Hashed>>,
    /// Keys that came after another of the same hash.
    others: BTreeMap<Box<[u8]>, Spot>,
}

/// A place in half the room.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Spot {
    segment: u32,
    slot: u32,
}

impl Newest {
    pub(super) fn new(hash: KeyHash) -> Self {
        Self { hash, by_hash: HashMap::default(), others: BTreeMap::new() }
    }

    /// Where the newest record of `key` stood before, and what to change when the next one stands.
    pub(super) fn of(&mut self, key: &[u8], history: &Segments) -> (Option<Place>, &mut Spot) {
        match self.by_hash.entry((self.hash)(key)) {
            Found::Vacant(vacant) => (None, vacant.insert(Spot::default())),
            Found::Occupied(first) => {
                let spot = first.into_mut();
                let place = spot.place();
                if history.record(place).key == key {
                    return (Some(place), spot);
                }
                let before = self.others.get(key).map(|spot| spot.place());
                (before, self.others.entry(Box::from(key)).or_default())
            }
        }
    }

    /// The index of these records.
    pub(super) fn into_index(self, history: &Segments) -> Index {
        let mut spots: Vec<Spot> =
            self.by_hash.into_values().chain(self.others.into_values()).collect();
        // Neighbours in history are read together.
        spots.sort_unstable();
        let keyed = |spot: Spot| {
            let newest = history.record(spot.place());
            Keyed::new(newest.key, Entry { at: newest.at(), tombstone: newest.tombstone })
        };
        Index::build(spots.into_iter().map(keyed).collect())
    }
}

impl Spot {
    fn place(self) -> Place {
        Place { segment: self.segment as usize, slot: self.slot as usize }
    }
}

impl From<Place> for Spot {
    fn from(place: Place) -> Self {
        let fits =
            |number: usize| u32::try_from(number).expect("history has fewer than 2^32 segments");
        Self { segment: fits(place.segment), slot: fits(place.slot) }
    }
}

/// What is a hash already.
#[derive(Default)]
struct Hashed(u64);

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
