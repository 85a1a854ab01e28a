//! Members: whose claim counts, how many there may be and how large, and their bytes in an image, old
//! ones among them.

use state::{
    Cluster, ClusterVersion, Command, DecodeError, Entry, Epoch, ImageError, ImageLoader, Level,
    Member, MemberId, Position, Refusal, Reply, State,
};

fn order(state: &mut State, command: Command) -> Result<Reply, Refusal> {
    let (epoch, clock) = (state.epoch(), state.clock());
    let entry = Entry { epoch, clock, commands: vec![command], origins: Vec::new() };
    let entry = Entry::decode(&entry.encode()).expect("an entry just written");
    state.apply(Position(state.position().0 + 1), &entry).remove(0).result
}

fn add(member: u64, peer_urls: Vec<String>, learner: bool) -> Command {
    Command::MemberAdd { member: MemberId(member), peer_urls, learner }
}

fn publish(member: u64, name: &str, client_urls: Vec<String>, minor: u64) -> Command {
    let (name, version) = (name.to_owned(), ClusterVersion { major: 3, minor });
    let (member, level) = (MemberId(member), Level::FIRST);
    Command::MemberPublish { member, name, client_urls, version, level }
}

fn urls(count: usize, bytes: usize) -> Vec<String> {
    (0..count).map(|n| format!("{n:0bytes$}")).collect()
}

/// Whether `member` comes to write.
fn claims(state: &mut State, member: u64) -> bool {
    let epoch = Epoch(state.epoch().0 + 1);
    let reply = order(state, Command::Claim { epoch, member: MemberId(member) });
    let granted = reply == Ok(Reply::Claim { granted: true });
    assert_eq!(granted, state.epoch() == epoch);
    granted
}

/// 1 and 2 may write, 3 learns, 4 was removed.
fn cluster() -> State {
    let mut state = State::new();
    let commands = [
        add(1, vec!["a".into()], false),
        add(2, vec!["b".into()], false),
        add(3, vec!["c".into()], true),
        add(4, vec!["d".into()], false),
        Command::MemberRemove { member: MemberId(4) },
    ];
    for command in commands {
        order(&mut state, command).expect("nothing is wrong with it");
    }
    state
}

fn image(state: &State) -> Vec<Vec<u8>> {
    state.image().chunks().map(|chunk| chunk.to_vec()).collect()
}

fn load(chunks: &[Vec<u8>]) -> Result<State, ImageError> {
    let mut loader = ImageLoader::new();
    chunks.iter().try_for_each(|chunk| loader.push(chunk))?;
    loader.finish()
}

#[test]
fn a_claim_counts_only_for_a_member_that_may_write() {
    let mut fresh = State::new();
    assert!(claims(&mut fresh, 9) && claims(&mut fresh, 0), "while nobody is listed, anybody's");
    assert_eq!(fresh.cluster().writer(), None);

    let mut state = cluster();
    for (member, who) in [(3, "a learner"), (4, "removed"), (9, "never a member"), (0, "nobody")] {
        assert!(!claims(&mut state, member), "{who}");
        assert_eq!((state.epoch(), state.cluster().writer()), (Epoch(0), None), "{who}");
    }
    assert!(claims(&mut state, 2));
    assert_eq!(state.cluster().writer(), Some(MemberId(2)));
    let promote = Command::MemberPromote { member: MemberId(3) };
    assert_eq!(order(&mut state, promote), Ok(Reply::MemberPromote));
    assert!(claims(&mut state, 3));
    let remove = Command::MemberRemove { member: MemberId(3) };
    assert_eq!(order(&mut state, remove), Ok(Reply::MemberRemove));
    assert_eq!(state.cluster().writer(), None, "it is no member any more");
    assert_eq!(state.epoch(), Epoch(2), "and its epoch stands until the next claim");
    assert!(!claims(&mut state, 3));
}

