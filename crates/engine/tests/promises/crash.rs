//! Invariant 5: acknowledged means kept, whatever happens to the process.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command as Process, Stdio};
use std::sync::Arc;
use std::time::Duration;

use engine::{Engine, Fault, Options};
use journal::faulty::Odds;
use journal::{Faulty, Journal, MemoryJournal};
use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::support::{Node, memory, put, reopen, replay};

const CLIENTS: usize = 16;

/// What the clients know of what they did. Each writes its own key, numbered from 1.
#[derive(Clone, Copy, Debug, Default)]
struct Known {
    sent: i64,
    /// The greatest number acknowledged, and at what revision.
    acked: i64,
    revision: i64,
    /// How many were acknowledged.
    acks: i64,
    /// How many surely did not take effect.
    refused: i64,
}

type Book = Arc<Mutex<HashMap<usize, Known>>>;

async fn client(engine: Engine, book: Book, client: usize) {
    loop {
        let number = {
            let mut book = book.lock();
            let known = book.entry(client).or_default();
            known.sent += 1;
            known.sent
        };
        let outcome = engine.commit(put(&format!("client{client}"), &number.to_string())).await;
        let mut book = book.lock();
        let known = book.entry(client).or_default();
        match outcome {
            Ok(outcome) => {
                assert!(outcome.revision.0 > known.revision, "revisions go forward");
                (known.acked, known.revision) = (number, outcome.revision.0);
                known.acks += 1;
            }
            Err(Fault::NoSpace) => known.refused += 1,
            Err(_) => return,
        }
    }
}

fn check(engine: &Engine, book: &Book) {
    for (client, known) in &*book.lock() {
        let found = crate::support::get(engine, &format!("client{client}"));
        let Some(kv) = found else {
            assert_eq!(known.acks, 0, "client {client}: {known:?}, but no key");
            continue;
        };
        let value: i64 = std::str::from_utf8(&kv.value).unwrap().parse().unwrap();
        assert!(value >= known.acked && value <= known.sent, "{value}: {known:?}");
        assert!(kv.mod_revision.0 >= known.revision, "{kv:?}: {known:?}");
        assert!(kv.version >= known.acks, "an acknowledged put is gone: {kv:?}: {known:?}");
        assert!(
            kv.version <= known.sent - known.refused,
            "one took effect twice: {kv:?} {known:?}"
        );
    }
}

