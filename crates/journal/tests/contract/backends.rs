//! The backends and wrappers that the suite runs over.

use std::sync::Arc;

use journal::faulty::Odds;
use journal::file::{Disk, RealDisk, UnsyncedDisk};
use journal::{Faulty, FileJournal, FileOptions, Journal, MemoryJournal};

use crate::suite::{Log, contract};

contract!(memory, Memory::default());
contract!(file, File::new(None));
contract!(unsynced_file, File::on(Arc::new(UnsyncedDisk), None));
contract!(faulty_memory, FaultyMemory::default());
contract!(faulty_file, File::new(Some(7)));

#[derive(Default)]
struct Memory(MemoryJournal);

impl Log for Memory {
    fn openers(&self) -> [Arc<dyn Journal>; 2] {
        [Arc::new(self.0.clone()), Arc::new(self.0.clone())]
    }

    fn reopen(&mut self) -> Option<()> {
        None
    }

    fn trim_grain(&self) -> u64 {
        0
    }
}

#[derive(Default)]
struct FaultyMemory(MemoryJournal);

impl Log for FaultyMemory {
    fn openers(&self) -> [Arc<dyn Journal>; 2] {
        [3, 4].map(|seed| {
            let faulty = Faulty::seeded(self.0.clone(), seed, Odds::default());
            Arc::new(faulty) as Arc<dyn Journal>
        })
    }

    fn reopen(&mut self) -> Option<()> {
        None
    }

    fn trim_grain(&self) -> u64 {
        0
    }
}

/// Small segments, so that every test crosses their borders.
const SEGMENT: u64 = 8192;

/// A log in files; with a seed, behind faults.
struct File {
    disk: Arc<dyn Disk>,
    seed: Option<u64>,
    journal: Option<Arc<dyn Journal>>,
    dir: tempfile::TempDir,
}

impl File {
    fn new(seed: Option<u64>) -> Self {
        Self::on(Arc::new(RealDisk), seed)
    }

    fn on(disk: Arc<dyn Disk>, seed: Option<u64>) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let mut file = Self { disk, seed, journal: None, dir };
        file.reopen();
        file
    }
}

impl Log for File {
    fn openers(&self) -> [Arc<dyn Journal>; 2] {
        let journal = self.journal.clone().expect("open");
        [Arc::clone(&journal), journal]
    }

    fn reopen(&mut self) -> Option<()> {
        if let Some(journal) = self.journal.take() {
            assert_eq!(Arc::strong_count(&journal), 1, "an opener was kept");
        }
        let options = FileOptions { segment_bytes: SEGMENT, ..FileOptions::default() };
        let disk = Arc::clone(&self.disk);
        let opened = FileJournal::open_on(disk, self.dir.path(), options);
        let (journal, opening) = opened.expect("open");
        assert_eq!(opening.cut, None);
        self.journal = Some(match self.seed {
            None => Arc::new(journal),
            Some(seed) => Arc::new(Faulty::seeded(journal, seed, Odds::default())),
        });
        Some(())
    }

    fn trim_grain(&self) -> u64 {
        // A frame with a short body takes 56 bytes or more.
        SEGMENT / 56
    }
}
