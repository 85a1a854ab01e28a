//! A run of the journal on a recording disk, and what must be true after any crash of it.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::executor::block_on;
use futures::future::join_all;
use journal::{
    Append, FileJournal, FileOptions, Journal, JournalError, Nonce, Opening, Record, Slot,
    Successor,
};

use crate::disk::{Random, Recorder};

pub(crate) const DIR: &str = "/journal";
pub(crate) const SEGMENT: u64 = 12288;

pub(crate) fn options() -> FileOptions {
    FileOptions {
        segment_bytes: SEGMENT,
        mark_after: Duration::from_secs(3600),
        retry_full: Duration::ZERO,
        on_fault: Arc::new(|what| panic!("the disk failed: {what}")),
        ..FileOptions::default()
    }
}

pub(crate) fn open(disk: &Recorder) -> Result<(FileJournal, Opening), JournalError> {
    FileJournal::open_on(Arc::new(disk.clone()), Path::new(DIR), options())
}

pub(crate) fn open_files(
    files: BTreeMap<PathBuf, Vec<u8>>,
) -> (Recorder, Result<(FileJournal, Opening), JournalError>) {
    let disk = Recorder::with(files);
    let opened = open(&disk);
    (disk, opened)
}

pub(crate) fn read_all(journal: &FileJournal, first: Slot) -> Result<Vec<Record>, JournalError> {
    let tail = block_on(journal.tail())?;
    let mut records = Vec::new();
    let mut next = first;
    while next < tail {
        let found = block_on(journal.read(next, 2000))?;
        assert!(!found.is_empty(), "slot {next} lies before the tail {tail}");
        for record in &found {
            assert_eq!(record.slot, next, "a gap");
            next = next.next();
        }
        records.extend(found);
    }
    Ok(records)
}

/// What was offered, and when what was acknowledged.
pub(crate) struct History {
    pub(crate) disk: Recorder,
    offered: HashMap<(Slot, Nonce), Bytes>,
    /// Slot, nonce, and the number of operations when it was Won at the latest.
    pub(crate) acked: Vec<(Slot, Nonce, usize)>,
    /// Trims: what was asked, and the number of operations before it.
    trims: Vec<(Slot, usize)>,
    sealed: Option<(Successor, usize)>,
    random: Random,
}

impl History {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            disk: Recorder::default(),
            offered: HashMap::new(),
            acked: Vec::new(),
            trims: Vec::new(),
            sealed: None,
            random: Random(seed),
        }
    }

    /// Bursts of appends, in several lives of the journal, with trims; a seal at the end.
    pub(crate) fn run(seed: u64) -> Self {
        let mut history = Self::new(seed);
        for life in 0..3 {
            let (journal, opening) = open(&history.disk).expect("open");
            assert_eq!(opening.cut, None);
            for _ in 0..6 {
                let count = 1 + history.random.below(8);
                history.burst(&journal, count, 700);
            }
            if life > 0 {
                // Far enough to remove several files at once.
                let before = Slot(25 * life + history.random.below(15));
                history.trims.push((before, history.disk.ops()));
                block_on(journal.trim(before)).expect("trim");
                history.burst(&journal, 4, 700);
            }
            if life == 2 {
                let successor = Successor("the next one".into());
                block_on(journal.seal(successor.clone())).expect("seal");
                history.sealed = Some((successor, history.disk.ops()));
            }
        }
        history
    }

    /// Appends that overlap, most of them in one batch; one of them twice, one with a rival.
    pub(crate) fn burst(&mut self, journal: &FileJournal, count: u64, size: u64) {
        let tail = block_on(journal.tail()).expect("tail").0;
        let hold = self.disk.hold();
        let mut futures = Vec::new();
        for slot in tail..tail + count {
            let copies = 1 + self.random.below(2);
            for _ in 0..copies {
                let body: Vec<u8> =
                    (0..self.random.below(size)).map(|_| self.random.below(256) as u8).collect();
                let (slot, body) = (Slot(slot), Bytes::from(body));
                let nonce = Nonce(u128::from(self.random.below(u64::MAX)) | 1 << 100);
                self.offered.insert((slot, nonce), body.clone());
                let append = journal.append(slot, nonce, body);
                let disk = self.disk.clone();
                futures.push(async move { (slot, nonce, append.await, disk.ops()) });
            }
        }
        drop(hold);
        for (slot, nonce, outcome, ops) in block_on(join_all(futures)) {
            match outcome {
                Append::Won => self.acked.push((slot, nonce, ops)),
                Append::Lost => {}
                outcome => panic!("slot {slot}: {outcome:?}"),
            }
        }
    }

    /// Whether a log found after a crash behind `at` operations is one that this history allows.
    pub(crate) fn allows(&self, at: usize, opening: &Opening, records: &[Record], what: &str) {
        for record in records {
            let offered = self.offered.get(&(record.slot, record.nonce));
            assert_eq!(offered, Some(&record.body), "{what}: slot {} holds it", record.slot);
        }
        assert_eq!(records.len() as u64, opening.tail.0 - opening.first.0, "{what}");
        let trim = self.trims.iter().filter(|(_, ops)| *ops <= at).map(|(before, _)| *before);
        assert!(opening.first <= trim.max().unwrap_or(Slot(1)), "{what}: trimmed too far");
        for (slot, nonce, _) in self.acked.iter().filter(|(_, _, ops)| *ops <= at) {
            if *slot >= opening.first {
                let held = records.get((slot.0 - opening.first.0) as usize);
                assert_eq!(held.map(|held| held.nonce), Some(*nonce), "{what}: slot {slot} lost");
            }
        }
        match &self.sealed {
            Some((successor, ops)) if *ops <= at => {
                assert_eq!(opening.sealed.as_ref(), Some(successor), "{what}: the seal is lost");
            }
            _ => {}
        }
    }
}
