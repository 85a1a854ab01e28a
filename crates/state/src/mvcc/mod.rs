//! All versions of all keys. [`Mvcc`] is the writer's side, of which there is one; a [`View`] is a
//! pinned, unchanging state of it that any number of readers hold without either noticing the other.
//!
//! Two structures: `history` (revision → record) and `index` (key → newest revision).

mod append_only;
mod compaction;
mod events;
mod hash;
mod history;
mod index;
mod load;
mod newest;
mod page;
mod record;
mod view;
mod walk;

pub use events::Events;
pub use hash::KeyspaceHash;
pub(crate) use hash::Sum;
pub use load::{Loader, Unloadable};
pub(crate) use newest::Hashed;
pub use newest::KeyHash;
pub use page::RangePage;
pub use record::KvRef;
pub use view::{Sizes, View};

use self::compaction::Compaction;
use self::history::History;
use self::index::{Entry, Index};
use crate::ids::{LeaseId, ModRevision, Revision};
use crate::outcome::Refusal;
use crate::range::{KeyRange, RangeQuery};

/// A sub revision takes one bit less than its type has.
pub(crate) const MAX_CHANGES: u32 = u32::MAX >> 1;

/// The writer's side. Changes gather under the next revision until [`Mvcc::commit`]; the reads here
/// see them before that, views taken earlier never do.
pub struct Mvcc {
    history: History,
    index: Index,
    revision: Revision,
    compaction: Compaction,
    changes: u32,
    live_bytes: u64,
}

impl Default for Mvcc {
    fn default() -> Self {
        Self::new()
    }
}

impl Mvcc {
    /// An empty store, at revision 1.
    #[must_use]
    pub fn new() -> Self {
        Self {
            history: History::default(),
            index: Index::default(),
            revision: Revision::FIRST,
            compaction: Compaction::default(),
            changes: 0,
            live_bytes: 0,
        }
    }

    /// The newest committed revision.
    #[must_use]
    pub const fn revision(&self) -> Revision {
        self.revision
    }

    /// The oldest readable revision, or [`Revision::NEVER_COMPACTED`].
    #[must_use]
    pub const fn compact_revision(&self) -> Revision {
        self.compaction.revision()
    }

    /// Whether anything was changed since the last commit.
    #[must_use]
    pub const fn changed(&self) -> bool {
        self.changes > 0
    }

    /// The revision that reads here are at: the next one as soon as something was changed.
    #[must_use]
    pub const fn visible_revision(&self) -> Revision {
        if self.changed() { self.revision.next() } else { self.revision }
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

    /// The newest version of `key`, uncommitted ones included.
    #[must_use]
    pub fn get(&self, key: &[u8]) -> Option<KvRef<'_>> {
        self.index.read(key, self.history.segments())
    }

    /// The record at `at`, such as [`Mvcc::delete_range`] returns; none if compacted.
    #[must_use]
    pub fn record(&self, at: ModRevision) -> Option<KvRef<'_>> {
        self.history.segments().find(at)
    }

    /// Writes `key`. Returns where its new version stands.
    pub fn put(&mut self, key: &[u8], value: &[u8], lease: LeaseId) -> ModRevision {
        let at = self.next_change();
        let old = self.index.set(key, Entry { at, tombstone: false }, self.history.segments());
        let live = old.filter(|old| !old.tombstone);
        let live = live.map(|old| self.history.segments().named(old.at));
        let (create_revision, version, freed) = live.map_or((at.main, 1, 0), |old| {
            (old.create_revision, old.version + 1, view::weight(old.key, old.value))
        });
        self.live_bytes = self.live_bytes + view::weight(key, value) - freed;
        self.history.append(&KvRef {
            key,
            value,
            create_revision,
            mod_revision: at.main,
            sub: at.sub,
            version,
            lease,
            tombstone: false,
            previous: old.map(|old| old.at),
        });
        at
    }

    /// Deletes `key`. Whether it was there.
    pub fn delete(&mut self, key: &[u8]) -> bool {
        let Some(old) = self.get(key) else { return false };
        let (previous, freed) = (old.at(), view::weight(old.key, old.value));
        let at = self.next_change();
        self.index.set(key, Entry { at, tombstone: true }, self.history.segments());
        self.history.append(&KvRef::deletion(key, at, previous));
        self.live_bytes -= freed;
        true
    }

    /// Deletes the keys of a range, in their order. Returns where their last versions stand.
    pub fn delete_range(&mut self, range: &KeyRange) -> Vec<ModRevision> {
        let view = self.view_uncommitted();
        let doomed = view.handles(range, view.revision(), None);
        drop(view);
        let mut key = Vec::new();
        for at in &doomed {
            key.clear();
            key.extend_from_slice(self.history.segments().named(*at).key);
            let deleted = self.delete(&key);
            debug_assert!(deleted, "a key of the range exists");
        }
        doomed
    }

    /// Reads inside a transaction: only revision 0 means newest, this transaction's own writes
    /// included; any other is judged by [`Mvcc::check_revision`].
    ///
    /// # Errors
    /// As [`Mvcc::check_revision`].
    pub fn range(&self, query: &RangeQuery) -> Result<RangePage, Refusal> {
        self.check_revision(query.revision)?;
        let view = self.view_uncommitted();
        let at = if query.revision.0 <= 0 { view.revision() } else { query.revision };
        Ok(view.page(query, at))
    }

    /// Whether a read at `revision` is allowed inside a transaction, where a negative one is not the
    /// newest and the transaction's own revision is yet to come.
    ///
    /// # Errors
    /// [`Refusal::FutureRevision`] or [`Refusal::Compacted`].
    pub fn check_revision(&self, revision: Revision) -> Result<(), Refusal> {
        match revision {
            Revision(0) => Ok(()),
            asked if asked > self.revision => Err(Refusal::FutureRevision),
            asked if asked < self.compact_revision() => Err(Refusal::Compacted),
            _ => Ok(()),
        }
    }

    /// Makes the changes since the last commit one revision. Without changes it stays the same.
    pub fn commit(&mut self) -> Revision {
        self.revision = self.visible_revision();
        self.changes = 0;
        self.revision
    }

    /// Leaves out the revisions up to `revision`, which must be a later one.
    pub(crate) fn skip_to(&mut self, revision: Revision) {
        assert!(!self.changed(), "not between a change and its commit");
        assert!(revision > self.revision, "revisions only grow");
        self.revision = revision;
    }

    /// The committed state, pinned. Not between a change and its commit.
    #[must_use]
    pub fn view(&self) -> View {
        assert!(!self.changed(), "a view shows committed revisions only");
        self.view_uncommitted()
    }

    /// What the store takes.
    #[must_use]
    pub fn sizes(&self) -> Sizes {
        Sizes {
            allocated: self.history.allocated() as u64,
            in_use: self.history.in_use() as u64,
            live: self.live_bytes,
        }
    }

    fn view_uncommitted(&self) -> View {
        View::new(
            self.history.segments().clone(),
            self.index.clone(),
            self.visible_revision(),
            self.compact_revision(),
            self.sizes(),
        )
    }

    fn next_change(&mut self) -> ModRevision {
        assert!(self.changes < MAX_CHANGES, "more changes than a revision can number");
        let at = ModRevision { main: self.revision.next(), sub: self.changes };
        self.changes += 1;
        at
    }
}

#[cfg(test)]
mod hash_tests;
#[cfg(test)]
mod model_tests;
#[cfg(test)]
mod tests;
