//! Every crash at every operation: what was acknowledged is there, and nothing that was not
//! offered.

use bytes::Bytes;
use futures::executor::block_on;
use journal::{Append, FileJournal, Journal, Nonce, Opening};

use crate::disk::{Keeps, Recorder};
use crate::history::{History, open, open_files, read_all};

fn keeps(at: usize) -> [Keeps; 5] {
    let seed = at as u64 * 3;
    [
        Keeps::Nothing,
        Keeps::Everything,
        Keeps::Some(seed),
        Keeps::Some(seed + 1),
        Keeps::Some(seed + 2),
    ]
}

/// Opens a crash image, judges it, and checks that the log goes on from there.
fn survives(history: &History, at: usize, keeps: Keeps, what: &str) {
    let (disk, opened) = open_files(history.disk.crash(at, keeps));
    let (journal, opening) = opened.unwrap_or_else(|error| panic!("{what}: {error}"));
    let records = read_all(&journal, opening.first).expect("read");
    history.allows(at, &opening, &records, what);
    drop(journal);
    goes_on(&disk, &opening, what);
}

fn goes_on(disk: &Recorder, found: &Opening, what: &str) {
    let nonce = Nonce(7);
    for again in [false, true] {
        let (journal, opening) = open(disk).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(opening.cut, None, "{what}: one open cuts all there is to cut");
        if found.sealed.is_some() {
            assert_eq!((opening.tail, &opening.sealed), (found.tail, &found.sealed), "{what}");
            return;
        }
        let expected = if again { found.tail.next() } else { found.tail };
        assert_eq!(opening.tail, expected, "{what}");
        let append = block_on(journal.append(found.tail, nonce, Bytes::from_static(b"more")));
        assert!(matches!(append, Append::Won), "{what}: {append:?}");
    }
}

#[test]
fn every_crash_image_holds_what_was_acknowledged() {
    let mut cuts = 0;
    for seed in 0..2 {
        let history = History::run(seed);
        for at in 0..=history.disk.ops() {
            for keeps in keeps(at) {
                survives(&history, at, keeps, &format!("seed {seed}, operation {at}, {keeps:?}"));
                cuts += 1;
            }
        }
    }
    assert!(cuts > 1000, "only {cuts} images");
}

#[test]
fn a_crash_during_recovery_loses_nothing_either() {
    let history = History::run(11);
    let mut images = 0;
    for at in (0..=history.disk.ops()).step_by(3) {
        let disk = Recorder::with(history.disk.crash(at, Keeps::Some(at as u64)));
        drop(open(&disk).expect("open"));
        for second in 0..=disk.ops() {
            for keeps in [Keeps::Nothing, Keeps::Some(second as u64)] {
                let what = format!("operation {at}, then {second} of the recovery, {keeps:?}");
                let (_, opened) = open_files(disk.crash(second, keeps));
                let (journal, opening) = opened.unwrap_or_else(|error| panic!("{what}: {error}"));
                let records = read_all(&journal, opening.first).expect("read");
                history.allows(at, &opening, &records, &what);
                images += 1;
            }
        }
    }
    assert!(images > 100, "only {images} images");
}

/// A killed process leaves pages that read well and are not on the disk. What the next process
/// shows of them, and what it appends behind them, must be there after a power cut.
#[test]
fn what_an_opened_journal_shows_is_durable() {
    let history = History::run(5);
    for at in 0..=history.disk.ops() {
        let killed = history.disk.fork(at);
        let (journal, shown) = open(&killed).expect("open");
        let more = |journal: &FileJournal| {
            block_on(journal.append(shown.tail, Nonce(7), Bytes::from_static(b"more")))
        };
        let (before, appended) = (killed.ops(), more(&journal));
        let after = killed.ops();
        drop(journal);
        let won = matches!(appended, Append::Won);
        assert!(won || shown.sealed.is_some(), "operation {at}: {appended:?}");
        if won {
            let (_, opened) = open_files(killed.crash(after, Keeps::Nothing));
            let (journal, opening) = opened.expect("open after the power cut");
            assert_eq!(opening.tail, shown.tail.next(), "operation {at}");
            assert!(matches!(more(&journal), Append::Won), "operation {at}");
        }
        let (_, opened) = open_files(killed.crash(before, Keeps::Nothing));
        let (journal, opening) = opened.expect("open after the power cut");
        assert!(opening.tail >= shown.tail, "operation {at}: {shown:?}, then {opening:?}");
        assert_eq!(opening.sealed, shown.sealed, "operation {at}");
        let records = read_all(&journal, opening.first).expect("read");
        history.allows(at, &opening, &records, &format!("operation {at}"));
    }
}

/// The images must be able to catch a journal that acknowledges too early.
#[test]
fn a_lost_record_would_be_noticed() {
    let history = History::run(1);
    let last_ack = history.acked.iter().map(|(_, _, ops)| *ops).max().expect("acknowledged");
    let unsynced = (0..last_ack).rev().find(|at| {
        let (_, opened) = open_files(history.disk.crash(*at, Keeps::Nothing));
        let (journal, opening) = opened.expect("open");
        let records = read_all(&journal, opening.first).expect("read");
        let judged = || history.allows(last_ack, &opening, &records, "planted");
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(judged)).is_err()
    });
    assert!(unsynced.is_some(), "the judge is blind");
}

/// A batch is written in whole blocks, and what was acknowledged in the first of them is written
/// again as it stands.
#[test]
fn blocks_are_whole_and_keep_what_they_held() {
    for seed in 0..3 {
        let history = History::run(seed);
        let (blocks, again) = history.disk.writes_to_segments();
        assert!(blocks > 25 && again > 15, "{blocks} writes, {again} of them into a begun block");
    }
}
