//! The blocks of an image: kind, length, checksum, payload; and the records inside them.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::codec::{DecodeError, Reader, put_signed, put_string, put_unsigned};
use crate::ids::{LeaseId, ModRevision, Revision};
use crate::mvcc::KvRef;

/// What stands before the payload.
pub(super) const HEAD: usize = 9;
/// No block that was ever written is longer, and so no damaged length makes a reader wait for more.
const LONGEST: usize = 1 << 30;

/// What a block holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Header = 1,
    Leases = 2,
    Records = 3,
    Trailer = 4,
    Auth = 5,
    Cluster = 16,
}

impl Kind {
    /// In the order in which they stand.
    const ALL: [Self; 6] =
        [Self::Header, Self::Auth, Self::Cluster, Self::Leases, Self::Records, Self::Trailer];

    /// Whether a block may stand behind another: those of leases and of records may be many.
    pub(super) fn may_follow(self, before: Self) -> bool {
        let place = |kind| Self::ALL.into_iter().position(|one| one == kind);
        let repeats = matches!(self, Self::Leases | Self::Records);
        place(self) > place(before) || (repeats && self == before)
    }

    fn of(byte: u8, offset: usize) -> Result<Self, DecodeError> {
        let known = Self::ALL.into_iter().find(|kind| *kind as u8 == byte);
        known.ok_or(DecodeError::Damaged { what: "no such kind of block", offset })
    }
}

/// An empty block, with room for its head.
pub(super) fn begin(capacity: usize) -> BytesMut {
    let mut out = BytesMut::with_capacity(capacity + HEAD);
    out.put_bytes(0, HEAD);
    out
}

/// Fills in the head.
pub(super) fn finish(mut out: BytesMut, kind: Kind) -> Bytes {
    let length = out.len() - HEAD;
    assert!(length <= LONGEST, "a block holds one record too many");
    out[0] = kind as u8;
    out[1..5].copy_from_slice(&(length as u32).to_le_bytes());
    let sum = checksum(&out[..5], &out[HEAD..]);
    out[5..HEAD].copy_from_slice(&sum.to_le_bytes());
    out.freeze()
}

fn checksum(head: &[u8], payload: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(head), payload)
}

/// The kind and the whole length of the block that `bytes` begin with, if it is all there and sound.
/// `offset` is where it stands in the image.
pub(super) fn first(bytes: &[u8], offset: usize) -> Result<Option<(Kind, usize)>, DecodeError> {
    if bytes.len() < HEAD {
        return Ok(None);
    }
    let kind = Kind::of(bytes[0], offset)?;
    let length = (&bytes[1..5]).get_u32_le() as usize;
    if length > LONGEST {
        return Err(DecodeError::Damaged { what: "a block too long", offset });
    }
    if bytes.len() - HEAD < length {
        return Ok(None);
    }
    let (head, payload) = bytes[..HEAD + length].split_at(HEAD);
    if checksum(&head[..5], payload) != (&head[5..]).get_u32_le() {
        return Err(DecodeError::Damaged { what: "a block's checksum does not fit it", offset });
    }
    Ok(Some((kind, HEAD + length)))
}

/// Versions of keys, each relative to the one before it in the block.
pub(super) mod record {
    use super::*;

    const TOMBSTONE: u8 = 1;
    const LEASED: u8 = 2;

    pub(in crate::image) fn encode(out: &mut BytesMut, last: &mut ModRevision, kv: &KvRef<'_>) {
        let leased = kv.lease != LeaseId::NONE;
        out.put_u8(u8::from(kv.tombstone) * TOMBSTONE + u8::from(leased) * LEASED);
        put_unsigned(out, (kv.mod_revision.0 - last.main.0) as u64);
        put_unsigned(out, u64::from(kv.sub));
        put_string(out, kv.key);
        if !kv.tombstone {
            put_string(out, kv.value);
            put_signed(out, kv.create_revision.0);
            put_signed(out, kv.version);
        }
        if leased {
            put_signed(out, kv.lease.0);
        }
        *last = kv.at();
    }

    /// A record as it stands in a block.
    pub(in crate::image) struct Record {
        key: Bytes,
        value: Bytes,
        create_revision: Revision,
        at: ModRevision,
        version: i64,
        lease: LeaseId,
        tombstone: bool,
    }

    impl Record {
        pub(in crate::image) fn as_kv(&self) -> KvRef<'_> {
            KvRef {
                key: &self.key,
                value: &self.value,
                create_revision: self.create_revision,
                mod_revision: self.at.main,
                sub: self.at.sub,
                version: self.version,
                lease: self.lease,
                tombstone: self.tombstone,
                previous: None,
            }
        }
    }

    pub(in crate::image) fn decode(
        reader: &mut Reader<'_>,
        last: &mut ModRevision,
    ) -> Result<Record, DecodeError> {
        let flags = reader.byte()?;
        if flags > TOMBSTONE + LEASED {
            return reader.damaged("no such flag");
        }
        let tombstone = flags & TOMBSTONE != 0;
        let at = revision(reader, *last)?;
        let mut record = Record {
            key: reader.string()?,
            value: Bytes::new(),
            create_revision: Revision(0),
            at,
            version: 0,
            lease: LeaseId::NONE,
            tombstone,
        };
        if !tombstone {
            record.value = reader.string()?;
            record.create_revision = Revision(reader.signed()?);
            record.version = reader.signed()?;
        }
        if flags & LEASED != 0 {
            record.lease = LeaseId(reader.signed()?);
        }
        *last = at;
        Ok(record)
    }

    fn revision(reader: &mut Reader<'_>, last: ModRevision) -> Result<ModRevision, DecodeError> {
        let step = i64::try_from(reader.unsigned()?).unwrap_or(i64::MAX);
        let main = last.main.0.checked_add(step);
        let sub = u32::try_from(reader.unsigned()?).ok();
        let (Some(main), Some(sub)) = (main, sub) else {
            return reader.damaged("a revision out of range");
        };
        Ok(ModRevision { main: Revision(main), sub })
    }
}
