//! What is written is, to the byte, what etcd 3.7.1 wrote after the same requests; what is read from it
//! is what was written.

use std::fs::File;
use std::io::{Seek, Write};

use bolt::Reader;
use bytes::Bytes;
use proptest::prelude::*;
use state::{
    Alarm, AlarmAction, AlarmType, AuthChange, ClusterVersion, Command, DeleteRange, Entry, Epoch,
    ImportedAuth, KeyRange, KvRef, LeaseId, Level, MemberId, ModRevision, PasswordHash, Permission,
    PermissionType, Position, Put, Revision, State, Txn,
};

use super::meta::{
    CONF_STATE, CONSISTENT_INDEX, FINISHED_COMPACTION, Meta, SCHEDULED_COMPACTION, TERM, VERSION,
    decode_version,
};
use super::{Export, Malformed, Member, alarm, auth, bucket, key, lease, member};

fn apply(state: &mut State, commands: Vec<Command>) {
    let entry = Entry { epoch: state.epoch(), clock: state.clock(), commands, origins: Vec::new() };
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
        learner: false,
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
        keys.iter().map(|(key, value)| version(key, value).expect("a version")).collect();
    assert_eq!(read, there);
    let mut leases: Vec<_> = entries(&reader, bucket::LEASE)
        .iter()
        .map(|(key, value)| lease::decode(key, value).expect("a lease"))
        .collect();
    leases.sort_unstable();
    assert_eq!(leases, state.leases().collect::<Vec<_>>());
    let mut alarms: Vec<Alarm> = entries(&reader, bucket::ALARM)
        .iter()
        .map(|(key, _)| alarm::decode(key).expect("an alarm").expect("known"))
        .collect();
    alarms.sort_unstable();
    assert_eq!(alarms, state.alarms().collect::<Vec<_>>());
    let compacted = Revision(1500);
    let epoch = Epoch(7);
    let expected = Meta { position: state.position(), epoch, compacted, scheduled: compacted };
    assert_eq!(meta(&reader), expected);
}

fn version<'a>(key: &[u8], value: &'a [u8]) -> Result<KvRef<'a>, Malformed> {
    let (at, tombstone) = key::decode_revision(key)?;
    key::decode(at, tombstone, value)
}

fn meta(reader: &Reader) -> Meta {
    let mut meta = Meta::default();
    for (key, value) in entries(reader, bucket::META) {
        meta.decode(&key, &value).expect("an entry");
    }
    meta
}

#[test]
fn an_empty_store_is_a_database() {
    let reader = Reader::new(file(&State::new())).expect("a database");
    assert_eq!(entries(&reader, bucket::KEY), []);
    let names = [&b"confState"[..], b"consistent_index", b"storageVersion", b"term"];
    let meta: Vec<_> = entries(&reader, bucket::META).into_iter().map(|(key, _)| key).collect();
    assert_eq!(meta, names, "nothing was compacted");
    assert_eq!(self::meta(&reader), Meta::default());
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
    assert_eq!(version(&name, &value), Ok(leased));
}

