//! A file that cannot be removed: what comes behind it must stay until it is gone, or the log has a gap.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use futures::executor::block_on;
use journal::file::{Disk, DiskFile, FileJournal, FileOptions, Lock, RealDisk};
use journal::{Append, Journal, Nonce, Slot};

/// Refuses the next removal, or the next sync of names.
#[derive(Default)]
struct Stubborn {
    removal: AtomicBool,
    sync: AtomicBool,
}

fn refuses(once: &AtomicBool) -> io::Result<()> {
    if once.swap(false, Ordering::Relaxed) { Err(io::Error::other("not now")) } else { Ok(()) }
}

impl Disk for Stubborn {
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        RealDisk.create_dir(dir)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        RealDisk.list(dir)
    }

    fn exists(&self, path: &Path) -> bool {
        RealDisk.exists(path)
    }

    fn lock(&self, path: &Path) -> io::Result<Lock> {
        RealDisk.lock(path)
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        RealDisk.create(path)
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        RealDisk.open(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        RealDisk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        refuses(&self.removal)?;
        RealDisk.remove(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        refuses(&self.sync)?;
        RealDisk.sync_dir(dir)
    }
}

fn options() -> FileOptions {
    FileOptions { segment_bytes: 16 << 10, ..FileOptions::default() }
}

#[test]
fn a_file_that_could_not_be_removed_goes_before_those_behind_it() {
    for at_sync in [false, true] {
        let dir = tempfile::tempdir().expect("a directory");
        let disk = Arc::new(Stubborn::default());
        let shared: Arc<dyn Disk> = Arc::<Stubborn>::clone(&disk);
        let (journal, _) = FileJournal::open_on(shared, dir.path(), options()).expect("opened");
        for slot in 1..=30 {
            let body = Bytes::from(vec![7; 6 << 10]);
            let done = block_on(journal.append(Slot(slot), Nonce(slot.into()), body));
            assert!(matches!(done, Append::Won), "{slot}: {done:?}");
        }
        let once = if at_sync { &disk.sync } else { &disk.removal };
        once.store(true, Ordering::Relaxed);
        assert!(block_on(journal.trim(Slot(10))).is_err(), "it was refused");
        block_on(journal.trim(Slot(20))).expect("trimmed");
        drop(journal);
        let (journal, opening) = FileJournal::open(dir.path(), options()).expect("no gap");
        assert!(opening.first > Slot(10), "all that was trimmed has gone: {opening:?}");
        let records = block_on(journal.read(Slot(20), 1)).expect("read");
        assert_eq!(records.first().map(|record| record.slot), Some(Slot(20)));
    }
}
