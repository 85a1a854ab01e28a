//! What is made of records as they come by is what the state of those records writes.

use proptest::prelude::*;

use super::*;
use crate::command::{Command, DeleteRange, Entry, Op, Put, Txn};
use crate::ids::{Epoch, Position, Timestamp};
use crate::import::Import;
use crate::range::KeyRange;
use crate::state::State;

fn hash() -> KeyHash {
    Box::new(|key| u64::from(crc32c::crc32c(key)))
}

fn other_hash() -> KeyHash {
    Box::new(|key| u64::from(crc32c::crc32c_append(7, key)))
}

/// What a client does, in small numbers so that keys meet again.
#[derive(Clone, Debug)]
enum Step {
    Put(u8, u16, i64),
    /// Both in one revision.
    PutBoth(u8, u8),
    Delete(u8),
    DeleteAll,
    Compact(u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..12_u8, prop_oneof![0..9_u16, 4000..5000_u16], 0..4_i64)
            .prop_map(|(key, value, lease)| Step::Put(key, value, lease)),
        2 => (0..12_u8, 0..12_u8).prop_map(|(one, other)| Step::PutBoth(one, other)),
        4 => (0..12_u8).prop_map(Step::Delete),
        1 => Just(Step::DeleteAll),
        2 => (0..6_u8).prop_map(Step::Compact),
    ]
}

fn put(key: u8, value: usize, lease: i64) -> Put {
    let (key, value) = (vec![b'k', key].into(), vec![key; value].into());
    Put { key, value, lease: LeaseId(lease), ..Put::default() }
}

fn command(state: &State, step: &Step) -> Command {
    match step {
        Step::Put(key, value, lease) => Command::Put(put(*key, usize::from(*value), *lease)),
        Step::PutBoth(one, other) => {
            let ops = [one, other].map(|key| Op::Put(put(*key, 1, 0)));
            Command::Txn(Txn { success: ops.to_vec(), ..Txn::default() })
        }
        Step::Delete(key) => {
            let range = KeyRange::point(vec![b'k', *key].into());
            Command::DeleteRange(DeleteRange { range, prev_kv: false })
        }
        Step::DeleteAll => {
            Command::DeleteRange(DeleteRange { range: KeyRange::everything(), prev_kv: false })
        }
        Step::Compact(back) => {
            Command::Compact { revision: Revision(state.revision().0 - i64::from(*back)) }
        }
    }
}

/// Leases 1 and 2 are there; what is refused is left out.
fn carried_out(steps: &[Step]) -> State {
    let mut state = State::new();
    let leases = [1, 2].map(|id| Command::LeaseGrant { id: LeaseId(id), ttl: 60 });
    let carry_out = |state: &mut State, command| {
        let entry = Entry {
            epoch: state.epoch(),
            clock: Timestamp(1),
            commands: vec![command],
            origins: Vec::new(),
        };
        state.apply(Position(state.position().0 + 1), &entry);
    };
    leases.into_iter().for_each(|grant| carry_out(&mut state, grant));
    for step in steps {
        let command = command(&state, step);
        carry_out(&mut state, command);
    }
    while state.maintain(usize::MAX) {}
    state
}

fn imported(state: &State, leases: &[i64]) -> Import {
    let mut import = Import::new(state.compact_revision(), hash());
    for id in leases {
        import.lease(LeaseId(*id), 60).expect("a lease");
    }
    import
}

