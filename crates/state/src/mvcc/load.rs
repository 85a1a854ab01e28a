//! Whole stores: out as the records that compaction retains, and in again.

use std::fmt;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

use super::compaction::Compaction;
use super::index::Index;
use super::newest::{AHEAD, KeyHash, Newest};
use super::record::KvRef;
use super::view::{View, weight};
use super::{MAX_CHANGES, Mvcc};
use crate::ids::{ModRevision, Revision};
use crate::range::KeyRange;

impl View {
    /// The records that make up this state, in revision order: all above the compacted revision, what
    /// is visible at it, and the tombstones exactly at it. The same on every replica, whatever
    /// maintenance did.
    pub fn records(&self) -> impl Iterator<Item = KvRef<'_>> {
        let compacted = self.compact_revision();
        let mut visible = Visible::new(self, compacted, compacted);
        super::Events::new(self, Revision(0)).filter(move |kv| {
            let at = kv.mod_revision;
            at > compacted || (kv.tombstone && at == compacted) || visible.contains(kv.at())
        })
    }
}

/// Which of the records up to one revision are their key's version at another, to be asked for in
/// ascending order. (That a record names a later one as superseded is no help: the later one may be
/// dead itself, and gone.)
pub(super) struct Visible(std::iter::Peekable<std::vec::IntoIter<ModRevision>>);

impl Visible {
    pub(super) fn new(view: &View, upto: Revision, at: Revision) -> Self {
        let mut handles = Vec::new();
        if upto > Revision(0) && at > Revision(0) {
            handles = view.handles(&KeyRange::everything(), at, None);
            handles.retain(|handle| handle.main <= upto);
            handles.sort_unstable();
        }
        Self(handles.into_iter().peekable())
    }

    pub(super) fn contains(&mut self, at: ModRevision) -> bool {
        while self.0.next_if(|handle| *handle < at).is_some() {}
        self.0.peek() == Some(&at)
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

/// Builds a store from the records of another. Until that is finished it takes up to 60 bytes a key
/// more than the store will.
pub struct Loader {
    mvcc: Mvcc,
    newest: Newest,
    last: ModRevision,
}

impl Loader {
    /// A store that will be at `revision` and compacted at `compact_revision`.
    #[must_use]
    pub fn new(revision: Revision, compact_revision: Revision) -> Self {
        let hasher = BuildHasherDefault::<DefaultHasher>::default();
        Self::with_hash(revision, compact_revision, Box::new(move |key| hasher.hash_one(key)))
    }

    /// As [`Loader::new`], with another hash of keys. One that those who choose the keys cannot
    /// foresee makes sure that loading stays quick; the store is the same with any.
    #[must_use]
    pub fn with_hash(revision: Revision, compact_revision: Revision, hash: KeyHash) -> Self {
        let mut mvcc = Mvcc::new();
        mvcc.revision = revision;
        mvcc.compaction = Compaction::done(compact_revision);
        Self { mvcc, newest: Newest::new(hash), last: ModRevision::default() }
    }

    /// The next records, as [`View::records`] gave them: better many at a time. What they call
    /// their previous is not looked at.
    ///
    /// # Errors
    /// [`Unloadable`]; the store is then of no use.
    pub fn push(&mut self, records: &[KvRef<'_>]) -> Result<(), Unloadable> {
        for records in records.chunks(AHEAD) {
            let hashes = self.newest.look_ahead(records, self.mvcc.history.segments());
            for (record, hash) in records.iter().zip(hashes) {
                self.push_one(record, hash)?;
            }
        }
        Ok(())
    }

    fn push_one(&mut self, record: &KvRef<'_>, hash: u64) -> Result<(), Unloadable> {
        let Mvcc { history, revision, live_bytes, .. } = &mut self.mvcc;
        let at = record.at();
        if at <= self.last {
            return Err(Unloadable::OutOfOrder(at));
        }
        if at.main > *revision || at.sub >= MAX_CHANGES || at.main <= Revision(0) {
            return Err(Unloadable::OutOfBounds(at));
        }
        self.last = at;
        let (old, newest) = self.newest.of(record.key, hash, history.segments());
        if let Some(live) = old.filter(|old| !old.tombstone) {
            *live_bytes -= weight(live.key, live.value);
        }
        if !record.tombstone {
            *live_bytes += weight(record.key, record.value);
        }
        let previous = old.map(|old| old.at());
        *newest = history.append(&KvRef { previous, ..*record });
        Ok(())
    }

    /// Where the newest record so far stands.
    #[must_use]
    pub const fn last(&self) -> ModRevision {
        self.last
    }

    /// The records so far, to be read in the order of history; by key none is found.
    pub(crate) fn history_alone(&self) -> View {
        let Mvcc { history, revision, .. } = &self.mvcc;
        let segments = history.segments().clone();
        let compacted = self.mvcc.compact_revision();
        View::new(segments, Index::default(), *revision, compacted, self.mvcc.sizes())
    }

    /// The store, at a revision that was not known when it was begun.
    pub(crate) fn finish_at(mut self, revision: Revision) -> Mvcc {
        assert!(self.last.main <= revision, "no record lies above the revision");
        self.mvcc.revision = revision;
        self.finish()
    }

    /// The store.
    #[must_use]
    pub fn finish(mut self) -> Mvcc {
        self.mvcc.index = self.newest.into_index(self.mvcc.history.segments());
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
        let mut records = records.into_iter();
        loop {
            let next: Vec<_> = records.by_ref().take(AHEAD).collect();
            if next.is_empty() {
                break;
            }
            loader.push(&next)?;
        }
        Ok(loader.finish())
    }
}

#[cfg(test)]
#[path = "load_tests.rs"]
mod tests;
