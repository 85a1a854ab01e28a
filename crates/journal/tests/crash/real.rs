//! The operating system's disk: the lock, an etcd's directory, the end of the process.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use futures::executor::block_on;
use journal::{FileJournal, FileOptions, Journal, JournalError, Nonce, Slot};

use crate::disk::Recorder;

fn small() -> FileOptions {
    FileOptions { segment_bytes: 1 << 20, ..FileOptions::default() }
}

#[test]
fn a_second_opener_is_told_who_has_it() {
    let dir = tempfile::tempdir().expect("a directory");
    let (journal, opening) = FileJournal::open(dir.path(), small()).expect("open");
    assert!(opening.created);
    match FileJournal::open(dir.path(), small()) {
        Err(JournalError::Occupied(said)) => {
            assert!(said.contains(&std::process::id().to_string()), "{said}");
        }
        other => panic!("{other:?}"),
    }
    drop(journal);
    assert!(!FileJournal::open(dir.path(), small()).expect("free again").1.created);
}

#[test]
fn an_etcds_directory_is_left_alone() {
    for part in ["snap", "wal"] {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::create_dir_all(dir.path().join("member").join(part)).expect("member");
        match FileJournal::open(dir.path(), small()) {
            Err(JournalError::Occupied(said)) => assert!(said.contains("--data-dir"), "{said}"),
            other => panic!("{other:?}"),
        }
        let names: Vec<_> = std::fs::read_dir(dir.path()).expect("list").collect();
        assert_eq!(names.len(), 1, "something was left in it");
    }
}

#[test]
fn directories_are_made_on_the_way() {
    let dir = tempfile::tempdir().expect("a directory");
    let deep = dir.path().join("a/b/c");
    assert_eq!(FileJournal::open(&deep, small()).expect("open").1.tail, Slot(1));
    assert!(deep.join("LOCK").exists());
}

const CHILD: &str = "JOURNAL_TEST_FAULT_CHILD";

/// With the default options a failed sync ends the process. Runs itself as a child to see that.
#[test]
fn by_default_a_failed_sync_ends_the_process() {
    if std::env::var_os(CHILD).is_some() {
        let disk = Recorder::default();
        let opened = FileJournal::open_on(Arc::new(disk.clone()), Path::new("/j"), small());
        let (journal, _) = opened.expect("open");
        disk.faults.sync_fails.store(true, Ordering::SeqCst);
        drop(block_on(journal.append(Slot(1), Nonce(1), Bytes::new())));
        std::process::exit(0);
    }
    let own = std::env::current_exe().expect("own name");
    let test = "real::by_default_a_failed_sync_ends_the_process";
    let mut child = Command::new(own);
    child.args(["--exact", test, "--nocapture"]).env(CHILD, "1");
    let output = child.output().expect("run");
    assert!(!output.status.success(), "the process went on");
    let said = String::from_utf8_lossy(&output.stderr);
    let line = said.lines().find(|line| line.contains("injected")).unwrap_or_default();
    assert!(line.contains("the journal's disk failed") && line.contains(".journal"), "{said}");
}
