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
        // Of the records that compaction went over, those count that are still their key's version at
        // the revision asked for. If no key exists then, etcd forgets to look, and all that compaction
        // left counts.
        let forgets = revision.0 > 0 && self.count_at(&KeyRange::everything(), revision) == 0;
        let by = if forgets { compact_revision } else { revision };
        let mut visible = Visible::new(self, compact_revision, by);
        let mut hash = crc32c::crc32c(b"key");
        let mut scratch = Vec::with_capacity(64);
        let all = super::Events::new(self, Revision(0));
        for kv in all.take_while(|kv| kv.mod_revision <= revision) {
            if kv.mod_revision > compact_revision || visible.contains(kv.at()) {
                hash = append(hash, &kv, &mut scratch);
            }
        }
        Ok(KeyspaceHash { hash, compact_revision, revision })
    }
}

fn append(hash: u32, kv: &KvRef<'_>, scratch: &mut Vec<u8>) -> u32 {
    scratch.clear();
    scratch.extend_from_slice(&kv.mod_revision.0.to_be_bytes());
    scratch.push(b'_');
    scratch.extend_from_slice(&u64::from(kv.sub).to_be_bytes());
    if kv.tombstone {
        scratch.push(b't');
    }
    length(scratch, 1, kv.key.len());
    let hash = crc32c::crc32c_append(hash, scratch);
    let hash = crc32c::crc32c_append(hash, kv.key);
    if kv.tombstone {
        return hash;
    }
    scratch.clear();
    number(scratch, 2, kv.create_revision.0);
    number(scratch, 3, kv.mod_revision.0);
    number(scratch, 4, kv.version);
    length(scratch, 5, kv.value.len());
    let hash = crc32c::crc32c_append(hash, scratch);
    let hash = crc32c::crc32c_append(hash, kv.value);
    scratch.clear();
    number(scratch, 6, kv.lease.0);
    crc32c::crc32c_append(hash, scratch)
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
