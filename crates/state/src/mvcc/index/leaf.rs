//! A leaf of the index: up to [`LEAF`] keys in order, sixteen bytes each. The keys themselves stay in
//! history; a leaf has their common prefix and, for each, the four bytes after it, which decide most
//! comparisons.

use std::cmp::Ordering;
use std::sync::Arc;

use super::{Counts, Entry, Keyed, common_prefix};
use crate::ids::{ModRevision, Revision};
use crate::mvcc::history::Segments;

/// Chosen so that a leaf with its counters just fits an allocation of 2 KiB.
pub(super) const LEAF: usize = 124;

#[derive(Clone)]
pub(super) struct Leaf {
    prefix: Arc<[u8]>,
    len: u16,
    live: u16,
    /// The bytes after the prefix, zero padded, big end first.
    heads: [u32; LEAF],
    /// Twice the sub revision, plus one for a tombstone.
    subs: [u32; LEAF],
    mains: [i64; LEAF],
}

impl Default for Leaf {
    fn default() -> Self {
        let prefix = Arc::from([]);
        Self { prefix, len: 0, live: 0, heads: [0; LEAF], subs: [0; LEAF], mains: [0; LEAF] }
    }
}

impl Leaf {
    /// A leaf of one key.
    pub(super) fn single(key: &[u8], entry: Entry) -> Self {
        let mut leaf = Self { prefix: Arc::from(key), ..Self::default() };
        leaf.insert_at(0, 0, entry);
        leaf
    }

    /// A leaf of these keys, which are in order and not too many.
    pub(super) fn of_sorted(keys: &[Keyed<'_>]) -> Self {
        let [first, .., last] = keys else {
            let single = |only: &Keyed<'_>| Self { prefix: Arc::from(only.key), ..Self::default() };
            return keys.first().map_or_else(Self::default, |only| single(only).filled(keys));
        };
        let common = common_prefix(first.key, last.key);
        Self { prefix: Arc::from(&first.key[..common]), ..Self::default() }.filled(keys)
    }

    fn filled(mut self, keys: &[Keyed<'_>]) -> Self {
        for (slot, keyed) in keys.iter().enumerate() {
            self.heads[slot] = head_of(&keyed.key[self.prefix.len()..]);
            self.subs[slot] = keyed.packed_sub;
            self.mains[slot] = keyed.main;
        }
        self.len = keys.len() as u16;
        self.live = self.counts_before(keys.len()).live as u16;
        self
    }

    pub(super) fn len(&self) -> usize {
        usize::from(self.len)
    }

    pub(super) fn is_full(&self) -> bool {
        self.len() == LEAF
    }

    pub(super) fn counts(&self) -> Counts {
        Counts { live: u32::from(self.live), entries: u32::from(self.len) }
    }

    pub(super) fn get(&self, slot: usize) -> Entry {
        let at = ModRevision { main: Revision(self.mains[slot]), sub: self.subs[slot] >> 1 };
        Entry { at, tombstone: self.subs[slot] & 1 == 1 }
    }

    /// What lies before `slot`.
    pub(super) fn counts_before(&self, slot: usize) -> Counts {
        let dead: u32 = self.subs[..slot].iter().map(|sub| sub & 1).sum();
        Counts { live: slot as u32 - dead, entries: slot as u32 }
    }

    /// The slot of live key number `nth`, counted from 0.
    pub(super) fn nth_live(&self, mut nth: u32) -> usize {
        for slot in 0..self.len() {
            if self.subs[slot] & 1 == 0 {
                if nth == 0 {
                    return slot;
                }
                nth -= 1;
            }
        }
        self.len()
    }

    /// Where `key` is, or else where it belongs.
    pub(super) fn search(&self, key: &[u8], history: &Segments) -> Result<usize, usize> {
        let Some(suffix) = key.strip_prefix(&*self.prefix) else {
            return Err(if *key < *self.prefix { 0 } else { self.len() });
        };
        let head = head_of(suffix);
        let heads = &self.heads[..self.len()];
        let mut low = heads.partition_point(|other| *other < head);
        let mut high = low;
        while high < heads.len() && heads[high] == head {
            high += 1;
        }
        while low < high {
            let middle = low + (high - low) / 2;
            let other = self.key(middle, history);
            match other.get(self.prefix.len()..).unwrap_or_default().cmp(suffix) {
                Ordering::Less => low = middle + 1,
                Ordering::Equal => return Ok(middle),
                Ordering::Greater => high = middle,
            }
        }
        Err(low)
    }

    /// Gives the key in `slot` a newer revision; returns the older.
    pub(super) fn replace(&mut self, slot: usize, entry: Entry) -> Entry {
        let old = self.get(slot);
        self.live = self.live + u16::from(!entry.tombstone) - u16::from(!old.tombstone);
        self.subs[slot] = entry.packed_sub();
        self.mains[slot] = entry.at.main.0;
        old
    }

    /// Puts a new key where [`Leaf::search`] said it belongs. There must be room.
    pub(super) fn insert(&mut self, slot: usize, key: &[u8], entry: Entry) {
        if !key.starts_with(&self.prefix) {
            self.shrink_prefix(common_prefix(&self.prefix, key));
        }
        self.insert_at(slot, head_of(&key[self.prefix.len()..]), entry);
    }

    fn insert_at(&mut self, slot: usize, head: u32, entry: Entry) {
        let len = self.len();
        self.heads.copy_within(slot..len, slot + 1);
        self.subs.copy_within(slot..len, slot + 1);
        self.mains.copy_within(slot..len, slot + 1);
        self.heads[slot] = head;
        self.subs[slot] = entry.packed_sub();
        self.mains[slot] = entry.at.main.0;
        self.len += 1;
        self.live += u16::from(!entry.tombstone);
    }

    pub(super) fn remove(&mut self, slot: usize) -> Entry {
        let old = self.get(slot);
        let len = self.len();
        self.heads.copy_within(slot + 1..len, slot);
        self.subs.copy_within(slot + 1..len, slot);
        self.mains.copy_within(slot + 1..len, slot);
        self.len -= 1;
        self.live -= u16::from(!old.tombstone);
        old
    }

    /// Cuts the leaf in two before `slot`.
    pub(super) fn split_off(&mut self, slot: usize, history: &Segments) -> Self {
        let moved = self.len() - slot;
        let mut right = Self { prefix: Arc::clone(&self.prefix), ..Self::default() };
        right.heads[..moved].copy_from_slice(&self.heads[slot..][..moved]);
        right.subs[..moved].copy_from_slice(&self.subs[slot..][..moved]);
        right.mains[..moved].copy_from_slice(&self.mains[slot..][..moved]);
        right.len = moved as u16;
        self.len = slot as u16;
        right.live = right.counts_before(moved).live as u16;
        self.live -= right.live;
        self.grow_prefix(history);
        right.grow_prefix(history);
        right
    }

    /// Takes in the leaf to the right. There must be room.
    pub(super) fn append(&mut self, right: &Self, history: &Segments) {
        let mut right = right.clone();
        let common = common_prefix(&self.prefix, &right.prefix);
        self.shrink_prefix(common);
        right.shrink_prefix(common);
        let (len, moved) = (self.len(), right.len());
        self.heads[len..][..moved].copy_from_slice(&right.heads[..moved]);
        self.subs[len..][..moved].copy_from_slice(&right.subs[..moved]);
        self.mains[len..][..moved].copy_from_slice(&right.mains[..moved]);
        self.len += right.len;
        self.live += right.live;
        self.grow_prefix(history);
    }

    pub(super) fn first_key<'h>(&self, history: &'h Segments) -> &'h [u8] {
        self.key(0, history)
    }