#[test]
fn members_leases_and_alarms_are_etcds_bytes() {
    let (name, json) = member().encode();
    assert_eq!(name, b"e5ebc391147576c4");
    let expected = r#"{"id":16567550682093418180,"peerURLs":["http://127.0.0.1:33480"],"name":"def\u003cault","clientURLs":["http://127.0.0.1:33479"]}"#;
    assert_eq!(String::from_utf8(json).as_deref(), Ok(expected));
    let (name, value) = lease::encode(LeaseId(0x76c4_a207_73a8_4306), 100);
    assert_eq!(name, *b"\x76\xc4\xa2\x07\x73\xa8\x43\x06");
    assert_eq!(value, *b"\x08\x86\x86\xa1\x9d\xf7\xc0\xa8\xe2\x76\x10\x64");
    let ids = [i64::MIN, -3, 5, 9].map(|id| (LeaseId(id), 1));
    let order: Vec<_> = lease::in_order(&ids).map(|(id, _)| id.0).collect();
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
    let (_, permissions) = auth::decode_role(key, value).expect("a role");
    assert_eq!(&permissions, state.auth().role("r1").expect("there"));
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

/// As `etcdctl downgrade enable 3.6` left it, once etcd's leader had got to it.
#[test]
fn a_downgrade_under_way_is_etcds_bytes() {
    let mut state = State::new();
    let look = |state: &State| {
        let reader = Reader::new(file(state)).expect("a database");
        let meta = reader.bucket(bucket::META).expect("sound").expect("there");
        let version = meta.get(VERSION).expect("sound").expect("there");
        let version = String::from_utf8_lossy(&version).into_owned();
        let export = Export::new(state.image(), member()).expect("a plan");
        assert_eq!(export.version().to_string(), version);
        (entries(&reader, bucket::CLUSTER), version)
    };
    let pair = |key: &[u8], value: &[u8]| (key.to_vec(), value.to_vec());
    let before = (vec![pair(b"clusterVersion", b"3.7.0")], "3.7.0".to_owned());
    assert_eq!(look(&state), before);
    let to = Some(ClusterVersion { major: 3, minor: 6 });
    apply(&mut state, vec![Command::Downgrade { to }]);
    let json = br#"{"target-version":"3.6.0","enabled":true}"#;
    let cluster = vec![pair(b"clusterVersion", b"3.6.0"), pair(b"downgrade", json)];
    assert_eq!(look(&state), (cluster, "3.6.0".to_owned()));
    apply(&mut state, vec![Command::Downgrade { to: None }]);
    assert_eq!(look(&state), before);
}

/// As an etcd with a learner that has not started, and without a member that was removed, has them.
#[test]
fn listed_members_are_etcds_bytes() {
    let mut state = State::new();
    let add = |member, url: &str, learner| Command::MemberAdd {
        member: MemberId(member),
        peer_urls: vec![url.to_owned()],
        learner,
    };
    let publish = Command::MemberPublish {
        member: MemberId(0x9),
        name: "a".to_owned(),
        client_urls: vec!["http://a:2379".to_owned()],
        version: ClusterVersion { major: 3, minor: 7 },
        level: Level::FIRST,
    };
    let members = vec![
        add(0x9, "http://a:2380", false),
        add(0x10, "http://b:2380", true),
        add(0xff, "http://c:2380", false),
        Command::MemberRemove { member: MemberId(0xff) },
        add(0xe, "http://d:2380", false),
        Command::MemberRemove { member: MemberId(0xe) },
        publish,
    ];
    apply(&mut state, members);
    let reader = Reader::new(file(&state)).expect("a database");
    let pair = |key: &str, value: &str| (key.as_bytes().to_vec(), value.as_bytes().to_vec());
    let learner = r#"{"id":16,"peerURLs":["http://b:2380"],"isLearner":true}"#;
    let voter =
        r#"{"id":9,"peerURLs":["http://a:2380"],"name":"a","clientURLs":["http://a:2379"]}"#;
    let listed = [pair("10", learner), pair("9", voter)];
    assert_eq!(entries(&reader, bucket::MEMBERS), listed, "and not the one that exports");
    let removed = [pair("e", "removed"), pair("ff", "removed")];
    assert_eq!(entries(&reader, bucket::MEMBERS_REMOVED), removed);
    let meta = reader.bucket(bucket::META).expect("sound").expect("there");
    let conf = meta.get(CONF_STATE).expect("sound").expect("there");
    let expected = r#"{"voters":[9],"learners":[16],"auto_leave":false}"#;
    assert_eq!(String::from_utf8_lossy(&conf), expected);
    let voters: Vec<_> = listed.iter().filter_map(|(k, v)| member::decode_voter(k, v)).collect();
    assert_eq!(voters, [9]);
}

#[test]
fn who_votes_is_read() {
    let (name, json) = member().encode();
    assert_eq!(member::decode_voter(&name, &json), Some(member().id));
    assert_eq!(member::decode_voter(&name, br#"{"id":5,"isLearner":true}"#), None);
    assert_eq!(member::decode_voter(b"no id", &json), None);
}

#[test]
fn what_is_not_etcds_is_refused() {
    for key in [&b""[..], b"short", b"12345678-12345678", b"12345678_12345678x", &[0xff; 17]] {
        key::decode_revision(key).expect_err("no revision");
    }
    let name = *b"\0\0\0\0\0\0\0\x07_\0\0\0\0\0\0\0\x01t";
    let whole = b"\x0a\x01k\x10\x05\x18\x07\x20\x02";
    version(&name[..17], whole).expect("a version");
    for (nonsense, words) in [
        (&b"\x0a\x05k"[..], "not a protobuf message"),
        (b"\x18\x07\x20\x02", "no key"),
        (b"\x0a\x01k", "another revision"),
        (b"\x0a\x01k\x10\x05\x18\x08\x20\x02", "another revision"),
        (b"\x0a\x01k\x10\x05\x18\x07", "version"),
        (b"\x0a\x01k\x18\x07\x20\x02", "created"),
        (b"\x0a\x01k\x10\x08\x18\x07\x20\x02", "created"),
    ] {
        let Malformed(why) = version(&name[..17], nonsense).expect_err("no version");
        assert!(why.contains(words), "{words}: {why}");
    }
    version(&name, b"").expect_err("a deletion of no key");
    let gone = version(&name, whole).expect("a deletion");
    assert_eq!((gone.key, gone.version, gone.tombstone), (&b"k"[..], 0, true), "its key alone");
    lease::decode(b"1234567", b"").expect_err("not eight bytes");
    lease::decode(b"12345678", b"\x08\x01").expect_err("another lease");
    assert_eq!(alarm::decode(b"\x08\x01"), Ok(None), "no type that is known");
    auth::decode_user(b"u", b"\x0a\x01v").expect_err("another user");
    auth::decode_role(b"\xff", b"").expect_err("no UTF-8");
    let (mut rights, mut meta) = (ImportedAuth::default(), Meta::default());
    auth::decode(auth::REVISION, b"1", &mut rights).expect_err("no number");
    meta.decode(TERM, b"1").expect_err("no number");
    meta.decode(FINISHED_COMPACTION, &name).expect_err("a deletion");
}

proptest! {
    #[test]
    fn nothing_panics(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        let at = ModRevision { main: Revision(7), sub: 1 };
        let (mut rights, mut meta) = (ImportedAuth::default(), Meta::default());
        key::decode(at, false, &bytes).ok();
        key::decode(at, true, &bytes).ok();
        key::decode_revision(&bytes).ok();
        member::decode_voter(&bytes, &bytes);
        decode_version(&bytes);
        lease::decode(&bytes, &bytes).ok();
        auth::decode(auth::REVISION, &bytes, &mut rights).ok();
        for name in [CONSISTENT_INDEX, TERM, FINISHED_COMPACTION, SCHEDULED_COMPACTION] {
            meta.decode(name, &bytes).ok();
        }
        let messages = [
            lease::decode(&[0; 8], &bytes).is_ok(),
            alarm::decode(&bytes).is_ok(),
            auth::decode_user(b"u", &bytes).is_ok(),
            auth::decode_role(b"r", &bytes).is_ok(),
        ];
        prop_assert!(!bytes.is_empty() || messages == [true; 4], "an empty message");
    }
}
