//! What is no store, or one that cannot be taken, is refused with what to do.

use std::fs::{self, File};

use journal::{FileJournal, FileOptions};

use crate::support::Store;

const LOG: &str = "member/wal/0000000000000000-0000000000000000.wal";

#[test]
fn a_file_that_is_something_else() {
    let store = Store::of("snapshot.db");
    fs::write(&store.source, b"hello").expect("written");
    store.refused(&["--skip-hash-check"], &["not a bolt database", "etcdctl snapshot save"]);
    fs::write(&store.source, b"MRDNCKP1 and no more").expect("written");
    store.refused(&[], &["snapshot.db"]);
    fs::remove_file(&store.source).expect("gone");
    store.refused(&[], &["snapshot.db", "No such file"]);
    fs::create_dir(&store.source).expect("a folder");
    store.refused(&[], &["holds neither an etcd's data", "nor Meridian's"]);
}

#[test]
fn a_newer_schema() {
    let store = Store::of("snapshot.db");
    let mut bytes = fs::read(&store.source).expect("a snapshot");
    let name = b"storageVersion3.7.0";
    let mut found = 0;
    for at in 0..bytes.len() - name.len() {
        if bytes[at..].starts_with(name) {
            bytes[at + 16] = b'8';
            found += 1;
        }
    }
    assert!(found > 0);
    fs::write(&store.source, bytes).expect("written");
    let words = ["storage version 3.8.0", "up to 3.7 is understood", "etcdutl migrate"];
    store.refused(&["--skip-hash-check"], &words);
}

#[test]
fn a_store_in_use() {
    let store = Store::of("killed");
    let database = File::open(store.source.join("member/snap/db")).expect("the database");
    database.lock().expect("locked, as an etcd does");
    store.refused(&[], &["an etcd runs on it", "Stop it first"]);
    drop(database);
    store.restore(&[]).expect("restored");
    let (running, _) = FileJournal::open(&store.target(), FileOptions::default()).expect("open");
    let other = Store::of("snapshot.db");
    let why = other.restore_from(&store.target(), &[]).expect_err("in use");
    assert!(why.contains("in use by process"), "{why}");
    drop(running);
    other.restore_from(&store.target(), &[]).expect("restored");
}

#[test]
fn a_log_with_a_gap() {
    let store = Store::of("killed");
    let log = store.source.join(LOG);
    fs::copy(&log, log.with_file_name("0000000000000002-0000000000000050.wal")).expect("copied");
    store.refused(&[], &["gap before", "file number 0x1 is missing"]);
    let first = log.with_file_name("0000000000000001-0000000000000040.wal");
    fs::rename(&log, &first).expect("moved");
    store.refused(&[], &["begins with entry 64", "entry 29 is needed"]);
}

#[test]
fn a_log_of_another_etcd() {
    let store = Store::of("killed");
    let log = store.source.join(LOG);
    let name = "0000000000000001-0000000000000010.wal";
    fs::copy(&log, log.with_file_name(name)).expect("copied");
    // The needed one alone is whole; with the one before it, it does not follow.
    store.restore(&[]).expect("restored");
    let other = Store::of("killed");
    let log = other.source.join(LOG);
    fs::copy(&log, log.with_file_name("0000000000000001-0000000000000050.wal")).expect("copied");
    other.refused(&[], &["0000000000000001", "begins with checksum 00000000"]);
}
