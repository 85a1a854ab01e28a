//! Writes: every revision has one author, every author the revision it was told, and what its
//! author asked for is what the revision holds. What clients do not know the outcome of takes one
//! revision or none.

use std::collections::{BTreeMap, BTreeSet};

use super::Case;
use super::effect;
use super::finding::{Findings, invariant};
use super::history::{Call, Event, EventKind, LeaseId, Op, Outcome, Reply, Revision};
use super::leases::{Leases, end_of_lease};
use super::matching;
use super::show;

/// The end of a lease that had keys.
#[derive(Clone, Copy, Debug)]
pub(super) struct End {
    /// Which lease.
    pub(super) lease: LeaseId,
    /// The revision at which its keys went.
    pub(super) revision: Revision,
    /// Whether its time was up; otherwise somebody asked for it, or may have.
    pub(super) expired: bool,
}

/// Judges all that writes, and tells which leases ended where.
pub(super) fn judge(case: &Case<'_>, leases: &Leases, findings: &mut Findings) -> Vec<End> {
    let mut claims = BTreeMap::new();
    for (place, call) in case.history.calls.iter().enumerate() {
        let Some(Outcome::Done { revision, reply }) = &call.outcome else { continue };
        if effect::may_write(&call.op) && !matches!(call.op, Op::Revoke { .. }) {
            let wrote = effect::changed(&call.op, reply);
            judge_call(case, call, *revision, reply, wrote, findings);
            if wrote && let Some(other) = claims.insert(*revision, place) {
                let other = &case.history.calls[other];
                let text = format!("revision {revision} was given to {call}, and to {other}");
                findings.add(invariant::REVISIONS, text);
            }
        }
    }
    let mut ends = revoked(case, &mut claims, findings);
    ends.extend(unclaimed(case, leases, &claims, findings));
    ends.sort_by_key(|end| end.revision);
    ends
}

/// An acknowledged call: at the revision it was told, with the reply that belongs there.
fn judge_call(
    case: &Case<'_>,
    call: &Call,
    at: Revision,
    reply: &Reply,
    wrote: bool,
    findings: &mut Findings,
) {
    if let Some(text) = case.sight.judge_order(call, at, wrote, case.history) {
        findings.add(invariant::REAL_TIME, text);
    }
    let base = Revision(at.0 - i64::from(wrote));
    if !case.timeline.knows(at) {
        return;
    }
    let effect = match effect::of(&call.op, case.timeline, base) {
        Ok(effect) => effect,
        Err(refusal) => {
            findings.add(invariant::EXACT, format!("{call}; must be refused: {refusal}"));
            return;
        }
    };
    if wrote && !effect::alike(&effect.events, case.timeline.events(at)) {
        let (asked, holds) = (show::list(&effect.events), show::list(case.timeline.events(at)));
        let text = format!("{call}; it asked for ({asked}), but revision {at} holds ({holds})");
        findings.add(invariant::ONCE, text);
    }
    let expected = effect.replies.first();
    if let Some(text) = expected.and_then(|expected| effect::difference(expected, reply)) {
        findings.add(invariant::EXACT, format!("{call}; on {base}: {text}"));
    }
}

/// Acknowledged revocations: those whose keys went at the revision they were told.
fn revoked(
    case: &Case<'_>,
    claims: &mut BTreeMap<Revision, usize>,
    findings: &mut Findings,
) -> Vec<End> {
    let mut ends = Vec::new();
    for (place, call) in case.history.calls.iter().enumerate() {
        let (Op::Revoke { id }, Some(Outcome::Done { revision, .. })) = (&call.op, &call.outcome)
        else {
            continue;
        };
        let lease = end_of_lease(case.timeline, *revision).filter(|lease| lease == id);
        // A lease whose keys another took before has none to take along; the revision is that other's.
        let wrote =
            lease.is_some() && !claims.contains_key(revision) && in_time(case, call, *revision);
        if wrote {
            claims.insert(*revision, place);
            ends.push(End { lease: *id, revision: *revision, expired: false });
        }
        if let Some(text) = case.sight.judge_order(call, *revision, wrote, case.history) {
            findings.add(invariant::REAL_TIME, text);
        }
    }
    ends
}

/// A revision that no acknowledged call claims.
struct Orphan {
    revision: Revision,
    /// Calls of unknown outcome that may have made it.
    authors: Vec<usize>,
    /// The lease whose end it looks like.
    lease: Option<LeaseId>,
    /// Why it cannot be that end.
    early: Option<String>,
}

fn unclaimed(
    case: &Case<'_>,
    leases: &Leases,
    claims: &BTreeMap<Revision, usize>,
    findings: &mut Findings,
) -> Vec<End> {
    let suspects = Suspects::of(case);
    let mut orphans = Vec::new();
    let mut ends = Vec::new();
    for number in 2..=case.timeline.end().0 {
        let revision = Revision(number);
        if claims.contains_key(&revision) {
            continue;
        }
        let authors = suspects.authors(case, revision);
        let lease = end_of_lease(case.timeline, revision);
        let asked = |place: &usize| matches!(case.history.calls[*place].op, Op::Revoke { .. });
        let revoked = authors.iter().any(asked);
        let expired = lease.filter(|_| !revoked);
        let early = expired.and_then(|lease| leases.early(case, lease, revision));
        if let Some(lease) = lease
            && authors.iter().all(asked)
        {
            ends.push(End { lease, revision, expired: !revoked });
        }
        if lease.is_none() || early.is_some() {
            orphans.push(Orphan { revision, authors, lease, early });
        }
    }
    let authors: Vec<_> = orphans.iter().map(|orphan| orphan.authors.clone()).collect();
    for (orphan, author) in orphans.iter().zip(matching::assign(&authors)) {
        if author.is_none() {
            suspects.blame(case, orphan, claims, findings);
        }
    }
    ends
}

