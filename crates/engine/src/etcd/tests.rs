//! What is written is, to the byte, what etcd 3.7.1 wrote after the same requests; what is read from it
//! is what was written.

use std::fs::File;
use std::io::{Seek, Write};

use bolt::Reader;
use bytes::Bytes;
use state::{
    Alarm, AlarmAction, AlarmType, AuthChange, Command, DeleteRange, Entry, Epoch, KeyRange, KvRef,
    LeaseId, MemberId, PasswordHash, Permission, PermissionType, Position, Put, Revision, State,
    Txn,
};

use super::lease::Lease;
use super::{Export, Member, alarm, auth, bucket, key, lease, member, meta};

fn apply(state: &mut State, commands: Vec<Command>) {
    let entry = Entry { epoch: state.epoch(), clock: state.clock(), commands };
    for outcome in state.apply(Position(state.position().0 + 1), &entry) {
        outcome.result.expect("not refused");
    }
}

fn put(key: &str, value: &str, lease: i64) -> Command {
    let (key, value) = (Bytes::from(key.to_owned()), Bytes::from(value.to_owned()));
    Command::Put(Put { key, value, lease: LeaseId(lease), ..Put::default() })
}

fn delete(key: &str) -> Command {
    let range = KeyRange::point(Bytes::from(key.to_owned()));
    Command::DeleteRange(DeleteRange { range, ..DeleteRange::default() })
}

fn member() -> Member {
    Member {
        id: 0xe5eb_c391_1475_76c4,
        name: "def<ault".to_owned(),
        peer_urls: vec!["http://127.0.0.1:33480".to_owned()],
        client_urls: vec!["http://127.0.0.1:33479".to_owned()],
    }
}

fn file(state: &State) -> File {
    let export = Export::new(state.image(), member()).expect("a plan");
    let file = tempfile::tempfile().expect("a file");
    let mut file = export.write(file).expect("room");
    file.flush().expect("room");
    assert_eq!(file.stream_position().expect("a position"), export.bytes());
    file
}

fn entries(reader: &Reader, bucket: &[u8]) -> Vec<super::Pair> {
    let bucket = reader.bucket(bucket).expect("sound").expect("the bucket is there");
    let mut cursor = bucket.cursor();
    let mut found = Vec::new();
    while let Some(entry) = cursor.next().expect("sound") {
        found.push((entry.key.to_vec(), entry.value.to_vec()));
    }
    found
}

/// Everything there is: overwritten, deleted and compacted keys, an unfinished compaction, leases with
/// negative ids.
fn busy() -> State {
    let mut state = State::new();
    let lease = |id, ttl| Command::LeaseGrant { id: LeaseId(id), ttl };
    let claim = Command::Claim { epoch: Epoch(7), member: MemberId(1) };
    apply(&mut state, vec![claim]);
    apply(&mut state, vec![lease(5, 60), lease(-3, 10), lease(i64::MIN, 1), lease(9, 1)]);
    for n in 0..2000 {
        apply(
            &mut state,
            vec![put(&format!("key/{}", n % 700), &"v".repeat(n), [0, 5, -3][n % 3])],
        );
        if n % 5 == 0 {
            apply(&mut state, vec![delete(&format!("key/{}", n % 700))]);
        }
    }
    let both = Txn { success: vec![], failure: vec![], compare: vec![] };
    apply(&mut state, vec![Command::Txn(both), Command::Compact { revision: Revision(1500) }]);
    let (action, alarm) = (AlarmAction::Activate, AlarmType::Corrupt);
    for member in [300, 2, u64::MAX] {
        let member = MemberId(member);
        apply(&mut state, vec![Command::Alarm { action, member, alarm }]);
    }
    assert!(state.needs_maintenance(), "compaction is under way");
    state
}

