//! The tree against a plain map, and its shape.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::ids::{LeaseId, Revision};
use crate::mvcc::history::History;
use crate::mvcc::record::KvRef;

impl Node {
    /// Checks order, separators, counts and depth; returns the depth.
    fn check(&self, history: &Segments, low: &[u8], high: Option<&[u8]>) -> usize {
        match self {
            Self::Leaf(leaf) => {
                leaf.check(history);
                if leaf.len() > 0 {
                    assert!(leaf.first_key(history) >= low);
                    assert!(high.is_none_or(|high| leaf.last_key(history) < high));
                }
                1
            }
            Self::Inner(inner) => {
                let separators = inner.separators();
                assert!((2..=FANOUT).contains(&inner.children.len()) || low.is_empty());
                assert_eq!(separators.len() + 1, inner.children.len());
                let depths: Vec<usize> = inner
                    .children
                    .iter()
                    .enumerate()
                    .map(|(at, child)| {
                        assert_eq!(child.counts, child.node.counts());
                        let low = if at == 0 { low } else { &separators[at - 1] };
                        let high = separators.get(at).map(|high| &**high).or(high);
                        child.node.check(history, low, high)
                    })
                    .collect();
                assert!(depths.iter().all(|depth| *depth == depths[0]), "equally deep");
                depths[0] + 1
            }
        }
    }
}

impl Index {
    /// Checks all that the tree promises about its shape.
    pub(in crate::mvcc) fn check(&self, history: &Segments) {
        self.root.check(history, b"", None);
    }
}

#[derive(Default)]
struct Pair {
    history: History,
    index: Index,
    model: BTreeMap<Vec<u8>, Entry>,
    revision: i64,
}

impl Pair {
    fn set(&mut self, key: &[u8], tombstone: bool) {
        self.revision += 1;
        let at = ModRevision { main: Revision(self.revision), sub: 0 };
        let old = self.index.set(key, Entry { at, tombstone }, self.history.segments());
        assert_eq!(old, self.model.insert(key.to_vec(), Entry { at, tombstone }));
        let mut kv = KvRef::deletion(key, at, at);
        (kv.tombstone, kv.version, kv.lease) = (tombstone, 1, LeaseId(0));
        self.history.append(&kv);
    }

    /// Makes the index again, at once.
    fn rebuild(&mut self) {
        let history = self.history.segments();
        let keyed = |entry: &Entry| Keyed::new(history.named(entry.at).key, *entry);
        let mut keys: Vec<_> = self.model.values().map(keyed).collect();
        keys.sort_by_key(|keyed| keyed.main);
        self.index = Index::build(keys);
    }

    fn remove(&mut self, key: &[u8]) {
        let old = self.index.remove(key, self.history.segments());
        assert_eq!(old, self.model.remove(key));
    }

    fn check(&self) {
        let history = self.history.segments();
        self.index.root.check(history, b"", None);
        let all: Vec<Entry> = self.index.seek(b"", history).collect();
        assert_eq!(all, self.model.values().copied().collect::<Vec<_>>());
        let mut before = Counts::default();
        let mut cursor = self.index.seek_live(0);
        for (key, entry) in &self.model {
            assert_eq!(self.index.get(key, history), Some(*entry));
            assert_eq!(self.index.rank(key, history), before);
            if !entry.tombstone {
                assert_eq!(self.index.seek_live(before.live).next_live(), Some(*entry));
                assert_eq!(cursor.next_live(), Some(*entry));
            }
            before.live += u32::from(!entry.tombstone);
            before.entries += 1;
        }
        assert_eq!(cursor.next_live(), None);
        assert_eq!(self.index.counts(), before);
        assert!(self.index.seek_live(before.live).next_live().is_none());
    }
}

