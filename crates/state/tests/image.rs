//! Images: what was written comes back, while the machine goes on, and damage is an error.

mod random;

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use state::{
    Command, Entry, ImageError, ImageLoader, KeyRange, LeaseId, Position, Put, RangeQuery,
    Revision, State, check,
};

fn apply(state: &mut State, commands: Vec<Command>) {
    let entry = Entry { epoch: state.epoch(), clock: state.clock(), commands, origins: Vec::new() };
    state.apply(Position(state.position().0 + 1), &entry);
}

fn put(key: String, value: Vec<u8>, lease: i64) -> Command {
    let lease = LeaseId(lease);
    Command::Put(Put { key: key.into(), value: value.into(), lease, ..Put::default() })
}

/// Several blocks of records, some compacted, some on leases.
fn large() -> State {
    let mut state = State::new();
    let grants = (1..=3).map(|id| Command::LeaseGrant { id: LeaseId(id), ttl: 60 * id });
    apply(&mut state, grants.collect());
    for number in 0..3200i64 {
        let key = format!("key/{:05}", number * 7919 % 3000);
        apply(&mut state, vec![put(key, vec![number as u8; 1000], number % 4)]);
    }
    apply(&mut state, vec![Command::Compact { revision: Revision(2000) }]);
    state
}

fn bytes(state: &State) -> Vec<u8> {
    state.image().chunks().flatten().collect()
}

fn load(portions: &[&[u8]]) -> Result<State, ImageError> {
    let mut loader = ImageLoader::new();
    portions.iter().try_for_each(|portion| loader.push(portion))?;
    loader.finish()
}

fn same(one: &State, other: &State) {
    assert_eq!(one.digest(), other.digest());
    assert_eq!(one.position(), other.position());
    for (id, _) in one.leases() {
        assert_eq!(one.lease(id), other.lease(id));
    }
    let range = KeyRange { key: "\0".into(), range_end: "\0".into() };
    for revision in one.view().compact_revision().0.max(1)..=one.revision().0 {
        if revision % 97 != 0 && revision != one.revision().0 {
            continue;
        }
        let revision = Revision(revision);
        let query = RangeQuery { range: range.clone(), revision, ..RangeQuery::default() };
        let pages = [one, other].map(|state| state.view().range(&query).expect("readable"));
        assert!(
            pages[0].iter().map(|kv| kv.to_owned()).eq(pages[1].iter().map(|kv| kv.to_owned()))
        );
    }
}

#[test]
fn a_large_state_comes_back_in_any_portions() {
    let mut state = large();
    let chunks: Vec<Bytes> = state.image().chunks().collect();
    assert!(chunks.len() > 4, "{} chunks are no test of several", chunks.len());
    assert!(chunks.iter().all(|chunk| chunk.len() <= (1 << 20) + 2048));
    let image = chunks.concat();
    same(&state, &load(&[&image]).expect("a whole image"));
    let portions: Vec<&[u8]> = image.chunks(7001).collect();
    same(&state, &load(&portions).expect("a whole image"));
    while state.maintain(100) {}
    assert_eq!(bytes(&state), image, "maintenance changes nothing in it");
}

#[test]
fn an_image_is_of_one_moment() {
    let mut state = large();
    let digest = state.digest();
    let before = bytes(&state);
    let image = state.image();
    let mut read = Vec::new();
    for chunk in image.chunks() {
        read.extend_from_slice(&chunk);
        let number = read.len();
        apply(&mut state, vec![put(format!("key/{number}"), vec![0; 5000], 2)]);
        apply(&mut state, vec![Command::LeaseRevoke { id: LeaseId(1) }]);
        let revision = state.revision();
        apply(&mut state, vec![Command::Compact { revision }]);
        while state.maintain(1000) {}
    }
    assert!(read == before, "the image is not what it was when it was pinned");
    assert_ne!(state.digest(), digest);
    assert_eq!(load(&[&read]).expect("a whole image").digest(), digest);
}