/// Who may have written what no acknowledged call accounts for.
struct Suspects<'a> {
    /// Calls by the values they ask to be written, whatever became of them.
    by_value: BTreeMap<&'a [u8], Vec<usize>>,
    /// Calls of unknown outcome that may delete.
    deleters: Vec<usize>,
}

impl<'a> Suspects<'a> {
    fn of(case: &Case<'a>) -> Self {
        let mut by_value: BTreeMap<&[u8], Vec<usize>> = BTreeMap::new();
        let mut deleters = Vec::new();
        for (place, call) in case.history.calls.iter().enumerate() {
            let mut values = Vec::new();
            effect::values(&call.op, &mut values);
            for value in &values {
                by_value.entry(value).or_default().push(place);
            }
            let deletes = effect::may_write(&call.op) && !matches!(call.op, Op::Put(_));
            if call.outcome.is_none() && deletes {
                deleters.push(place);
            }
        }
        Self { by_value, deleters }
    }

    fn named(&self, events: &[Event]) -> &[usize] {
        let put = events.iter().find(|event| event.kind == EventKind::Put);
        let named = put.and_then(|event| self.by_value.get(event.kv.value.as_slice()));
        named.map_or(&[], Vec::as_slice)
    }

    /// Calls of unknown outcome that would have made this revision, and had begun when it was seen.
    fn authors(&self, case: &Case<'_>, revision: Revision) -> Vec<usize> {
        let events = case.timeline.events(revision);
        let puts = events.iter().any(|event| event.kind == EventKind::Put);
        let possible = if puts { self.named(events) } else { &self.deleters };
        let key = events.first().map_or(&[][..], |event| &event.kv.key);
        let may = |place: &&usize| {
            let call = &case.history.calls[**place];
            call.outcome.is_none()
                && (puts || effect::may_delete(&call.op, key))
                && in_time(case, call, revision)
                && fits(case, call, revision)
        };
        possible.iter().filter(may).copied().collect()
    }

    /// Says why a revision has no author.
    fn blame(
        &self,
        case: &Case<'_>,
        orphan: &Orphan,
        claims: &BTreeMap<Revision, usize>,
        findings: &mut Findings,
    ) {
        let revision = orphan.revision;
        let events = case.timeline.events(revision);
        let holds = format!("revision {revision} holds ({})", show::list(events));
        if let (Some(lease), Some(early)) = (orphan.lease, &orphan.early) {
            let text = format!("{holds}: the end of lease {lease}, which was early: {early}");
            findings.add(invariant::LEASES, text);
            return;
        }
        let named: BTreeSet<usize> = self.named(events).iter().copied().collect();
        for place in &named {
            let call = &case.history.calls[*place];
            let (promise, why) = match &call.outcome {
                Some(Outcome::Refused(_)) => (invariant::ONCE, "which was refused"),
                Some(Outcome::Done { .. }) => (invariant::ONCE, "which was told another revision"),
                None if !fits(case, call, revision) => {
                    (invariant::ONCE, "which does not come to that")
                }
                None if !in_time(case, call, revision) => {
                    (invariant::REAL_TIME, "which began after that was seen")
                }
                None => (invariant::ONCE, "which took effect at another revision already"),
            };
            findings.add(promise, format!("{holds}, by {call}, {why}"));
        }
        if named.is_empty() {
            let part = part_of_lease(case, revision);
            let promise = if part.is_some() { invariant::LEASES } else { invariant::ONCE };
            let part = part.unwrap_or_default();
            let next =
                claims.range(revision..).next().map(|(_, place)| &case.history.calls[*place]);
            let next = next.map_or(String::new(), |call| format!(" (next comes {call})"));
            findings.add(promise, format!("{holds}, and nobody asked for that{part}{next}"));
        }
    }
}

fn fits(case: &Case<'_>, call: &Call, revision: Revision) -> bool {
    if let Op::Revoke { id } = call.op {
        return end_of_lease(case.timeline, revision) == Some(id);
    }
    let base = Revision(revision.0 - 1);
    effect::of(&call.op, case.timeline, base)
        .is_ok_and(|effect| effect::alike(&effect.events, case.timeline.events(revision)))
}

fn in_time(case: &Case<'_>, call: &Call, revision: Revision) -> bool {
    case.sight.at_the_latest(revision).is_none_or(|seen| call.begin <= seen)
}

/// Whether a revision deletes keys of one lease, but not all of them.
fn part_of_lease(case: &Case<'_>, revision: Revision) -> Option<String> {
    let base = Revision(revision.0 - 1);
    let events = case.timeline.events(revision);
    let lease = |event: &Event| {
        let kv = case.timeline.at(&event.kv.key, base)?;
        (event.kind == EventKind::Delete && kv.lease != LeaseId(0)).then_some(kv.lease)
    };
    let first = lease(events.first()?)?;
    let all = effect::of_lease_end(first, case.timeline, base);
    let same = events.iter().all(|event| lease(event) == Some(first));
    same.then(|| format!("; lease {first} has the keys ({})", show::list(&all)))
}
