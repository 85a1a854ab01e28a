//! Torn ends and flipped bits: cut only what may be cut, refuse the rest, never serve a wrong byte.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use futures::executor::block_on;
use journal::{Append, FileJournal, Journal, JournalError, Nonce, Opening, Record, Slot};

use crate::disk::{Random, Recorder};
use crate::history::{DIR, History, SEGMENT, open, open_files, read_all};

type Files = BTreeMap<PathBuf, Vec<u8>>;

/// A log of several segments, as it stands while it is open, and as it stands after closing.
fn logs(seed: u64) -> (Files, Files, Vec<Record>) {
    let mut history = History::new(seed);
    let (journal, _) = open(&history.disk).expect("open");
    for _ in 0..8 {
        history.burst(&journal, 6, 900);
    }
    history.burst(&journal, 1, 50);
    history.burst(&journal, 4, 50);
    let records = read_all(&journal, Slot(1)).expect("read");
    let segments = || {
        let mut files = history.disk.files();
        files.retain(|name, _| name.extension().is_some_and(|is| is == "journal"));
        files
    };
    let running = segments();
    drop(journal);
    let closed = segments();
    assert!(closed.len() > 2, "one segment proves little");
    assert!(running != closed, "closing leaves a mark");
    (running, closed, records)
}

fn last(files: &Files) -> PathBuf {
    files.keys().next_back().expect("a file").clone()
}

fn end_of(contents: &[u8]) -> usize {
    contents.iter().rposition(|byte| *byte != 0).expect("bytes") + 1
}

fn opened(files: Files, what: &str) -> (FileJournal, Opening, Vec<Record>) {
    let (_, opened) = open_files(files);
    let (journal, opening) = opened.unwrap_or_else(|error| panic!("{what}: {error}"));
    let records = read_all(&journal, opening.first).unwrap_or_else(|e| panic!("{what}: {e}"));
    (journal, opening, records)
}

/// Where the frames of a file end, beside its header.
fn frame_ends(contents: &[u8]) -> Vec<usize> {
    let mut ends = vec![4096];
    loop {
        let at = ends[ends.len() - 1];
        if at + 48 > contents.len() || contents[at + 40] == 0 {
            return ends;
        }
        let length = u32::from_le_bytes(contents[at + 4..at + 8].try_into().expect("4")) as usize;
        ends.push(at + (48 + length).next_multiple_of(8));
    }
}

#[test]
fn every_torn_byte_of_the_last_frames_is_cut_and_reported() {
    let (running, _, records) = logs(21);
    let name = last(&running);
    let contents = &running[&name];
    let ends = frame_ends(contents);
    assert!(ends.len() > 5, "too few frames in the last file");
    let mut random = Random(4);
    for offset in ends[ends.len() - 6]..end_of(contents) {
        let zeros = vec![0; contents.len() - offset];
        let noise: Vec<u8> =
            (offset..end_of(contents)).map(|_| random.below(255) as u8 + 1).collect();
        for (how, tear) in [("zeros", zeros), ("noise", noise)] {
            let what = format!("{how} from byte {offset}");
            let mut files = running.clone();
            let torn = files.get_mut(&name).expect("the last file");
            torn[offset..offset + tear.len()].copy_from_slice(&tear);
            let same =
                |at: &usize| torn[ends[*at]..ends[at + 1]] == contents[ends[*at]..ends[at + 1]];
            let whole = (0..ends.len() - 1).take_while(same).count();
            let kept = records.len() - (ends.len() - 1 - whole);
            let (kept_to, left) = (ends[whole], end_of(torn));
            let (_, opening, found) = opened(files, &what);
            assert!(found == records[..kept], "{what}: {} of {kept}", found.len());
            match opening.cut {
                None => assert!(left <= kept_to, "{what}: cut and not reported"),
                Some(cut) => {
                    assert_eq!(cut.file, name, "{what}");
                    assert_eq!(cut.offset as usize, kept_to, "{what}");
                    assert_eq!((cut.offset + cut.bytes) as usize, left, "{what}");
                }
            }
        }
    }
}

