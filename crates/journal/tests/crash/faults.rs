//! A disk that is full, and one that fails.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures::executor::block_on;
use futures::future::join_all;
use journal::{Append, FileJournal, FileOptions, Journal, JournalError, Nonce, Slot, Successor};

use crate::disk::{Keeps, Recorder};
use crate::history::{DIR, SEGMENT, open, options, read_all};

fn append(journal: &FileJournal, slot: u64, size: usize) -> Append {
    block_on(journal.append(Slot(slot), Nonce(slot.into()), Bytes::from(vec![1; size])))
}

/// Appends 1000-byte records from `slot` on until one is refused; says at which.
fn fill(journal: &FileJournal, mut slot: u64) -> u64 {
    loop {
        match append(journal, slot, 1000) {
            Append::Won => slot += 1,
            Append::Refused(JournalError::Full(_)) => return slot,
            outcome => panic!("slot {slot}: {outcome:?}"),
        }
    }
}

#[test]
fn a_full_disk_refuses_and_goes_on_when_there_is_room() {
    let disk = Recorder::default();
    let (journal, _) = open(&disk).expect("open");
    disk.faults.capacity.store(3 * SEGMENT + 100, Ordering::SeqCst);
    let slot = fill(&journal, 1);
    assert!(slot > 5, "filled at {slot}");
    assert_eq!(fill(&journal, slot), slot, "still full");
    assert_eq!(block_on(journal.tail()), Ok(Slot(slot)));
    assert_eq!(read_all(&journal, Slot(1)).expect("reads go on").len() as u64, slot - 1);
    let names: Vec<_> = disk.files().into_keys().collect();
    assert_eq!(names.len(), 3, "nothing half-made is left: {names:?}");

    // What fits the last segment still goes in; then room comes back.
    assert!(matches!(append(&journal, slot, 10), Append::Won), "a small one fits");
    let slot = fill(&journal, slot + 1);
    disk.faults.capacity.store(5 * SEGMENT, Ordering::SeqCst);
    let next = fill(&journal, slot);
    assert!(next > slot + 3, "went on from {slot} to {next}");
    drop(journal);
    let (journal, opening) = open(&disk).expect("open");
    assert_eq!((opening.tail, opening.cut), (Slot(next), None));
    assert_eq!(read_all(&journal, Slot(1)).expect("read").len() as u64, next - 1);
}

#[test]
fn a_full_disk_makes_room_by_trimming() {
    let disk = Recorder::default();
    let (journal, _) = open(&disk).expect("open");
    disk.faults.capacity.store(3 * SEGMENT, Ordering::SeqCst);
    let slot = fill(&journal, 1);
    block_on(journal.trim(Slot(slot))).expect("trim");
    assert!(fill(&journal, slot) > slot + 3, "no room was won");
}

#[test]
fn nobody_waits_behind_a_refused_slot() {
    let disk = Recorder::default();
    let (journal, _) = open(&disk).expect("open");
    disk.faults.capacity.store(SEGMENT, Ordering::SeqCst);
    assert!(matches!(append(&journal, 1, 10), Append::Won));
    let offers = [4, 3, 2, 5]
        .map(|slot| journal.append(Slot(slot), Nonce(99), Bytes::from(vec![2; SEGMENT as usize])));
    for outcome in block_on(join_all(offers)) {
        assert!(matches!(outcome, Append::Refused(JournalError::Full(_))), "{outcome:?}");
    }
    disk.faults.capacity.store(u64::MAX, Ordering::SeqCst);
    for slot in 2..6 {
        assert!(matches!(append(&journal, slot, 1000), Append::Won));
    }
}

#[test]
fn a_new_log_without_room_is_refused_and_begins_later() {
    let disk = Recorder::default();
    disk.faults.capacity.store(SEGMENT - 1, Ordering::SeqCst);
    assert!(matches!(open(&disk), Err(JournalError::Full(_))));
    assert!(disk.files().is_empty(), "nothing is left behind");
    disk.faults.capacity.store(u64::MAX, Ordering::SeqCst);
    assert!(open(&disk).expect("open").1.created);
}

fn failing() -> (Recorder, FileJournal, Arc<Mutex<Vec<String>>>) {
    let disk = Recorder::default();
    let said = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&said);
    let on_fault = Arc::new(move |what: &str| heard.lock().unwrap().push(what.into()));
    // Large enough that no spare is prepared meanwhile.
    let options = FileOptions { on_fault, segment_bytes: 8 * SEGMENT, ..options() };
    let opened = FileJournal::open_on(Arc::new(disk.clone()), Path::new(DIR), options);
    let (journal, _) = opened.expect("open");
    for slot in 1..=5 {
        assert!(matches!(append(&journal, slot, 100), Append::Won));
    }
    (disk, journal, said)
}