#[test]
fn everything_comes_back() {
    let state = busy();
    let reader = Reader::new(file(&state)).expect("a database");
    let keys = entries(&reader, bucket::KEY);
    let view = state.view();
    let there: Vec<KvRef<'_>> = view.records().map(|kv| KvRef { previous: None, ..kv }).collect();
    let read: Vec<KvRef<'_>> =
        keys.iter().map(|(key, value)| key::decode(key, value).expect("a version")).collect();
    assert_eq!(read, there);
    let mut leases: Vec<_> = entries(&reader, bucket::LEASE)
        .iter()
        .map(|(key, value)| Lease::decode(key, value).expect("a lease"))
        .map(|lease| (lease.id, lease.ttl))
        .collect();
    leases.sort_unstable();
    assert_eq!(leases, state.leases().collect::<Vec<_>>());
    let mut alarms: Vec<Alarm> = entries(&reader, bucket::ALARM)
        .iter()
        .map(|(key, _)| alarm::decode(key).expect("an alarm"))
        .collect();
    alarms.sort_unstable();
    assert_eq!(alarms, state.alarms().collect::<Vec<_>>());
    let meta = entries(&reader, bucket::META);
    let of = |name: &[u8]| &meta.iter().find(|(key, _)| key == name).expect("there").1;
    assert_eq!(**of(meta::TERM), 7u64.to_be_bytes());
    assert_eq!(**of(meta::CONSISTENT_INDEX), state.position().0.to_be_bytes());
    for name in [meta::FINISHED_COMPACTION, meta::SCHEDULED_COMPACTION] {
        let (at, deleted) = key::decode_revision(of(name)).expect("a revision");
        assert_eq!((at.main, at.sub, deleted), (Revision(1500), 0, false));
    }
}

#[test]
fn an_empty_store_is_a_database() {
    let reader = Reader::new(file(&State::new())).expect("a database");
    assert_eq!(entries(&reader, bucket::KEY), []);
    let names = [&b"confState"[..], b"consistent_index", b"storageVersion", b"term"];
    let meta: Vec<_> = entries(&reader, bucket::META).into_iter().map(|(key, _)| key).collect();
    assert_eq!(meta, names, "nothing was compacted");
    let buckets = entries_of_root(&reader);
    let ours = ["alarm", "auth", "authRoles", "authUsers", "cluster", "key", "lease", "members"];
    assert_eq!(buckets, [&ours[..], &["members_removed", "meta"]].concat());
}

fn entries_of_root(reader: &Reader) -> Vec<String> {
    let (mut cursor, mut names) = (reader.root().cursor(), Vec::new());
    while let Some(entry) = cursor.next().expect("sound") {
        assert!(entry.is_bucket);
        names.push(String::from_utf8_lossy(entry.key).into_owned());
    }
    names
}

/// As `etcdctl put b 2` under a lease left it.
#[test]
fn versions_are_etcds_bytes() {
    let kv = KvRef {
        key: b"b",
        value: b"2",
        create_revision: Revision(5),
        mod_revision: Revision(6),
        sub: 0,
        version: 2,
        lease: LeaseId::NONE,
        tombstone: false,
        previous: None,
    };
    let name = *b"\0\0\0\0\0\0\0\x06_\0\0\0\0\0\0\0\0";
    assert_eq!(
        key::encode(&kv),
        (name.to_vec(), b"\x0a\x01b\x10\x05\x18\x06\x20\x02\x2a\x012".to_vec())
    );
    let deleted = KvRef {
        value: b"",
        create_revision: Revision(0),
        version: 0,
        tombstone: true,
        sub: 1,
        ..kv
    };
    let name = *b"\0\0\0\0\0\0\0\x06_\0\0\0\0\0\0\0\x01t";
    assert_eq!(key::encode(&deleted), (name.to_vec(), b"\x0a\x01b".to_vec()));
    let leased = KvRef { lease: LeaseId(-1), value: b"", ..kv };
    let (name, value) = key::encode(&leased);
    assert_eq!(key::decode(&name, &value), Ok(leased));
}

#[test]
fn members_leases_and_alarms_are_etcds_bytes() {
    let (name, json) = member().encode();
    assert_eq!(name, b"e5ebc391147576c4");
    let expected = r#"{"id":16567550682093418180,"peerURLs":["http://127.0.0.1:33480"],"name":"def\u003cault","clientURLs":["http://127.0.0.1:33479"]}"#;
    assert_eq!(String::from_utf8(json).as_deref(), Ok(expected));
    assert_eq!(member::encode_cluster(), (b"clusterVersion".to_vec(), b"3.7.0".to_vec()));
    let lease = Lease { id: LeaseId(0x76c4_a207_73a8_4306), ttl: 100, remaining: 0 };
    let (name, value) = lease.encode();
    assert_eq!(name, *b"\x76\xc4\xa2\x07\x73\xa8\x43\x06");
    assert_eq!(value, *b"\x08\x86\x86\xa1\x9d\xf7\xc0\xa8\xe2\x76\x10\x64");
    let ids = [i64::MIN, -3, 5, 9].map(|id| (LeaseId(id), 1));
    let order: Vec<_> = lease::in_order(&ids).map(|lease| lease.id.0).collect();
    assert_eq!(order, [5, 9, i64::MIN, -3]);
}

