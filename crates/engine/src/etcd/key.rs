//! The bucket `key`: revision → one version of a key (`mvccpb.KeyValue`). A deletion has a `t` behind
//! its revision, and nothing but the key.

use state::{KvRef, LeaseId, ModRevision, Revision};

use super::Malformed;
use super::protobuf::{Fields, put_length, put_number};

/// Main revision, `_`, sub revision, both big-endian.
pub(crate) const REVISION: usize = 17;
const SEPARATOR: usize = 8;
const TOMBSTONE: u8 = b't';

/// A revision as the key of a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RevisionKey {
    bytes: [u8; REVISION + 1],
    len: usize,
}

impl RevisionKey {
    pub(crate) fn of(at: ModRevision, tombstone: bool) -> Self {
        let mut bytes = [b'_'; REVISION + 1];
        bytes[..SEPARATOR].copy_from_slice(&at.main.0.to_be_bytes());
        bytes[SEPARATOR + 1..REVISION].copy_from_slice(&u64::from(at.sub).to_be_bytes());
        bytes[REVISION] = TOMBSTONE;
        Self { bytes, len: REVISION + usize::from(tombstone) }
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// The revision that a key of the bucket names, and whether it is a deletion.
pub(crate) fn decode_revision(key: &[u8]) -> Result<(ModRevision, bool), Malformed> {
    let tombstone = match key.len() {
        REVISION => false,
        len if len == REVISION + 1 && key[REVISION] == TOMBSTONE => true,
        _ => return Err(Malformed("the key is not a revision: its length")),
    };
    if key[SEPARATOR] != b'_' {
        return Err(Malformed("the key is not a revision: no '_' between its numbers"));
    }
    let number = |from: usize| {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&key[from..from + 8]);
        u64::from_be_bytes(bytes)
    };
    let (main, sub) = (i64::try_from(number(0)), u32::try_from(number(SEPARATOR + 1)));
    let (Ok(main), Ok(sub)) = (main, sub) else {
        return Err(Malformed("the key is not a revision: a number out of range"));
    };
    Ok((ModRevision { main: Revision(main), sub }, tombstone))
}

/// A version's message without its key and value: what goes before, between and behind them.
#[derive(Debug, Default)]
pub(crate) struct Message {
    around: Vec<u8>,
    before: usize,
    between: usize,
}

impl Message {
    /// Becomes that of `kv`.
    pub(crate) fn set(&mut self, kv: &KvRef<'_>) {
        let out = &mut self.around;
        out.clear();
        put_length(out, 1, kv.key.len());
        self.before = out.len();
        if !kv.tombstone {
            put_number(out, 2, kv.create_revision.0);
            put_number(out, 3, kv.mod_revision.0);
            put_number(out, 4, kv.version);
            if !kv.value.is_empty() {
                put_length(out, 5, kv.value.len());
            }
        }
        self.between = out.len();
        put_number(out, 6, kv.lease.0);
    }

    /// The message of `kv`, in parts.
    pub(crate) fn parts<'a>(&'a self, kv: &KvRef<'a>) -> [&'a [u8]; 5] {
        let (before, rest) = self.around.split_at(self.before);
        let (between, behind) = rest.split_at(self.between - self.before);
        [before, kv.key, between, kv.value, behind]
    }
}

/// One version of a key, from the entry that stands `at` its revision. What it superseded is not said
/// there. Refused is also what fits no message of etcd's.
pub(crate) fn decode(
    at: ModRevision,
    tombstone: bool,
    value: &[u8],
) -> Result<KvRef<'_>, Malformed> {
    let kv = fields(value)?;
    if kv.key.is_empty() {
        return Err(Malformed("it has no key"));
    }
    if tombstone {
        // Nothing but its key counts.
        let gone = KvRef { key: kv.key, mod_revision: at.main, sub: at.sub, tombstone, ..NOTHING };
        return Ok(gone);
    }
    if kv.mod_revision != at.main {
        return Err(Malformed("its value names another revision than its key"));
    }
    if !(1..i64::MAX).contains(&kv.version) {
        return Err(Malformed("its version is none"));
    }
    if kv.create_revision <= Revision(0) || kv.create_revision > at.main {
        return Err(Malformed("it was created at no revision up to its own"));
    }
    Ok(KvRef { sub: at.sub, ..kv })
}

const NOTHING: KvRef<'static> = KvRef {
    key: &[],
    value: &[],
    create_revision: Revision(0),
    mod_revision: Revision(0),
    sub: 0,
    version: 0,
    lease: LeaseId::NONE,
    tombstone: false,
    previous: None,
};

fn fields(message: &[u8]) -> Result<KvRef<'_>, Malformed> {
    let mut kv = NOTHING;
    for field in Fields::of(message) {
        let (number, field) = field?;
        match number {
            1 => kv.key = field.bytes(),
            2 => kv.create_revision = Revision(field.number().cast_signed()),
            3 => kv.mod_revision = Revision(field.number().cast_signed()),
            4 => kv.version = field.number().cast_signed(),
            5 => kv.value = field.bytes(),
            6 => kv.lease = LeaseId(field.number().cast_signed()),
            _ => {}
        }
    }
    Ok(kv)
}

/// A revision alone as a value: how far compactions got.
pub(crate) fn encode_main(revision: Revision) -> Vec<u8> {
    let at = ModRevision { main: revision, sub: 0 };
    let mut out = Vec::with_capacity(REVISION);
    out.extend_from_slice(RevisionKey::of(at, false).as_slice());
    out
}

/// See [`encode_main`]. None, if that is not what stands there.
pub(crate) fn decode_main(value: &[u8]) -> Option<Revision> {
    decode_revision(value).ok().filter(|(_, tombstone)| !tombstone).map(|(at, _)| at.main)
}

/// The bytes of a whole message, for tests and the like.
#[cfg(test)]
pub(crate) fn encode(kv: &KvRef<'_>) -> super::Pair {
    let mut message = Message::default();
    message.set(kv);
    (RevisionKey::of(kv.at(), kv.tombstone).as_slice().to_vec(), message.parts(kv).concat())
}