/// The state of the records, by loading them: its image, digest, and keys astray.
fn loaded(state: &State, records: &[KvRef<'_>], leases: &[i64]) -> (Vec<u8>, Digest, u64) {
    let mut import = imported(state, leases);
    import.records(records).expect("records");
    let finished = import.finish(state.revision(), state.compact_revision(), Epoch(3));
    let (loaded, astray) = finished.expect("a state");
    let image = loaded.image();
    (image.chunks().flatten().collect(), image.digest(), astray)
}

/// The same as they come by.
fn told(
    state: &State,
    records: &[KvRef<'_>],
    leases: &[i64],
) -> Result<(Vec<u8>, Digest, u64), Untold> {
    let import = imported(state, leases);
    let finished = import.finish(state.revision(), state.compact_revision(), Epoch(3));
    let image = finished.expect("a state").0.image();
    let mut transcript = Transcript::new(image, [hash(), other_hash()]);
    let mut bytes: Vec<u8> = transcript.beginning().flatten().collect();
    for kv in records {
        bytes.extend(transcript.record(kv)?.into_iter().flatten());
    }
    if transcript.wants_again() {
        let mut again = records.iter();
        while transcript.again(again.next().expect("one of the older ones")) {}
    }
    let (blocks, digest, astray) = transcript.finish()?;
    bytes.extend(blocks.into_iter().flatten());
    Ok((bytes, digest, astray))
}

fn agree(steps: &[Step], leases: &[i64]) -> bool {
    let state = carried_out(steps);
    let view = state.view();
    let records: Vec<_> = view.records().collect();
    match told(&state, &records, leases) {
        Ok(told) => {
            assert!(told == loaded(&state, &records, leases), "it is another image");
            true
        }
        Err(why) => {
            assert_eq!(why, Untold::Superseded);
            // Only where it may be that no key is left, which HashKV takes for another case.
            assert!(records.last().is_some_and(|last| last.tombstone), "all others can be told");
            let (mvcc, at) = (&state.keyspace.mvcc, state.compact_revision());
            let old = records.iter().filter(|kv| kv.mod_revision <= at);
            let newest = |kv: &KvRef<'_>| mvcc.get(kv.key).is_some_and(|new| new.at() == kv.at());
            assert!(!old.clone().any(newest) && old.count() > 0, "all others can be told");
            false
        }
    }
}

proptest! {
    #[test]
    fn it_is_the_image_of_the_state(
        steps in prop::collection::vec(step(), 0..60),
        leases in prop_oneof![Just(vec![1, 2]), Just(vec![2]), Just(vec![])],
    ) {
        agree(&steps, &leases);
    }
}

#[test]
fn blocks_end_where_the_state_s_do() {
    let steps: Vec<_> = (0..700).map(|n| Step::Put(n as u8, 4000 + n, 0)).collect();
    assert!(agree(&steps, &[]));
    let compacted = [steps.as_slice(), &[Step::Compact(100)], &steps[..50]].concat();
    assert!(agree(&compacted, &[1]));
}

#[test]
fn what_has_yet_to_be_compacted_is_not_told() {
    let steps = [Step::Put(1, 1, 0), Step::Put(1, 2, 0), Step::Delete(1), Step::Put(2, 1, 0)];
    let before = carried_out(&steps);
    let view = before.view();
    let records: Vec<_> = view.records().collect();
    let superseded = |at| {
        let after = carried_out(&[&steps[..], &[Step::Compact(at)]].concat());
        told(&after, &records, &[]).err()
    };
    // A key twice, and a deletion before the compacted revision.
    assert_eq!(superseded(1), Some(Untold::Superseded));
    let deletion = &records[2..];
    let after = carried_out(&[&steps[..], &[Step::Compact(0)]].concat());
    assert_eq!(told(&after, deletion, &[]).err(), Some(Untold::Superseded));
    assert!(told(&before, &records, &[]).is_ok());
}

#[test]
fn records_that_make_no_state_are_refused() {
    let state = carried_out(&[Step::Put(1, 1, 0), Step::Put(2, 1, 0)]);
    let view = state.view();
    let records: Vec<_> = view.records().collect();
    let backwards = [records[1], records[0]];
    let at = records[0].at();
    let error = Some(Untold::Never(Unloadable::OutOfOrder(at)));
    assert_eq!(told(&state, &backwards, &[]).err(), error);
    let beyond = KvRef { mod_revision: Revision(9), ..records[0] };
    let error = Some(Untold::Never(Unloadable::OutOfBounds(beyond.at())));
    assert_eq!(told(&state, &[beyond], &[]).err(), error);
}