#[test]
fn users_and_roles_are_etcds_bytes() {
    let mut state = State::new();
    let change = |change| vec![Command::Auth(change)];
    let permission = |kind, key: &'static str, end: &'static str| Permission {
        kind,
        range: KeyRange { key: key.into(), range_end: end.into() },
    };
    apply(&mut state, change(AuthChange::RoleAdd { name: "r1".into() }));
    for permission in [
        permission(PermissionType::ReadWrite, "a", "b"),
        permission(PermissionType::Read, "c", ""),
        permission(PermissionType::Read, "b", "c"),
    ] {
        let role = "r1".into();
        apply(&mut state, change(AuthChange::RoleGrantPermission { role, permission }));
    }
    let password = PasswordHash(Bytes::from_static(b"$2a$10$hash"));
    let name = "u1".into();
    apply(&mut state, change(AuthChange::UserAdd { name, password, no_password: false }));
    let (user, role) = ("u1".into(), "r1".into());
    apply(&mut state, change(AuthChange::UserGrantRole { user, role }));
    let name = "by-certificate".into();
    let password = PasswordHash::default();
    apply(&mut state, change(AuthChange::UserAdd { name, password, no_password: true }));
    let reader = Reader::new(file(&state)).expect("a database");
    let revision = state.auth().revision().0.to_be_bytes().to_vec();
    let expected = [(auth::ENABLED.to_vec(), vec![0]), (auth::REVISION.to_vec(), revision)];
    assert_eq!(entries(&reader, bucket::AUTH), expected);
    let [(key, value)] = &entries(&reader, bucket::AUTH_ROLES)[..] else { panic!("one role") };
    let bytes =
        b"\x0a\x02r1\x12\x08\x08\x02\x12\x01a\x1a\x01b\x12\x06\x12\x01b\x1a\x01c\x12\x03\x12\x01c";
    assert_eq!(value, bytes);
    let role = auth::decode_role(key, value).expect("a role");
    assert_eq!(&role.permissions, state.auth().role("r1").expect("there"));
    let users = entries(&reader, bucket::AUTH_USERS);
    assert_eq!(users[1].1, *b"\x0a\x02u1\x12\x0b$2a$10$hash\x1a\x02r1\x22\x00");
    assert!(users[0].1.ends_with(b"\x22\x02\x08\x01"));
    for (key, value) in users {
        let stored = auth::decode_user(&key, &value).expect("a user");
        let user = state.auth().user(&stored.name).expect("there");
        assert_eq!(
            (&stored.password, stored.no_password),
            (user.password(), user.has_no_password())
        );
        assert!(
            stored.roles.iter().map(String::as_str).eq(user.roles().iter().map(|role| &**role))
        );
    }
}

#[test]
fn what_is_not_etcds_is_refused() {
    for key in [&b""[..], b"short", b"12345678-12345678", b"12345678_12345678x", &[0xff; 17]] {
        key::decode_revision(key).expect_err("no revision");
    }
    let name = *b"\0\0\0\0\0\0\0\x06_\0\0\0\0\0\0\0\0";
    key::decode(&name, b"\x0a\x05b").expect_err("cut off");
    key::decode(&name, b"\x0a\x01b\x18\x07").expect_err("another revision");
    Lease::decode(b"1234567", b"").expect_err("not eight bytes");
    Lease::decode(b"12345678", b"\x08\x01").expect_err("another lease");
    alarm::decode(b"\x08\x01").expect_err("no type");
    auth::decode_user(b"u", b"\x0a\x01v").expect_err("another user");
    auth::decode_role(b"\xff", b"").expect_err("no UTF-8");
}