/// Keys that share long prefixes, end early, and differ only in zeros or in the last byte.
fn keys() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        3 => (0u32..3000).prop_map(|n| format!("/registry/pods/ns-{}/pod-{n}", n % 7).into_bytes()),
        1 => (0u32..300).prop_map(|n| format!("/registry/{n}").into_bytes()),
        1 => prop::collection::vec(prop_oneof![Just(0u8), Just(1), Just(255)], 0..9),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn is_an_ordered_map(
        steps in prop::collection::vec((keys(), 0..10u8), 1..1500),
        pin in 0..1500usize,
    ) {
        let mut pair = Pair::default();
        let mut pinned = None;
        for (nth, (key, what)) in steps.iter().enumerate() {
            match what {
                0 | 1 => pair.remove(key),
                2 => pair.set(key, true),
                _ => pair.set(key, false),
            }
            if nth == pin {
                let entries: Vec<Entry> = pair.model.values().copied().collect();
                pinned = Some((pair.index.clone(), pair.history.segments().clone(), entries));
            }
        }
        pair.check();
        if let Some((index, history, entries)) = pinned {
            index.root.check(&history, b"", None);
            prop_assert_eq!(index.seek(b"", &history).collect::<Vec<_>>(), entries);
        }
        let all: Vec<Vec<u8>> = pair.model.keys().cloned().collect();
        for (nth, key) in all.iter().enumerate() {
            pair.remove(key);
            if nth % 100 == 0 {
                pair.index.root.check(pair.history.segments(), b"", None);
            }
        }
        pair.check();
    }
}

/// Keys that agree for long and end anywhere.
fn long_keys() -> impl Strategy<Value = Vec<u8>> {
    (0..400usize, prop_oneof![Just(0u8), Just(b'a')], keys()).prop_map(|(length, byte, tail)| {
        let mut key = vec![byte; length];
        key.extend_from_slice(&tail);
        key
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn made_at_once_it_is_the_same_map(
        first in prop::collection::vec((prop_oneof![keys(), long_keys()], 0..4u8), 0..3000),
        then in prop::collection::vec((keys(), 0..4u8), 0..1000),
    ) {
        let mut pair = Pair::default();
        for (key, what) in &first {
            pair.set(key, *what == 0);
        }
        pair.rebuild();
        pair.check();
        for (key, what) in &then {
            match what {
                0 | 1 => pair.remove(key),
                2 => pair.set(key, true),
                _ => pair.set(key, false),
            }
        }
        pair.check();
    }
}

#[test]
fn made_at_once_it_has_no_leaf_too_many() {
    for keys in [0, 1, LEAF, LEAF + 1, LEAF * FANOUT, LEAF * FANOUT + 1, 20_000] {
        let mut pair = Pair::default();
        for n in 0..keys {
            pair.set(format!("key-{:08}", n * 7919 % 1_000_003).as_bytes(), n % 5 == 0);
        }
        pair.rebuild();
        pair.check();
        assert_eq!(leaves(&pair.index), keys.div_ceil(LEAF).max(1));
    }
}

#[test]
#[should_panic(expected = "each key once")]
fn the_same_key_twice_is_no_index() {
    let entry = Entry { at: ModRevision::default(), tombstone: false };
    Index::build((0..=LEAF).map(|_| Keyed::new(b"key", entry)).collect());
}

fn leaves(index: &Index) -> usize {
    let (mut leaves, mut nodes) = (0, vec![&index.root]);
    while let Some(node) = nodes.pop() {
        match node {
            Node::Leaf(_) => leaves += 1,
            Node::Inner(inner) => nodes.extend(inner.children.iter().map(|child| &child.node)),
        }
    }
    leaves
}

#[test]
fn keys_that_only_grow_leave_full_leaves() {
    let mut pair = Pair::default();
    for n in 0..20_000 {
        pair.set(format!("key-{n:08}").as_bytes(), false);
    }
    pair.check();
    assert_eq!(leaves(&pair.index), 20_000usize.div_ceil(LEAF));
}

#[test]
fn a_seek_finds_the_next_key() {
    let mut pair = Pair::default();
    for n in (0..4_000).step_by(2) {
        pair.set(format!("{n:04}").as_bytes(), false);
    }
    let history = pair.history.segments();
    for n in 0..3_998 {
        let wanted = format!("{:04}", (n + 1) / 2 * 2);
        let found = pair.index.seek(format!("{n:04}").as_bytes(), history).next();
        assert_eq!(found, pair.model.get(wanted.as_bytes()).copied());
    }
}
