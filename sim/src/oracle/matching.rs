//! Gives each revision that has no acknowledged author one of the calls of unknown outcome, none to
//! two.

use std::collections::{BTreeMap, BTreeSet};

/// For each place the candidate it gets, so that as many places as can be have one.
pub(super) fn assign(candidates: &[Vec<usize>]) -> Vec<Option<usize>> {
    let mut holder = BTreeMap::new();
    for place in 0..candidates.len() {
        augment(place, candidates, &mut holder, &mut BTreeSet::new());
    }
    let mut given = vec![None; candidates.len()];
    for (candidate, place) in holder {
        given[place] = Some(candidate);
    }
    given
}

/// Finds a candidate for a place, moving those before it to others if need be.
fn augment(
    place: usize,
    candidates: &[Vec<usize>],
    holder: &mut BTreeMap<usize, usize>,
    tried: &mut BTreeSet<usize>,
) -> bool {
    for candidate in &candidates[place] {
        if !tried.insert(*candidate) {
            continue;
        }
        let free = match holder.get(candidate) {
            None => true,
            Some(other) => augment(*other, candidates, holder, tried),
        };
        if free {
            holder.insert(*candidate, place);
            return true;
        }
    }
    false
}
