//! Many at once: questions do not hold up writes, and a million leases do not stall a start.

use std::sync::Arc;
use std::time::{Duration, Instant};

use engine::Options;
use futures::FutureExt;
use journal::{Journal, MemoryJournal, Nonce, Slot};
use state::{Command, Entry, Epoch, LeaseId, Timestamp};

use crate::support::{Node, memory};

#[tokio::test(start_paused = true)]
async fn questions_do_not_hold_up_writes() {
    let node = Node::start(memory(), Options::default()).await;
    let asked = node.engine.clone();
    let mut questions: Vec<_> =
        (0..9_000).map(|_| asked.ask(|state| state.position()).boxed()).collect();
    for question in &mut questions {
        assert!(question.as_mut().now_or_never().is_none());
    }
    node.put("a", "1").await.unwrap();
    let waiting = questions.iter_mut().filter_map(|question| question.now_or_never());
    let answered = waiting.filter(Result::is_ok).count();
    assert!(answered < 9_000, "the put was answered before the last question");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_million_leases_do_not_stall_a_start() {
    let journal = Arc::new(MemoryJournal::default());
    for batch in 0..1_000 {
        let id = |n: i64| LeaseId(batch * 1_000 + n);
        let commands = (1..=1_000).map(|n| Command::LeaseGrant { id: id(n), ttl: 60 }).collect();
        let entry = Entry { epoch: Epoch(0), clock: Timestamp(1), commands, origins: Vec::new() };
        let slot = Slot(u64::try_from(batch).unwrap() + 1);
        journal.append(slot, Nonce(u128::from(slot.0)), entry.encode()).await;
    }
    let started = Instant::now();
    let node = Node::start(journal, Options::default()).await;
    assert!(started.elapsed() < Duration::from_secs(60), "{:?}", started.elapsed());
    assert_eq!(node.engine.status().leases, 1_000_000);
    let asked = Instant::now();
    node.put("a", "1").await.unwrap();
    assert!(asked.elapsed() < Duration::from_secs(3), "{:?}", asked.elapsed());
    assert_eq!(node.engine.keep_alive(LeaseId(500_000)).await, Ok(60));
    node.stop().await;
}
