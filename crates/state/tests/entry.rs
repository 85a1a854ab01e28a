//! The entry's bytes: what is written comes back, and nothing else is taken for an entry.

mod random;

use bytes::Bytes;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use state::{
    ClusterVersion, Command, DecodeError, Digest, Entry, EntryWriter, Epoch, LeaseId, Level,
    MAX_TXN_DEPTH, MemberId, Op, Origin, Position, Put, Revision, Timestamp, Txn,
};

fn entry() -> impl Strategy<Value = Entry> {
    let commands = vec((random::any_command(), origin()), 0..8);
    (any::<u64>(), any::<u64>(), commands).prop_map(|(epoch, clock, commands)| {
        let (commands, origins): (Vec<_>, Vec<_>) = commands.into_iter().unzip();
        let origins = runs(origins);
        Entry { epoch: Epoch(epoch), clock: Timestamp(clock), commands, origins }
    })
}

/// How many commands somebody sent, if this and those behind it are so many.
fn origin() -> impl Strategy<Value = Option<Origin>> {
    let numbers = (1u64..4, any::<u64>(), any::<u64>(), 0..=u64::MAX - 4);
    option::weighted(
        0.4,
        numbers.prop_map(|(count, member, session, first)| {
            let member = MemberId(member);
            Origin { at: 0, count, member, session, first }
        }),
    )
}