/// As an earlier writer's commands do, whose claim is behind another's.
#[test]
fn a_claim_for_an_epoch_that_is_no_newer_does_not_change_the_writer() {
    let mut state = cluster();
    assert!(claims(&mut state, 1));
    let again = Command::Claim { epoch: Epoch(1), member: MemberId(2) };
    assert_eq!(order(&mut state, again), Ok(Reply::Claim { granted: false }));
    assert_eq!(state.cluster().writer(), Some(MemberId(1)));
}

#[test]
fn there_is_always_a_member_that_may_write() {
    let mut state = State::new();
    let first = order(&mut state, add(1, Vec::new(), true));
    assert_eq!(first, Err(Refusal::TooManyLearners), "it would be the only one");
    order(&mut state, add(1, Vec::new(), false)).expect("the first member");
    order(&mut state, add(2, Vec::new(), true)).expect("a learner");
    let remove = |member| Command::MemberRemove { member: MemberId(member) };
    assert_eq!(order(&mut state, remove(1)), Err(Refusal::LastVoter));
    assert_eq!(order(&mut state, remove(2)), Ok(Reply::MemberRemove));
    assert_eq!(order(&mut state, remove(1)), Err(Refusal::LastVoter));
    assert!(claims(&mut state, 1));
}

#[test]
fn members_are_bounded() {
    let mut state = State::new();
    for member in 1..=Cluster::MOST_MEMBERS as u64 {
        assert_eq!(
            order(&mut state, add(member, vec![member.to_string()], false)),
            Ok(Reply::MemberAdd)
        );
    }
    let one_more = || add(1_000, vec!["elsewhere".into()], false);
    assert_eq!(order(&mut state, one_more()), Err(Refusal::TooManyMembers));
    order(&mut state, Command::MemberRemove { member: MemberId(7) }).expect("it is there");
    assert_eq!(order(&mut state, one_more()), Ok(Reply::MemberAdd));

    let mut state = cluster();
    let update = |peer_urls| Command::MemberUpdate { member: MemberId(2), peer_urls };
    let (most, longest) = (Member::MOST_URLS, Member::LONGEST_TEXT);
    for (count, bytes) in [(most + 1, 3), (1, longest + 1)] {
        let urls = || urls(count, bytes);
        let before = state.digest().rest;
        for command in [add(5, urls(), false), update(urls()), publish(2, "n", urls(), 7)] {
            assert_eq!(order(&mut state, command), Err(Refusal::MemberTooLarge));
        }
        assert_ne!(state.digest().rest, before, "the position is another");
    }
    let name = "n".repeat(longest + 1);
    assert_eq!(order(&mut state, publish(2, &name, Vec::new(), 7)), Err(Refusal::MemberTooLarge));
    assert_eq!(state.cluster().members()[&MemberId(2)].client_urls, [""; 0], "nothing was taken");
    let largest = || urls(most, longest);
    assert_eq!(order(&mut state, publish(2, &name[1..], largest(), 7)), Ok(Reply::MemberPublish));
    assert_eq!(order(&mut state, update(largest())), Ok(Reply::MemberUpdate));
    let found = &state.cluster().members()[&MemberId(2)];
    assert_eq!((&found.peer_urls, &found.client_urls), (&largest(), &largest()));
}

/// While nobody is listed, URLs are as long as etcd's: as long as a request.
#[test]
fn a_member_that_is_not_listed_is_not_judged() {
    let mut state = State::new();
    let peer_urls = urls(40, 5_000);
    let update = Command::MemberUpdate { member: MemberId(9), peer_urls: peer_urls.clone() };
    assert_eq!(order(&mut state, update), Ok(Reply::MemberUpdate));
    assert_eq!(state.cluster().peer_urls(MemberId(9)), Some(&peer_urls[..]));
    order(&mut state, add(1, Vec::new(), false)).expect("the first member");
    assert_eq!(state.cluster().peer_urls(MemberId(9)), None, "it is no member");
}