/// After the fault nothing is promised and nothing is written; a restart finds a whole log.
fn stays_down(disk: &Recorder, journal: FileJournal, said: &Mutex<Vec<String>>) {
    let ops = disk.ops();
    disk.faults.sync_fails.store(false, Ordering::SeqCst);
    disk.faults.write_fails.store(false, Ordering::SeqCst);
    for slot in [3, 6, 7, 9] {
        let outcome = append(&journal, slot, 100);
        assert!(matches!(outcome, Append::Unknown(_)), "slot {slot}: {outcome:?}");
    }
    assert!(block_on(journal.tail()).is_err(), "the tail is not known any more");
    assert!(block_on(journal.seal(Successor("x".into()))).is_err());
    assert_eq!(block_on(journal.read(Slot(1), 10_000)).map(|found| found.len()), Ok(5));
    drop(journal);
    assert_eq!(disk.ops(), ops, "something was written after the fault");
    let said = said.lock().unwrap();
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].contains(".journal") && said[0].contains("injected"), "{said:?}");
    for keeps in [Keeps::Nothing, Keeps::Everything, Keeps::Some(1)] {
        let image = Recorder::with(disk.crash(ops, keeps));
        let (_, opening) = open(&image).expect("open");
        assert!(opening.tail >= Slot(6), "{keeps:?}: {opening:?}");
    }
}

#[test]
fn a_failed_sync_is_the_end_and_is_not_tried_again() {
    let (disk, journal, said) = failing();
    disk.faults.sync_fails.store(true, Ordering::SeqCst);
    assert!(matches!(append(&journal, 6, 100), Append::Unknown(_)));
    assert_eq!(disk.faults.syncs_failed.load(Ordering::SeqCst), 1);
    stays_down(&disk, journal, &said);
}

/// After a failed sync the pages read well, count as clean, and are not on the disk: whoever opens
/// the log next must write them again before showing them.
#[test]
fn what_a_failed_sync_left_in_memory_is_written_again() {
    let (disk, journal, _) = failing();
    disk.faults.sync_fails.store(true, Ordering::SeqCst);
    assert!(matches!(append(&journal, 6, 100), Append::Unknown(_)));
    drop(journal);
    disk.faults.sync_fails.store(false, Ordering::SeqCst);
    let (_journal, opening) = open(&disk).expect("open");
    assert_eq!(opening.tail, Slot(7), "it reads well");
    let (_, opening) = open(&Recorder::with(disk.crash(disk.ops(), Keeps::Nothing))).expect("open");
    assert_eq!(opening.tail, Slot(7), "and was shown without being durable");
}

#[test]
fn a_failed_write_is_the_end() {
    let (disk, journal, said) = failing();
    disk.faults.write_fails.store(true, Ordering::SeqCst);
    assert!(matches!(append(&journal, 6, 100), Append::Unknown(_)));
    stays_down(&disk, journal, &said);
}

#[test]
fn those_who_wait_learn_of_the_end() {
    let (disk, journal, said) = failing();
    let waiting = journal.append(Slot(8), Nonce(8), Bytes::new());
    disk.faults.sync_fails.store(true, Ordering::SeqCst);
    assert!(matches!(append(&journal, 6, 100), Append::Unknown(_)));
    assert!(matches!(block_on(waiting), Append::Unknown(_)));
    stays_down(&disk, journal, &said);
}

#[test]
fn an_idle_journal_marks_what_is_durable() {
    let disk = Recorder::default();
    let options = FileOptions { mark_after: std::time::Duration::from_millis(5), ..options() };
    let opened = FileJournal::open_on(Arc::new(disk.clone()), Path::new(DIR), options);
    let (journal, _) = opened.expect("open");
    assert!(matches!(append(&journal, 1, 100), Append::Won));
    let ops = disk.ops();
    let marked = AtomicUsize::new(0);
    for _ in 0..500 {
        std::thread::sleep(std::time::Duration::from_millis(5));
        marked.store(disk.ops() - ops, Ordering::SeqCst);
        if marked.load(Ordering::SeqCst) >= 2 {
            break;
        }
    }
    std::thread::sleep(std::time::Duration::from_millis(30));
    assert_eq!(disk.ops() - ops, 2, "one write and one sync, once");
    disk.corrupt(&Path::new(DIR).join("00000000000000000001.journal"), 4096 + 60, 1);
    let mut files = disk.crash(disk.ops(), Keeps::Everything);
    let first = files.values_mut().next().expect("file");
    first[4096 + 60] ^= 1;
    assert!(matches!(open(&Recorder::with(files)), Err(JournalError::Damaged(_))));
}
