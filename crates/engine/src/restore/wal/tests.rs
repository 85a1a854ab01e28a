//! Logs written as etcd writes them, whole and broken.

use std::fs;
use std::path::PathBuf;

use tempfile::TempDir;

use super::*;

/// A log in a folder of its own.
struct Written {
    folder: TempDir,
    file: Vec<u8>,
    name: String,
    checksum: u32,
}

fn number(out: &mut Vec<u8>, field: u8, mut value: u64) {
    out.push(field << 3);
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn entry(index: u64, term: u64, data: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    number(&mut out, 2, term);
    number(&mut out, 3, index);
    out.push(4 << 3 | 2);
    out.push(u8::try_from(data.len()).expect("short"));
    out.extend_from_slice(data);
    out
}

impl Written {
    /// A log of member 7 in cluster 9.
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let name = "0000000000000000-0000000000000000.wal".to_owned();
        let mut log = Self { folder, file: Vec::new(), name, checksum: 0 };
        log.record(record::CHECKSUM, &[]);
        let mut owner = Vec::new();
        number(&mut owner, 1, 7);
        number(&mut owner, 2, 9);
        log.record(record::METADATA, &owner);
        log
    }

    fn record(&mut self, kind: u64, data: &[u8]) {
        self.checksum = crc32c::crc32c_append(self.checksum, data);
        let mut framed = Vec::new();
        number(&mut framed, 1, kind);
        number(&mut framed, 2, u64::from(self.checksum));
        framed.push(3 << 3 | 2);
        framed.extend_from_slice(&length(data.len()));
        framed.extend_from_slice(data);
        let padding = (8 - framed.len() % 8) % 8;
        let head =
            framed.len() as u64 | if padding > 0 { (0x80 | padding as u64) << 56 } else { 0 };
        self.file.extend_from_slice(&head.to_le_bytes());
        self.file.extend_from_slice(&framed);
        self.file.extend_from_slice(&vec![0; padding]);
    }

    fn entry(&mut self, index: u64, term: u64, data: &[u8]) {
        self.record(record::ENTRY, &entry(index, term, data));
    }

    fn committed(&mut self, index: u64) {
        let mut state = Vec::new();
        number(&mut state, 1, 1);
        number(&mut state, 3, index);
        self.record(record::STATE, &state);
    }

    fn save(&self) -> PathBuf {
        let path = self.folder.path().join(&self.name);
        fs::write(&path, &self.file).expect("written");
        path
    }

    /// Ends the file, and goes on in another.
    fn cut(&mut self, number: u64, first: u64) {
        self.save();
        self.name = format!("{number:016x}-{first:016x}.wal");
        self.file.clear();
        self.record(record::CHECKSUM, &[]);
    }

    fn open(&self, after: u64) -> Result<Wal, Unusable> {
        self.save();
        Wal::open(self.folder.path(), after, &mut |_, _| {})
    }

    fn refused(&self, after: u64, words: &[&str]) {
        let Unusable(why) = self.open(after).expect_err("refused");
        for word in words {
            assert!(why.contains(word), "no {word:?} in {why:?}");
        }
    }
}

/// As a varint.
fn length(mut value: usize) -> Vec<u8> {
    let mut out = Vec::new();
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
    out
}

/// What the entries up to `upto` hold.
fn read(wal: &Wal, upto: u64) -> Vec<(u64, u64, Vec<u8>)> {
    let mut all = Vec::new();
    wal.replay(upto, |entry| {
        let Proposal::Request(data) = entry.proposal else { panic!("a request") };
        all.push((entry.index, entry.term, data.to_vec()));
        Ok(())
    })
    .expect("readable");
    all
}

fn three() -> Written {
    let mut log = Written::new();
    for index in 1..=3 {
        log.entry(index, 1, format!("entry {index}").as_bytes());
    }
    log.committed(2);
    log
}

#[test]
fn what_stands_behind_an_entry_is_read() {
    let wal = three().open(1).expect("a log");
    assert_eq!((wal.after(), wal.last(), wal.committed()), (1, 3, 2));
    assert_eq!(wal.owner(), Owner { member: 7, cluster: 9 });
    assert_eq!(wal.torn(), None);
    let expected = [(2, 1, b"entry 2".to_vec()), (3, 1, b"entry 3".to_vec())];
    assert_eq!(read(&wal, 3), expected);
    assert_eq!(read(&wal, 2), expected[..1]);
    assert_eq!(read(&wal, 0), []);
}

