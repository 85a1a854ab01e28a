//! What stands in the buckets of an etcd's database, read: keys, leases, alarms, users, roles.

use bytes::Bytes;
use state::{
    Alarm, AlarmType, ImportedUser, KeyRange, KvRef, LeaseId, MemberId, ModRevision, PasswordHash,
    Permission, PermissionType, Revision,
};

use super::protobuf::{Fields, Malformed, Value};

/// A revision as etcd writes it: eight bytes, `_`, eight bytes, big-endian.
const REVISION: usize = 17;

/// The revision of a record, and whether it is a deletion.
pub(crate) fn record_key(bytes: &[u8]) -> Option<(ModRevision, bool)> {
    let tombstone = match bytes.get(REVISION..)? {
        [] => false,
        [b't'] => true,
        _ => return None,
    };
    Some((revision(&bytes[..REVISION])?, tombstone))
}

/// A revision.
pub(crate) fn revision(bytes: &[u8]) -> Option<ModRevision> {
    let (main, rest) = bytes.split_first_chunk::<8>()?;
    let (b'_', sub) = rest.split_first()? else { return None };
    let sub = u64::from_be_bytes(sub.try_into().ok()?);
    let main = i64::from_be_bytes(*main);
    Some(ModRevision { main: Revision(main), sub: u32::try_from(sub).ok()? })
}

/// A number as etcd's meta data have them.
pub(crate) fn number(bytes: &[u8]) -> Option<u64> {
    bytes.try_into().ok().map(u64::from_be_bytes)
}

/// One version of a key; the record it stands in says where. `Err` also for what no etcd writes.
pub(crate) fn record(
    at: ModRevision,
    tombstone: bool,
    bytes: &[u8],
) -> Result<KvRef<'_>, Malformed> {
    let mut kv = KvRef {
        key: &[],
        value: &[],
        create_revision: Revision(0),
        mod_revision: at.main,
        sub: at.sub,
        version: 0,
        lease: LeaseId::NONE,
        tombstone,
        previous: None,
    };
    let mut written = 0;
    for field in Fields::of(bytes) {
        match field? {
            (1, value) => kv.key = value.bytes(),
            (2, value) => kv.create_revision = Revision(signed(value)),
            (3, value) => written = signed(value),
            (4, value) => kv.version = signed(value),
            (5, value) => kv.value = value.bytes(),
            (6, value) => kv.lease = LeaseId(signed(value)),
            _ => {}
        }
    }
    let counted = (1..i64::MAX).contains(&kv.version);
    let of_its_place = written == at.main.0 && counted;
    let made_before = kv.create_revision > Revision(0) && kv.create_revision <= at.main;
    let whole = tombstone || of_its_place && made_before;
    if kv.key.is_empty() || !whole {
        return Err(Malformed);
    }
    if tombstone {
        // Nothing but its key counts.
        kv = KvRef { value: &[], create_revision: Revision(0), version: 0, ..kv };
        kv.lease = LeaseId::NONE;
    }
    Ok(kv)
}

fn signed(value: Value<'_>) -> i64 {
    value.number().cast_signed()
}

/// A lease's number and its time to live.
pub(crate) fn lease(bytes: &[u8]) -> Result<(LeaseId, i64), Malformed> {
    let (mut id, mut ttl) = (0, 0);
    for field in Fields::of(bytes) {
        match field? {
            (1, value) => id = signed(value),
            (2, value) => ttl = signed(value),
            _ => {}
        }
    }
    Ok((LeaseId(id), ttl))
}

/// An alarm that is on; none for a kind that is not known.
pub(crate) fn alarm(bytes: &[u8]) -> Result<Option<Alarm>, Malformed> {
    let (mut member, mut kind) = (0, 0);
    for field in Fields::of(bytes) {
        match field? {
            (1, value) => member = value.number(),
            (2, value) => kind = value.number(),
            _ => {}
        }
    }
    let alarm = match kind {
        1 => AlarmType::NoSpace,
        2 => AlarmType::Corrupt,
        _ => return Ok(None),
    };
    Ok(Some(Alarm { member: MemberId(member), alarm }))
}

