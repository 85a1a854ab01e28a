//! A state and the one that is made from its records are the same, whatever was compacted where.

use bytes::Bytes;

use super::*;
use crate::command::{AlarmType, Command, DeleteRange, Entry, Put};
use crate::ids::{MemberId, Timestamp};
use crate::range::KeyRange;

fn hash() -> KeyHash {
    Box::new(|key| u64::from(crc32c::crc32c(key)))
}

fn carry_out(state: &mut State, command: Command) {
    let entry = Entry {
        epoch: state.epoch(),
        clock: Timestamp(1),
        commands: vec![command],
        origins: Vec::new(),
    };
    let outcomes = state.apply(Position(state.position().0 + 1), &entry);
    assert!(outcomes[0].result.is_ok(), "{outcomes:?}");
}

fn put(state: &mut State, key: &'static str, lease: i64) {
    let (key, value) = (Bytes::from_static(key.as_bytes()), Bytes::from_static(b"v"));
    carry_out(state, Command::Put(Put { key, value, lease: LeaseId(lease), ..Put::default() }));
}

fn delete(state: &mut State, key: &'static str) {
    let range = KeyRange::point(Bytes::from_static(key.as_bytes()));
    carry_out(state, Command::DeleteRange(DeleteRange { range, prev_kv: false }));
}

/// At revision 9, with a deletion at 5 and another at 8.
fn history() -> State {
    let mut state = State::new();
    carry_out(&mut state, Command::LeaseGrant { id: LeaseId(7), ttl: 60 });
    carry_out(&mut state, Command::LeaseGrant { id: LeaseId(-8), ttl: 90 });
    put(&mut state, "a", 7);
    put(&mut state, "b", 7);
    put(&mut state, "a", -8);
    delete(&mut state, "b");
    put(&mut state, "b", 0);
    put(&mut state, "c", 7);
    delete(&mut state, "c");
    put(&mut state, "d", 7);
    state
}

/// What [`Import`] makes of a state's records.
fn imported(state: &State, compacted: Revision, scheduled: Revision) -> State {
    let mut import = Import::new(compacted, hash());
    for (id, ttl) in state.leases() {
        import.lease(id, ttl).expect("a lease");
    }
    state.alarms().for_each(|alarm| import.alarm(alarm));
    let view = state.view();
    let records: Vec<_> = view.records().collect();
    import.records(&records).expect("records");
    let (imported, astray) = import.finish(state.revision(), scheduled, Epoch(3)).expect("a state");
    assert_eq!(astray, 0);
    imported
}

fn same(one: &State, other: &State) {
    assert_eq!(one.revision(), other.revision());
    assert_eq!(one.compact_revision(), other.compact_revision());
    let from = one.compact_revision().0.max(1);
    for revision in from..=one.revision().0 {
        let revision = Revision(revision);
        assert_eq!(one.view().hash(revision), other.view().hash(revision), "{revision}");
    }
    let leases =
        |state: &State| -> Vec<_> { state.leases().map(|(id, _)| state.lease(id)).collect() };
    assert_eq!(leases(one), leases(other));
}

#[test]
fn a_state_is_made_again_from_its_records() {
    let mut state = history();
    let alarm = Alarm { member: MemberId(5), alarm: AlarmType::NoSpace };
    state.alarms.raise(alarm);
    let never = Revision::NEVER_COMPACTED;
    let again = imported(&state, never, never);
    same(&state, &again);
    assert_eq!((again.position(), again.epoch()), (Position(0), Epoch(3)));
    assert_eq!(again.alarms().collect::<Vec<_>>(), [alarm]);
}

#[test]
fn what_was_to_be_compacted_is() {
    for at in 1..=9 {
        let whole = history();
        let mut state = history();
        carry_out(&mut state, Command::Compact { revision: Revision(at) });
        while state.maintain(usize::MAX) {}
        same(&state, &imported(&whole, Revision::NEVER_COMPACTED, Revision(at)));
        // Carried out, and noted twice, as etcd does.
        same(&state, &imported(&state, Revision(at), Revision(at)));
    }
}

