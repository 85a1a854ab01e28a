//! The index: key → newest revision, and whether that is a tombstone. A copy-on-write B+ tree with
//! counts in every node; a clone of it is a pinned, unchanging copy, and costs one counter.
//!
//! It does not store keys: it reads them from history, which every call is handed.

mod bulk;
mod cursor;
mod inner;
mod leaf;
mod separators;

use std::ops::{Add, AddAssign, Sub};
use std::sync::Arc;

pub(super) use bulk::Keyed;
pub(super) use cursor::Cursor;
use inner::{FANOUT, Inner};
use leaf::{LEAF, Leaf};

use super::history::Segments;
use super::record::KvRef;
use crate::ids::ModRevision;

/// What the index knows of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Its newest change.
    pub(super) at: ModRevision,
    /// Whether that is its deletion.
    pub(super) tombstone: bool,
}

impl Entry {
    fn packed_sub(self) -> u32 {
        self.at.sub << 1 | u32::from(self.tombstone)
    }
}

/// How many keys there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// Those that exist.
    pub(super) live: u32,
    /// Those and the tombstones.
    pub(super) entries: u32,
}

impl Add for Counts {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self { live: self.live + other.live, entries: self.entries + other.entries }
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sub for Counts {
    type Output = Self;
    /// A range whose end is not above its start counts nothing.
    fn sub(self, other: Self) -> Self {
        let live = self.live.saturating_sub(other.live);
        Self { live, entries: self.entries.saturating_sub(other.entries) }
    }
}

#[derive(Clone)]
enum Node {
    Leaf(Arc<Leaf>),
    Inner(Arc<Inner>),
}

impl Node {
    fn counts(&self) -> Counts {
        match self {
            Self::Leaf(leaf) => leaf.counts(),
            Self::Inner(inner) => inner.counts(),
        }
    }
}

/// What putting a key into a node did.
struct Put {
    old: Option<Entry>,
    split: Option<(Box<[u8]>, Node)>,
}

/// Key → newest revision.
#[derive(Clone)]
pub(super) struct Index {
    root: Node,
}

impl Default for Index {
    fn default() -> Self {
        Self { root: Node::Leaf(Arc::default()) }
    }
}

impl Index {
    /// How many keys there are.
    pub(super) fn counts(&self) -> Counts {
        self.root.counts()
    }

    /// The newest change of `key`.
    pub(super) fn get(&self, key: &[u8], history: &Segments) -> Option<Entry> {
        let mut node = &self.root;
        loop {
            match node {
                Node::Inner(inner) => node = &inner.children[inner.child_of(key)].node,
                Node::Leaf(leaf) => {
                    return leaf.search(key, history).ok().map(|slot| leaf.get(slot));
                }
            }
        }
    }

    /// The newest version of `key`, if it exists.
    pub(super) fn read<'h>(&self, key: &[u8], history: &'h Segments) -> Option<KvRef<'h>> {
        let entry = self.get(key, history)?;
        (!entry.tombstone).then(|| history.named(entry.at))
    }

    /// What lies before `key`.
    pub(super) fn rank(&self, key: &[u8], history: &Segments) -> Counts {
        let (mut node, mut counts) = (&self.root, Counts::default());
        loop {
            match node {
                Node::Inner(inner) => {
                    let child = inner.child_of(key);
                    counts += inner.counts_before(child);
                    node = &inner.children[child].node;
                }
                Node::Leaf(leaf) => {
                    let slot = leaf.search(key, history).unwrap_or_else(|slot| slot);
                    return counts + leaf.counts_before(slot);
                }
            }
        }
    }

    /// Notes the newest change of `key`, which need not stand in history yet; returns the one before.
    pub(super) fn set(&mut self, key: &[u8], entry: Entry, history: &Segments) -> Option<Entry> {
        let put = put(&mut self.root, key, entry, history, true);
        if let Some((separator, right)) = put.split {
            let left = std::mem::replace(&mut self.root, Node::Leaf(Arc::default()));
            self.root = Node::Inner(Arc::new(Inner::new(left, separator, right)));
        }
        put.old
    }

    /// Forgets `key`.
    pub(super) fn remove(&mut self, key: &[u8], history: &Segments) -> Option<Entry> {
        let old = take(&mut self.root, key, history);
        while let Node::Inner(inner) = &self.root
            && inner.children.len() < 2
        {
            let only = inner.children.first().map(|child| child.node.clone());
            self.root = only.unwrap_or_else(|| Node::Leaf(Arc::default()));
        }
        old
    }

    /// Walks the keys from `key` on.
    pub(super) fn seek(&self, key: &[u8], history: &Segments) -> Cursor<'_> {
        Cursor::seek(&self.root, key, history)
    }

    /// Walks the keys from live key number `nth` on, counted from 0.
    pub(super) fn seek_live(&self, nth: u32) -> Cursor<'_> {
        Cursor::seek_live(&self.root, nth)
    }
}

