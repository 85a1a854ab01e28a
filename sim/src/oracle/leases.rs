//! Leases: none ends before its time is up, counted from the begin of the last acknowledged grant
//! or keep-alive; its keys go together, at one revision; nothing is attached to one that is gone.

use std::collections::{BTreeMap, BTreeSet};

use super::Case;
use super::effect;
use super::finding::{Findings, invariant};
use super::history::{
    Call, EventKind, History, LeaseId, Op, Outcome, Put, Refusal, Reply, Revision, Time,
};
use super::show;
use super::timeline::Timeline;
use super::writes::End;

/// What was asked and answered about each lease.
#[derive(Debug, Default)]
pub(super) struct Leases {
    lives: BTreeMap<LeaseId, Life>,
}

#[derive(Debug, Default)]
struct Life {
    /// Acknowledged grants and keep-alives.
    renewals: Vec<Renewal>,
    /// Calls that granted it or may have, with the revision they were told.
    grants: Vec<(usize, Option<Revision>)>,
    /// When the last call that may have renewed it was given up or answered; `None` is never.
    last_asked: Option<Time>,
    /// Calls that revoked it or may have.
    revokes: Vec<usize>,
    /// What it was granted, in seconds, each time.
    granted: BTreeSet<i64>,
}

impl Life {
    /// Whether `granted` cannot be what it was granted.
    fn disowns(&self, granted: i64) -> bool {
        let known = self.grants.iter().all(|(_, header)| header.is_some());
        known && !self.granted.is_empty() && !self.granted.contains(&granted)
    }

    /// Whether a renewal may be one of a later lease of the same id, granted when `revision` had
    /// ended this.
    fn may_follow(&self, renewal: &Renewal, revision: Revision, history: &History) -> bool {
        self.grants.iter().any(|(place, header)| {
            header.is_none_or(|header| header >= revision)
                && history.calls[*place].begin <= renewal.end
        })
    }
}

#[derive(Clone, Copy, Debug)]
struct Renewal {
    call: usize,
    begin: Time,
    end: Time,
    ttl: u64,
}

impl Renewal {
    /// Before this it must not end.
    fn until(&self) -> u64 {
        self.begin.0.saturating_add(self.ttl)
    }
}

/// The lease whose end a revision looks like: it deletes all the keys of it, and no others.
pub(super) fn end_of_lease(timeline: &Timeline, revision: Revision) -> Option<LeaseId> {
    let base = Revision(revision.0 - 1);
    let events = timeline.events(revision);
    let first = timeline.at(&events.first()?.kv.key, base)?;
    if first.lease == LeaseId(0) || events.iter().any(|event| event.kind == EventKind::Put) {
        return None;
    }
    let all = effect::of_lease_end(first.lease, timeline, base);
    effect::alike(&all, events).then_some(first.lease)
}

impl Leases {
    /// Takes the leases out of a history.
    pub(super) fn of(history: &History) -> Self {
        let mut leases = Self::default();
        for (place, call) in history.calls.iter().enumerate() {
            leases.add(place, call);
        }
        leases
    }

    fn add(&mut self, place: usize, call: &Call) {
        let (asked, ttl) = match (&call.op, &call.outcome) {
            (_, Some(Outcome::Refused(_))) => return,
            (Op::Grant { .. }, Some(Outcome::Done { reply: Reply::Grant { id, ttl }, .. })) => {
                (*id, Some(*ttl))
            }
            (Op::KeepAlive { id }, Some(Outcome::Done { reply: Reply::KeepAlive { ttl }, .. })) => {
                (*id, Some(*ttl))
            }
            (Op::Grant { id, .. } | Op::KeepAlive { id }, None) => (*id, None),
            (Op::Revoke { id }, _) => {
                self.lives.entry(*id).or_default().revokes.push(place);
                return;
            }
            _ => return,
        };
        let life = self.lives.entry(asked).or_default();
        let header = match call.outcome {
            Some(Outcome::Done { revision, .. }) => Some(revision),
            _ => None,
        };
        if matches!(call.op, Op::Grant { .. }) {
            life.grants.push((place, header));
            life.granted.extend(ttl);
        }
        let end = call.end.unwrap_or(Time(u64::MAX));
        life.last_asked = life.last_asked.max(Some(end));
        if let Some(seconds) = ttl.filter(|seconds| *seconds > 0) {
            let ttl = u64::try_from(seconds).unwrap_or(0).saturating_mul(1_000_000_000);
            life.renewals.push(Renewal { call: place, begin: call.begin, end, ttl });
        }
    }

