//! Users and rights in checkpoints and in the digest.

use state::{Command, Image, ImageError, ImageLoader, PermissionType, Put, State};

use crate::support::{Machine, put};

fn bytes(image: &Image) -> Vec<u8> {
    image.chunks().flatten().collect()
}

fn load(bytes: &[u8]) -> Result<State, ImageError> {
    let mut loader = ImageLoader::new();
    loader.push(bytes)?;
    loader.finish()
}

fn furnished() -> Machine {
    let mut machine = Machine::guarded();
    machine.own(Command::Put(Put { ..put("k") })).unwrap();
    for user in ["u", "v", "w"] {
        machine.user(user, &["r", "s"]);
    }
    machine.grant("r", PermissionType::Read, "a", "\0");
    machine.grant("r", PermissionType::Unknown(9), "b", "");
    machine.grant("s", PermissionType::ReadWrite, "0", "1");
    for seed in 0..100 {
        machine.issue(["u", "v"][usize::from(seed) % 2], seed);
    }
    machine
}

#[test]
fn all_of_it_comes_back() {
    let machine = furnished();
    let image = bytes(&machine.0.image());
    let loaded = load(&image).unwrap();
    assert_eq!(**loaded.auth(), **machine.0.auth());
    assert_eq!(loaded.digest(), machine.0.digest());
    assert_eq!(bytes(&loaded.image()), image);
    let loaded = Machine(loaded);
    assert!(loaded.may_read("u", "0", "1") && !loaded.may_read("u", "1", "2"));
}

#[test]
fn the_digest_sees_every_part_of_it() {
    let mut machine = furnished();
    let mut seen = vec![machine.0.digest().rest];
    let mut note = |machine: &Machine| {
        // The position changes as well: what the digest adds to it is what is compared.
        let mut plain = Machine::new();
        while plain.0.position() < machine.0.position() {
            plain.apply(Command::Txn(state::Txn::default()));
        }
        let rest = machine.0.digest().rest;
        assert_ne!(rest, plain.0.digest().rest);
        seen.push(rest);
    };
    machine.issue("u", 255);
    note(&machine);
    machine.grant("s", PermissionType::Read, "0", "1");
    note(&machine);
    machine.change(state::AuthChange::Disable);
    note(&machine);
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), 4);
}

#[test]
fn who_never_had_any_writes_the_bytes_of_before() {
    let mut machine = Machine::new();
    machine.apply(Command::Put(put("k")));
    let image = bytes(&machine.0.image());
    // Kind, length, checksum; then the magic and the format.
    assert_eq!(&image[9..18], b"MERIDIAN\x01");
    assert_eq!(image[0], 1);
    let blocks = kinds(&image);
    assert_eq!(blocks, [1, 3, 4], "header, records, trailer");
    let guarded = bytes(&furnished().0.image());
    assert_eq!(&guarded[9..18], b"MERIDIAN\x02");
    assert_eq!(kinds(&guarded), [1, 5, 3, 4]);
}

fn kinds(image: &[u8]) -> Vec<u8> {
    let (mut kinds, mut at) = (Vec::new(), 0);
    while at < image.len() {
        kinds.push(image[at]);
        let length = u32::from_le_bytes(image[at + 1..at + 5].try_into().unwrap());
        at += 9 + length as usize;
    }
    kinds
}

#[test]
fn a_block_that_is_missing_or_damaged_is_refused() {
    let machine = furnished();
    let chunks: Vec<_> = machine.0.image().chunks().collect();
    let without: Vec<u8> = [&chunks[0][..], &chunks[2], &chunks[3]].concat();
    assert!(matches!(load(&without), Err(ImageError::Digest { .. })));
    let late: Vec<u8> = [&chunks[0][..], &chunks[2], &chunks[1], &chunks[3]].concat();
    assert!(matches!(load(&late), Err(ImageError::Block(_))));
    let twice: Vec<u8> = [&chunks[0][..], &chunks[1], &chunks[1], &chunks[2], &chunks[3]].concat();
    assert!(matches!(load(&twice), Err(ImageError::Block(_))));
    let whole = chunks.concat();
    let auth = chunks[0].len()..chunks[0].len() + chunks[1].len();
    for at in auth {
        let mut damaged = whole.clone();
        damaged[at] ^= 1;
        assert!(load(&damaged).is_err(), "byte {at}");
    }
}