#[test]
fn compactions_go_on_from_where_the_other_store_was() {
    for first in 1..9 {
        let mut state = history();
        carry_out(&mut state, Command::Compact { revision: Revision(first) });
        while state.maintain(usize::MAX) {}
        let mut again = imported(&state, Revision(first), Revision(first));
        for state in [&mut state, &mut again] {
            put(state, "a", 0);
            carry_out(state, Command::Compact { revision: Revision(9) });
            while state.maintain(usize::MAX) {}
        }
        same(&state, &again);
    }
}

#[test]
fn a_revision_that_no_record_tells_of_is_kept() {
    let import = |at_least, scheduled| {
        let import = Import::new(Revision(5), hash());
        import.finish(Revision(at_least), Revision(scheduled), Epoch(0)).expect("a state").0
    };
    assert_eq!(import(0, -1).revision(), Revision(5));
    assert_eq!(import(8, -1).revision(), Revision(8));
    let scheduled = import(0, 9);
    assert_eq!((scheduled.revision(), scheduled.compact_revision()), (Revision(9), Revision(9)));
}

#[test]
fn a_key_may_name_a_lease_that_is_not_there_and_survives_a_checkpoint() {
    let state = history();
    let mut import = Import::new(Revision::NEVER_COMPACTED, hash());
    let view = state.view();
    import.records(&view.records().collect::<Vec<_>>()).expect("records");
    let none = Revision::NEVER_COMPACTED;
    let (mut state, astray) = import.finish(none, none, Epoch(0)).expect("a state");
    assert_eq!(astray, 2, "of a and d");
    let mut loader = crate::ImageLoader::new();
    for chunk in state.image().chunks() {
        loader.push(&chunk).expect("a chunk");
    }
    let mut again = loader.finish().expect("an image");
    for state in [&mut state, &mut again] {
        put(state, "d", 0);
        carry_out(state, Command::LeaseGrant { id: LeaseId(-8), ttl: 5 });
        carry_out(state, Command::LeaseRevoke { id: LeaseId(-8) });
    }
    assert_eq!(state.digest(), again.digest());
}

#[test]
fn a_bump_forgets_what_was_and_keeps_what_is() {
    let mut state = history();
    let keys = state.view().len();
    state.bump(1_000_000).expect("bumped");
    assert_eq!(state.revision(), Revision(1_000_009));
    assert_eq!(state.compact_revision(), Revision(1_000_009));
    assert_eq!(state.view().len(), keys);
    put(&mut state, "a", 0);
    assert_eq!(state.revision(), Revision(1_000_010));
    assert_eq!(state.bump(u64::MAX), Err(ImportError::Revision(Revision(1_000_010))));
    assert_eq!(state.bump(i64::MAX as u64), Err(ImportError::Revision(Revision(1_000_010))));
}

#[test]
fn users_keep_their_roles_in_order() {
    let mut import = Import::new(Revision::NEVER_COMPACTED, hash());
    let name = "u".to_owned();
    let roles = vec!["z".to_owned(), "b".to_owned()];
    let users = vec![ImportedUser { name, roles, ..ImportedUser::default() }];
    import.auth(ImportedAuth {
        enabled: true,
        revision: AuthRevision(9),
        users,
        ..Default::default()
    });
    let none = Revision::NEVER_COMPACTED;
    let (state, _) = import.finish(none, none, Epoch(0)).expect("a state");
    let auth = state.auth();
    assert!(auth.is_enabled());
    assert_eq!(auth.revision(), AuthRevision(9));
    let roles = auth.user("u").expect("the user").roles();
    assert_eq!(roles.iter().map(|role| &**role).collect::<Vec<_>>(), ["b", "z"]);
}

#[test]
fn what_cannot_be_is_refused() {
    let mut import = Import::new(Revision::NEVER_COMPACTED, hash());
    assert_eq!(import.lease(LeaseId::NONE, 5), Err(ImportError::Lease(LeaseId::NONE)));
    let state = history();
    let view = state.view();
    let records: Vec<_> = view.records().collect();
    let nameless = KvRef { key: b"", ..records[0] };
    assert_eq!(import.records(&[nameless]), Err(ImportError::NoKey(nameless.at())));
    import.records(&records).expect("records");
    let error = import.records(&records[..1]);
    assert_eq!(error, Err(ImportError::Record(Unloadable::OutOfOrder(records[0].at()))));
}
