//! An inner node of the index: children in order, what each counts, and the separators between them.

use std::sync::Arc;

use super::{Counts, Node};

/// How many children a node has at most. Small, because a copy touches the counter of each child.
pub(super) const FANOUT: usize = 32;

#[derive(Clone)]
pub(super) struct Child {
    pub(super) node: Node,
    pub(super) counts: Counts,
}

impl Child {
    pub(super) fn new(node: Node) -> Self {
        let counts = node.counts();
        Self { node, counts }
    }
}

#[derive(Clone)]
pub(super) struct Inner {
    pub(super) children: Vec<Child>,
    /// One fewer than children: each at most the first key to its right, above the last to its left.
    /// Shared by the copies of a node, since only a split or a merge changes them.
    separators: Arc<Vec<Box<[u8]>>>,
}

impl Inner {
    pub(super) fn new(left: Node, separator: Box<[u8]>, right: Node) -> Self {
        let mut children = Vec::with_capacity(FANOUT + 1);
        children.extend([Child::new(left), Child::new(right)]);
        Self { children, separators: Arc::new(vec![separator]) }
    }

    /// Which child `key` is in, or belongs in.
    pub(super) fn child_of(&self, key: &[u8]) -> usize {
        self.separators.partition_point(|separator| **separator <= *key)
    }

    pub(super) fn counts(&self) -> Counts {
        self.counts_before(self.children.len())
    }

    pub(super) fn counts_before(&self, child: usize) -> Counts {
        self.children[..child].iter().fold(Counts::default(), |sum, child| sum + child.counts)
    }

    /// Puts `right` after child `left`, from which it was split.
    pub(super) fn insert_after(&mut self, left: usize, separator: Box<[u8]>, right: Node) {
        self.children.insert(left + 1, Child::new(right));
        Arc::make_mut(&mut self.separators).insert(left, separator);
    }

    /// Takes a child out. A neighbour takes over its stretch of keys.
    pub(super) fn remove(&mut self, child: usize) {
        self.children.remove(child);
        if !self.separators.is_empty() {
            Arc::make_mut(&mut self.separators).remove(child.saturating_sub(1));
        }
    }

    /// Takes the child after `left` out, to be merged into `left`; returns it with its separator.
    pub(super) fn take_after(&mut self, left: usize) -> (Node, Box<[u8]>) {
        let right = self.children.remove(left + 1).node;
        (right, Arc::make_mut(&mut self.separators).remove(left))
    }

    /// Cuts the node in two before `child`.
    pub(super) fn split_off(&mut self, child: usize) -> (Box<[u8]>, Self) {
        let mut children = Vec::with_capacity(FANOUT + 1);
        children.extend(self.children.drain(child..));
        let separators = Arc::make_mut(&mut self.separators);
        let right = Arc::new(separators.split_off(child));
        let separator = separators.pop().expect("both sides have a child");
        (separator, Self { children, separators: right })
    }

    /// Takes in the node to the right.
    pub(super) fn append(&mut self, separator: Box<[u8]>, right: &Self) {
        self.children.extend(right.children.iter().cloned());
        let separators = Arc::make_mut(&mut self.separators);
        separators.push(separator);
        separators.extend(right.separators.iter().cloned());
    }

    #[cfg(test)]
    pub(super) fn separators(&self) -> &[Box<[u8]>] {
        &self.separators
    }
}
