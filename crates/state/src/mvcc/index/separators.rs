//! What tells the children of an inner node apart.

use super::common_prefix;

/// Keys in order, each at most the first key to its right and above the last to its left. As in a
/// leaf, most comparisons are decided by the bytes after the common prefix.
#[derive(Clone, Default)]
pub(super) struct Separators {
    keys: Vec<Box<[u8]>>,
    prefix: usize,
    heads: Vec<u64>,
}

impl Separators {
    pub(super) fn new(keys: Vec<Box<[u8]>>) -> Self {
        let mut made = Self { keys, ..Self::default() };
        made.changed();
        made
    }

    /// How many are not above `key`.
    pub(super) fn count_up_to(&self, key: &[u8]) -> usize {
        let Some(first) = self.keys.first() else { return 0 };
        let prefix = &first[..self.prefix];
        let Some(suffix) = key.strip_prefix(prefix) else {
            return if *key < *prefix { 0 } else { self.keys.len() };
        };
        let head = head_of(suffix);
        let low = self.heads.partition_point(|other| *other < head);
        let same = self.heads[low..].iter().take_while(|other| **other == head).count();
        low + self.keys[low..low + same].partition_point(|other| other[self.prefix..] <= *suffix)
    }

    pub(super) fn insert(&mut self, at: usize, key: Box<[u8]>) {
        self.keys.insert(at, key);
        self.changed();
    }

    pub(super) fn remove(&mut self, at: usize) -> Box<[u8]> {
        let removed = self.keys.remove(at);
        self.changed();
        removed
    }

    /// Takes out number `at` and those after it; returns them.
    pub(super) fn split_at(&mut self, at: usize) -> (Box<[u8]>, Self) {
        let right = self.keys.split_off(at + 1);
        (self.remove(at), Self::new(right))
    }

    pub(super) fn append(&mut self, key: Box<[u8]>, right: &Self) {
        self.keys.push(key);
        self.keys.extend_from_slice(&right.keys);
        self.changed();
    }

    #[cfg(test)]
    pub(super) fn keys(&self) -> &[Box<[u8]>] {
        &self.keys
    }

    fn changed(&mut self) {
        self.heads.clear();
        if let [first, .., last] = self.keys.as_slice() {
            self.prefix = common_prefix(first, last);
        } else {
            self.prefix = 0;
        }
        self.heads.extend(self.keys.iter().map(|key| head_of(&key[self.prefix..])));
    }
}

fn head_of(suffix: &[u8]) -> u64 {
    if let Some(head) = suffix.first_chunk() {
        return u64::from_be_bytes(*head);
    }
    let mut head = [0; 8];
    head[..suffix.len()].copy_from_slice(suffix);
    u64::from_be_bytes(head)
}