#[test]
fn an_image_is_made_on_another_thread() {
    let mut state = large();
    let (digest, image) = (state.digest(), state.image());
    let reader = std::thread::spawn(move || image.chunks().flatten().collect::<Vec<u8>>());
    for number in 0..500 {
        apply(&mut state, vec![put(format!("key/{number}"), vec![1; 100], 0)]);
    }
    let read = reader.join().expect("the reader");
    assert_eq!(load(&[&read]).expect("a whole image").digest(), digest);
}

#[test]
fn many_leases_come_back() {
    let mut state = State::new();
    let id = |number: i64| LeaseId(i64::MAX - number * 7);
    let grants = (0..100_000).map(|number| Command::LeaseGrant { id: id(number), ttl: number });
    apply(&mut state, grants.collect());
    let chunks: Vec<Bytes> = state.image().chunks().collect();
    assert!(chunks.len() > 3, "{} chunks are no test of several", chunks.len());
    let loaded = load(&[&chunks.concat()]).expect("a whole image");
    assert!(loaded.leases().eq(state.leases()));
}

#[test]
fn an_image_of_nothing_is_a_fresh_state() {
    let state = load(&[&bytes(&State::new())]).expect("a whole image");
    assert_eq!(state.revision(), Revision::FIRST);
    assert_eq!(state.digest(), State::new().digest());
    assert!(load(&[]).is_err());
}

#[test]
fn blocks_out_of_place_are_damage() {
    let state = large();
    let chunks: Vec<Bytes> = state.image().chunks().collect();
    let last = chunks.len() - 1;
    let rearranged: [Vec<usize>; 6] = [
        (1..=last).collect(),
        (0..last).collect(),
        (0..=last).filter(|chunk| *chunk != 2).collect(),
        [0].into_iter().chain(0..=last).collect(),
        [0, 1, 3, 2].into_iter().chain(4..=last).collect(),
        (0..=last).chain([last]).collect(),
    ];
    for order in rearranged {
        let portions: Vec<&[u8]> = order.iter().map(|chunk| &chunks[*chunk][..]).collect();
        assert!(load(&portions).is_err(), "{order:?}");
    }
}

fn small() -> impl Strategy<Value = State> {
    vec(vec(random::command(), 1..4), 0..30).prop_map(|entries| {
        let mut state = State::new();
        for mut commands in entries {
            commands.retain(|command| check(command, 128).is_ok());
            apply(&mut state, commands);
        }
        state
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn no_part_of_an_image_is_an_image(state in small()) {
        let bytes = bytes(&state);
        for length in 0..bytes.len() {
            prop_assert!(load(&[&bytes[..length]]).is_err(), "{length} of {} bytes", bytes.len());
        }
        prop_assert_eq!(load(&[&bytes]).map(|state| state.digest()), Ok(state.digest()));
    }

    #[test]
    fn a_changed_byte_is_noticed(
        state in small(),
        at in any::<prop::sample::Index>(),
        bit in 0..8,
    ) {
        let mut bytes = bytes(&state);
        let at = at.index(bytes.len());
        bytes[at] ^= 1u8 << bit;
        prop_assert!(load(&[&bytes]).is_err(), "byte {at}");
    }

    /// Damage that the checksums do not see: the machine answers, whatever it is.
    #[test]
    fn a_forged_block_is_answered(
        state in small(),
        at in any::<prop::sample::Index>(),
        to: u8,
    ) {
        let mut chunks: Vec<Vec<u8>> = state.image().chunks().map(|c| c.to_vec()).collect();
        let chunk = at.index(chunks.len());
        let block = &mut chunks[chunk];
        let byte = 9 + at.index(block.len() - 9);
        block[byte] = to;
        let sum = crc32c::crc32c_append(crc32c::crc32c(&block[..5]), &block[9..]);
        block[5..9].copy_from_slice(&sum.to_le_bytes());
        let portions: Vec<&[u8]> = chunks.iter().map(|chunk| &chunk[..]).collect();
        if let Ok(loaded) = load(&portions) {
            prop_assert_eq!(loaded.digest(), state.digest());
        }
    }
}
