//! An index made of all its keys at once: sorted, then built from the leaves up, every node as
//! full as its neighbours allow.

use std::sync::Arc;

use super::inner::{FANOUT, Inner};
use super::leaf::{LEAF, Leaf};
use super::{Entry, Index, Node, common_prefix, separator};

/// Fewer keys than this are sorted by comparing them.
const FEW: usize = 16;
/// Stretches that still agree after so many rounds are sorted by comparing: such keys are long, and
/// chosen so.
const ROUNDS: u32 = 16;

/// A key and what the index is to know of it.
pub(in crate::mvcc) struct Keyed<'h> {
    /// Eight bytes of the key, by which it is being sorted.
    head: u64,
    pub(super) key: &'h [u8],
    pub(super) main: i64,
    /// As a leaf has it.
    pub(super) packed_sub: u32,
}

impl<'h> Keyed<'h> {
    pub(in crate::mvcc) fn new(key: &'h [u8], entry: Entry) -> Self {
        Self { head: 0, key, main: entry.at.main.0, packed_sub: entry.packed_sub() }
    }
}

/// A stretch of keys that agree up to `depth`.
struct Stretch {
    from: usize,
    to: usize,
    depth: usize,
    round: u32,
}

/// Puts the keys in their order. Comparisons look at eight bytes that stand beside each other,
/// taken from where the keys of a stretch first differ; what these do not decide is a stretch again.
fn sort(keys: &mut [Keyed<'_>]) {
    let mut left = vec![Stretch { from: 0, to: keys.len(), depth: 0, round: 0 }];
    while let Some(Stretch { from, to, depth, round }) = left.pop() {
        let stretch = &mut keys[from..to];
        if stretch.len() <= FEW || round == ROUNDS {
            stretch.sort_unstable_by(|one, other| one.key[depth..].cmp(&other.key[depth..]));
            continue;
        }
        let depth = depth + agreement(stretch, depth);
        for keyed in &mut *stretch {
            keyed.head = head_of(&keyed.key[depth..]);
        }
        stretch.sort_unstable_by_key(|keyed| keyed.head);
        let mut start = from;
        for same in stretch.chunk_by_mut(|one, other| one.head == other.head) {
            let end = start + same.len();
            if same.iter().any(|keyed| keyed.key.len() < depth + 8) {
                // One that ended, and was padded, is not told from one that has zeros there.
                same.sort_unstable_by(|one, other| one.key[depth..].cmp(&other.key[depth..]));
            } else if same.len() > 1 {
                left.push(Stretch { from: start, to: end, depth: depth + 8, round: round + 1 });
            }
            start = end;
        }
    }
}

/// How many bytes from `depth` on all have in common.
fn agreement(stretch: &[Keyed<'_>], depth: usize) -> usize {
    let [first, others @ ..] = stretch else { return 0 };
    let first = &first.key[depth..];
    others.iter().fold(first.len(), |common, other| {
        let other = &other.key[depth..];
        if other.starts_with(&first[..common]) {
            common
        } else {
            common_prefix(&first[..common], other)
        }
    })
}

fn head_of(suffix: &[u8]) -> u64 {
    if let Some(head) = suffix.first_chunk() {
        return u64::from_be_bytes(*head);
    }
    let mut head = [0; 8];
    head[..suffix.len()].copy_from_slice(suffix);
    u64::from_be_bytes(head)
}

/// A node, and what tells it from the one before it; nothing for the first.
type Row = Vec<(Box<[u8]>, Node)>;

impl Index {
    /// An index of these keys, of which no two may be the same.
    pub(in crate::mvcc) fn build(mut keys: Vec<Keyed<'_>>) -> Self {
        sort(&mut keys);
        let mut row = leaves(&keys);
        while row.len() > 1 {
            row = parents(row);
        }
        row.pop().map_or_else(Self::default, |(_, root)| Self { root })
    }
}

fn leaves(keys: &[Keyed<'_>]) -> Row {
    let mut row = Row::with_capacity(keys.len().div_ceil(LEAF));
    let mut before: Option<&Keyed<'_>> = None;
    let mut rest = keys;
    for size in shares(keys.len(), LEAF) {
        let (part, others) = rest.split_at(size);
        let separator = before.map_or_else(Box::default, |before| {
            assert!(before.key < part[0].key, "an index has each key once");
            separator(before.key, part[0].key)
        });
        row.push((separator, Node::Leaf(Arc::new(Leaf::of_sorted(part)))));
        (before, rest) = (part.last(), others);
    }
    row
}

fn parents(row: Row) -> Row {
    let sizes = shares(row.len(), FANOUT);
    let mut rest = row.into_iter();
    let parent = |size| {
        let mut children = rest.by_ref().take(size);
        let (separator, first) = children.next()?;
        Some((separator, Node::Inner(Arc::new(Inner::of_children(first, children)))))
    };
    sizes.map_while(parent).collect()
}

/// Divides `all` into as few shares of up to `most` as it takes, no two of them differing by
/// more than one.
fn shares(all: usize, most: usize) -> impl Iterator<Item = usize> {
    let count = all.div_ceil(most);
    (0..count).map(move |nth| (all + nth) / count)
}
