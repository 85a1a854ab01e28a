//! An inner node of the index: children in order, what each counts, and the separators between them.

use std::sync::Arc;

use super::separators::Separators;
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
    /// One fewer than children. Shared by the copies of a node: only splits and merges change them.
    separators: Arc<Separators>,
}

impl Inner {
    pub(super) fn new(left: Node, separator: Box<[u8]>, right: Node) -> Self {
        let mut children = Vec::with_capacity(FANOUT + 1);
        children.extend([Child::new(left), Child::new(right)]);
        Self { children, separators: Arc::new(Separators::new(vec![separator])) }
    }

    /// A node of these children, each after the first with what tells it from the one before.
    pub(super) fn of_children(first: Node, rest: impl Iterator<Item = (Box<[u8]>, Node)>) -> Self {
        let mut children = Vec::with_capacity(FANOUT + 1);
        children.push(Child::new(first));
        let mut separators = Vec::with_capacity(FANOUT);
        for (separator, node) in rest {
            separators.push(separator);
            children.push(Child::new(node));
        }
        Self { children, separators: Arc::new(Separators::new(separators)) }
    }

    /// Which child `key` is in, or belongs in.
    pub(super) fn child_of(&self, key: &[u8]) -> usize {
        self.separators.count_up_to(key)
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
        if !self.children.is_empty() {
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
        let (separator, right) = Arc::make_mut(&mut self.separators).split_at(child - 1);
        (separator, Self { children, separators: Arc::new(right) })
    }

    /// Takes in the node to the right.
    pub(super) fn append(&mut self, separator: Box<[u8]>, right: &Self) {
        self.children.extend(right.children.iter().cloned());
        Arc::make_mut(&mut self.separators).append(separator, &right.separators);
    }

    #[cfg(test)]
    pub(super) fn separators(&self) -> &[Box<[u8]>] {
        self.separators.keys()
    }
}