async fn rounds(
    rounds: u64,
    folder: &Path,
    mut open: impl FnMut(u64) -> Arc<dyn Journal>,
) -> (i64, u64) {
    let book = Book::default();
    let mut checkpoint = 0;
    for round in 0..rounds {
        let mut random = StdRng::seed_from_u64(round);
        let journal = open(round);
        // Reads of a faulty journal may fail for longer than anybody waits; then it is opened again.
        let options = Options { checkpoint_after: 8 << 10, ..Options::default() };
        let mut node = None;
        for _ in 0..20 {
            let folder = Some(folder.to_path_buf());
            node = Node::try_start(Arc::clone(&journal), folder, options.clone()).await.ok();
            if node.is_some() {
                break;
            }
        }
        let node = node.expect("opens in the end");
        check(&node.engine, &book);
        checkpoint = node.engine.status().checkpoint.0.max(checkpoint);
        let load: Vec<_> = (0..CLIENTS)
            .map(|n| tokio::spawn(client(node.engine.clone(), Arc::clone(&book), n)))
            .collect();
        tokio::time::sleep(Duration::from_micros(random.random_range(500..60_000))).await;
        node.kill().await;
        drop(journal);
        for client in load {
            client.await.expect("every client is told");
        }
    }
    let node = Node::try_start(open(rounds), Some(folder.to_path_buf()), Options::default()).await;
    let node = node.unwrap();
    check(&node.engine, &book);
    node.stop().await;
    let acks = book.lock().values().map(|known| known.acks).sum();
    (acks, checkpoint)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_by_a_crash() {
    let (dir, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (acks, checkpoint) = rounds(25, folder.path(), |_| reopen(dir.path())).await;
    assert!(acks > 100, "only {acks} acknowledged");
    assert!(checkpoint > 0, "no restart was from a checkpoint");
}

#[tokio::test(start_paused = true)]
async fn nothing_acknowledged_is_lost_by_a_crash_over_faults() {
    for seed in 0..6 {
        let folder = tempfile::tempdir().unwrap();
        let kept = Arc::new(Faulty::seeded(MemoryJournal::default(), seed, Odds::default()));
        let (acks, _) = rounds(12, folder.path(), |round| {
            if round == 12 {
                kept.heal();
            }
            Arc::<Faulty<MemoryJournal>>::clone(&kept)
        })
        .await;
        assert!(acks > 20, "only {acks} acknowledged");
    }
}

#[tokio::test]
async fn a_restart_has_the_same_digest() {
    let journal = memory();
    let node = Node::start(Arc::<MemoryJournal>::clone(&journal), Options::default()).await;
    for n in 0..100 {
        node.put(&format!("k{}", n % 10), &n.to_string()).await.unwrap();
    }
    let (position, digest) = node.digest().await;
    node.stop().await;
    assert_eq!(replay(&*journal, position).await.digest(), digest);
}

const CHILD: &str = "MERIDIAN_CRASH_DIR";

/// Not a test: the process that [`a_killed_process_loses_nothing`] kills.
#[test]
fn the_process_that_is_killed() {
    let Ok(dir) = std::env::var(CHILD) else { return };
    let dir = Path::new(&dir);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let options = Options { checkpoint_after: 16 << 10, ..Options::default() };
        let folder = Some(dir.join("checkpoints"));
        let node = Node::try_start(reopen(&dir.join("log")), folder, options).await.unwrap();
        let clients = (0..CLIENTS).map(|client| {
            let engine = node.engine.clone();
            tokio::spawn(async move {
                let key = format!("client{client}");
                let start = crate::support::get(&engine, &key).map_or(0, |kv| kv.version);
                for number in start + 1.. {
                    let outcome = engine.commit(put(&key, &number.to_string())).await.unwrap();
                    let mut out = std::io::stdout().lock();
                    writeln!(out, "\nacked {client} {number} {}", outcome.revision).unwrap();
                    out.flush().unwrap();
                }
            })
        });
        futures::future::join_all(clients).await;
    });
}

#[tokio::test]
async fn a_killed_process_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut acked: HashMap<usize, (i64, i64)> = HashMap::new();
    for round in 0..8_u64 {
        let mut child = Process::new(std::env::current_exe().unwrap())
            .args(["--exact", "crash::the_process_that_is_killed", "--nocapture"])
            .env(CHILD, dir.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let lives = Duration::from_millis(30 + StdRng::seed_from_u64(round).random_range(0..150));
        let mut note = |line: &str| {
            let mut words = line.split(' ');
            if words.next() != Some("acked") {
                return false;
            }
            let mut number = || words.next().and_then(|word| word.parse::<i64>().ok());
            // The last line may be cut.
            if let (Some(client), Some(number), Some(revision)) = (number(), number(), number()) {
                acked.insert(usize::try_from(client).unwrap(), (number, revision));
            }
            true
        };
        while lines.next().is_some_and(|line| !note(&line.unwrap())) {}
        let killer = std::thread::spawn(move || {
            std::thread::sleep(lives);
            child.kill().unwrap();
            child.wait().unwrap();
        });
        lines.map_while(Result::ok).for_each(|line| {
            note(&line);
        });
        killer.join().unwrap();
        let journal = reopen(&dir.path().join("log"));
        let folder = Some(dir.path().join("checkpoints"));
        let node = Node::try_start(journal, folder, Options::default()).await.unwrap();
        for (client, (number, revision)) in &acked {
            let kv = node.get(&format!("client{client}")).expect("acknowledged");
            assert!(kv.version >= *number, "{kv:?}, acknowledged {number}");
            assert!(kv.mod_revision.0 >= *revision, "{kv:?}, acknowledged {revision}");
            assert_eq!(kv.value, kv.version.to_string(), "each took effect once");
        }
        node.stop().await;
    }
    assert_eq!(acked.len(), CLIENTS);
}