/// Those that fit behind one another.
fn runs(origins: Vec<Option<Origin>>) -> Vec<Origin> {
    let (mut runs, mut free) = (Vec::new(), 0);
    let end = origins.len();
    for (at, origin) in origins.into_iter().enumerate() {
        let Some(origin) = origin.filter(|_| at >= free) else { continue };
        free = (at + origin.count as usize).min(end);
        runs.push(Origin { at, count: (free - at) as u64, ..origin });
    }
    runs
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
    fn any_bytes_are_answered(bytes in vec(any::<u8>(), 0..200), tag in 0u8..44) {
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
    let newer_command = Entry::decode(&Bytes::from_static(b"\xe5\x01\x00\x00\x2b\x00"));
    let words = [newer_format, newer_command].map(|result| match result {
        Err(error @ DecodeError::Newer { .. }) => error.to_string(),
        other => panic!("{other:?}"),
    });
    assert_eq!(
        words,
        [
            "entry format 2 at byte 1 was made by a newer version; this one understands up to 1",
            "command 43 at byte 4 was made by a newer version; this one understands up to 42",
        ]
    );
    for tag in [14, 31, 43, 255] {
        let unknown = Entry::decode(&Bytes::from(vec![0xe5, 1, 0, 0, tag, 0]));
        assert!(matches!(unknown, Err(DecodeError::Newer { .. })), "{tag}: {unknown:?}");
    }
}

#[test]
fn a_level_is_above_what_older_programs_read() {
    let entry =
        |commands| Entry { epoch: Epoch(1), clock: Timestamp(2), commands, origins: Vec::new() };
    let raise = entry(vec![Command::LevelRaise { level: Level(2) }]);
    assert_eq!(raise.encode(), &b"\xe5\x01\x01\x02\x29\x02\x00\x01"[..]);
    assert_eq!(Entry::decode(&raise.encode()), Ok(raise.clone()));
    assert_eq!(raise.level(), Level(2));
    let (put, claim) = (Put::default(), Command::Claim { epoch: Epoch(1), member: MemberId(1) });
    assert_eq!(entry(vec![Command::Put(put), claim]).level(), Level::FIRST);
    assert_eq!(entry(Vec::new()).level(), Level::FIRST);

    let read = |level| Entry::decode(&Bytes::from(vec![0xe5, 1, 1, 2, 41, level, 0, 1]));
    let Err(error @ DecodeError::Newer { .. }) = read(3) else { panic!("{:?}", read(3)) };
    let words = "level 3 at byte 5 was made by a newer version; this one understands up to 2";
    assert_eq!(error.to_string(), words);
    for never in [0, 1] {
        assert!(matches!(read(never), Err(DecodeError::Damaged { .. })), "{never}");
    }
}

/// Programs of the first level take all of it for the minor number, and keep it.
#[test]
fn a_member_says_its_level_where_older_programs_read_its_version() {
    let publish = |level| Command::MemberPublish {
        member: MemberId(7),
        name: "n".into(),
        client_urls: Vec::new(),
        version: ClusterVersion { major: 3, minor: 7 },
        level: Level(level),
    };
    let bytes =
        |minor: &[u8]| [b"\xe5\x01\x01\x02\x25\x07\x00\x01n\x03", minor, b"\x00\x01"].concat();
    let said: [(u32, &[u8]); 4] = [
        (1, b"\x07"),
        (2, b"\x87\x80\x04"),
        (3, b"\x87\x80\x08"),
        (u32::MAX, b"\x87\x80\xf8\xff\xff\xff\x3f"),
    ];
    for (level, minor) in said {
        let commands = vec![publish(level)];
        let entry = Entry { epoch: Epoch(1), clock: Timestamp(2), commands, origins: Vec::new() };
        assert_eq!(entry.encode(), bytes(minor), "{level}");
        assert_eq!(Entry::decode(&bytes(minor).into()), Ok(entry), "{level}");
        assert_eq!(publish(level).level(), Level::FIRST, "everybody must be able to read it");
    }
    let beyond = Entry::decode(&bytes(b"\x87\x80\xfc\xff\xff\xff\x3f").into());
    assert!(matches!(beyond, Err(DecodeError::Damaged { .. })), "{beyond:?}");
}

#[test]
fn how_many_learners_there_may_be_is_of_the_second_level() {
    let peer_urls = vec!["p".into()];
    let commands = vec![Command::LearnerAdd { member: MemberId(5), peer_urls, most: 300 }];
    let entry = Entry { epoch: Epoch(1), clock: Timestamp(2), commands, origins: Vec::new() };
    assert_eq!(entry.encode(), &b"\xe5\x01\x01\x02\x2a\x05\x01\x01p\xac\x02\x00\x01"[..]);
    assert_eq!(Entry::decode(&entry.encode()), Ok(entry.clone()));
    assert_eq!(entry.level(), Level(2));
}

#[test]
fn members_renewals_and_digests_are_those_of_the_format() {
    let commands = vec![
        Command::MemberAdd {
            member: MemberId(5),
            peer_urls: vec!["p".into(), "qq".into()],
            learner: true,
        },
        Command::MemberRemove { member: MemberId(300) },
        Command::MemberPromote { member: MemberId(6) },
        Command::MemberPublish {
            member: MemberId(7),
            name: "n".into(),
            client_urls: vec!["c".into()],
            version: ClusterVersion { major: 3, minor: 7 },
            level: Level::FIRST,
        },
        Command::LeaseRenew { ids: vec![LeaseId(-1), LeaseId(64)] },
        Command::DigestDue,
        Command::DigestIs {
            position: Position(9),
            digest: Digest { keys: 0x0403_0201, rest: 0x0807_0605 },
        },
    ];
    let entry = Entry { epoch: Epoch(1), clock: Timestamp(2), commands, origins: Vec::new() };
    let bytes: [&[u8]; 9] = [
        b"\xe5\x01\x01\x02",
        b"\x22\x05\x02\x01p\x02qq\x01",
        b"\x23\xac\x02",
        b"\x24\x06",
        b"\x25\x07\x01\x01c\x01n\x03\x07",
        b"\x26\x02\x01\x80\x01",
        b"\x27",
        b"\x28\x09\x01\x02\x03\x04\x05\x06\x07\x08",
        b"\x00\x07",
    ];
    assert_eq!(entry.encode(), bytes.concat());
    assert_eq!(Entry::decode(&bytes.concat().into()), Ok(entry));
}

fn revoke(id: i64) -> Command {
    Command::LeaseRevoke { id: LeaseId(id) }
}

#[test]
fn runs_of_others_stand_before_their_first_command() {
    let run = |at, count, member, session, first| Origin {
        at,
        count,
        member: MemberId(member),
        session,
        first,
    };
    let commands = (0..6).map(revoke).collect();
    let origins = vec![run(1, 2, 7, 1, 300), run(3, 1, 8, 2, 0), run(5, 1, 7, 1, 302)];
    let entry = Entry { epoch: Epoch(1), clock: Timestamp(2), commands, origins };
    let bytes: [&[u8]; 6] = [
        b"\xe5\x01\x01\x02\x06\x00",
        b"\x0d\x07\x01\xac\x02\x02\x06\x02\x06\x04",
        b"\x0d\x08\x02\x00\x01\x06\x06",
        b"\x06\x08",
        b"\x0d\x07\x01\xae\x02\x01\x06\x0a",
        b"\x00\x06",
    ];
    assert_eq!(entry.encode(), bytes.concat());
    assert_eq!(Entry::decode(&bytes.concat().into()), Ok(entry));
}

#[test]
fn runs_that_cannot_be_are_damage() {
    let damaged = |commands: &[&[u8]], number: u8| {
        let bytes = [b"\xe5\x01\x01\x02", &commands.concat()[..], &[0, number]].concat();
        let read = Entry::decode(&bytes.into());
        matches!(read, Err(DecodeError::Damaged { .. }))
    };
    let (run, of_two): (&[u8], &[u8]) = (b"\x0d\x07\x01\x05\x01", b"\x0d\x07\x01\x05\x02");
    let revoke: &[u8] = b"\x06\x02";
    assert!(!damaged(&[run, revoke], 1), "nothing is wrong with this one");
    assert!(!damaged(&[of_two, revoke, revoke], 2), "nothing is wrong with this one");
    assert!(damaged(&[of_two, revoke], 1), "longer than the entry");
    assert!(damaged(&[of_two, revoke, run, revoke], 2), "into the next one");
    assert!(damaged(&[run], 0), "of no command");
    assert!(damaged(&[run, run, revoke], 1), "two of one command");
    assert!(damaged(&[b"\x0d\x07\x01\x05\x00", revoke], 1), "of nothing");
    assert!(damaged(&[b"\x0d\x07\x01\x05\xac\x02", revoke], 1), "beyond the end");
    let last_number = b"\x0d\x07\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x01";
    assert!(damaged(&[last_number, revoke], 1), "numbered beyond the last number");
    assert!(damaged(&[b"\x0c", run, revoke], 1), "behind a name");
    assert!(damaged(&[b"\x0c\x08\x01\x01"], 1), "as a claim: neither stands in a name");
}

#[test]
#[should_panic(expected = "runs stand in their order")]
fn a_run_is_not_lost() {
    let run = |at| Origin { at, count: 1, member: MemberId(1), session: 1, first: 1 };
    let (commands, origins) = (vec![revoke(1), revoke(2)], vec![run(1), run(0)]);
    drop(Entry { epoch: Epoch(1), clock: Timestamp(2), commands, origins }.encode());
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