#[test]
fn the_digest_covers_members() {
    let changes = [
        Command::MemberRemove { member: MemberId(2) },
        Command::MemberPromote { member: MemberId(3) },
        add(5, vec!["e".into()], false),
        publish(1, "n", Vec::new(), 7),
        publish(1, "o", Vec::new(), 7),
        publish(1, "n", vec!["c".into()], 7),
        publish(1, "n", Vec::new(), 8),
        Command::MemberUpdate { member: MemberId(1), peer_urls: Vec::new() },
        Command::DigestDue,
    ];
    let mut digests = changes.map(|change| {
        let mut state = cluster();
        order(&mut state, change).expect("nothing is wrong with it");
        state.digest().rest
    });
    digests.sort_unstable();
    assert!(digests.windows(2).all(|two| two[0] != two[1]), "{digests:?}");
    // The writer: in the same epoch, at the same position.
    let [one, two] = [1, 2].map(|member| {
        let mut state = cluster();
        assert!(claims(&mut state, member));
        state.digest()
    });
    assert_ne!(one, two);
}

#[test]
fn a_journal_of_its_own_has_members_of_its_own() {
    let mut state = cluster();
    assert!(claims(&mut state, 1));
    order(&mut state, publish(1, "n", Vec::new(), 7)).expect("it is there");
    let to = Some(ClusterVersion { major: 3, minor: 6 });
    order(&mut state, Command::Downgrade { to }).expect("none is under way");
    state.begin_anew();
    let mut expected = State::new();
    order(&mut expected, Command::Downgrade { to }).expect("none is under way");
    assert_eq!(state.cluster(), expected.cluster(), "only the downgrade goes along");
    assert!(claims(&mut state, 9));
}

/// What the block about the cluster holds, and the rest of an image around it.
fn block_of(state: &State) -> Vec<u8> {
    let chunks = image(state);
    assert_eq!(chunks[1][0], 16, "the block about the cluster stands behind the header");
    chunks[1][9..].to_vec()
}

fn with_block(state: &State, payload: &[u8]) -> Vec<Vec<u8>> {
    let mut chunks = image(state);
    let mut head = vec![16];
    head.extend_from_slice(&(payload.len() as u32).to_le_bytes());
    let sum = crc32c::crc32c_append(crc32c::crc32c(&head), payload);
    chunks[1] = [&head, &sum.to_le_bytes()[..], payload].concat();
    chunks
}

#[test]
fn the_bytes_in_an_image_are_those_of_the_format() {
    let mut state = cluster();
    assert!(claims(&mut state, 2));
    for member in 1..=3 {
        order(&mut state, publish(member, "n", vec!["h".into()], 7)).expect("it is there");
    }
    let expected: [&[u8]; 7] = [
        b"\x00\x00",
        b"\x03",
        b"\x01\x01\x01a\x01n\x01\x01h\x00\x01\x03\x07",
        b"\x02\x01\x01b\x01n\x01\x01h\x00\x01\x03\x07",
        b"\x03\x01\x01c\x01n\x01\x01h\x01\x01\x03\x07",
        b"\x01\x04",
        b"\x02\x01\x03\x07",
    ];
    assert_eq!(block_of(&state), expected.concat());
    assert_eq!(image(&state)[0][9..18], *b"MERIDIAN\x03");
    let loaded = load(&image(&state)).expect("a whole image");
    assert_eq!(loaded.cluster(), state.cluster());
    assert_eq!(loaded.digest(), state.digest());
}

