//! Reads: each shows exactly the state at the revision it names, and a linearizable one names no
//! less than what anybody had seen before it began.

use super::Case;
use super::effect;
use super::finding::{Findings, invariant};
use super::history::{Call, Op, Outcome, Range, Refusal, Reply, Revision};

/// Judges ranges, and transactions that only read; of those that write, the refusals of their
/// ranges.
pub(super) fn judge(case: &Case<'_>, findings: &mut Findings) {
    for call in &case.history.calls {
        if !matches!(call.op, Op::Range(_) | Op::Txn { .. }) {
            continue;
        }
        match &call.outcome {
            Some(Outcome::Done { revision, reply }) => {
                if !effect::may_write(&call.op) {
                    judge_state(case, call, *revision, reply, findings);
                }
                judge_compaction(case, call, &call.op, reply, findings);
            }
            Some(Outcome::Refused(refusal)) => judge_refusal(case, call, refusal, findings),
            None => {}
        }
    }
}

fn judge_state(case: &Case<'_>, call: &Call, at: Revision, reply: &Reply, findings: &mut Findings) {
    if !effect::is_serializable(&call.op)
        && let Some(text) = case.sight.judge_order(call, at, false, case.history)
    {
        findings.add(invariant::REAL_TIME, text);
    }
    if !case.timeline.knows(at) {
        return;
    }
    match effect::of(&call.op, case.timeline, at) {
        Ok(effect) => {
            let expected = effect.replies.first();
            if let Some(text) = expected.and_then(|expected| effect::difference(expected, reply)) {
                findings.add(invariant::EXACT, format!("{call}; at {at}: {text}"));
            }
        }
        Err(refusal) => {
            findings.add(invariant::EXACT, format!("{call}; must be refused: {refusal}"));
        }
    }
}

/// Looks at the ranges that were carried out: in a transaction, those of the branch that was taken.
fn judge_compaction(case: &Case<'_>, call: &Call, op: &Op, reply: &Reply, findings: &mut Findings) {
    match (op, reply) {
        (Op::Range(range), _) => {
            if let Some(text) = case.compactions.judge_range(call, range) {
                findings.add(invariant::COMPACTION, text);
            }
        }
        (Op::Txn { success, failure, .. }, Reply::Txn { succeeded, replies }) => {
            let branch = if *succeeded { success } else { failure };
            for (op, reply) in branch.iter().zip(replies) {
                judge_compaction(case, call, op, reply, findings);
            }
        }
        _ => {}
    }
}

fn judge_refusal(case: &Case<'_>, call: &Call, refusal: &Refusal, findings: &mut Findings) {
    let mut asked = Vec::new();
    past_revisions(&call.op, &mut asked);
    let wrong = match refusal {
        Refusal::Compacted | Refusal::Future if asked.is_empty() => {
            Some(format!("{call}; it asked for no revision of the past"))
        }
        _ => case.compactions.judge_refused(case, call, &asked, refusal),
    };
    if let Some(text) = wrong {
        findings.add(invariant::COMPACTION, text);
    }
}

fn past_revisions(op: &Op, found: &mut Vec<Revision>) {
    match op {
        Op::Range(Range { revision, .. }) if revision.0 > 0 => found.push(*revision),
        Op::Txn { success, failure, .. } => {
            success.iter().chain(failure).for_each(|op| past_revisions(op, found));
        }
        _ => {}
    }
}
