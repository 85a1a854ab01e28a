//! The entry's bytes: what is written comes back, and nothing else is taken for an entry.

mod random;

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use state::{
    Command, DecodeError, Entry, EntryWriter, Epoch, LeaseId, MAX_TXN_DEPTH, Op, Put, Revision,
    Timestamp, Txn,
};

fn entry() -> impl Strategy<Value = Entry> {
    (any::<u64>(), any::<u64>(), vec(random::any_command(), 0..8)).prop_map(
        |(epoch, clock, commands)| Entry {
            epoch: Epoch(epoch),
            clock: Timestamp(clock),
            commands,
            origins: Vec::new(),
        },
    )
}

fn nested(depth: usize) -> Entry {
    let mut txn = Txn::default();
    for _ in 1..depth {
        txn = Txn { failure: vec![Op::Txn(txn)], ..Txn::default() };
    }
    Entry {
        epoch: Epoch(1),
        clock: Timestamp(2),
        commands: vec![Command::Txn(txn)],
        origins: Vec::new(),
    }
}

proptest! {
    #[test]
    fn what_is_written_comes_back(entry in entry()) {
        prop_assert_eq!(Entry::decode(&entry.encode()), Ok(entry));
    }

    #[test]
    fn no_part_of_an_entry_is_an_entry(entry in entry()) {
        let bytes = entry.encode();
        for length in 0..bytes.len() {
            let cut = Entry::decode(&bytes.slice(..length));
            let damaged = matches!(cut, Err(DecodeError::Damaged { offset, .. }) if offset <= length);
            prop_assert!(damaged, "{length} of {} bytes: {cut:?}", bytes.len());
        }
        let more = Bytes::from([&bytes[..], &[0][..]].concat());
        let damaged = matches!(Entry::decode(&more), Err(DecodeError::Damaged { .. }));
        prop_assert!(damaged, "something follows the end");
    }

    #[test]
    fn any_bytes_are_answered(bytes in vec(any::<u8>(), 0..200), tag in 0u8..36) {
        let with_head = [&[0xe5, 1, 1, 1, tag][..], &bytes[..]].concat();
        for bytes in [bytes, with_head] {
            let bytes = Bytes::from(bytes);
            if let Ok(entry) = Entry::decode(&bytes) {
                prop_assert_eq!(Entry::decode(&entry.encode()), Ok(entry));
            }
        }
    }

    #[test]
    fn a_changed_byte_is_answered(entry in entry(), at in any::<prop::sample::Index>(), to: u8) {
        let mut bytes = entry.encode().to_vec();
        let at = at.index(bytes.len());
        bytes[at] = to;
        if let Ok(entry) = Entry::decode(&bytes.into()) {
            prop_assert_eq!(Entry::decode(&entry.encode()), Ok(entry));
        }
    }
}

#[test]
fn the_bytes_are_those_of_the_format() {
    let put = Put { key: "key".into(), value: "v".into(), lease: LeaseId(-1), ..Put::default() };
    let commands = vec![Command::Put(put), Command::Compact { revision: Revision(64) }];
    let entry = Entry { epoch: Epoch(3), clock: Timestamp(300), commands, origins: Vec::new() };
    let bytes = b"\xe5\x01\x03\xac\x02\x01\x08\x03key\x01v\x01\x04\x80\x01\x00\x02";
    assert_eq!(entry.encode(), &bytes[..]);
    assert_eq!(Entry::decode(&Bytes::from_static(bytes)), Ok(entry));
}

#[test]
fn a_newer_version_is_named_and_not_called_damage() {
    let newer_format = Entry::decode(&Bytes::from_static(b"\xe5\x02\x00\x00\x00\x00"));
    let newer_command = Entry::decode(&Bytes::from_static(b"\xe5\x01\x00\x00\x2a\x00"));
    let words = [newer_format, newer_command].map(|result| match result {
        Err(error @ DecodeError::Newer { .. }) => error.to_string(),
        other => panic!("{other:?}"),
    });
    assert_eq!(
        words,
        [
            "entry format 2 at byte 1 was made by a newer version; this one understands up to 1",
            "command 42 at byte 4 was made by a newer version; this one understands up to 33",
        ]
    );
}

#[test]
fn keys_and_values_are_slices_of_the_entry() {
    let put = Put { key: "key".into(), value: vec![7; 1000].into(), ..Put::default() };
    let entry = Entry {
        epoch: Epoch(0),
        clock: Timestamp(0),
        commands: vec![Command::Put(put)],
        origins: Vec::new(),
    };
    let bytes = entry.encode();
    let Ok(Entry { commands, .. }) = Entry::decode(&bytes) else { panic!("no entry") };
    let [Command::Put(put)] = &commands[..] else { panic!("not the put") };
    assert!(bytes.as_ptr_range().contains(&put.value.as_ptr()));
}

#[test]
fn transactions_nest_as_deep_as_allowed() {
    let deepest = nested(MAX_TXN_DEPTH);
    assert_eq!(Entry::decode(&deepest.encode()), Ok(deepest));
    let deeper = Entry::decode(&nested(MAX_TXN_DEPTH + 1).encode());
    assert!(matches!(deeper, Err(DecodeError::Damaged { .. })), "{deeper:?}");

    let refused = |depth: usize| match &nested(depth).commands[0] {
        Command::Txn(txn) => txn.check(usize::MAX),
        _ => unreachable!("it is a transaction"),
    };
    assert_eq!(refused(MAX_TXN_DEPTH), Ok(()));
    assert_eq!(refused(MAX_TXN_DEPTH + 1), Err(state::Refusal::TooManyOps));
}

#[test]
fn a_writer_says_how_much_it_holds() {
    let mut writer = EntryWriter::new(Epoch(1), Timestamp(2));
    assert_eq!(writer.commands(), 0);
    let before = writer.size();
    writer.push(&Command::LeaseRevoke { id: LeaseId(1) });
    assert_eq!((writer.commands(), writer.size()), (1, before + 2));
    assert!(writer.finish().len() <= before + 2 + 11);
}
