//! The write-ahead log of a stopped etcd: what it holds behind an entry, read and checked, never
//! written to. `docs/restore.md` says what of it counts.
//!
//! Read twice: once through, to check all of it and find the entries that were not overwritten by a
//! later leader's; then those alone.

mod frames;
mod record;
mod segments;

use std::path::Path;

pub use record::{Entry, Owner, Proposal, VoterChange};

use super::Unusable;
use frames::{Frames, Place, damaged, read_at};
use record::Record;
use segments::Segment;

/// What stands in the log behind an entry.
#[derive(Debug)]
pub struct Wal {
    segments: Vec<Segment>,
    /// The entry that the first of `entries` follows.
    after: u64,
    entries: Vec<Place>,
    owner: Owner,
    committed: u64,
    snapshots: Vec<u64>,
    torn: Option<(usize, u64)>,
}

impl Wal {
    /// Reads the log in `dir` from behind entry `after` on. `progress` hears of bytes done and of all.
    ///
    /// # Errors
    /// [`Unusable`] if files are missing or damaged: which, and where.
    pub fn open(
        dir: &Path,
        after: u64,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Self, Unusable> {
        let segments = segments::from_index(dir, after.saturating_add(1))?;
        let mut wal = Self {
            segments: Vec::new(),
            after,
            entries: Vec::new(),
            owner: Owner::default(),
            committed: 0,
            snapshots: Vec::new(),
            torn: None,
        };
        let all = segments.iter().map(|segment| segment.bytes).sum();
        let mut frames = Frames::new(&segments);
        loop {
            progress(frames.passed(), all);
            let Some((place, record)) = frames.next()? else { break };
            let segment = &segments[place.segment as usize];
            wal.take(segment, place, &record)?;
        }
        wal.torn = frames.torn;
        wal.segments = segments;
        wal.snapshots.retain(|index| *index <= wal.committed);
        Ok(wal)
    }

    fn take(
        &mut self,
        segment: &Segment,
        place: Place,
        record: &Record<'_>,
    ) -> Result<(), Unusable> {
        let not = |what: &'static str| move |_| damaged(segment, place.offset, what);
        match record.kind {
            record::METADATA => {
                self.owner = Owner::decode(record.data).map_err(not("it names no member"))?;
            }
            record::STATE => {
                let committed = record::committed(record.data);
                self.committed = committed.map_err(not("it is no state of raft"))?;
            }
            record::SNAPSHOT => {
                let index = record::snapshot(record.data);
                self.snapshots.push(index.map_err(not("it names no snapshot"))?);
            }
            record::ENTRY => {
                let entry = Entry::decode(record.data);
                let index = entry.map_err(not("it is no entry of raft"))?.index;
                self.place(segment, place, index)?;
            }
            other => {
                let what = format!("a record of kind {other}, which no etcd up to 3.7 writes");
                return Err(damaged(segment, place.offset, &what));
            }
        }
        Ok(())
    }

    /// A later entry of the same number replaces what was there and all that followed it.
    fn place(&mut self, segment: &Segment, place: Place, index: u64) -> Result<(), Unusable> {
        let Some(nth) = index.checked_sub(self.after + 1) else { return Ok(()) };
        if nth > self.entries.len() as u64 {
            let what = format!(
                "entry {index} follows entry {}: those between them are missing",
                self.last()
            );
            return Err(damaged(segment, place.offset, &what));
        }
        self.entries.truncate(nth as usize);
        self.entries.push(place);
        Ok(())
    }

    /// The entry after which this was read.
    #[must_use]
    pub const fn after(&self) -> u64 {
        self.after
    }

    /// The newest entry.
    #[must_use]
    pub fn last(&self) -> u64 {
        self.after + self.entries.len() as u64
    }

    /// The newest entry that was known here to be committed.
    #[must_use]
    pub const fn committed(&self) -> u64 {
        self.committed
    }

    /// Whose log it is.
    #[must_use]
    pub const fn owner(&self) -> Owner {
        self.owner
    }

    /// The newest committed entry at which a snapshot stands, as far as the files read name one.
    #[must_use]
    pub fn snapshot(&self) -> Option<u64> {
        self.snapshots.last().copied()
    }

    /// The file and the byte where the last record is broken off, if it is.
    #[must_use]
    pub fn torn(&self) -> Option<(&Path, u64)> {
        self.torn.map(|(segment, offset)| (self.segments[segment].path.as_path(), offset))
    }

    /// Hands `each` the entries up to `upto`, in order.
    ///
    /// # Errors
    /// What `each` says, or [`Unusable`] if the log no longer reads as it did.
    pub fn replay(
        &self,
        upto: u64,
        mut each: impl FnMut(Entry<'_>) -> Result<(), Unusable>,
    ) -> Result<(), Unusable> {
        let count = usize::try_from(upto.saturating_sub(self.after)).unwrap_or(usize::MAX);
        let mut bytes = Vec::new();
        for place in self.entries.iter().take(count) {
            let segment = &self.segments[place.segment as usize];
            bytes.resize(place.length as usize, 0);
            read_at(segment, place.offset + 8, &mut bytes)?;
            let entry = Record::decode(&bytes).and_then(|record| Entry::decode(record.data));
            each(
                entry
                    .map_err(|_| damaged(segment, place.offset, "it changed while it was read"))?,
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