    pub(super) fn last_key<'h>(&self, history: &'h Segments) -> &'h [u8] {
        self.key(self.len() - 1, history)
    }

    fn key<'h>(&self, slot: usize, history: &'h Segments) -> &'h [u8] {
        history.named(self.get(slot).at).key
    }

    /// The bytes that leave the prefix become the first of each head: no key needs reading.
    fn shrink_prefix(&mut self, to: usize) {
        let mut bytes = [0; 4];
        let leaving = &self.prefix[to..];
        let taken = leaving.len().min(4);
        bytes[..taken].copy_from_slice(&leaving[..taken]);
        let front = u32::from_be_bytes(bytes);
        let len = self.len();
        for head in &mut self.heads[..len] {
            *head = front | head.checked_shr(8 * taken as u32).unwrap_or(0);
        }
        self.prefix = Arc::from(&self.prefix[..to]);
    }

    fn grow_prefix(&mut self, history: &Segments) {
        if self.len == 0 {
            return;
        }
        let first = self.first_key(history);
        let common = common_prefix(first, self.last_key(history));
        if common <= self.prefix.len() {
            return;
        }
        self.prefix = Arc::from(&first[..common]);
        for slot in 0..self.len() {
            self.heads[slot] = head_of(&self.key(slot, history)[common..]);
        }
    }

    /// Checks what every other function relies on.
    #[cfg(test)]
    pub(super) fn check(&self, history: &Segments) {
        let keys: Vec<&[u8]> = (0..self.len()).map(|slot| self.key(slot, history)).collect();
        assert!(keys.windows(2).all(|pair| pair[0] < pair[1]), "keys in order");
        for (slot, key) in keys.iter().enumerate() {
            let suffix = key.strip_prefix(&*self.prefix).expect("the prefix is common");
            assert_eq!(self.heads[slot], head_of(suffix));
            assert_eq!(self.get(slot).tombstone, history.named(self.get(slot).at).tombstone);
        }
        assert_eq!(self.counts(), self.counts_before(self.len()));
    }
}

fn head_of(suffix: &[u8]) -> u32 {
    if let Some(head) = suffix.first_chunk() {
        return u32::from_be_bytes(*head);
    }
    let mut head = [0; 4];
    head[..suffix.len()].copy_from_slice(suffix);
    u32::from_be_bytes(head)
}