#[test]
fn an_image_names_the_level_that_was_gone_up_to() {
    let mut state = cluster();
    for member in 1..=3 {
        let Command::MemberPublish { member, name, client_urls, version, .. } =
            publish(member, "n", vec!["h".into()], 7)
        else {
            panic!("it is one")
        };
        let level = Level(2);
        let publish = Command::MemberPublish { member, name, client_urls, version, level };
        order(&mut state, publish).expect("it is there");
    }
    let before = block_of(&state);
    assert!(before.windows(5).any(|bytes| bytes == b"\x01\x03\x87\x80\x04"), "{before:?}");
    assert_eq!(image(&state)[0][9..18], *b"MERIDIAN\x03", "all that is new stands in old places");

    order(&mut state, Command::LevelRaise { level: Level(2) }).expect("all of them can");
    assert_eq!(image(&state)[0][9..18], *b"MERIDIAN\x04");
    let payload = block_of(&state);
    assert_eq!(payload, [&before[..], b"\x02"].concat());
    let loaded = load(&image(&state)).expect("a whole image");
    assert_eq!(loaded.cluster(), state.cluster());
    assert_eq!(loaded.digest(), state.digest());

    let read = |level| load(&with_block(&state, &[&before[..], &[level]].concat())).map(|_| ());
    let Err(error @ ImageError::Block(DecodeError::Newer { .. })) = read(3) else {
        panic!("{:?}", read(3))
    };
    assert!(error.to_string().contains("level 3"), "{error}");
    let mut chunks = image(&state);
    chunks[0][17] = 5;
    let sum = crc32c::crc32c_append(crc32c::crc32c(&chunks[0][..5]), &chunks[0][9..]);
    chunks[0][5..9].copy_from_slice(&sum.to_le_bytes());
    let error = load(&chunks).map(|_| ()).expect_err("of a newer version").to_string();
    assert!(error.contains("image format 5") && error.contains("newer version"), "{error}");
}

/// An image as it was written before members could be listed, byte for byte.
#[test]
fn an_image_from_before_there_were_members_is_read() {
    let written: [&[u8]; 3] = [
        b"\x01\x0f\x00\x00\x00\xc1\x95M\xddMERIDIAN\x02\x02\x00\x00\x02\x01\x00",
        b"\x10\x0f\x00\x00\x00\x19~{2\x01\x05\x01\x08http://a\x01\x03\x06",
        b"\x04\x0a\x00\x00\x00?>\x02\x97\x00\x00mu\xa4@\x169\x0e\xfc",
    ];
    let mut state = State::new();
    let peer_urls = vec!["http://a".to_owned()];
    order(&mut state, Command::MemberUpdate { member: MemberId(5), peer_urls }).expect("noted");
    let to = Some(ClusterVersion { major: 3, minor: 6 });
    order(&mut state, Command::Downgrade { to }).expect("none is under way");
    assert_eq!(image(&state).concat(), written.concat());
    let loaded = load(&written.map(<[u8]>::to_vec)).expect("a whole image");
    assert_eq!(loaded.cluster(), state.cluster());
}

#[test]
fn members_that_cannot_be_are_damage() {
    let state = cluster();
    let payload = block_of(&state);
    load(&with_block(&state, &payload)).expect("nothing is wrong with it");
    let learner = |id: u8| [id, 0, 0, 0, 1, 0];
    let voter = |id: u8| [id, 0, 0, 0, 0, 0];
    let wrong: [(&[&[u8]], &str); 6] = [
        (&[&[0, 0, 0, 0, 0, 0]], "members without any"),
        (&[&[0, 0, 1], &learner(1), &[0, 0, 0]], "none of them may write"),
        (&[&[0, 0, 2], &voter(1), &voter(1), &[0, 0, 0]], "one twice"),
        (&[&[0, 0, 1], &voter(1), &[1, 1, 0, 0]], "one who was removed and is there"),
        (&[&[0, 0, 1], &voter(1), &[2, 4, 4, 0, 0]], "one who was removed twice"),
        (&[&[0, 0, 1], &voter(1), &[0, 0, 0, 0]], "something left over"),
    ];
    for (payload, what) in wrong {
        let read = load(&with_block(&state, &payload.concat())).map(|_| ());
        assert!(matches!(read, Err(ImageError::Block(_))), "{what}: {read:?}");
    }
    for length in 3..payload.len() {
        load(&with_block(&state, &payload[..length])).expect_err("a part of it");
    }
}
