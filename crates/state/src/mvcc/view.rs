//! A pinned state of the store. It never changes, and holding it never holds up the writer.

use super::history::Segments;
use super::index::Index;
use super::record::KvRef;
use super::{Events, RangePage};
use crate::ids::{ModRevision, Revision};
use crate::outcome::Refusal;
use crate::range::{KeyRange, RangeQuery};

/// What one live key counts for in [`Sizes::live`] besides its bytes. A constant, so that the figure
/// is the same on every replica.
const KEY_WEIGHT: u64 = 32;

/// What one live key counts for in [`Sizes::live`].
pub(super) const fn weight(key: &[u8], value: &[u8]) -> u64 {
    KEY_WEIGHT + key.len() as u64 + value.len() as u64
}

/// What a store takes, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sizes {
    /// Memory held for history. Depends on how far maintenance got.
    pub allocated: u64,
    /// Records that are not known to be dead. Depends on how far maintenance got.
    pub in_use: u64,
    /// The newest versions of the keys that exist. The same on every replica.
    pub live: u64,
}

/// A pinned state of the store. Cheap to clone and to hold.
#[derive(Clone)]
pub struct View {
    history: Segments,
    index: Index,
    revision: Revision,
    compact_revision: Revision,
    sizes: Sizes,
}

impl View {
    pub(super) const fn new(
        history: Segments,
        index: Index,
        revision: Revision,
        compact_revision: Revision,
        sizes: Sizes,
    ) -> Self {
        Self { history, index, revision, compact_revision, sizes }
    }

    /// The newest revision in it.
    #[must_use]
    pub const fn revision(&self) -> Revision {
        self.revision
    }

    /// The oldest revision that can be read, or [`Revision::NEVER_COMPACTED`].
    #[must_use]
    pub const fn compact_revision(&self) -> Revision {
        self.compact_revision
    }

    /// What the store took when this was pinned.
    #[must_use]
    pub const fn sizes(&self) -> Sizes {
        self.sizes
    }

    /// How many keys exist.
    #[must_use]
    pub fn len(&self) -> usize {
        self.index.counts().live as usize
    }

    /// Whether no key exists.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The newest version of `key`.
    #[must_use]
    pub fn get(&self, key: &[u8]) -> Option<KvRef<'_>> {
        self.index.read(key, &self.history)
    }

    /// The version of `key` at `revision`.
    ///
    /// # Errors
    /// As [`View::resolve`].
    pub fn get_at(&self, key: &[u8], revision: Revision) -> Result<Option<KvRef<'_>>, Refusal> {
        let revision = self.resolve(revision)?;
        let newest = self.index.get(key, &self.history);
        Ok(newest.and_then(|newest| self.version_at(newest.at, revision)))
    }

    /// Answers a range request outside transactions, with all that etcd's has.
    ///
    /// # Errors
    /// As [`View::resolve`].
    pub fn range(&self, query: &RangeQuery) -> Result<RangePage, Refusal> {
        let at = self.resolve(query.revision)?;
        Ok(self.page(query, at))
    }

    /// How many keys a range holds at `revision`. At the newest one without looking at them.
    ///
    /// # Errors
    /// As [`View::resolve`].
    pub fn count(&self, range: &KeyRange, revision: Revision) -> Result<i64, Refusal> {
        Ok(self.count_at(range, self.resolve(revision)?))
    }

    /// Key number `nth` of those that exist, counted from 0 in their order.
    #[must_use]
    pub fn nth(&self, nth: usize) -> Option<KvRef<'_>> {
        let entry = self.index.seek_live(u32::try_from(nth).ok()?).next_live()?;
        Some(self.history.named(entry.at))
    }

    /// The changes from revision `from` on, in their order.
    ///
    /// # Errors
    /// [`Refusal::Compacted`], if some of them are no longer there.
    pub fn events(&self, from: Revision) -> Result<Events<'_>, Refusal> {
        if from < self.compact_revision {
            return Err(Refusal::Compacted);
        }
        Ok(Events::new(self, from))
    }

    /// What an event of [`View::events`] replaced: the key as it was one revision earlier. None if it
    /// was not there, or if that revision was compacted.
    #[must_use]
    pub fn previous_of(&self, event: &KvRef<'_>) -> Option<KvRef<'_>> {
        let before = Revision(event.mod_revision.0 - 1);
        if event.is_create() || before < self.compact_revision {
            return None;
        }
        self.version_at(event.previous?, before)
    }

    /// The record at `at`; none if compacted.
    #[must_use]
    pub fn record(&self, at: ModRevision) -> Option<KvRef<'_>> {
        self.history.find(at)
    }

    /// The revision that a request means: 0 and less is the newest.
    ///
    /// # Errors
    /// [`Refusal::FutureRevision`] or [`Refusal::Compacted`]. The compacted revision itself is readable.
    pub fn resolve(&self, asked: Revision) -> Result<Revision, Refusal> {
        match asked {
            Revision(..=0) => Ok(self.revision),
            asked if asked > self.revision => Err(Refusal::FutureRevision),
            asked if asked < self.compact_revision => Err(Refusal::Compacted),
            asked => Ok(asked),
        }
    }

    /// Where the last change of `key` up to `revision` stands, a tombstone too.
    pub(super) fn change_at(&self, key: &[u8], revision: Revision) -> Option<ModRevision> {
        let mut at = self.index.get(key, &self.history)?.at;
        while at.main > revision {
            at = self.history.find(at)?.previous?;
        }
        Some(at)
    }

    pub(super) const fn history(&self) -> &Segments {
        &self.history
    }

    pub(super) const fn index(&self) -> &Index {
        &self.index
    }

    /// Follows a key's changes back from `newest` to the one that is visible at `revision`. A change
    /// that is gone was a tombstone, or is older than one that is visible.
    pub(super) fn version_at(&self, newest: ModRevision, revision: Revision) -> Option<KvRef<'_>> {
        let mut kv = self.history.find(newest)?;
        while kv.mod_revision > revision {
            kv = self.history.find(kv.previous?)?;
        }
        (!kv.tombstone).then_some(kv)
    }
}
