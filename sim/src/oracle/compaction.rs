//! Compaction: which revisions had to be refused, and which could be, at a time.

use std::collections::BTreeSet;

use super::Case;
use super::finding::{Findings, invariant};
use super::history::{Call, History, Op, Outcome, Range, Refusal, Revision, Time};

/// What was compacted when.
#[derive(Debug, Default)]
pub(super) struct Compactions {
    /// By end: the greatest that was acknowledged by then.
    acknowledged: Vec<(Time, Revision)>,
    /// By begin: the greatest that may have taken effect since then.
    begun: Vec<(Time, Revision)>,
    revisions: BTreeSet<(Revision, Time)>,
    /// All of them, with their begins and ends.
    tried: Vec<(Time, Time)>,
}

impl Compactions {
    /// Takes the compactions out of a history.
    pub(super) fn of(history: &History) -> Self {
        let mut found = Self::default();
        for call in &history.calls {
            let Op::Compact { revision } = call.op else { continue };
            let known = call.end.filter(|_| call.outcome.is_some());
            found.tried.push((call.begin, known.unwrap_or(Time(u64::MAX))));
            if matches!(call.outcome, Some(Outcome::Refused(_))) {
                continue;
            }
            found.begun.push((call.begin, revision));
            found.revisions.insert((revision, call.begin));
            if let (Some(end), Some(Outcome::Done { .. })) = (call.end, &call.outcome) {
                found.acknowledged.push((end, revision));
            }
        }
        running_maximum(&mut found.acknowledged);
        running_maximum(&mut found.begun);
        found
    }

    /// The greatest revision whose compaction was acknowledged before `time`.
    pub(super) fn surely(&self, time: Time) -> Revision {
        upto(&self.acknowledged, |at| at < time)
    }

    /// The greatest revision that may have been compacted by `time`.
    pub(super) fn possibly(&self, time: Time) -> Revision {
        upto(&self.begun, |at| at <= time)
    }

    /// Whether somebody had asked for this very compaction by `time`.
    pub(super) fn asked(&self, revision: Revision, time: Time) -> bool {
        self.revisions.range((revision, Time(0))..=(revision, time)).next().is_some()
    }

    /// How many may have been carried out, or tried, from one time to another.
    pub(super) fn between(&self, from: Time, to: Time) -> usize {
        let tried = |(begin, end): &&(Time, Time)| *begin <= to && *end >= from;
        self.tried.iter().filter(tried).count()
    }

    /// Judges the calls that compact; what reads of it is judged by [`Compactions::judge_range`].
    pub(super) fn judge(&self, case: &Case<'_>, findings: &mut Findings) {
        let mut taken = BTreeSet::new();
        for call in &case.history.calls {
            let (Op::Compact { revision }, Some(outcome)) = (&call.op, &call.outcome) else {
                continue;
            };
            let wrong = match outcome {
                Outcome::Done { revision: header, .. } => {
                    let first = taken.insert(*revision);
                    self.misdone(call, *revision, *header, first)
                }
                Outcome::Refused(refusal) => self.misrefused(case, call, *revision, refusal),
            };
            if let Some(wrong) = wrong {
                findings.add(invariant::COMPACTION, format!("{call}; {wrong}"));
            }
        }
    }

    fn misdone(
        &self,
        call: &Call,
        revision: Revision,
        header: Revision,
        first: bool,
    ) -> Option<String> {
        let before = self.surely(call.begin);
        if revision > header {
            return Some("a revision of the future".to_owned());
        }
        if revision <= before || !first {
            return Some(format!("{} was compacted already", before.max(revision)));
        }
        None
    }

    /// Finds a refusal that nothing explains.
    fn misrefused(
        &self,
        case: &Case<'_>,
        call: &Call,
        revision: Revision,
        refusal: &Refusal,
    ) -> Option<String> {
        match refusal {
            Refusal::Compacted => {
                let upto = self.possibly(call.end.unwrap_or(Time(u64::MAX)));
                (revision > upto).then(|| format!("only {upto} can have been compacted"))
            }
            Refusal::Future => {
                let (seen, witness) = case.sight.before(call.begin)?;
                let who = witness.name(case.history);
                (revision <= seen).then(|| format!("but {seen} had been seen by {who}"))
            }
            _ => None,
        }
    }

    /// What is wrong about a range that was answered.
    pub(super) fn judge_range(&self, call: &Call, range: &Range) -> Option<String> {
        let compacted = self.surely(call.begin);
        let past = range.revision.0 > 0 && range.revision < compacted;
        (past && !range.serializable)
            .then(|| format!("{call}; {compacted} had been compacted before it began"))
    }

    /// What is wrong about a read that was refused, given the past revisions that it asked for.
    pub(super) fn judge_refused(
        &self,
        case: &Case<'_>,
        call: &Call,
        asked: &[Revision],
        refusal: &Refusal,
    ) -> Option<String> {
        match refusal {
            Refusal::Compacted => {
                let lowest = *asked.iter().min()?;
                let upto = self.possibly(call.end.unwrap_or(Time(u64::MAX)));
                (lowest >= upto).then(|| format!("{call}; only {upto} can have been compacted"))
            }
            Refusal::Future if !super::effect::is_serializable(&call.op) => {
                let highest = *asked.iter().max()?;
                let wrong = self.misrefused(case, call, highest, refusal)?;
                Some(format!("{call}; {wrong}"))
            }
            _ => None,
        }
    }
}

fn running_maximum(list: &mut [(Time, Revision)]) {
    list.sort();
    let mut greatest = Revision(0);
    for (_, revision) in list {
        greatest = greatest.max(*revision);
        *revision = greatest;
    }
}

fn upto(list: &[(Time, Revision)], holds: impl Fn(Time) -> bool) -> Revision {
    let count = list.partition_point(|(at, _)| holds(*at));
    count.checked_sub(1).and_then(|last| list.get(last)).map_or(Revision(0), |(_, found)| *found)
}
