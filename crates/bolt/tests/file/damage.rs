//! Damaged files: an error that names the page, or what can still be read. Never a panic, a walk without
//! end, or more memory than the file is long.

use std::fs::File;
use std::os::unix::fs::FileExt;

use bolt::{Error, Reader};
use proptest::prelude::*;

use crate::model::{Keys, Model, file_of, read, write};

/// Several levels of branches, overflow, an empty bucket.
fn sample() -> Model {
    let many: Keys = (0..600u32)
        .map(|n| ([&n.to_be_bytes()[..], &[n as u8; 60]].concat(), vec![n as u8; 20]))
        .collect();
    let large: Keys = (0..4u8).map(|n| (vec![n + 1; 9], vec![n; 5000])).collect();
    Model::from([
        (b"empty".to_vec(), Keys::new()),
        (b"large".to_vec(), large),
        (b"many".to_vec(), many),
    ])
}

const PAGE: usize = 1024;

fn damaged(bytes: &[u8], at: usize, byte: &[u8]) -> File {
    let file = file_of(bytes);
    file.write_all_at(byte, at as u64).expect("room");
    file
}

fn page_of(error: &Error) -> u64 {
    match error {
        Error::Damaged { page, .. } => *page,
        other => panic!("not the damage that was done: {other}"),
    }
}

/// The first page of a kind, and its header's offset.
fn first(bytes: &[u8], flags: u8, after: usize) -> usize {
    let page = (after..bytes.len() / PAGE).find(|page| {
        let header = &bytes[page * PAGE..];
        header[8] == flags && u64::from_le_bytes(header[..8].try_into().unwrap()) == *page as u64
    });
    page.expect("a page of that kind")
}

/// What is wrong with `sample` once `bytes` stand at `at` of page `page`.
fn refused(page: usize, at: usize, with: &[u8]) -> Error {
    let bytes = write(&sample(), PAGE);
    read(damaged(&bytes, page * PAGE + at, with)).expect_err("damage is noticed")
}

#[test]
fn the_newer_sound_meta_page_is_taken() {
    let bytes = write(&sample(), PAGE);
    assert_eq!(Reader::new(file_of(&bytes)).expect("sound").transaction(), 2);
    let first = damaged(&bytes, 16 + 20, &[0xff]);
    let reader = Reader::new(first.try_clone().expect("a handle")).expect("the other is sound");
    assert_eq!(reader.transaction(), 1);
    assert_eq!(reader.page_size(), PAGE);
    assert_eq!(reader.other_meta(), Some("its checksum does not match"));
    assert!(read(first).expect("sound") == sample());
    let second = damaged(&bytes, PAGE + 16, b"not bolt");
    let reader = Reader::new(second.try_clone().expect("a handle")).expect("the other is sound");
    assert_eq!(reader.transaction(), 2);
    assert_eq!(reader.other_meta(), Some("no magic number of bolt"));
    second.write_all_at(b"x", 40).expect("room");
    let error = Reader::new(second).expect_err("none is sound");
    assert!(matches!(error, Error::NotBolt(_)), "{error}");
}

#[test]
fn other_files_are_not_databases() {
    for bytes in [&b""[..], b"text", &[0; 10_000], &[0xff; 100_000]] {
        let error = Reader::new(file_of(bytes)).expect_err("not a database");
        assert!(matches!(error, Error::NotBolt(_)), "{error}");
    }
}

#[test]
fn a_file_that_was_cut_off_is_refused_at_once() {
    let bytes = write(&sample(), PAGE);
    for length in [3 * PAGE, bytes.len() - 1] {
        let error = Reader::new(file_of(&bytes[..length])).expect_err("cut off");
        assert!(matches!(error, Error::CutOff { .. }), "{error}");
    }
}

