//! Gives each revision that has no acknowledged author one of the calls of unknown outcome, none to two.

/// For each place the candidate it gets, so that as many places as can be have one.
pub(super) fn assign(candidates: &[Vec<usize>]) -> Vec<Option<usize>> {
    let size = candidates.iter().flatten().max().map_or(0, |greatest| greatest + 1);
    let mut holder: Vec<Option<usize>> = vec![None; size];
    for place in 0..candidates.len() {
        augment(place, candidates, &mut holder, &mut vec![false; size]);
    }
    let mut given = vec![None; candidates.len()];
    for (candidate, place) in holder.iter().enumerate() {
        if let Some(place) = place {
            given[*place] = Some(candidate);
        }
    }
    given
}

/// Finds a candidate for a place, moving those before it to others if need be.
fn augment(
    place: usize,
    candidates: &[Vec<usize>],
    holder: &mut [Option<usize>],
    tried: &mut [bool],
) -> bool {
    for candidate in &candidates[place] {
        if std::mem::replace(&mut tried[*candidate], true) {
            continue;
        }
        let free = match holder[*candidate] {
            None => true,
            Some(other) => augment(other, candidates, holder, tried),
        };
        if free {
            holder[*candidate] = Some(place);
            return true;
        }
    }
    false
}
