//! What is told of every sync.

use bytes::Bytes;
use futures::executor::block_on;
use journal::{Append, FileJournal, FileOptions, Flush, Journal, Nonce, Slot};
use std::sync::{Arc, Mutex};

/// Whoever measures hears of every sync before anybody is answered.
#[test]
fn every_flush_is_told_before_the_answer() {
    let dir = tempfile::tempdir().expect("a directory");
    let told = Arc::new(Mutex::new(Vec::<Flush>::new()));
    let notes = Arc::clone(&told);
    let options = FileOptions {
        on_flush: Arc::new(move |flush| notes.lock().expect("no poison").push(*flush)),
        ..FileOptions::default()
    };
    let (journal, _) = FileJournal::open(dir.path(), options).expect("open");
    for slot in 1..=3 {
        let body = Bytes::from(vec![b'x'; slot as usize]);
        let append = block_on(journal.append(Slot(slot), Nonce(slot.into()), body.clone()));
        assert!(matches!(append, Append::Won), "slot {slot}: {append:?}");
        let told = told.lock().expect("no poison");
        let records: usize = told.iter().map(|flush| flush.records).sum();
        let last = told.last().expect("a flush");
        assert_eq!((records as u64, last.durable), (slot, Slot(slot)));
        assert!(last.bytes > body.len() as u64 && !last.sync.is_zero(), "{last:?}");
    }
}
