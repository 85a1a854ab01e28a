//! Pitfalls o and s: readers see what was acknowledged, and no chore holds up the traffic. No time is
//! measured: what is asserted is that work goes on while a chore is known to be unfinished.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use engine::Options;
use state::{Command, Revision};

use crate::support::{Gauge, Node, memory, put, until};

/// Pitfall o: a read is judged when it is answered, not when it was asked.
#[tokio::test(start_paused = true)]
async fn a_paused_reader_sees_what_was_acknowledged_meanwhile() {
    let node = Node::start(memory(), Options::default()).await;
    node.put("a", "1").await.unwrap();
    let paused = node.engine.linearizable_view();
    let acknowledged = node.put("a", "2").await.unwrap().revision;
    tokio::time::sleep(Duration::from_secs(3600)).await;
    let view = paused.await.unwrap();
    assert!(view.revision() >= acknowledged);
    assert_eq!(view.get(b"a").unwrap().value, b"2");
    node.stop().await;
}

/// Pitfall o: whoever was answered finds the write in the next read, on whatever thread it asks.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_read_is_older_than_an_answer() {
    let node = Node::start(memory(), Options::default()).await;
    let clients = (0..8).map(|client| {
        let engine = node.engine.clone();
        tokio::spawn(async move {
            for n in 0..500 {
                let (key, value) = (format!("k{client}"), n.to_string());
                let answered = engine.commit(put(&key, &value)).await.unwrap().revision;
                let view = engine.linearizable_view().await.unwrap();
                assert!(view.revision() >= answered, "{} < {answered}", view.revision());
                assert_eq!(view.get(key.as_bytes()).unwrap().value, value.as_bytes());
            }
        })
    });
    for client in futures::future::join_all(clients).await {
        client.unwrap();
    }
    node.stop().await;
}

/// Pitfall s: compaction is carried out a step at a time, and puts are answered in between.
#[tokio::test(start_paused = true)]
async fn puts_are_answered_in_the_middle_of_a_compaction() {
    let node = Node::start(memory(), Options { quota: None, ..Options::default() }).await;
    for round in 0..100 {
        let puts = (0..1_000).map(|n| node.engine.commit(put(&format!("k{n}"), "v")));
        let outcomes = futures::future::join_all(puts).await;
        assert!(outcomes.iter().all(Result::is_ok), "round {round}");
    }
    let revision = node.engine.view().revision();
    node.engine.commit(Command::Compact { revision }).await.unwrap().result.unwrap();
    // It holds, and nearly all of its work is still to do.
    assert_eq!(node.engine.view().compact_revision(), revision);
    for n in 0..10 {
        node.put("beside", &n.to_string()).await.unwrap();
    }
    let unfinished = node.engine.ask(state::State::needs_maintenance).await.unwrap();
    assert!(unfinished, "ten puts did not wait for 100,000 dead versions");
    node.engine.quiesce_compaction().await.unwrap();
    assert_eq!(node.engine.view().len(), 1_001);
    assert_eq!(node.engine.view().revision(), Revision(revision.0 + 10));
    node.stop().await;
}

/// Pitfall s: while a checkpoint is being written, for however long, puts and reads go on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn puts_are_answered_in_the_middle_of_a_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let gate = Arc::new((Mutex::new(false), Condvar::new()));
    let began = Arc::new(AtomicBool::new(false));
    let (held, seen) = (Arc::clone(&gate), Arc::clone(&began));
    // The journal is trimmed at the end of a checkpoint, by whoever writes it: held up here.
    let on_trim = Box::new(move |_| {
        seen.store(true, Ordering::SeqCst);
        let open = held.0.lock().unwrap();
        let patience = Duration::from_secs(120);
        drop(held.1.wait_timeout_while(open, patience, |open| !*open).unwrap());
    });
    let gauge = Arc::new(Gauge { on_trim, ..Gauge::memory() });
    let options = Options { checkpoint_after: 4 << 10, ..Options::default() };
    let node = Node::try_start(gauge, Some(dir.path().into()), options).await.unwrap();
    let value = "v".repeat(100);
    for _ in 0..100 {
        node.put("k", &value).await.unwrap();
    }
    until("a checkpoint is under way", || began.load(Ordering::SeqCst)).await;
    for n in 0..500 {
        let answered = tokio::time::timeout(Duration::from_secs(30), node.put("k", &value)).await;
        answered.unwrap_or_else(|_| panic!("put {n} waits for the checkpoint")).unwrap();
    }
    assert_eq!(node.engine.status().checkpoint.0, 0, "it is still being written");
    *gate.0.lock().unwrap() = true;
    gate.1.notify_all();
    until("it comes to its end", || node.engine.status().checkpoint.0 > 0).await;
    node.stop().await;
}
