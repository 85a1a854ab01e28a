//! Whole stores: out as the records that compaction retains, and in again.

use std::collections::BTreeMap;
use std::fmt;

use super::compaction::Compaction;
use super::history::Dead;
use super::index::Entry;
use super::record::KvRef;
use super::view::{View, weight};
use super::{MAX_CHANGES, Mvcc};
use crate::ids::{ModRevision, Revision};

impl View {
    /// The records that make up this state, in revision order: all above the compacted revision, what
    /// is visible at it, and the tombstones exactly at it. The same on every replica, whatever
    /// maintenance did.
    pub fn records(&self) -> impl Iterator<Item = KvRef<'_>> {
        let compacted = self.compact_revision();
        let superseded = Superseded::new(self, compacted, compacted);
        super::Events::new(self, Revision(0)).filter(move |kv| {
            let forgotten = kv.tombstone && kv.mod_revision < compacted;
            kv.mod_revision > compacted || !(forgotten || superseded.contains(kv.at()))
        })
    }
}

/// The records up to one revision that have a successor up to another.
pub(super) struct Superseded<'a> {
    view: &'a View,
    marks: BTreeMap<usize, Dead>,
}

impl<'a> Superseded<'a> {
    pub(super) fn new(view: &'a View, upto: Revision, by: Revision) -> Self {
        let mut marks: BTreeMap<usize, Dead> = BTreeMap::new();
        if upto.0 > 0 {
            let all = super::Events::new(view, Revision(0)).take_while(|kv| kv.mod_revision <= by);
            let older = all.filter_map(|kv| kv.previous).filter(|previous| previous.main <= upto);
            for place in older.filter_map(|previous| view.history().locate(previous)) {
                marks.entry(place.segment).or_default().insert(place.slot, 0);
            }
        }
        Self { view, marks }
    }

    pub(super) fn contains(&self, at: ModRevision) -> bool {
        let place = self.view.history().locate(at);
        place.is_some_and(|place| {
            self.marks.get(&place.segment).is_some_and(|marks| marks.contains(place.slot))
        })
    }
}

/// Records that cannot be a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unloadable {
    /// A record is not newer than the one before it.
    OutOfOrder(ModRevision),
    /// A record lies outside of what a store at that revision can hold.
    OutOfBounds(ModRevision),
}

impl fmt::Display for Unloadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, at) = match self {
            Self::OutOfOrder(at) => ("not newer than the record before it", at),
            Self::OutOfBounds(at) => ("not within the revisions of the store", at),
        };
        write!(f, "record {}_{} is {what}", at.main, at.sub)
    }
}

impl std::error::Error for Unloadable {}

/// Builds a store from the records of another.
pub struct Loader {
    mvcc: Mvcc,
    newest: ModRevision,
}

impl Loader {
    /// A store that will be at `revision` and compacted at `compact_revision`.
    #[must_use]
    pub fn new(revision: Revision, compact_revision: Revision) -> Self {
        let mut mvcc = Mvcc::new();
        mvcc.revision = revision;
        mvcc.compaction = Compaction::done(compact_revision);
        Self { mvcc, newest: ModRevision::default() }
    }

    /// The next record, as [`View::records`] gave it. What it calls its previous is not looked at.
    ///
    /// # Errors
    /// [`Unloadable`]; the store is then of no use.
    pub fn push(&mut self, record: &KvRef<'_>) -> Result<(), Unloadable> {
        let Mvcc { history, index, revision, live_bytes, .. } = &mut self.mvcc;
        let at = record.at();
        if at <= self.newest {
            return Err(Unloadable::OutOfOrder(at));
        }
        if at.main > *revision || at.sub >= MAX_CHANGES || at.main <= Revision(0) {
            return Err(Unloadable::OutOfBounds(at));
        }
        self.newest = at;
        let entry = Entry { at, tombstone: record.tombstone };
        let old = index.set(record.key, entry, history.segments());
        if let Some(live) = old.filter(|old| !old.tombstone) {
            let live = history.segments().named(live.at);
            *live_bytes -= weight(live.key, live.value);
        }
        if !record.tombstone {
            *live_bytes += weight(record.key, record.value);
        }
        history.append(&KvRef { previous: old.map(|old| old.at), ..*record });
        Ok(())
    }

    /// The store.
    #[must_use]
    pub fn finish(self) -> Mvcc {
        self.mvcc
    }
}

impl Mvcc {
    /// Builds a store from [`View::records`] of another.
    ///
    /// # Errors
    /// [`Unloadable`].
    pub fn load<'a>(
        records: impl IntoIterator<Item = KvRef<'a>>,
        revision: Revision,
        compact_revision: Revision,
    ) -> Result<Self, Unloadable> {
        let mut loader = Loader::new(revision, compact_revision);
        for record in records {
            loader.push(&record)?;
        }
        Ok(loader.finish())
    }
}
