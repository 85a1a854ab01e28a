//! A walk over the keys of an index, in order.

use super::inner::Inner;
use super::leaf::Leaf;
use super::{Counts, Entry, Node};
use crate::mvcc::history::Segments;

/// A walk over the keys of an index, in order, tombstones included.
pub(in crate::mvcc) struct Cursor<'a> {
    /// The way down, with the child to visit next at each level.
    path: Vec<(&'a Inner, usize)>,
    leaf: &'a Leaf,
    slot: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn seek(root: &'a Node, key: &[u8], history: &Segments) -> Self {
        let mut path = Vec::with_capacity(8);
        let mut node = root;
        loop {
            match node {
                Node::Inner(inner) => {
                    let child = inner.child_of(key);
                    path.push((&**inner, child + 1));
                    node = &inner.children[child].node;
                }
                Node::Leaf(leaf) => {
                    let slot = leaf.search(key, history).unwrap_or_else(|slot| slot);
                    return Self { path, leaf, slot };
                }
            }
        }
    }

    pub(super) fn seek_live(root: &'a Node, mut nth: u32) -> Self {
        let mut path = Vec::with_capacity(8);
        let mut node = root;
        loop {
            match node {
                Node::Inner(inner) => {
                    let mut child = 0;
                    while child + 1 < inner.children.len() && nth >= live(inner, child) {
                        nth -= live(inner, child);
                        child += 1;
                    }
                    path.push((&**inner, child + 1));
                    node = &inner.children[child].node;
                }
                Node::Leaf(leaf) => return Self { path, leaf, slot: leaf.nth_live(nth) },
            }
        }
    }

    /// The next key that exists; whole subtrees of tombstones are passed over unseen.
    pub(in crate::mvcc) fn next_live(&mut self) -> Option<Entry> {
        loop {
            while self.slot < self.leaf.len() {
                let entry = self.leaf.get(self.slot);
                self.slot += 1;
                if !entry.tombstone {
                    return Some(entry);
                }
            }
            self.next_leaf(|counts| counts.live > 0)?;
        }
    }

    fn next_leaf(&mut self, worth: impl Fn(Counts) -> bool) -> Option<()> {
        loop {
            let (inner, next) = self.path.last_mut()?;
            let skip = inner.children[*next..].iter().position(|child| worth(child.counts));
            let Some(skip) = skip else {
                self.path.pop();
                continue;
            };
            let child = &inner.children[*next + skip].node;
            *next += skip + 1;
            match child {
                Node::Inner(inner) => self.path.push((inner, 0)),
                Node::Leaf(leaf) => {
                    (self.leaf, self.slot) = (leaf, 0);
                    return Some(());
                }
            }
        }
    }
}

impl Iterator for Cursor<'_> {
    type Item = Entry;

    fn next(&mut self) -> Option<Entry> {
        while self.slot >= self.leaf.len() {
            self.next_leaf(|_| true)?;
        }
        let entry = self.leaf.get(self.slot);
        self.slot += 1;
        Some(entry)
    }
}

fn live(inner: &Inner, child: usize) -> u32 {
    inner.children[child].counts.live
}