    /// Why an end at a revision would be early, if it would.
    pub(super) fn early(
        &self,
        case: &Case<'_>,
        lease: LeaseId,
        revision: Revision,
    ) -> Option<String> {
        let seen = case.sight.at_the_latest(revision).unwrap_or(case.truth.read_at);
        let life = self.lives.get(&lease)?;
        let bound = seen.0.saturating_add(case.history.limits.early);
        let early = |renewal: &&Renewal| {
            bound < renewal.until() && !life.may_follow(renewal, revision, case.history)
        };
        let renewal = life.renewals.iter().find(early)?;
        let call = &case.history.calls[renewal.call];
        let until = Time(renewal.until());
        Some(format!("it was seen at {seen}, but was to live until {until} by {call}"))
    }

    /// The renewal by which a lease must have lived through all of a call.
    fn surely_alive(&self, case: &Case<'_>, lease: LeaseId, call: &Call) -> Option<String> {
        let life = self.lives.get(&lease)?;
        let end = call.end?;
        let revoke = |place: &usize| case.history.calls[*place].begin <= end;
        if life.revokes.iter().any(revoke) {
            return None;
        }
        let bound = end.0.saturating_add(case.history.limits.early);
        let holds = |renewal: &&Renewal| renewal.end < call.begin && bound < renewal.until();
        let renewal = life.renewals.iter().find(holds)?;
        Some(format!(
            "it lives until {} by {}",
            Time(renewal.until()),
            case.history.calls[renewal.call]
        ))
    }
}

/// Judges all that is said of leases and done to their keys.
pub(super) fn judge(case: &Case<'_>, leases: &Leases, ends: &[End], findings: &mut Findings) {
    for call in &case.history.calls {
        let wrong = match &call.outcome {
            Some(Outcome::Done { revision, reply }) => {
                misreply(case, leases, call, *revision, reply)
            }
            Some(Outcome::Refused(Refusal::LeaseNotFound)) => {
                let mut named = Vec::new();
                leases_of(&call.op, &mut named);
                match named.as_slice() {
                    [lease] => leases.surely_alive(case, *lease, call),
                    _ => None,
                }
            }
            _ => None,
        };
        if let Some(wrong) = wrong {
            findings.add(invariant::LEASES, format!("{call}; {wrong}"));
        }
    }
    judge_attached(case, leases, ends, findings);
    judge_renewals(case, leases, ends, findings);
    judge_late(case, leases, ends, findings);
}

fn misreply(
    case: &Case<'_>,
    leases: &Leases,
    call: &Call,
    at: Revision,
    reply: &Reply,
) -> Option<String> {
    match (&call.op, reply) {
        (Op::Grant { id, ttl }, Reply::Grant { id: given, ttl: granted }) => {
            if *id != LeaseId(0) && id != given {
                return Some(format!("it must be {id}"));
            }
            if granted < ttl {
                return Some(format!("it must live for {ttl}s"));
            }
            leases.surely_alive(case, *given, call)
        }
        (Op::KeepAlive { id }, Reply::KeepAlive { ttl }) if *ttl <= 0 => {
            leases.surely_alive(case, *id, call)
        }
        (Op::KeepAlive { id }, Reply::KeepAlive { ttl }) => {
            let life = leases.lives.get(id)?;
            life.disowns(*ttl).then(|| format!("it was granted for {:?}s", life.granted))
        }
        (Op::TimeToLive { id }, Reply::TimeToLive { ttl, granted: 0 }) if *ttl < 0 => {
            leases.surely_alive(case, *id, call)
        }
        (Op::TimeToLive { id }, Reply::TimeToLive { ttl, granted }) => {
            remaining(case, leases, call, *id, (*ttl, *granted))
        }
        (Op::Revoke { id }, Reply::Revoke) if case.timeline.knows(at) => {
            let left = effect::of_lease_end(*id, case.timeline, at);
            (!left.is_empty()).then(|| format!("at {at} its keys are left: {}", show::list(&left)))
        }
        _ => None,
    }
}

/// What a lease says it has left is at least what its last renewal leaves it, less the second cut
/// off.
fn remaining(
    case: &Case<'_>,
    leases: &Leases,
    call: &Call,
    id: LeaseId,
    (ttl, granted): (i64, i64),
) -> Option<String> {
    let life = leases.lives.get(&id)?;
    if life.disowns(granted) {
        return Some(format!("it was granted for {:?}s", life.granted));
    }
    if life.revokes.iter().any(|place| Some(case.history.calls[*place].begin) <= call.end) {
        return None;
    }
    let left = u64::try_from(ttl).unwrap_or(0).saturating_add(1).saturating_mul(1_000_000_000);
    let until = call.end?.0.saturating_add(left).saturating_add(case.history.limits.early);
    let short = |renewal: &&Renewal| renewal.end < call.begin && until < renewal.until();
    let renewal = life.renewals.iter().find(short)?;
    Some(format!("but {} gives it longer", case.history.calls[renewal.call]))
}

