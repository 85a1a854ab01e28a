//! One record of history: a version of a key, as bytes and as read.
//!
//! Bytes: flags, key length, value length, then what the flags announce (age and version; lease;
//! the way to the previous version), then key and value. Lengths and numbers are LEB128; revisions
//! are distances back from the record's own, so a record can be moved as it is.

use bytes::Bytes;

use crate::ids::{LeaseId, ModRevision, Revision};
use crate::outcome::KeyValue;

const TOMBSTONE: u8 = 1;
const CREATED: u8 = 2;
const LEASED: u8 = 4;
const PREVIOUS: u8 = 8;
/// More than any header takes.
pub(super) const HEADER_MAX: usize = 64;

/// One version of a key, where it stands in history. A tombstone has only its key and its revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KvRef<'a> {
    /// Its name.
    pub key: &'a [u8],
    /// Its bytes.
    pub value: &'a [u8],
    /// When this generation of the key was made.
    pub create_revision: Revision,
    /// When this version was written.
    pub mod_revision: Revision,
    /// Which change of that revision this was.
    pub sub: u32,
    /// How many times the key was written since it was made, from 1.
    pub version: i64,
    /// What it is attached to.
    pub lease: LeaseId,
    /// Whether this is the key's deletion.
    pub tombstone: bool,
    /// Where the key's change before this one stands, or stood: it may have been compacted since.
    pub previous: Option<ModRevision>,
}

impl<'a> KvRef<'a> {
    /// Its whole name in history.
    #[must_use]
    pub const fn at(&self) -> ModRevision {
        ModRevision { main: self.mod_revision, sub: self.sub }
    }

    /// Whether this write made the key.
    #[must_use]
    pub const fn is_create(&self) -> bool {
        !self.tombstone && self.version == 1
    }

    /// A copy that stands by itself.
    #[must_use]
    pub fn to_owned(&self) -> KeyValue {
        KeyValue {
            key: Bytes::copy_from_slice(self.key),
            value: Bytes::copy_from_slice(self.value),
            create_revision: self.create_revision,
            mod_revision: self.mod_revision,
            version: self.version,
            lease: self.lease,
        }
    }

    /// The deletion of `key`.
    pub(super) const fn deletion(key: &'a [u8], at: ModRevision, previous: ModRevision) -> Self {
        Self {
            key,
            value: &[],
            create_revision: Revision(0),
            mod_revision: at.main,
            sub: at.sub,
            version: 0,
            lease: LeaseId::NONE,
            tombstone: true,
            previous: Some(previous),
        }
    }

    /// The bytes that go before key and value, written where there is `room`.
    pub(super) fn header<'r>(&self, room: &'r mut [u8; HEADER_MAX]) -> &'r [u8] {
        let created = self.version == 1 && self.create_revision == self.mod_revision;
        let mut header = Header { bytes: room, len: 1 };
        let mut flags = 0;
        header.number(self.key.len() as u64);
        if self.tombstone {
            flags |= TOMBSTONE;
        } else {
            header.number(self.value.len() as u64);
        }
        if created {
            flags |= CREATED;
        } else if !self.tombstone {
            header.number(distance(self.mod_revision, self.create_revision));
            header.number(self.version as u64);
        }
        if self.lease != LeaseId::NONE {
            flags |= LEASED;
            header.raw(&self.lease.0.to_le_bytes());
        }
        if let Some(previous) = self.previous {
            flags |= PREVIOUS;
            header.number(distance(self.mod_revision, previous.main));
            header.number(u64::from(previous.sub));
        }
        let Header { bytes, len } = header;
        bytes[0] = flags;
        &bytes[..len]
    }

    /// Reads the record written at `at`.
    pub(super) fn decode(bytes: &'a [u8], at: ModRevision) -> Self {
        let flags = bytes[0];
        let tombstone = flags & TOMBSTONE != 0;
        let mut rest = Reader(&bytes[1..]);
        let key_len = rest.number() as usize;
        let value_len = if tombstone { 0 } else { rest.number() as usize };
        let (create_revision, version) = if tombstone {
            (Revision(0), 0)
        } else if flags & CREATED != 0 {
            (at.main, 1)
        } else {
            (rest.back_from(at.main), rest.number() as i64)
        };
        let lease = if flags & LEASED != 0 { LeaseId(rest.raw()) } else { LeaseId::NONE };
        let previous = (flags & PREVIOUS != 0)
            .then(|| ModRevision { main: rest.back_from(at.main), sub: rest.number() as u32 });
        let (key, value) = rest.0.split_at(key_len);
        debug_assert_eq!(value.len(), value_len);
        let (mod_revision, sub) = (at.main, at.sub);
        let value = &value[..value_len];
        Self { key, value, create_revision, mod_revision, sub, version, lease, tombstone, previous }
    }
}

fn distance(from: Revision, back_to: Revision) -> u64 {
    from.0.wrapping_sub(back_to.0) as u64
}

/// What stands before key and value in a record.
struct Header<'r> {
    bytes: &'r mut [u8; HEADER_MAX],
    len: usize,
}

impl Header<'_> {
    fn number(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.byte(number as u8 | 0x80);
            number >>= 7;
        }
        self.byte(number as u8);
    }

    fn byte(&mut self, byte: u8) {
        self.bytes[self.len] = byte;
        self.len += 1;
    }

    fn raw(&mut self, bytes: &[u8]) {
        self.bytes[self.len..self.len + bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len();
    }
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn number(&mut self) -> u64 {
        let (mut number, mut shift) = (0, 0);
        loop {
            let byte = self.0[0];
            self.0 = &self.0[1..];
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return number;
            }
            shift += 7;
        }
    }

    fn back_from(&mut self, from: Revision) -> Revision {
        Revision(from.0.wrapping_sub(self.number() as i64))
    }

    fn raw(&mut self) -> i64 {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&self.0[..8]);
        self.0 = &self.0[8..];
        i64::from_le_bytes(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip(kv: KvRef<'_>) -> usize {
        let mut room = [0; HEADER_MAX];
        let header = kv.header(&mut room);
        let bytes = [header, kv.key, kv.value].concat();
        assert_eq!(KvRef::decode(&bytes, kv.at()), kv);
        header.len()
    }

    #[test]
    fn every_shape_survives() {
        let made = KvRef {
            key: b"\0key\xff",
            value: &[7; 300],
            create_revision: Revision(9),
            mod_revision: Revision(9),
            sub: 3,
            version: 1,
            lease: LeaseId::NONE,
            tombstone: false,
            previous: None,
        };
        assert_eq!(round_trip(made), 4);
        let earlier = ModRevision { main: Revision(4), sub: 2_000_000 };
        round_trip(KvRef { previous: Some(earlier), lease: LeaseId(i64::MIN), ..made });
        round_trip(KvRef { version: i64::MAX, create_revision: Revision(2), ..made });
        round_trip(KvRef { mod_revision: Revision(i64::MAX), version: 2, value: b"", ..made });
        round_trip(KvRef { version: 1, create_revision: Revision(8), ..made });
        assert_eq!(round_trip(KvRef::deletion(b"k", made.at(), earlier)), 6);
    }
}