#[test]
fn a_file_cut_short_is_refused() {
    let (_, closed, _) = logs(22);
    for (name, contents) in &closed {
        for length in [0, 1, 4095, 4096, end_of(contents), contents.len() - 1] {
            let mut files = closed.clone();
            files.get_mut(name).expect("file").truncate(length);
            refused(files, name, &format!("{} bytes long", length));
        }
    }
}

#[test]
fn a_file_of_a_newer_version_is_refused_and_not_called_damaged() {
    let (_, closed, _) = logs(26);
    for (name, contents) in &closed {
        let mut newer = contents.clone();
        newer[8..16].copy_from_slice(&[2, 0, 0, 0, 0, 0, 0, 0]);
        let sum = crc32c::crc32c(&newer[..4096]);
        newer[12..16].copy_from_slice(&sum.to_le_bytes());
        let mut files = closed.clone();
        files.insert(name.clone(), newer);
        let (disk, opened) = open_files(files.clone());
        let error = opened.map(|_| ()).expect_err("it is newer").to_string();
        let file = name.file_name().expect("name").to_str().expect("text");
        assert!(error.contains(file) && error.contains("newer version"), "{error}");
        assert!(error.contains("its format is 2, ours 1") && !error.contains("damaged"), "{error}");
        assert!(disk.files() == files, "a refused log was changed");
    }
}

fn refused(files: Files, name: &Path, what: &str) {
    match open_files(files.clone()) {
        (disk, Err(JournalError::Damaged(said))) => {
            let name = name.file_name().expect("name").to_str().expect("text");
            assert!(said.contains(name), "{what}: {said}");
            assert!(said.contains("at byte"), "{what}: {said}");
            assert!(disk.files() == files, "{what}: a refused log was changed");
        }
        (_, other) => panic!("{what}: {other:?}"),
    }
}

/// After a clean close every record is declared durable: no flip is taken for a torn tail.
#[test]
fn no_flipped_bit_goes_unnoticed() {
    let (_, closed, records) = logs(23);
    let newest = last(&closed);
    let mut random = Random(9);
    let mut seen = 0;
    for (name, contents) in &closed {
        let ends = frame_ends(contents);
        let frames = ends[ends.len() - 1];
        let mark = if *name == newest { frames - 48 } else { frames };
        let header = (0..64).chain((64..4096).step_by(61));
        for offset in header.chain((4096..(frames + 64).min(contents.len())).step_by(2)) {
            let mut files = closed.clone();
            files.get_mut(name).expect("file")[offset] ^= 1 << random.below(8);
            let what = format!("{} flipped at byte {offset}", name.display());
            if offset < mark {
                refused(files, name, &what);
                seen += 1;
            } else {
                let (_, opened) = open_files(files);
                let damaged = matches!(&opened, Err(JournalError::Damaged(_)));
                assert!(*name == newest || damaged || opened.is_ok(), "{what}");
                if let Ok((journal, opening)) = opened {
                    let found = read_all(&journal, opening.first).expect("read");
                    assert!(found == records, "{what}: the records are whole");
                } else {
                    assert!(damaged, "{what}");
                }
            }
        }
    }
    assert!(seen > 1500, "only {seen} flips");
}

/// While it runs, what later batches declare durable is just as safe.
#[test]
fn a_flip_before_the_last_batch_is_refused() {
    let (running, _, _) = logs(24);
    let name = last(&running);
    let ends = frame_ends(&running[&name]);
    // The last burst is two batches at the most, of four records together.
    for offset in 4096..ends[ends.len() - 5] {
        let mut files = running.clone();
        files.get_mut(&name).expect("file")[offset] ^= 0x40;
        refused(files, &name, &format!("flipped at byte {offset}"));
    }
}

