//! What a small append costs the disk. Alone in its process: the kernel counts per process.

use bytes::Bytes;
use futures::executor::block_on;
use journal::{Append, FileJournal, FileOptions, Journal, Nonce, Slot};

const RECORDS: u64 = 400;

/// Nothing where the kernel does not count, as on a file system in memory.
fn written() -> u64 {
    let io = std::fs::read_to_string("/proc/self/io").unwrap_or_default();
    let line = io.lines().find_map(|line| line.strip_prefix("write_bytes: "));
    line.and_then(|bytes| bytes.parse().ok()).unwrap_or(0)
}

fn body(slot: u64) -> Bytes {
    Bytes::from(format!("{slot:0>width$}", width = slot as usize % 500))
}

/// A block or two where it was measured; the bound leaves room for other file systems, and is far from the
/// 64 blocks of a large folio. In a fresh log, and after a restart, when the scan has filled the page cache; with a reader.
#[test]
fn a_small_append_writes_few_blocks() {
    let dir = tempfile::tempdir().expect("a directory");
    let options = FileOptions { segment_bytes: 4 << 20, ..FileOptions::default() };
    let mut next = 1;
    for life in 0..3 {
        let (journal, opening) = FileJournal::open(dir.path(), options.clone()).expect("open");
        assert_eq!((opening.tail, opening.cut), (Slot(next), None), "life {life}");
        let before = written();
        for slot in next..next + RECORDS {
            let append = block_on(journal.append(Slot(slot), Nonce(slot.into()), body(slot)));
            assert!(matches!(append, Append::Won), "slot {slot}: {append:?}");
            let from = slot.saturating_sub(20).max(1);
            let found = block_on(journal.read(Slot(from), 1 << 20)).expect("read");
            assert_eq!(found.len() as u64, slot + 1 - from);
            assert!(found.iter().all(|record| record.body == body(record.slot.0)), "slot {slot}");
        }
        let each = (written() - before) / RECORDS;
        assert!(each <= 8 * 4096, "life {life}: {each} bytes written per append");
        next += RECORDS;
    }
}
