//! Key ranges with a number each: which of them hold this key? A treap ordered by where a range
//! begins, whose nodes know the range below them that reaches furthest. Nothing here knows what a
//! watcher is.

use std::cmp::Ordering;

use bytes::Bytes;
use state::KeyRange;

const NONE: u32 = u32::MAX;

#[derive(Debug)]
struct Node {
    range: KeyRange,
    number: u32,
    weight: u32,
    left: u32,
    right: u32,
    /// The node at or below this one whose range ends last.
    furthest: u32,
}

/// A set of ranges, each at most once.
#[derive(Debug)]
pub(super) struct Intervals {
    nodes: Vec<Node>,
    free: Vec<u32>,
    root: u32,
    dice: u32,
}

impl Default for Intervals {
    fn default() -> Self {
        Self { nodes: Vec::new(), free: Vec::new(), root: NONE, dice: 0x9E37_79B9 }
    }
}

fn by_start(a: &KeyRange, b: &KeyRange) -> Ordering {
    a.key.cmp(&b.key).then_with(|| a.range_end.cmp(&b.range_end))
}

impl Intervals {
    /// The number of exactly this range.
    pub(super) fn find(&self, range: &KeyRange) -> Option<u32> {
        let mut at = self.root;
        while at != NONE {
            let node = &self.nodes[at as usize];
            at = match by_start(range, &node.range) {
                Ordering::Less => node.left,
                Ordering::Greater => node.right,
                Ordering::Equal => return Some(node.number),
            };
        }
        None
    }

    /// Adds a range that is not there yet.
    pub(super) fn insert(&mut self, range: KeyRange, number: u32) {
        let weight = self.roll();
        let node = Node { range, number, weight, left: NONE, right: NONE, furthest: NONE };
        let new = if let Some(free) = self.free.pop() {
            self.nodes[free as usize] = node;
            free
        } else {
            self.nodes.push(node);
            u32::try_from(self.nodes.len() - 1).expect("fewer than 2^32 ranges")
        };
        self.nodes[new as usize].furthest = new;
        let range = self.nodes[new as usize].range.clone();
        let (left, right) = self.split(self.root, &range);
        let left = self.join(left, new);
        self.root = self.join(left, right);
    }

    /// Takes a range out; nothing happens if it is not there.
    pub(super) fn remove(&mut self, range: &KeyRange) {
        self.root = self.remove_below(self.root, range);
    }

    /// Calls `hit` with the number of every range that holds `key`.
    pub(super) fn holding(&self, key: &[u8], hit: &mut impl FnMut(u32)) {
        self.holding_below(self.root, key, hit);
    }

    fn holding_below(&self, at: u32, key: &[u8], hit: &mut impl FnMut(u32)) {
        if at == NONE {
            return;
        }
        let node = &self.nodes[at as usize];
        if !self.reaches(node.furthest, key) {
            return;
        }
        self.holding_below(node.left, key, hit);
        if *node.range.key <= *key {
            if self.reaches(at, key) {
                hit(node.number);
            }
            self.holding_below(node.right, key, hit);
        }
    }

    /// Whether the range ends above `key`.
    fn reaches(&self, at: u32, key: &[u8]) -> bool {
        let range = &self.nodes[at as usize].range;
        range.is_open() || *key < *range.range_end
    }

    fn remove_below(&mut self, at: u32, range: &KeyRange) -> u32 {
        if at == NONE {
            return NONE;
        }
        let (left, right) = (self.nodes[at as usize].left, self.nodes[at as usize].right);
        match by_start(range, &self.nodes[at as usize].range) {
            Ordering::Less => self.nodes[at as usize].left = self.remove_below(left, range),
            Ordering::Greater => self.nodes[at as usize].right = self.remove_below(right, range),
            Ordering::Equal => {
                // The bytes of a range that is gone must not stay until its place is used again.
                self.nodes[at as usize].range = KeyRange::point(Bytes::new());
                self.free.push(at);
                return self.join(left, right);
            }
        }
        self.measure(at);
        at
    }

    /// Everything before `range`, and the rest.
    fn split(&mut self, at: u32, range: &KeyRange) -> (u32, u32) {
        if at == NONE {
            return (NONE, NONE);
        }
        let halves = if by_start(&self.nodes[at as usize].range, range) == Ordering::Less {
            let (left, right) = self.split(self.nodes[at as usize].right, range);
            self.nodes[at as usize].right = left;
            (at, right)
        } else {
            let (left, right) = self.split(self.nodes[at as usize].left, range);
            self.nodes[at as usize].left = right;
            (left, at)
        };
        self.measure(at);
        halves
    }

    /// One tree out of two, all of `left` standing before all of `right`.
    fn join(&mut self, left: u32, right: u32) -> u32 {
        if left == NONE {
            return right;
        }
        if right == NONE {
            return left;
        }
        let top = if self.nodes[left as usize].weight >= self.nodes[right as usize].weight {
            let below = self.join(self.nodes[left as usize].right, right);
            self.nodes[left as usize].right = below;
            left
        } else {
            let below = self.join(left, self.nodes[right as usize].left);
            self.nodes[right as usize].left = below;
            right
        };
        self.measure(top);
        top
    }

    fn measure(&mut self, at: u32) {
        let mut furthest = at;
        for child in [self.nodes[at as usize].left, self.nodes[at as usize].right] {
            if child != NONE {
                let candidate = self.nodes[child as usize].furthest;
                if self.ends_after(candidate, furthest) {
                    furthest = candidate;
                }
            }
        }
        self.nodes[at as usize].furthest = furthest;
    }

    fn ends_after(&self, a: u32, b: u32) -> bool {
        let (a, b) = (&self.nodes[a as usize].range, &self.nodes[b as usize].range);
        !b.is_open() && (a.is_open() || a.range_end > b.range_end)
    }

    /// Heap weights: any well-mixed sequence will do, and this one needs no seed.
    fn roll(&mut self) -> u32 {
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 17;
        self.dice ^= self.dice << 5;
        self.dice
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn range(start: u8, end: u8) -> KeyRange {
        let range_end = if end == 0 { vec![0] } else { vec![end] };
        KeyRange { key: vec![start].into(), range_end: range_end.into() }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn agrees_with_asking_every_range(
            steps in prop::collection::vec((any::<bool>(), 1..30_u8, 0..30_u8), 1..200)
        ) {
            let mut tree = Intervals::default();
            let mut plain: Vec<(KeyRange, u32)> = Vec::new();
            for (number, (add, start, end)) in steps.into_iter().enumerate() {
                let range = range(start, end);
                let known = plain.iter().position(|(r, _)| *r == range);
                prop_assert_eq!(tree.find(&range), known.map(|at| plain[at].1));
                match (add, known) {
                    (true, None) => {
                        tree.insert(range.clone(), number as u32);
                        plain.push((range, number as u32));
                    }
                    (false, Some(at)) => {
                        tree.remove(&range);
                        plain.swap_remove(at);
                    }
                    _ => {}
                }
                let key = [start];
                let mut found = Vec::new();
                tree.holding(&key, &mut |number| found.push(number));
                let mut wanted: Vec<u32> =
                    plain.iter().filter(|(r, _)| r.contains(&key)).map(|(_, n)| *n).collect();
                found.sort_unstable();
                wanted.sort_unstable();
                prop_assert_eq!(found, wanted);
            }
            prop_assert_eq!(tree.nodes.len() - tree.free.len(), plain.len());
        }
    }
}