#[test]
fn each_kind_of_damage_names_its_page() {
    let bytes = write(&sample(), PAGE);
    let leaf = first(&bytes, 2, 4);
    let branch = first(&bytes, 1, 4);
    for (page, at, with, what) in [
        (leaf, 0, &[0xee][..], "it says it is page"),
        (leaf, 8, &[4], "neither leaf nor branch"),
        (leaf, 10, &[0xff, 0xff], "take"),
        (leaf, 12, &[0xff, 0xff, 0xff, 0xff], "more pages belong to it"),
        (leaf, 16, &[2], "unknown flags"),
        (leaf, 20, &[0], "not where the one before it ends"),
        (leaf, 24, &[0, 0], "empty key"),
        (branch, 10, &[0, 0], "without elements"),
        (branch, 16, &[0xff], "not where the one before it ends"),
        (branch, 24, &[0], "which is a meta page"),
        (branch, 24, &[0xff, 0xff], "behind the last"),
    ] {
        let error = refused(page, at, with);
        assert_eq!(page_of(&error), page as u64, "{error}");
        assert!(error.to_string().contains(what), "{error} does not say {what:?}");
    }
}

#[test]
fn a_circle_of_pages_ends() {
    let bytes = write(&sample(), PAGE);
    let branch = first(&bytes, 1, 4);
    // Each of a branch's elements in turn leads back to the branch.
    for nth in 0..5 {
        let id = (branch as u64).to_le_bytes();
        let error = refused(branch, 16 + nth * 16 + 8, &id);
        assert!(matches!(error, Error::Damaged { .. }), "{error}");
    }
    // A branch of one element that leads to itself.
    let mut bytes = bytes;
    let header = branch * PAGE;
    bytes[header + 10] = 1;
    let pos = 16u32.to_le_bytes();
    let key: Vec<u8> = {
        let element = header + 16;
        let at =
            element + u32::from_le_bytes(bytes[element..element + 4].try_into().unwrap()) as usize;
        bytes[at..at + 64].to_vec()
    };
    bytes[header + 16..header + 20].copy_from_slice(&pos);
    bytes[header + 24..header + 32].copy_from_slice(&(branch as u64).to_le_bytes());
    bytes[header + 32..header + 96].copy_from_slice(&key);
    let error = read(file_of(&bytes)).expect_err("a circle");
    assert_eq!(page_of(&error), branch as u64);
    assert!(error.to_string().contains("deep"), "{error}");
}

#[test]
fn keys_out_of_order_are_noticed() {
    let bytes = write(&sample(), PAGE);
    let leaf = first(&bytes, 2, first(&bytes, 2, 20) + 1);
    let element = leaf * PAGE + 16;
    let pos = u32::from_le_bytes(bytes[element + 4..element + 8].try_into().unwrap()) as usize;
    for (byte, what) in [(0u8, "less than page"), (0xff, "not greater")] {
        let error = read(damaged(&bytes, element + pos, &[byte; 4])).expect_err("out of order");
        assert_eq!(page_of(&error), leaf as u64, "{error}");
        assert!(error.to_string().contains(what), "{error}");
    }
}

/// How a model's keys and values are laid out, without their bytes.
fn outline(model: &Model) -> usize {
    model.values().map(|keys| keys.len()).sum()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    /// bbolt has no checksums on its pages: what was changed inside a key or a value is only seen by the
    /// sum that etcd puts behind a snapshot. Whatever was changed, the walk ends, and finds no more
    /// than there was.
    #[test]
    fn any_byte_may_be_wrong(at in 0usize..1 << 20, byte in any::<u8>()) {
        let bytes = write_once();
        let at = at % bytes.len();
        if let Ok(found) = read(damaged(bytes, at, &[byte])) {
            prop_assert!(outline(&found) <= outline(&sample()));
        }
    }

    #[test]
    fn any_bytes_of_headers_and_tables_may_be_wrong(
        changes in prop::collection::vec((0usize..1 << 20, 0usize..256, any::<u8>()), 1..6),
    ) {
        let mut bytes = write_once().to_vec();
        let pages = bytes.len() / PAGE;
        for (page, at, byte) in changes {
            bytes[page % pages * PAGE + at] = byte;
        }
        drop(read(file_of(&bytes)));
    }

    #[test]
    fn any_bytes_may_follow_a_sound_meta_page(
        rest in prop::collection::vec(any::<u8>(), 0..4096),
        from in 2 * PAGE..40 * PAGE,
    ) {
        let mut bytes = write_once().to_vec();
        let end = (from + rest.len()).min(bytes.len());
        bytes[from..end].copy_from_slice(&rest[..end - from]);
        drop(read(file_of(&bytes)));
    }
}

fn write_once() -> &'static [u8] {
    static BYTES: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
    BYTES.get_or_init(|| write(&sample(), PAGE))
}
