//! Judges what a simulation recorded: linearizability by revisions, the guarantees of watches and
//! leases, compaction, the agreement of members. Pure: a history goes in, findings come out.
//!
//! etcd numbers its states, and every reply names one. So the order in which things took effect
//! need not be searched for: each write claims a revision, each read names the state it saw, and
//! what is left to check is that the claims are true, distinct, and in keeping with real time.
//! `tests/exact.rs` searches all the same, on small histories, to show that both come to one
//! verdict.

mod compaction;
mod effect;
mod finding;
pub mod history;
mod leases;
mod matching;
mod members;
mod reads;
mod show;
mod sight;
mod timeline;
mod watches;
mod writes;

#[cfg(test)]
mod tests;

pub use finding::{Finding, invariant};

use compaction::Compactions;
use finding::Findings;
use history::{History, Truth};
use leases::Leases;
use sight::Sight;
use timeline::Timeline;

/// All that is wrong with a history, given what turned out to be true; nothing if nothing is.
#[must_use]
pub fn judge(history: &History, truth: &Truth) -> Vec<Finding> {
    let mut findings = Findings::default();
    let timeline = Timeline::build(truth, &mut findings);
    let sight = Sight::of(history);
    let compactions = Compactions::of(history);
    let leases = Leases::of(history);
    let case =
        Case { history, truth, timeline: &timeline, sight: &sight, compactions: &compactions };
    sight.judge(&case, &mut findings);
    compactions.judge(&case, &mut findings);
    reads::judge(&case, &mut findings);
    let ends = writes::judge(&case, &leases, &mut findings);
    leases::judge(&case, &leases, &ends, &mut findings);
    watches::judge(&case, &mut findings);
    members::judge(history, truth, &mut findings);
    findings.into_list()
}

/// What every check looks at.
struct Case<'a> {
    history: &'a History,
    truth: &'a Truth,
    timeline: &'a Timeline,
    sight: &'a Sight,
    compactions: &'a Compactions,
}