/// A user.
pub(crate) fn user(bytes: &[u8]) -> Result<ImportedUser, Malformed> {
    let mut user = ImportedUser::default();
    for field in Fields::of(bytes) {
        match field? {
            (1, value) => user.name = text(value)?,
            (2, value) => user.password = PasswordHash(Bytes::copy_from_slice(value.bytes())),
            (3, value) => user.roles.push(text(value)?),
            (4, options) => {
                for option in Fields::of(options.bytes()) {
                    let (number, value) = option?;
                    user.no_password |= number == 1 && value.number() != 0;
                }
            }
            _ => {}
        }
    }
    Ok(user)
}

/// A role and what it allows.
pub(crate) fn role(bytes: &[u8]) -> Result<(String, Vec<Permission>), Malformed> {
    let mut name = String::new();
    let mut permissions = Vec::new();
    for field in Fields::of(bytes) {
        match field? {
            (1, value) => name = text(value)?,
            (2, value) => permissions.push(permission(value.bytes())?),
            _ => {}
        }
    }
    Ok((name, permissions))
}

fn permission(bytes: &[u8]) -> Result<Permission, Malformed> {
    let mut kind = 0;
    let mut range = KeyRange::default();
    for field in Fields::of(bytes) {
        match field? {
            (1, value) => kind = value.number() as i32,
            (2, value) => range.key = Bytes::copy_from_slice(value.bytes()),
            (3, value) => range.range_end = Bytes::copy_from_slice(value.bytes()),
            _ => {}
        }
    }
    Ok(Permission { kind: PermissionType::of_number(kind), range })
}

fn text(value: Value<'_>) -> Result<String, Malformed> {
    String::from_utf8(value.bytes().to_vec()).map_err(|_| Malformed)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const AT: ModRevision = ModRevision { main: Revision(7), sub: 1 };

    #[test]
    fn a_record_is_read_where_it_stands() {
        let bytes = b"\x0a\x01k\x10\x05\x18\x07\x20\x02\x2a\x01v\x30\x09";
        let kv = record(AT, false, bytes).expect("a record");
        assert_eq!((kv.key, kv.value), (&b"k"[..], &b"v"[..]));
        assert_eq!((kv.create_revision, kv.mod_revision, kv.sub), (Revision(5), Revision(7), 1));
        assert_eq!((kv.version, kv.lease), (2, LeaseId(9)));
        let elsewhere = ModRevision { main: Revision(8), sub: 0 };
        assert!(record(elsewhere, false, bytes).is_err());
        assert!(record(AT, false, b"\x0a\x01k").is_err(), "no version");
        let gone = record(AT, true, b"\x0a\x01k").expect("a deletion");
        assert!(gone.tombstone && gone.key == b"k");
        assert!(record(AT, true, b"").is_err(), "no key");
    }

    #[test]
    fn a_revision_has_its_form() {
        let mut key = [0; 18];
        (key[7], key[8], key[16], key[17]) = (7, b'_', 1, b't');
        assert_eq!(record_key(&key), Some((AT, true)));
        assert_eq!(record_key(&key[..17]), Some((AT, false)));
        assert_eq!(record_key(&key[..16]), None);
        key[17] = b'x';
        assert_eq!(record_key(&key), None);
        key[8] = b'-';
        assert_eq!(record_key(&key[..17]), None);
    }

    proptest! {
        #[test]
        fn nothing_panics(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let read = [
                record(AT, false, &bytes).is_ok(),
                record(AT, true, &bytes).is_ok(),
                record_key(&bytes).is_some(),
                revision(&bytes).is_some(),
                number(&bytes).is_some(),
                lease(&bytes).is_ok(),
                alarm(&bytes).is_ok(),
                user(&bytes).is_ok(),
                role(&bytes).is_ok(),
            ];
            prop_assert!(!bytes.is_empty() || read[5..].iter().all(|ok| *ok), "an empty message");
        }
    }
}