#[test]
fn a_later_leader_replaces_what_was_not_committed() {
    let mut log = three();
    log.entry(2, 2, b"other");
    let wal = log.open(0).expect("a log");
    assert_eq!(read(&wal, 9), [(1, 1, b"entry 1".to_vec()), (2, 2, b"other".to_vec())]);
}

#[test]
fn a_log_goes_on_from_file_to_file() {
    let mut log = three();
    log.file.extend_from_slice(&[0; 512]);
    log.cut(1, 4);
    log.entry(4, 1, b"entry 4");
    assert_eq!(log.open(0).expect("a log").last(), 4);
    let behind = log.open(3).expect("the second file alone");
    assert_eq!(read(&behind, 4), [(4, 1, b"entry 4".to_vec())]);
}

#[test]
fn files_that_are_missing_are_named() {
    let mut log = three();
    log.cut(1, 4);
    log.entry(4, 1, b"entry 4");
    log.cut(2, 5);
    log.entry(5, 1, b"entry 5");
    log.save();
    fs::remove_file(log.folder.path().join("0000000000000001-0000000000000004.wal")).expect("gone");
    log.refused(0, &["gap before", "0000000000000002-0000000000000005.wal", "0x1 is missing"]);
    fs::remove_file(log.folder.path().join("0000000000000000-0000000000000000.wal")).expect("gone");
    log.refused(0, &["begins with entry 5", "entry 1 is needed"]);
    let empty = tempfile::tempdir().expect("a folder");
    let Unusable(why) = Wal::open(empty.path(), 0, &mut |_, _| {}).expect_err("no log");
    assert!(why.contains("--wal-dir"), "{why}");
}

#[test]
fn entries_that_are_missing_are_named() {
    let mut log = three();
    let offset = log.file.len();
    log.entry(5, 1, b"entry 5");
    log.refused(0, &[&format!("at byte {offset}"), "entry 5 follows entry 3"]);
}

#[test]
fn damage_is_named_wherever_it_is() {
    let whole = three();
    let last = {
        let mut log = Written::new();
        (1..=3).for_each(|index| log.entry(index, 1, format!("entry {index}").as_bytes()));
        log.file.len()
    };
    for at in 0..whole.file.len() {
        let mut log = three();
        log.file[at] ^= 0x10;
        match log.open(0) {
            Err(Unusable(why)) => assert!(why.contains("at byte"), "byte {at}: {why}"),
            // In a length, it may look as if the record was still being written; in padding and in
            // what nobody reads it does no harm.
            Ok(wal) => {
                let padding = read(&wal, 9).len() == 3 && wal.torn().is_none();
                assert!(wal.torn().is_some() || padding, "byte {at} of {last}");
            }
        }
    }
}

#[test]
fn a_torn_end_is_left_out_and_said() {
    let whole = three();
    for cut in 0..whole.file.len() {
        let mut log = three();
        log.file.truncate(cut);
        let wal = log.open(0).expect("as etcd, which cuts it off");
        let entries = read(&wal, 9);
        assert!(entries.len() <= 3);
        let (file, offset) = match wal.torn() {
            Some(torn) => torn,
            None => continue,
        };
        assert!(file.ends_with(&log.name) && offset < cut as u64);
    }
}

#[test]
fn a_torn_record_before_the_last_file_is_damage() {
    let mut log = three();
    let end = log.file.len();
    log.file.truncate(end - 3);
    log.cut(1, 4);
    log.refused(0, &["is damaged at byte", "longer than what is left"]);
}

#[test]
fn sectors_that_were_not_written_are_no_damage_at_the_end_but_before_it() {
    let mut log = three();
    let begin = log.file.len();
    log.entry(4, 1, &[b'x'; 100]);
    log.record(record::ENTRY, &[&entry(5, 1, b""), &[b'y'; 2000][..]].concat());
    log.file[1024..1536].fill(0);
    let wal = log.open(0).expect("torn");
    assert_eq!(wal.last(), 4);
    assert!(wal.torn().is_some_and(|(_, offset)| offset > begin as u64));
    log.cut(1, 6);
    log.refused(0, &["is damaged at byte"]);
}

#[test]
fn files_of_two_logs_are_told_apart() {
    let mut log = three();
    log.save();
    log.name = "0000000000000001-0000000000000004.wal".to_owned();
    log.checksum = 0x1234;
    log.file.clear();
    log.record(record::CHECKSUM, &[]);
    log.refused(0, &["0000000000000001", "begins with checksum", "00001234"]);
}
