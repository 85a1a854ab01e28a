//! Compaction: it holds at once, and is carried out in small steps.
//!
//! The records written since the last compaction name what they superseded: those are dead. Then
//! segments that are mostly dead are rewritten. Nothing outside can tell how far this got.

use super::Mvcc;
use super::history::{SEGMENT_BYTES, Segment};
use crate::ids::{ModRevision, Revision};
use crate::outcome::Refusal;

/// How many segments are made one at most, so that a step stays short.
pub(super) const MERGE_SEGMENTS: usize = 8;

/// How far compaction got.
pub(super) struct Compaction {
    /// What was asked for last.
    revision: Revision,
    /// The next record to look at. Always inside or behind the last compaction carried out: a tombstone
    /// exactly at that is kept until the next.
    cursor: ModRevision,
    /// Segments before this one were looked at since the cursor arrived; none: nothing to look for.
    sweep: Option<usize>,
}

impl Default for Compaction {
    fn default() -> Self {
        Self { revision: Revision::NEVER_COMPACTED, cursor: ModRevision::default(), sweep: None }
    }
}

impl Compaction {
    pub(super) const fn revision(&self) -> Revision {
        self.revision
    }

    /// A store that was compacted at `revision` and has nothing to do about it.
    pub(super) fn done(revision: Revision) -> Self {
        Self { revision, cursor: ModRevision { main: revision, sub: 0 }, sweep: None }
    }
}

impl Mvcc {
    /// From now on nothing older than `revision` can be read; [`Mvcc::maintain`] frees it.
    ///
    /// # Errors
    /// [`Refusal::FutureRevision`], or [`Refusal::Compacted`] if it is not above the last one.
    pub fn compact(&mut self, revision: Revision) -> Result<(), Refusal> {
        if revision <= self.compaction.revision {
            return Err(Refusal::Compacted);
        }
        if revision > self.revision {
            return Err(Refusal::FutureRevision);
        }
        self.compaction.revision = revision;
        self.compaction.sweep = Some(0);
        Ok(())
    }

    /// Whether [`Mvcc::maintain`] has something to do.
    pub const fn needs_maintenance(&self) -> bool {
        self.compaction.sweep.is_some()
    }

    /// Revisions whose records [`Mvcc::maintain`] has still to look at.
    pub fn compaction_left(&self) -> u64 {
        let Compaction { revision, cursor, sweep } = &self.compaction;
        if sweep.is_none() {
            return 0;
        }
        revision.0.saturating_sub(cursor.main.0).max(0).unsigned_abs()
    }

    /// Carries compaction on: looks at no more than `budget` records, then at segments. Whether there
    /// is more to do. 1,000 records take well under a millisecond, and so does a segment.
    pub fn maintain(&mut self, budget: usize) -> bool {
        let Some(sweep) = self.compaction.sweep else { return false };
        if self.mark(budget) {
            return true;
        }
        self.compaction.sweep = self.sweep(sweep);
        self.compaction.sweep.is_some()
    }

    /// Marks what the records up to the compacted revision superseded. Whether some are left to see.
    fn mark(&mut self, budget: usize) -> bool {
        let end = self.compaction.revision;
        let history = self.history.segments().clone();
        let mut next = history.lower_bound(self.compaction.cursor);
        for _ in 0..budget {
            let record = next.map(|place| (place, history.record(place)));
            let Some((place, record)) = record.filter(|(_, kv)| kv.mod_revision <= end) else {
                self.settle(end);
                return false;
            };
            if let Some(previous) = record.previous {
                self.history.bury(previous);
            }
            if record.tombstone && record.mod_revision < end {
                self.forget(record.key, record.at());
            }
            let at = record.at();
            self.compaction.cursor = ModRevision { sub: at.sub + 1, ..at };
            next = history.after(place);
        }
        true
    }

    /// The next compaction begins with the tombstones at this one.
    fn settle(&mut self, end: Revision) {
        self.compaction.cursor = ModRevision { main: end, sub: 0 };
    }

    fn forget(&mut self, key: &[u8], tombstone: ModRevision) {
        let history = self.history.segments();
        if self.index.get(key, history).is_some_and(|newest| newest.at == tombstone) {
            self.index.remove(key, history);
        }
        self.history.bury(tombstone);
    }

    /// Rewrites the next segments that are worth it, from `from` on. Returns where to go on.
    fn sweep(&mut self, from: usize) -> Option<usize> {
        let sealed = self.history.sealed();
        let worth = |segment: &usize| self.is_sparse(*segment);
        let first = (from..sealed).find(worth)?;
        let mut live = self.live_bytes_of(first);
        let mut end = first + 1;
        while end < sealed && end - first < MERGE_SEGMENTS && self.is_near(first, end) {
            let more = self.live_bytes_of(end);
            let joins = self.is_sparse(end) || more < SEGMENT_BYTES / 4;
            if !joins || live + more > SEGMENT_BYTES {
                break;
            }
            live += more;
            end += 1;
        }
        self.history.rewrite(first, end);
        Some(first)
    }

    /// Whether a quarter of a segment or more is dead: three bytes copied free one, at worst.
    fn is_sparse(&self, segment: usize) -> bool {
        let dead = self.history.dead(segment).bytes;
        dead > 0 && dead * 3 >= self.live_bytes_of(segment)
    }

    fn live_bytes_of(&self, segment: usize) -> usize {
        self.segment(segment).live_bytes(self.history.dead(segment))
    }

    /// Whether the records of both segments can be numbered from the first of the one.
    fn is_near(&self, first: usize, other: usize) -> bool {
        let other = self.segment(other);
        let last = other.at(other.len() - 1).main.0;
        u32::try_from(last - self.segment(first).at(0).main.0).is_ok()
    }

    fn segment(&self, segment: usize) -> &Segment {
        &self.history.segments().as_slice()[segment]
    }
}
