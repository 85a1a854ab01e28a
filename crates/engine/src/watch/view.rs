//! A stand-in for `state::View` until the state machine has one: the same calls, on a plain vector.

use std::sync::Arc;

use bytes::Bytes;
use state::{LeaseId, Revision};

/// One record of history, borrowed from a view.
#[derive(Clone, Copy, Debug)]
pub struct KvRef<'a> {
    /// Its name.
    pub key: &'a [u8],
    /// Its bytes.
    pub value: &'a [u8],
    /// When this generation of the key was made.
    pub create_revision: Revision,
    /// When this version was written.
    pub mod_revision: Revision,
    /// Its place inside the revision.
    pub sub: u32,
    /// How many times the key was written since it was made.
    pub version: i64,
    /// What it is attached to.
    pub lease: LeaseId,
    /// Whether it says that the key was deleted.
    pub tombstone: bool,
}

/// One record, owned.
#[derive(Clone, Debug)]
pub struct Record {
    /// Its name.
    pub key: Bytes,
    /// Its bytes.
    pub value: Bytes,
    /// When this generation of the key was made.
    pub create_revision: Revision,
    /// When this version was written.
    pub mod_revision: Revision,
    /// Its place inside the revision.
    pub sub: u32,
    /// How many times the key was written since it was made.
    pub version: i64,
    /// What it is attached to.
    pub lease: LeaseId,
    /// Whether it says that the key was deleted.
    pub tombstone: bool,
}

impl Record {
    fn borrow(&self) -> KvRef<'_> {
        KvRef {
            key: &self.key,
            value: &self.value,
            create_revision: self.create_revision,
            mod_revision: self.mod_revision,
            sub: self.sub,
            version: self.version,
            lease: self.lease,
            tombstone: self.tombstone,
        }
    }
}

/// A pinned state.
#[derive(Clone, Debug)]
pub struct View {
    /// Every record that compaction has left, in revision order.
    pub records: Arc<Vec<Record>>,
    /// The newest revision.
    pub revision: Revision,
    /// The compacted revision.
    pub compacted: Revision,
}

impl View {
    /// The newest revision.
    #[must_use]
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// The compacted revision, or -1.
    #[must_use]
    pub fn compact_revision(&self) -> Revision {
        self.compacted
    }

    /// The records from a revision on, in order.
    pub fn events(&self, from: Revision) -> impl Iterator<Item = KvRef<'_>> {
        let at = self.records.partition_point(|r| r.mod_revision < from);
        self.records[at..]
            .iter()
            .take_while(|r| r.mod_revision <= self.revision)
            .map(Record::borrow)
    }

    /// What the record replaced, if it did and compaction has left it.
    #[must_use]
    pub fn previous_of(&self, kv: &KvRef<'_>) -> Option<KvRef<'_>> {
        if kv.version == 1 && !kv.tombstone {
            return None;
        }
        let at = self.records.partition_point(|r| r.mod_revision < kv.mod_revision);
        let found = self.records[..at].iter().rev().find(|r| r.key == kv.key)?;
        (!found.tombstone).then(|| found.borrow())
    }
}