#[test]
fn a_missing_file_is_refused_except_at_the_front() {
    let (_, closed, records) = logs(25);
    let names: Vec<_> = closed.keys().cloned().collect();
    assert!(names.len() > 3, "{names:?}");
    for (at, name) in names.iter().enumerate().take(names.len() - 1) {
        let mut files = closed.clone();
        files.remove(name);
        if at == 0 {
            let (_, opening, found) = opened(files, "without the first");
            assert!(found[..] == records[opening.first.0 as usize - 1..], "a trimmed log");
        } else {
            refused(files, &names[at - 1], &format!("without {}", name.display()));
        }
    }
}

#[test]
fn a_file_of_another_log_or_place_is_refused() {
    let (_, closed, _) = logs(26);
    let (_, other, _) = logs(27);
    let names: Vec<_> = closed.keys().cloned().collect();
    let mut mixed = closed.clone();
    mixed.insert(names[0].clone(), other[&names[0]].clone());
    assert!(matches!(open_files(mixed).1, Err(JournalError::Damaged(_))), "another log's file");
    let mut moved = closed.clone();
    let contents = moved.remove(&names[1]).expect("file");
    let wrong = Path::new(DIR).join("00000000000000000002.journal");
    moved.insert(wrong, contents);
    assert!(matches!(open_files(moved).1, Err(JournalError::Damaged(_))), "a renamed file");
    // The greatest number would leave none for the slot after it.
    for name in ["oops.journal", "18446744073709551615.journal"] {
        let mut strange = closed.clone();
        let wrong = Path::new(DIR).join(name);
        strange.insert(wrong.clone(), closed[&names[0]].clone());
        refused(strange, &wrong, "a file with a strange name");
    }
}

/// A value may hold anything, a piece of another journal too: it proves nothing about this one.
#[test]
fn another_logs_frames_in_a_body_prove_nothing() {
    let foreign = {
        let mut history = History::new(30);
        let (journal, _) = open(&history.disk).expect("open");
        (0..6).for_each(|_| history.burst(&journal, 1, 50));
        history.disk.files().remove(&Path::new(DIR).join("00000000000000000001.journal"))
    };
    let foreign = foreign.expect("file");
    let ends = frame_ends(&foreign);
    // Slot 4 of the other log, which declares its slot 3 durable.
    let body = Bytes::copy_from_slice(&foreign[ends[3]..ends[4]]);
    let disk = Recorder::default();
    let (journal, _) = open(&disk).expect("open");
    for slot in 1..=3 {
        let append = block_on(journal.append(Slot(slot), Nonce(slot.into()), body.clone()));
        assert!(matches!(append, Append::Won));
    }
    let mut files = disk.files();
    let first = files.get_mut(&Path::new(DIR).join("00000000000000000001.journal"));
    let first = first.expect("file");
    let torn = frame_ends(first)[2];
    first[torn..torn + 48].fill(0);
    let (_, opening, _) = opened(files, "torn");
    assert_eq!(opening.tail, Slot(3));
    assert_eq!(opening.cut.map(|cut| cut.offset), Some(torn as u64));
}

#[test]
fn a_flip_under_a_running_journal_is_never_served() {
    let mut history = History::new(28);
    let (journal, _) = open(&history.disk).expect("open");
    for _ in 0..5 {
        history.burst(&journal, 6, 900);
    }
    let records = read_all(&journal, Slot(1)).expect("read");
    let first = Path::new(DIR).join("00000000000000000001.journal");
    for offset in (4096..SEGMENT as usize).step_by(3) {
        history.disk.corrupt(&first, offset, 0x10);
        let mut damaged = 0;
        for slot in 1..=records.len() {
            match block_on(journal.read(Slot(slot as u64), 0)) {
                Ok(found) => assert!(found[..] == records[slot - 1..slot], "a wrong record"),
                Err(JournalError::Damaged(_)) => damaged += 1,
                Err(error) => panic!("{error}"),
            }
        }
        let ends = frame_ends(&history.disk.files()[&first]);
        assert!(damaged > 0 || offset >= ends[ends.len() - 1], "byte {offset} unnoticed");
        history.disk.corrupt(&first, offset, 0x10);
    }
}
