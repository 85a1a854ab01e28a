//! What is wrong, in words, and which promise it breaks.

use std::fmt;

/// More findings than these are counted, not told.
const LIMIT: usize = 500;

/// The promises, by their numbers in `docs/invariants.md` where they have one.
pub mod invariant {
    /// Invariant 1.
    pub const REVISIONS: &str = "1: the revision grows by one for each changing command";
    /// Invariant 2.
    pub const POSITIONS: &str = "2: applied <= durable <= tail";
    /// Invariant 3.
    pub const WATCHES: &str = "3: a watcher sees every event once, in order, whole";
    /// Invariant 4.
    pub const DIGESTS: &str = "4: same bytes, same digest";
    /// Invariant 5.
    pub const KEPT: &str = "5: nothing that was shown is taken back";
    /// Invariant 6.
    pub const ONCE: &str = "6: a request takes effect once or not at all";
    /// Invariant 15, and the same of writes.
    pub const REAL_TIME: &str = "15: what came after sees what came before";
    /// Invariant 16.
    pub const AGREEMENT: &str = "16: replicas hold the same";
    /// A reply tells the state at its revision.
    pub const EXACT: &str = "replies are exact";
    /// Reads below the compacted revision are refused, others are not.
    pub const COMPACTION: &str = "compaction refuses below its revision, and only there";
    /// Invariant 20; and its keys go together.
    pub const LEASES: &str = "20: a lease lives for its time, and its keys go with it";
    /// What was recorded does not suffice to judge.
    pub const RECORD: &str = "the record is whole";
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Which promise it breaks: one of [`invariant`].
    pub invariant: &'static str,
    /// Who, when, what was expected, what came.
    pub text: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}] {}", self.invariant, self.text)
    }
}

/// Findings as they are made.
#[derive(Debug, Default)]
pub(super) struct Findings {
    told: Vec<Finding>,
    untold: usize,
}

impl Findings {
    pub(super) fn add(&mut self, invariant: &'static str, text: String) {
        if self.told.len() < LIMIT {
            self.told.push(Finding { invariant, text });
        } else {
            self.untold += 1;
        }
    }

    pub(super) fn into_list(mut self) -> Vec<Finding> {
        if self.untold > 0 {
            let text = format!("{} more findings are not told", self.untold);
            self.told.push(Finding { invariant: invariant::RECORD, text });
        }
        self.told
    }
}
