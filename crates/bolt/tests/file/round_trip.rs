//! Databases of many shapes, written and read.

use std::io::sink;

use bolt::{PAGE_SIZE, Planner, Reader, Writer};
use proptest::prelude::*;

use crate::model::{Keys, Model, file_of, read, write};

fn one(keys: Keys) -> Model {
    Model::from([(b"key".to_vec(), keys)])
}

fn numbered(count: u64, value: usize) -> Keys {
    (0..count).map(|n| (n.to_be_bytes().to_vec(), vec![n as u8; value])).collect()
}

fn survives(model: &Model, page_size: usize) {
    let read = read(file_of(&write(model, page_size))).expect("a sound database");
    assert!(read == *model, "what was read is not what was written");
}

#[test]
fn nothing_at_all_is_a_database() {
    survives(&Model::new(), PAGE_SIZE);
    assert_eq!(write(&Model::new(), PAGE_SIZE).len(), 4 * PAGE_SIZE);
}

#[test]
fn empty_buckets_are_buckets() {
    let names = ["alarm", "auth", "key"].map(|name| (name.as_bytes().to_vec(), Keys::new()));
    survives(&Model::from(names), PAGE_SIZE);
}

#[test]
fn values_of_every_size_survive() {
    for page_size in [1024, 4096, 65536] {
        for around in [0, 100, 1000, 2048, 4064, 4096, 8192, 65536, 3 << 19] {
            for size in [around, around + 1, around + 31] {
                survives(&one(numbered(9, size)), page_size);
            }
        }
    }
}

#[test]
fn long_keys_make_a_tree() {
    let key = |n: u32| [&n.to_be_bytes()[..], &vec![7; bolt::MAX_KEY - 4]].concat();
    survives(&one((0..100).map(|n| (key(n), vec![1])).collect()), PAGE_SIZE);
}

#[test]
fn the_last_key_is_before_all_that_are_greater() {
    for count in [0, 1, 2, 500, 100_000] {
        let file = file_of(&write(&one(numbered(count, 30)), PAGE_SIZE));
        let reader = Reader::new(file).expect("a database");
        let mut cursor = reader.bucket(b"key").expect("sound").expect("there").cursor();
        assert_eq!(cursor.before(), None, "it was not moved yet");
        cursor.seek(&[0xff; 9]).expect("sound");
        let last = cursor.before().map(|entry| entry.key.to_vec());
        assert_eq!(last, count.checked_sub(1).map(|last| last.to_be_bytes().to_vec()));
        assert_eq!(cursor.next().expect("sound"), None);
        assert_eq!(cursor.before(), None, "it is behind the page");
    }
}

#[test]
fn a_hundred_thousand_keys_are_found_again() {
    let model = one(numbered(100_000, 30));
    let reader = Reader::new(file_of(&write(&model, PAGE_SIZE))).expect("a database");
    let bucket = reader.bucket(b"key").expect("sound").expect("there");
    for n in (0..100_000u64).step_by(997) {
        let value = bucket.get(&n.to_be_bytes()).expect("sound");
        assert_eq!(value, Some(vec![n as u8; 30]));
        let mut cursor = bucket.cursor();
        let between = [&n.to_be_bytes()[..], &[0]].concat();
        cursor.seek(&between).expect("sound");
        let next = cursor.next().expect("sound").map(|entry| entry.key.to_vec());
        assert_eq!(next, (n + 1 < 100_000).then(|| (n + 1).to_be_bytes().to_vec()));
    }
    assert_eq!(bucket.get(b"").expect("sound"), None);
    assert_eq!(bucket.get(&[255; 9]).expect("sound"), None);
}

#[test]
fn little_is_wasted() {
    for size in [100, 500, 1500, 2100, 3000, 5000, 20_000] {
        let model = one(numbered(2000, size));
        let bytes = write(&model, PAGE_SIZE).len();
        let least = 2000 * (size + 24);
        assert!(bytes * 3 <= least * 4, "values of {size}: {bytes} bytes for {least}");
    }
}

#[test]
fn what_bbolt_would_not_take_is_refused() {
    let mut planner = Planner::new(PAGE_SIZE);
    planner.bucket(b"").expect_err("a bucket has a name");
    planner.bucket(b"b").expect("a name");
    planner.entry(0, 1).expect_err("a key is not empty");
    planner.entry(bolt::MAX_KEY + 1, 1).expect_err("a key is not longer");
    planner.entry(1, bolt::MAX_VALUE + 1).expect_err("a value is not longer");
}

#[test]
#[should_panic(expected = "that were planned")]
fn other_entries_than_planned_are_noticed() {
    let mut planner = Planner::new(PAGE_SIZE);
    planner.bucket(b"b").expect("a name");
    let plan = planner.finish().expect("a plan");
    let mut writer = Writer::new(plan, sink()).expect("the first pages");
    writer.bucket(b"b").expect("a name");
    for n in 0..1000u32 {
        writer.entry(&n.to_be_bytes(), &[b"value"]).expect("an entry");
    }
    drop(writer.finish());
}

fn keys() -> impl Strategy<Value = Keys> {
    let key = prop::collection::vec(any::<u8>(), 1..40);
    let size = prop_oneof![8 => 0usize..300, 2 => 300usize..5000, 1 => 5000usize..40_000];
    let value = (any::<u8>(), size).prop_map(|(byte, size)| vec![byte; size]);
    prop::collection::btree_map(key, value, 0..150)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_database_survives(
        model in prop::collection::btree_map(prop::collection::vec(any::<u8>(), 1..20), keys(), 0..5),
        page_size in prop::sample::select(vec![1024usize, 4096, 16384, 65536]),
    ) {
        let read = read(file_of(&write(&model, page_size))).expect("a sound database");
        prop_assert!(read == model);
    }
}
