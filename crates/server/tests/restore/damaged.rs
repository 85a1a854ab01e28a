//! Recordings with damage in every region: it is named, or does no harm; nothing panics.

use std::fs;
use std::os::unix::fs::FileExt;

use engine::restore::{Database, Destination, Unusable};

use crate::support::Store;

const LOG: &str = "member/wal/0000000000000000-0000000000000000.wal";

#[test]
fn a_snapshot_that_is_not_what_was_saved() {
    let length = fs::metadata(Store::of("snapshot.db").source).expect("a file").len();
    for at in (0..length).step_by(2017).chain([length - 1]) {
        let store = Store::of("snapshot.db");
        flip(&store, at);
        store.refused(
            &[],
            &["is not what was saved", "the checksum behind it is", "its bytes give"],
        );
    }
}

#[test]
fn a_snapshot_that_is_cut_off() {
    let length = fs::metadata(Store::of("snapshot.db").source).expect("a file").len();
    for left in [0, 1, 511, 4096, 8192, length / 2, length - 4096, length - 32, length - 1] {
        let store = Store::of("snapshot.db");
        let file = fs::OpenOptions::new().write(true).open(&store.source).expect("a file");
        file.set_len(left).expect("cut");
        store.refused(&[], &["checksum behind it"]);
        if left < length - 32 {
            store.refused(&["--skip-hash-check"], &[store.source.to_str().expect("a path")]);
        }
    }
}

/// With nothing to compare, what is damaged is found where it matters, and named by its page.
#[test]
fn pages_that_are_damaged() {
    let store = Store::of("rights.db");
    let length = fs::metadata(&store.source).expect("a file").len();
    let (mut named, mut harmless) = (0, 0);
    for at in (0..length).step_by(31) {
        flip(&store, at);
        let read = Database::open(&store.source).and_then(|it| it.load(&mut |_, _| {}));
        match read {
            Ok(_) => harmless += 1,
            Err(Unusable(why)) => {
                assert!(why.contains("rights.db"), "byte {at}: {why}");
                named += usize::from(why.contains("page "));
            }
        }
        flip(&store, at);
    }
    // Most bytes are of pages that nothing refers to any more, or of no page's elements.
    assert!(named > 40, "{named} were named, {harmless} did no harm");
    store.restore(&[]).expect("as it was");
}

/// What is not held in memory is judged as what is.
#[test]
fn pages_that_are_damaged_are_told_as_they_are_loaded() {
    let store = Store::of("rights.db");
    let length = fs::metadata(&store.source).expect("a file").len();
    let (mut told, mut refused) = (0, 0);
    for at in (0..length).step_by(199) {
        flip(&store, at);
        if let Ok(database) = Database::open(&store.source) {
            let destination = Destination::claim(&store.target()).expect("claimed");
            let loaded = database.load(&mut |_, _| {});
            match database.transcribe(&destination, &mut |_, _| {}) {
                Ok(Some(made)) => {
                    let state = loaded.expect("sound").state;
                    assert_eq!(made.digest, state.digest(), "byte {at}");
                    told += 1;
                }
                // It is loaded then, or not.
                Ok(None) => {}
                Err(why) => {
                    // Many records are loaded together, and the first one's page is named.
                    let what =
                        |why: &Unusable| why.0.rsplit(" is damaged: ").next().map(str::to_owned);
                    assert_eq!(Some(what(&why)), loaded.err().map(|why| what(&why)), "byte {at}");
                    refused += 1;
                }
            }
        }
        flip(&store, at);
    }
    assert!(told > 20 && refused > 4, "{told} were told, {refused} refused");
}

#[test]
fn a_log_that_is_damaged() {
    let end = fs::metadata(Store::of("killed").source.join(LOG)).expect("a file").len();
    for at in (0..end).step_by(211) {
        let store = Store::of("killed");
        flip_in(&store, LOG, at);
        match store.restore(&[]) {
            Ok(said) => {
                let torn = said.contains("the log ends within a record");
                assert!(torn || said.contains("restored revision 33"), "byte {at}: {said}");
            }
            Err(why) => assert!(why.contains(LOG) && why.contains("at byte"), "byte {at}: {why}"),
        }
    }
}

#[test]
fn a_checksum_in_the_log_that_does_not_match() {
    let store = Store::of("killed");
    // Inside the value of the last puts.
    let log = fs::read(store.source.join(LOG)).expect("the log");
    let at = log.windows(7).position(|part| part == b"by/root").expect("a put");
    flip_in(&store, LOG, at as u64);
    store.refused(&[], &[LOG, "is damaged at byte", "a record's checksum is", "its bytes give"]);
}

fn flip(store: &Store, at: u64) {
    flip_in(store, "", at);
}

fn flip_in(store: &Store, file: &str, at: u64) {
    let path = if file.is_empty() { store.source.clone() } else { store.source.join(file) };
    let file = fs::OpenOptions::new().read(true).write(true).open(path).expect("a file");
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).expect("a byte");
    file.write_all_at(&[byte[0] ^ 0x24], at).expect("another");
}
