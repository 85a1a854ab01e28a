//! What was recorded is restored as etcd itself reads it.

use std::fs;

use engine::restore::{Database, Destination};
use state::{KeyRange, LeaseId, PermissionType};

use crate::support::{Store, agrees, recorded, state_in};

#[test]
fn a_snapshot() {
    let store = Store::of("snapshot.db");
    let said = store.restore(&[]).expect("restored");
    assert!(said.contains("restored revision 21 (compacted at 13), 3 leases"), "{said}");
    assert!(said.contains("as member 8e9e05c52164694d of cluster cdf818194e3a8c32"), "{said}");
    let state = store.restored();
    agrees(&state, "snapshot.expected");
    let leases: Vec<_> = state.leases().collect();
    assert_eq!(leases, [(LeaseId(-7002), 7200), (LeaseId(7001), 3600), (LeaseId(7003), 1000)]);
    assert_eq!(state.lease(LeaseId(7003)).expect("a lease").keys, ["leased/b", "leased/c"]);
    assert!(!state.auth().is_enabled());
}

#[test]
fn a_snapshot_with_users() {
    let store = Store::of("rights.db");
    store.restore(&[]).expect("restored");
    let state = store.restored();
    agrees(&state, "killed.expected");
    has_rights(&state);
}

/// Byte for byte: the one is made record by record, the other of a state in memory.
#[test]
fn a_checkpoint_is_the_same_by_both_ways() {
    for (name, compacted) in [("snapshot.db", 13), ("rights.db", 28)] {
        let folder = tempfile::tempdir().expect("a folder");
        let database = Database::open(&recorded(name)).expect("a database");
        let claim = |to: &str| Destination::claim(&folder.path().join(to)).expect("claimed");
        let (told, loaded) = (claim("told"), claim("loaded"));
        let transcribed = database.transcribe(&told, &mut |_, _| {}).expect("sound");
        let transcribed = transcribed.expect("nothing is left to be compacted");
        let state = database.load(&mut |_, _| {}).expect("sound").state;
        assert_eq!(state.compact_revision().0, compacted, "there is something to be left out");
        let (bytes, digest) = loaded.write(&state, &mut |_| {}).expect("written");
        assert_eq!((transcribed.bytes, transcribed.digest), (bytes, digest));
        assert_eq!(digest, state.digest());
        let [told, loaded] = ["told", "loaded"].map(|to| {
            let checkpoint = "checkpoints/00000000000000000000.checkpoint";
            fs::read(folder.path().join(to).join(checkpoint)).expect("a checkpoint")
        });
        assert!(told == loaded, "{name}: two checkpoints");
    }
}

/// The database is of before, the log has all that came after: users, too.
#[test]
fn a_directory_with_its_log() {
    let store = Store::of("killed");
    let said = store.restore(&[]).expect("restored");
    assert!(said.contains("41 entries of the log were applied: 29 to 69"), "{said}");
    let state = store.restored();
    agrees(&state, "killed.expected");
    has_rights(&state);
    let leases: Vec<_> = state.leases().map(|(id, _)| id.0).collect();
    assert_eq!(leases, [-7002, 7001, 7004, 7005]);
}

fn has_rights(state: &state::State) {
    let auth = state.auth();
    assert!(auth.is_enabled());
    assert_eq!(auth.revision().0, 17);
    let users: Vec<_> = auth.users().map(|(name, _)| &**name).collect();
    assert_eq!(users, ["reader", "root", "writer"]);
    assert!(auth.user("writer").is_some_and(state::User::has_no_password));
    let reader = auth.user("reader").expect("the user");
    assert!(reader.password().0.starts_with(b"$2a$10$"));
    assert!(reader.has_role("app"));
    let app = auth.role("app").expect("the role");
    let kinds: Vec<_> = app.iter().map(|permission| permission.kind).collect();
    assert_eq!(kinds, [PermissionType::ReadWrite, PermissionType::Read]);
    let range = KeyRange { key: "app/".into(), range_end: "app0".into() };
    assert_eq!(app[0].range, range);
}

#[test]
fn a_log_that_is_elsewhere() {
    let store = Store::of("killed");
    let elsewhere = store.source.with_file_name("log");
    fs::rename(store.source.join("member/wal"), &elsewhere).expect("moved");
    store.refused(&[], &["member/wal is not there", "--wal-dir"]);
    let wal_dir = format!("--wal-dir={}", elsewhere.display());
    store.restore(&[&wal_dir]).expect("restored");
    agrees(&store.restored(), "killed.expected");
}

#[test]
fn a_database_by_itself_lacks_what_is_in_the_log() {
    let store = Store::of("killed");
    let database = store.source.join("member/snap/db");
    let why = store.restore_from(&database, &[]).expect_err("no checksum");
    assert!(why.contains("--skip-hash-check"), "{why}");
    store.restore_from(&database, &["--skip-hash-check"]).expect("restored");
    agrees(&store.restored(), "snapshot.expected");
}

#[test]
fn what_was_restored_is_restored_again() {
    let store = Store::of("rights.db");
    let token = "--initial-cluster-token=other";
    store.restore(&[token]).expect("restored");
    let identity = fs::read_to_string(store.target().join("identity")).expect("an identity");
    assert!(!identity.contains("8e9e05c52164694d"), "{identity}");
    let once = store.target();
    let checkpoint = once.join("checkpoints/00000000000000000000.checkpoint");
    for source in [&once, &checkpoint] {
        let again = Store::of("snapshot.db");
        again.restore_from(source, &[]).expect("restored");
        let state = state_in(&again.target());
        assert_eq!(state.digest(), store.restored().digest());
        let kept = fs::read_to_string(again.target().join("identity")).expect("an identity");
        assert_eq!(kept == identity, *source == once, "a checkpoint says nothing of members");
    }
}

#[test]
fn a_bump_goes_forward_and_compacts() {
    let store = Store::of("snapshot.db");
    let said = store.restore(&["--bump-revision", "1000", "--mark-compacted"]).expect("restored");
    assert!(said.contains("revision 21 became 1021"), "{said}");
    let state = store.restored();
    assert_eq!((state.revision().0, state.compact_revision().0), (1021, 1021));
    assert_eq!(state.view().len(), 8);
    let huge = u64::MAX.to_string();
    let other = Store::of("snapshot.db");
    other.refused(&["--bump-revision", &huge, "--mark-compacted"], &["no revision is left"]);
}
