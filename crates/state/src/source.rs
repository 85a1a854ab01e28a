//! Where a transaction reads: the state as commands change it, or a pinned view of it.

use crate::ids::Revision;
use crate::keyspace::Keyspace;
use crate::mvcc::{KvRef, RangePage, View};
use crate::outcome::Refusal;
use crate::range::RangeQuery;

/// Reads of the newest versions, with a transaction's idea of revisions.
pub(crate) trait Source {
    /// The newest version of a key.
    fn get(&self, key: &[u8]) -> Option<KvRef<'_>>;

    /// Any range. Refused exactly if [`check_revision`](Source::check_revision) refuses its revision.
    fn range(&self, query: &RangeQuery) -> Result<RangePage, Refusal>;

    /// Whether a range may name this revision: unlike outside of transactions a negative one is not
    /// "the newest" but one before the first.
    fn check_revision(&self, revision: Revision) -> Result<(), Refusal>;
}

impl Source for Keyspace {
    fn get(&self, key: &[u8]) -> Option<KvRef<'_>> {
        self.mvcc.get(key)
    }

    fn range(&self, query: &RangeQuery) -> Result<RangePage, Refusal> {
        self.mvcc.range(query)
    }

    fn check_revision(&self, revision: Revision) -> Result<(), Refusal> {
        self.mvcc.check_revision(revision)
    }
}

impl Source for View {
    fn get(&self, key: &[u8]) -> Option<KvRef<'_>> {
        Self::get(self, key)
    }

    fn range(&self, query: &RangeQuery) -> Result<RangePage, Refusal> {
        self.check_revision(query.revision)?;
        Self::range(self, query)
    }

    fn check_revision(&self, revision: Revision) -> Result<(), Refusal> {
        if revision < Revision(0) && revision < self.compact_revision() {
            return Err(Refusal::Compacted);
        }
        self.resolve(revision).map(|_| ())
    }
}
