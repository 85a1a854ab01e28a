//! When revisions came to be, as far as clients could see: each was there by the time somebody saw
//! it, and not before whoever made it, or read without it, had begun.

use super::Case;
use super::effect;
use super::finding::{Findings, invariant};
use super::history::{Call, History, Op, Outcome, Revision, Time};

/// Bounds on the time of each revision.
#[derive(Debug, Default)]
pub(super) struct Sight {
    /// By time: the greatest revision anybody had seen by then, and who.
    seen: Vec<(Time, Revision, Witness)>,
    /// By revision: the earliest time somebody saw it or a later one.
    by: Vec<(Revision, Time)>,
    /// By revision: the latest time at which it or an earlier one surely was not there.
    not_before: Vec<(Revision, Time)>,
}

/// Who saw a revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Witness {
    /// A call, by its place in the history.
    Call(usize),
    /// A watch, by its place in the history.
    Watch(usize),
}

impl Sight {
    /// Takes every reply and every message of a watch for what it says.
    pub(super) fn of(history: &History) -> Self {
        let mut seen = sightings(history);
        let mut by: Vec<_> = seen.iter().map(|(time, revision, _)| (*revision, *time)).collect();
        by.sort_by(|left, right| right.cmp(left));
        let mut earliest = Time(u64::MAX);
        for (_, time) in &mut by {
            earliest = earliest.min(*time);
            *time = earliest;
        }
        by.reverse();
        seen.sort_by_key(|(time, revision, _)| (*time, *revision));
        let mut greatest = None;
        for sighting in &mut seen {
            let (_, revision, witness) = *sighting;
            let (revision, witness) = match greatest {
                Some((known, by)) if known >= revision => (known, by),
                _ => (revision, witness),
            };
            greatest = Some((revision, witness));
            (sighting.1, sighting.2) = (revision, witness);
        }
        Self { seen, by, not_before: lower_bounds(history) }
    }

    /// The greatest revision that anybody had seen before `time`.
    pub(super) fn before(&self, time: Time) -> Option<(Revision, Witness)> {
        let upto = self.seen.partition_point(|(seen, ..)| *seen < time);
        self.seen.get(upto.checked_sub(1)?).map(|(_, revision, witness)| (*revision, *witness))
    }

    /// When a revision was there at the latest: the first time that anybody saw it or a later one.
    pub(super) fn at_the_latest(&self, revision: Revision) -> Option<Time> {
        let from = self.by.partition_point(|(seen, _)| *seen < revision);
        self.by.get(from).map(|(_, time)| *time)
    }

    /// The latest time at which a revision was surely not there yet.
    pub(super) fn at_the_earliest(&self, revision: Revision) -> Time {
        let upto = self.not_before.partition_point(|(absent, _)| *absent <= revision);
        let last = upto.checked_sub(1).and_then(|last| self.not_before.get(last));
        last.map_or(Time(0), |(_, time)| *time)
    }

    /// Finds revisions that were shown and are not in the truth.
    pub(super) fn judge(&self, case: &Case<'_>, findings: &mut Findings) {
        let end = case.timeline.newest();
        for call in &case.history.calls {
            if let Some(Outcome::Done { revision, .. }) = &call.outcome
                && revision.0 < 1
                && !matches!(call.op, Op::Other(_))
            {
                findings.add(invariant::EXACT, format!("{call}; no store has this revision"));
            }
        }
        for (time, revision, witness) in sightings(case.history) {
            if revision > end {
                let who = witness.name(case.history);
                let shown = format!("revision {revision} was shown at {time}");
                findings
                    .add(invariant::KEPT, format!("{shown}, but the truth ends at {end}: {who}"));
            }
        }
    }

    /// Finds a call that does not see (or, if it changed something, does not come behind) what was
    /// seen before.
    pub(super) fn judge_order(
        &self,
        call: &Call,
        at: Revision,
        wrote: bool,
        history: &History,
    ) -> Option<String> {
        let (seen, witness) = self.before(call.begin)?;
        let behind = if wrote { at <= seen } else { at < seen };
        behind.then(|| {
            let who = witness.name(history);
            format!("{call}; it took effect at {at}, but before it began, {seen} was seen by {who}")
        })
    }
}

impl Witness {
    /// The witness in words.
    pub(super) fn name(self, history: &History) -> String {
        match self {
            Self::Call(place) => history.calls[place].to_string(),
            Self::Watch(place) => history.watches[place].to_string(),
        }
    }
}

fn sightings(history: &History) -> Vec<(Time, Revision, Witness)> {
    let mut found = Vec::new();
    for (place, call) in history.calls.iter().enumerate() {
        if let (Some(end), Some(Outcome::Done { revision, .. })) = (call.end, &call.outcome) {
            found.push((end, *revision, Witness::Call(place)));
        }
    }
    for (place, watch) in history.watches.iter().enumerate() {
        for response in &watch.responses {
            let events = response.events.iter().map(|event| event.kv.mod_revision);
            let revision = events.fold(response.revision, Revision::max);
            found.push((response.time, revision, Witness::Watch(place)));
        }
    }
    found
}

/// A write that took a revision had begun before it; so had a read that saw only the one before it.
fn lower_bounds(history: &History) -> Vec<(Revision, Time)> {
    let mut bounds = Vec::new();
    for call in &history.calls {
        let Some(Outcome::Done { revision, reply }) = &call.outcome else { continue };
        if effect::changed(&call.op, reply) {
            bounds.push((*revision, call.begin));
        } else if effect::reads_the_newest(&call.op) {
            bounds.push((Revision(revision.0 + 1), call.begin));
        }
    }
    bounds.sort();
    let mut latest = Time(0);
    for (_, time) in &mut bounds {
        latest = latest.max(*time);
        *time = latest;
    }
    bounds
}
