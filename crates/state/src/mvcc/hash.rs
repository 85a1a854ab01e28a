//! The hash of the whole keyspace, the very number that etcd's `HashKV` gives after the same requests.
//!
//! CRC-32C over the name of etcd's bucket, then each record as etcd stores it, in revision order. How
//! far maintenance got cannot be told from it. (For a revision that it compacted at since it was
//! started, etcd repeats what it gave before that compaction, with the compacted revision of then;
//! here, as in an etcd that was restarted, the state as it is answers.)

use super::load::Visible;
use super::record::KvRef;
use super::view::View;
use crate::ids::Revision;
use crate::outcome::Refusal;
use crate::range::KeyRange;

/// What `HashKV` answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyspaceHash {
    /// The number.
    pub hash: u32,
    /// The compacted revision it was taken above.
    pub compact_revision: Revision,
    /// The revision it was taken at.
    pub revision: Revision,
}

impl View {
    /// Hashes what is there at `asked`, 0 being the newest revision. Reads everything.
    ///
    /// # Errors
    /// [`Refusal::Compacted`] or [`Refusal::FutureRevision`].
    pub fn hash(&self, asked: Revision) -> Result<KeyspaceHash, Refusal> {
        // A negative revision is, to etcd, one at which nothing was there yet.
        let revision = if asked.0 < 0 { asked } else { self.resolve(asked)? };
        let compact_revision = self.compact_revision();
        let mut sum = self.sum_of_old(revision);
        self.newer_than_compacted(revision).for_each(|kv| sum.add(&kv));
        Ok(KeyspaceHash { hash: sum.finish(), compact_revision, revision })
    }

    /// Of the records that compaction went over, those count that are still their key's version at the
    /// revision asked for. If no key exists then, etcd forgets to look, and all that compaction left
    /// counts.
    fn sum_of_old(&self, revision: Revision) -> Sum {
        let compacted = self.compact_revision();
        let forgets = revision.0 > 0 && self.count_at(&KeyRange::everything(), revision) == 0;
        let by = if forgets { compacted } else { revision };
        let mut visible = Visible::new(self, compacted, by);
        let mut sum = Sum::begin();
        let old = super::Events::new(self, Revision(0));
        for kv in old.take_while(|kv| kv.mod_revision <= compacted.min(revision)) {
            if visible.contains(kv.at()) {
                sum.add(&kv);
            }
        }
        sum
    }

    fn newer_than_compacted(&self, upto: Revision) -> impl Iterator<Item = KvRef<'_>> {
        let after = self.compact_revision().max(Revision(0)).next();
        super::Events::new(self, after).take_while(move |kv| kv.mod_revision <= upto)
    }

    /// [`View::hash`] at the newest revision, if the records above the compacted revision are summed
    /// up already.
    pub(crate) fn hash_with(&self, newer: Sum) -> u32 {
        self.sum_of_old(self.revision()).followed_by(newer)
    }

    /// The sum of the records above the compacted revision, for [`View::hash_with`]. Nothing but history
    /// is looked at.
    pub(crate) fn sum_of_newer(&self) -> Sum {
        let mut sum = Sum::behind();
        self.newer_than_compacted(self.revision()).for_each(|kv| sum.add(&kv));
        sum
    }
}

/// Bytes are gathered to be summed up together, which is quicker than each by itself.
const TOGETHER: usize = 32 << 10;

/// The hash of records as they come.
pub(crate) struct Sum {
    crc: u32,
    /// What `crc` is of.
    bytes: usize,
    gathered: Vec<u8>,
    records: u64,
}

impl Sum {
    /// Of all records.
    pub(crate) fn begin() -> Self {
        Self { crc: crc32c::crc32c(b"key"), ..Self::behind() }
    }

    /// Of those that stand behind others; see [`Sum::followed_by`].
    pub(crate) fn behind() -> Self {
        Self { crc: 0, bytes: 0, gathered: Vec::with_capacity(TOGETHER), records: 0 }
    }

    /// How many records there were.
    pub(crate) fn records(&self) -> u64 {
        self.records
    }

    /// The next record.
    pub(crate) fn add(&mut self, kv: &KvRef<'_>) {
        let out = &mut self.gathered;
        out.extend_from_slice(&kv.mod_revision.0.to_be_bytes());
        out.push(b'_');
        out.extend_from_slice(&u64::from(kv.sub).to_be_bytes());
        if kv.tombstone {
            out.push(b't');
        }
        length(out, 1, kv.key.len());
        out.extend_from_slice(kv.key);
        if !kv.tombstone {
            number(out, 2, kv.create_revision.0);
            number(out, 3, kv.mod_revision.0);
            number(out, 4, kv.version);
            length(out, 5, kv.value.len());
            if kv.value.len() < TOGETHER {
                out.extend_from_slice(kv.value);
            } else {
                self.sum_up();
                self.crc = crc32c::crc32c_append(self.crc, kv.value);
                self.bytes += kv.value.len();
            }
            number(&mut self.gathered, 6, kv.lease.0);
        }
        self.records += 1;
        if self.gathered.len() >= TOGETHER {
            self.sum_up();
        }
    }

    fn sum_up(&mut self) {
        self.crc = crc32c::crc32c_append(self.crc, &self.gathered);
        self.bytes += self.gathered.len();
        self.gathered.clear();
    }

    /// The hash.
    pub(crate) fn finish(mut self) -> u32 {
        self.sum_up();
        self.crc
    }

    /// The hash of these records and those.
    pub(crate) fn followed_by(self, mut others: Self) -> u32 {
        others.sum_up();
        crc32c::crc32c_combine(self.finish(), others.crc, others.bytes)
    }
}

/// A field of protobuf's wire format that holds a number; none for 0.
fn number(out: &mut Vec<u8>, field: u8, value: i64) {
    if value != 0 {
        out.push(field << 3);
        varint(out, value as u64);
    }
}

/// The start of a field that holds bytes; none if there are none.
fn length(out: &mut Vec<u8>, field: u8, len: usize) {
    if len > 0 {
        out.push(field << 3 | 2);
        varint(out, len as u64);
    }
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}