/// The leases that a request names.
fn leases_of(op: &Op, found: &mut Vec<LeaseId>) {
    match op {
        Op::Put(Put { lease, .. }) if *lease != LeaseId(0) => found.push(*lease),
        Op::Revoke { id } => found.push(*id),
        Op::Txn { success, failure, .. } => {
            success.iter().chain(failure).for_each(|op| leases_of(op, found));
        }
        _ => {}
    }
}

/// Keys are attached to leases that were granted and had not ended.
fn judge_attached(case: &Case<'_>, leases: &Leases, ends: &[End], findings: &mut Findings) {
    let none = Life::default();
    for event in case.timeline.events_from(Revision(2)) {
        let (lease, revision) = (event.kv.lease, event.kv.mod_revision);
        if lease == LeaseId(0) || event.kind == EventKind::Delete {
            continue;
        }
        let life = leases.lives.get(&lease).unwrap_or(&none);
        let granted = |after: Revision| {
            let told = |header: Option<Revision>| {
                header.is_none_or(|header| after <= header && header < revision)
            };
            life.grants.iter().any(|(_, header)| told(*header))
        };
        let revoked =
            life.revokes.iter().filter_map(|place| match case.history.calls[*place].outcome {
                Some(Outcome::Done { revision, .. }) => Some(revision),
                _ => None,
            });
        let ended = ends.iter().filter(|end| end.lease == lease).map(|end| end.revision);
        let ended = ended.chain(revoked).filter(|end| *end < revision).max();
        if !granted(ended.unwrap_or(Revision(0))) {
            let why = match ended {
                Some(ended) => format!("it had ended at {ended}"),
                None => "nobody had granted it".to_owned(),
            };
            let text = format!("{event}: attached to lease {lease}, but {why}");
            findings.add(invariant::LEASES, text);
        }
    }
}

/// Nobody renews a lease that is gone.
fn judge_renewals(case: &Case<'_>, leases: &Leases, ends: &[End], findings: &mut Findings) {
    let early = case.history.limits.early;
    for end in ends {
        let Some(seen) = case.sight.at_the_latest(end.revision) else { continue };
        let Some(life) = leases.lives.get(&end.lease) else { continue };
        let again = |after: Time| {
            life.grants.iter().any(|(place, _)| {
                case.history.calls[*place].end.is_none_or(|granted| granted >= after)
            })
        };
        for renewal in &life.renewals {
            if renewal.begin.0 > seen.0.saturating_add(early) && !again(seen) {
                let (call, revision) = (&case.history.calls[renewal.call], end.revision);
                let text = format!("{call}; it had ended at {revision}, as was seen at {seen}");
                findings.add(invariant::LEASES, text);
            }
        }
    }
}

/// A lease whose time is up goes before long.
fn judge_late(case: &Case<'_>, leases: &Leases, ends: &[End], findings: &mut Findings) {
    let Some(late) = case.history.limits.late else { return };
    let due = |lease: LeaseId| {
        let life = leases.lives.get(&lease)?;
        let ttl = life.granted.last().map_or(0, |seconds| u64::try_from(*seconds).unwrap_or(0));
        let ttl = ttl.saturating_mul(1_000_000_000);
        Some(life.last_asked?.0.saturating_add(ttl).saturating_add(late))
    };
    for end in ends.iter().filter(|end| end.expired) {
        let there = case.sight.at_the_earliest(end.revision);
        if due(end.lease).is_some_and(|due| there.0 > due) {
            let (lease, revision) = (end.lease, end.revision);
            let text = format!("lease {lease} ended at {revision}, and was still there at {there}");
            findings.add(invariant::LEASES, text);
        }
    }
    for lease in leases.lives.keys() {
        let left = effect::of_lease_end(*lease, case.timeline, case.timeline.end());
        if !left.is_empty() && due(*lease).is_some_and(|due| case.truth.read_at.0 > due) {
            let (keys, at) = (show::list(&left), case.truth.read_at);
            let text = format!("lease {lease} should be gone, but at {at} has the keys ({keys})");
            findings.add(invariant::LEASES, text);
        }
    }
}
