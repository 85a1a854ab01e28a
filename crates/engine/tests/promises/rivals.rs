//! Two engines over one journal: whatever each acknowledged is there once, and both agree.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use engine::Options;
use journal::faulty::Odds;
use journal::{Append, Faulty, Journal, MemoryJournal, Nonce};
use state::{Command, Entry, LeaseId, Reply, Timestamp};

use crate::support::{Gauge, Node, memory, put, put_on, replay, until};

/// Both write to their own keys at once and claim the journal from each other as they go.
async fn contend(journal: Arc<dyn Journal>, puts: i64) -> (Node, Node) {
    let options = Options { max_batch_bytes: 200, ..Options::default() };
    let first = Node::start(Arc::clone(&journal), options.clone()).await;
    let second = Node::start(Arc::clone(&journal), options).await;
    let clients = [&first, &second].into_iter().enumerate().flat_map(|(side, node)| {
        (0..4).map(move |client| {
            let engine = node.engine.clone();
            tokio::spawn(async move {
                let key = format!("side{side}client{client}");
                for n in 0..puts {
                    let outcome = engine.commit(put(&key, &n.to_string())).await.unwrap();
                    let Ok(Reply::Put { prev_kv }) = outcome.result else { panic!("refused") };
                    assert_eq!(prev_kv.map_or(0, |kv| kv.version), n, "each takes effect once");
                    tokio::time::sleep(Duration::from_micros(100)).await;
                }
            })
        })
    });
    for client in futures::future::join_all(clients).await {
        client.unwrap();
    }
    (first, second)
}

async fn agree(journal: &dyn Journal, first: Node, second: Node, puts: i64) {
    // A write makes each learn of all that came before it.
    second.put("last", "second").await.unwrap();
    first.put("last", "first").await.unwrap();
    for node in [first, second] {
        let (position, digest) = node.digest().await;
        assert_eq!(replay(journal, position).await.digest(), digest);
        let view = node.engine.view();
        for (side, client) in (0..2).flat_map(|side| (0..4).map(move |client| (side, client))) {
            let key = format!("side{side}client{client}");
            assert_eq!(view.get(key.as_bytes()).unwrap().version, puts);
        }
        node.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn two_engines_over_one_journal_agree() {
    let journal = memory();
    let (first, second) = contend(Arc::<MemoryJournal>::clone(&journal), 100).await;
    assert!(first.engine.status().epoch.0 > 2, "they did take the journal from each other");
    agree(&*journal, first, second, 100).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn two_engines_on_two_threads_agree() {
    let journal = memory();
    let (first, second) = contend(Arc::<MemoryJournal>::clone(&journal), 100).await;
    agree(&*journal, first, second, 100).await;
}

#[tokio::test(start_paused = true)]
async fn two_engines_over_a_faulty_journal_agree() {
    for seed in 0..6 {
        // Refusals would be told to clients; everything else must be seen through.
        let odds = Odds { append: 0, other: 300, stall: 3 };
        let journal = Arc::new(Faulty::seeded(MemoryJournal::default(), seed, odds));
        let (first, second) = contend(Arc::<Faulty<MemoryJournal>>::clone(&journal), 20).await;
        journal.heal();
        agree(journal.inner(), first, second, 20).await;
    }
}

/// Pitfall d: a stale writer revokes nothing.
#[tokio::test(start_paused = true)]
async fn a_stale_writer_ends_no_lease() {
    let journal = memory();
    let old = Node::start(Arc::<MemoryJournal>::clone(&journal), Options::default()).await;
    old.grant(7, 10).await;
    old.engine.commit(put_on("a", 7)).await.unwrap();
    let new = Node::start(Arc::<MemoryJournal>::clone(&journal), Options::default()).await;
    // For the old one the lease is due; the new one has just renewed it.
    old.clock.go(Duration::from_secs(11));
    until("the old one has learnt it", || old.engine.status().epoch.0 == 2).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(new.engine.keep_alive(LeaseId(7)).await, Ok(10));
    new.put("b", "1").await.unwrap();
    assert!(new.get("a").is_some());
    assert_eq!(new.engine.status().epoch.0, 2, "nobody claimed the journal only to end a lease");
    // When the old one takes over again, the lease has its full time.
    old.put("c", "1").await.unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(old.get("a").is_some());
    old.clock.go(Duration::from_secs(11));
    until("the lease ends", || old.get("a").is_none()).await;
    old.stop().await;
    new.stop().await;
}

/// Invariant: whatever slot a renewal of another wins in our epoch, no end that was judged without it follows.
#[tokio::test(start_paused = true)]
async fn a_renewal_that_takes_a_slot_outlives_the_end_that_was_under_way() {
    let inner = memory();
    let gauge = Arc::new(Gauge::over(Arc::<MemoryJournal>::clone(&inner)));
    let options = Options { request_timeout: Duration::from_secs(60), ..Options::default() };
    let node = Node::start(Arc::<Gauge>::clone(&gauge), options).await;
    node.grant(7, 10).await;
    node.engine.commit(put_on("a", 7)).await.unwrap();
    let slot = inner.tail().await.unwrap();
    gauge.unwritten.store(true, Ordering::SeqCst);
    gauge.stuck.send_replace(true);
    let large = "v".repeat(600 << 10);
    let (small, large) = (put("small", "v"), put("large", &large));
    let engine = node.engine.clone();
    let first = tokio::spawn(async move { engine.commit(small).await });
    until("it is on its way", || gauge.under_way.load(Ordering::SeqCst) == 1).await;
    // The lease is due, and what is large does not wait for what is on its way.
    node.clock.go(Duration::from_secs(11));
    tokio::time::sleep(Duration::from_secs(1)).await;
    let engine = node.engine.clone();
    let second = tokio::spawn(async move { engine.commit(large).await });
    tokio::time::sleep(Duration::from_secs(1)).await;
    let epoch = node.engine.status().epoch;
    let commands = vec![Command::LeaseRenew { ids: vec![LeaseId(7)] }];
    let renewal = Entry { epoch, clock: Timestamp(0), commands, origins: Vec::new() };
    let won = inner.append(slot, Nonce(77), renewal.encode()).await;
    assert!(matches!(won, Append::Won), "another took the slot");
    gauge.stuck.send_replace(false);
    for put in [first, second] {
        assert!(put.await.unwrap().unwrap().result.is_ok());
    }
    node.clock.go(Duration::from_secs(9));
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(node.get("a").is_some(), "it was renewed nine seconds ago");
    assert_eq!(node.engine.keep_alive(LeaseId(7)).await, Ok(10));
    node.clock.go(Duration::from_secs(11));
    until("the lease ends", || node.get("a").is_none()).await;
    node.stop().await;
}