fn put(node: &mut Node, key: &[u8], entry: Entry, history: &Segments, last: bool) -> Put {
    match node {
        Node::Leaf(leaf) => put_in_leaf(leaf, key, entry, history, last),
        Node::Inner(inner) => put_in_inner(Arc::make_mut(inner), key, entry, history, last),
    }
}

fn put_in_leaf(
    leaf: &mut Arc<Leaf>,
    key: &[u8],
    entry: Entry,
    history: &Segments,
    last: bool,
) -> Put {
    match leaf.search(key, history) {
        Ok(slot) => Put { old: Some(Arc::make_mut(leaf).replace(slot, entry)), split: None },
        Err(slot) if !leaf.is_full() => {
            Arc::make_mut(leaf).insert(slot, key, entry);
            Put { old: None, split: None }
        }
        Err(slot) => {
            let split = split_leaf(Arc::make_mut(leaf), slot, key, entry, history, last);
            Put { old: None, split: Some(split) }
        }
    }
}

/// Splits a full leaf and puts the key in. Keys that only ever grow leave full leaves behind.
fn split_leaf(
    leaf: &mut Leaf,
    slot: usize,
    key: &[u8],
    entry: Entry,
    history: &Segments,
    last: bool,
) -> (Box<[u8]>, Node) {
    if slot == LEAF && last {
        let separator = separator(leaf.last_key(history), key);
        return (separator, Node::Leaf(Arc::new(Leaf::single(key, entry))));
    }
    let middle = if slot == LEAF { LEAF - LEAF / 8 } else { LEAF / 2 };
    let mut right = leaf.split_off(middle, history);
    let separator = separator(leaf.last_key(history), right.first_key(history));
    let side = if *key < *separator { leaf } else { &mut right };
    let slot = side.search(key, history).unwrap_or_else(|slot| slot);
    side.insert(slot, key, entry);
    (separator, Node::Leaf(Arc::new(right)))
}

fn put_in_inner(
    inner: &mut Inner,
    key: &[u8],
    entry: Entry,
    history: &Segments,
    last: bool,
) -> Put {
    let at = inner.child_of(key);
    let last = last && at + 1 == inner.children.len();
    let child = &mut inner.children[at];
    let Put { old, split } = put(&mut child.node, key, entry, history, last);
    let Some((separator, right)) = split else {
        child.counts.entries += u32::from(old.is_none());
        child.counts.live += u32::from(!entry.tombstone);
        child.counts.live -= u32::from(old.is_some_and(|old| !old.tombstone));
        return Put { old, split: None };
    };
    child.counts = child.node.counts();
    inner.insert_after(at, separator, right);
    if inner.children.len() <= FANOUT {
        return Put { old, split: None };
    }
    let middle = if last { FANOUT - 1 } else { FANOUT / 2 };
    let (separator, right) = inner.split_off(middle);
    Put { old, split: Some((separator, Node::Inner(Arc::new(right)))) }
}

fn take(node: &mut Node, key: &[u8], history: &Segments) -> Option<Entry> {
    match node {
        Node::Leaf(leaf) => {
            let slot = leaf.search(key, history).ok()?;
            Some(Arc::make_mut(leaf).remove(slot))
        }
        Node::Inner(inner) => {
            let inner = Arc::make_mut(inner);
            let at = inner.child_of(key);
            let child = &mut inner.children[at];
            let old = take(&mut child.node, key, history)?;
            child.counts = child.node.counts();
            if child.counts.entries == 0 {
                inner.remove(at);
            } else {
                merge(inner, at.saturating_sub(1), history);
                merge(inner, at, history);
            }
            Some(old)
        }
    }
}

/// Makes child `left` and the one after it one, if that leaves room for more.
fn merge(inner: &mut Inner, left: usize, history: &Segments) {
    let Some([one, other]) = inner.children.get(left..).and_then(|rest| rest.first_chunk()) else {
        return;
    };
    let fits = match (&one.node, &other.node) {
        (Node::Leaf(one), Node::Leaf(other)) => one.len() + other.len() <= LEAF * 5 / 8,
        (Node::Inner(one), Node::Inner(other)) => {
            one.children.len() + other.children.len() <= FANOUT * 5 / 8
        }
        _ => false,
    };
    if !fits {
        return;
    }
    let (right, separator) = inner.take_after(left);
    let child = &mut inner.children[left];
    match (&mut child.node, &right) {
        (Node::Leaf(one), Node::Leaf(right)) => Arc::make_mut(one).append(right, history),
        (Node::Inner(one), Node::Inner(right)) => Arc::make_mut(one).append(separator, right),
        _ => unreachable!("all leaves are equally deep"),
    }
    child.counts = child.node.counts();
}

/// The shortest key above `left` and not above `right`.
fn separator(left: &[u8], right: &[u8]) -> Box<[u8]> {
    Box::from(&right[..(common_prefix(left, right) + 1).min(right.len())])
}

fn common_prefix(one: &[u8], other: &[u8]) -> usize {
    one.iter().zip(other).take_while(|(one, other)| one == other).count()
}

#[cfg(test)]
mod tests;
