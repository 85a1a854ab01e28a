//! Invariant 5 against a loss of power: the engine over a disk that remembers every write, crashed behind every
//! one of them, with any part of what was not synced.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use engine::{Engine, Options};
use journal::{FileJournal, FileOptions};
use parking_lot::Mutex;

use crate::disk::{Keeps, Recorder};
use crate::support::{Node, put};

const DIR: &str = "/journal";
const CLIENTS: usize = 8;
const PUTS: usize = 8;

fn open(disk: &Recorder) -> Arc<FileJournal> {
    let options = FileOptions {
        segment_bytes: 12 << 10,
        mark_after: Duration::from_millis(5),
        on_fault: Arc::new(|what| panic!("the disk failed: {what}")),
        ..FileOptions::default()
    };
    let opened = FileJournal::open_on(Arc::new(disk.clone()), Path::new(DIR), options);
    Arc::new(opened.expect("opens").0)
}

/// A put that was acknowledged, and how much the disk had done by then.
struct Acknowledged {
    key: String,
    value: String,
    revision: i64,
    by: usize,
}

#[derive(Default)]
struct Book {
    disk: Recorder,
    acknowledged: Mutex<Vec<Acknowledged>>,
}

async fn client(engine: Engine, book: Arc<Book>, life: usize, client: usize) {
    for number in 0..PUTS {
        let key = format!("client{client}");
        // Some fill most of a file.
        let value = format!("{life}.{number}.{}", "v".repeat((client * number * 97) % 4000));
        let outcome = engine.commit(put(&key, &value)).await.expect("taken");
        let (revision, by) = (outcome.revision.0, book.disk.ops());
        book.acknowledged.lock().push(Acknowledged { key, value, revision, by });
    }
}

/// Two lives of an engine under load.
async fn load() -> Arc<Book> {
    let book = Arc::new(Book::default());
    for life in 0..2 {
        let node = Node::start(open(&book.disk), Options::default()).await;
        let clients = (0..CLIENTS)
            .map(|n| tokio::spawn(client(node.engine.clone(), Arc::clone(&book), life, n)));
        for ended in futures::future::join_all(clients).await {
            ended.expect("no client fails");
        }
        node.stop().await;
    }
    book
}

/// Opens what a crash has left, and compares it with what was acknowledged before.
async fn holds(book: &Book, files: BTreeMap<PathBuf, Vec<u8>>, at: usize, what: &str) {
    let node = Node::start(open(&Recorder::with(files)), Options::default()).await;
    let revision = node.engine.view().revision().0;
    let acknowledged = book.acknowledged.lock().iter().map(|one| (one.revision, one.by)).max();
    assert!(revision <= acknowledged.expect("some").0, "{what}: revisions that nobody asked for");
    let newest =
        book.acknowledged.lock().iter().filter(|one| one.by <= at).map(|one| one.revision).max();
    assert!(revision >= newest.unwrap_or(1), "{what}: acknowledged, and lost");
    let mut expected: BTreeMap<String, (i64, String)> = BTreeMap::new();
    for one in book.acknowledged.lock().iter().filter(|one| one.revision <= revision) {
        let newest = expected.entry(one.key.clone()).or_default();
        if one.revision > newest.0 {
            *newest = (one.revision, one.value.clone());
        }
    }
    for (key, (revision, value)) in expected {
        let kv = node.get(&key).unwrap_or_else(|| panic!("{what}: {key} is not there"));
        assert_eq!(
            (kv.mod_revision.0, &kv.value[..]),
            (revision, value.as_bytes()),
            "{what}: {key}"
        );
    }
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_with_the_power() {
    let book = load().await;
    let (mut images, ops) = (0, book.disk.ops());
    for at in 0..=ops {
        let seed = at as u64;
        for keeps in [Keeps::Nothing, Keeps::Everything, Keeps::Some(seed), Keeps::Some(seed + 1)] {
            let what = format!("operation {at} of {ops}, {keeps:?}");
            holds(&book, book.disk.crash(at, keeps), at, &what).await;
            images += 1;
        }
    }
    assert!(images > 200, "only {images} images");
}

/// The images can catch a loss: a disk as it was before the last acknowledgement.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[should_panic(expected = "acknowledged, and lost")]
async fn a_disk_that_lied_is_noticed() {
    let book = load().await;
    let ops = book.disk.ops();
    for at in (0..ops).rev() {
        holds(&book, book.disk.crash(at, Keeps::Nothing), ops, "planted").await;
    }
}
