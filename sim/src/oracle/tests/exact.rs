//! An exact search for an order that explains a small history: Wing and Gong's, with what was
//! visited remembered. It knows nothing of how the oracle goes about it.

use std::collections::BTreeSet;

use super::store::Store;
use crate::oracle::history::{Call, Event, History, Truth};

/// Whether there is an order of the calls, in keeping with real time, in which a store gives every
/// reply that was given and ends up with the truth.
pub(super) fn explainable(history: &History, truth: &Truth) -> bool {
    assert!(history.calls.len() <= 64, "too many calls to search");
    let [log] = truth.logs.as_slice() else { panic!("one log") };
    let mut search = Search { calls: &history.calls, truth: &log.events, visited: BTreeSet::new() };
    search.from(0, &Store::new())
}

struct Search<'a> {
    calls: &'a [Call],
    truth: &'a [Event],
    /// Calls done, and the revision they led to: the rest follows from these.
    visited: BTreeSet<(u64, i64)>,
}

impl Search<'_> {
    fn from(&mut self, done: u64, store: &Store) -> bool {
        if !self.truth.starts_with(&store.events) || !self.visited.insert((done, store.revision()))
        {
            return false;
        }
        let left = |place: &usize| done & (1 << *place) == 0;
        let answered: Vec<usize> = (0..self.calls.len())
            .filter(left)
            .filter(|place| self.calls[*place].outcome.is_some())
            .collect();
        if answered.is_empty() && store.events.len() == self.truth.len() {
            return true;
        }
        let first_end = answered.iter().filter_map(|place| self.calls[*place].end).min();
        for place in (0..self.calls.len()).filter(left) {
            let call = &self.calls[place];
            if first_end.is_some_and(|end| end < call.begin) {
                continue;
            }
            let mut next = store.clone();
            let outcome = next.apply(&call.op, 0);
            let told = call.outcome.as_ref().is_none_or(|told| *told == outcome);
            if told && self.from(done | (1 << place), &next) {
                return true;
            }
        }
        false
    }
}
