//! A journal without room: said so, reads go on, writes resume, nothing is half done.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use engine::{Fault, Options};
use futures::FutureExt;
use journal::faulty::{Fate, Happens, Reported};
use journal::{Faulty, Journal, MemoryJournal, Successor};
use state::LeaseId;

use crate::support::{Gauge, Node, memory, put_on, replay, until};

#[tokio::test(start_paused = true)]
async fn a_full_journal_refuses_writes_until_there_is_room() {
    let gauge = Arc::new(Gauge::memory());
    let node = Node::start(Arc::<Gauge>::clone(&gauge), Options::default()).await;
    node.put("a", "1").await.unwrap();
    gauge.full.store(true, Ordering::SeqCst);
    for _ in 0..3 {
        assert_eq!(node.put("a", "2").await, Err(Fault::NoSpace));
        assert_eq!(node.get("a").unwrap().value, "1");
        assert_eq!(node.engine.linearizable_view().await.unwrap().revision().0, 2);
    }
    gauge.full.store(false, Ordering::SeqCst);
    assert_eq!(node.put("a", "3").await.unwrap().revision.0, 3);
    let (position, digest) = node.digest().await;
    assert_eq!(replay(&*gauge.inner, position).await.digest(), digest);
    node.stop().await;
}

/// Several batches on their way when the room ends, all refused: each is told so at once.
#[tokio::test(start_paused = true)]
async fn a_pipeline_that_is_refused_starts_again_at_its_first_slot() {
    let gauge = Arc::new(Gauge::memory());
    let options = Options { max_batch_bytes: 256 << 10, ..Options::default() };
    let node = Node::start(Arc::<Gauge>::clone(&gauge), options).await;
    gauge.full.store(true, Ordering::SeqCst);
    let value = "v".repeat(256 << 10);
    let puts: Vec<_> = (0..10).map(|_| node.put("k", &value).boxed()).collect();
    let started = tokio::time::Instant::now();
    for outcome in futures::future::join_all(puts).await {
        assert_eq!(outcome, Err(Fault::NoSpace));
    }
    assert!(started.elapsed() < Duration::from_secs(1));
    gauge.full.store(false, Ordering::SeqCst);
    assert_eq!(node.put("k", "now").await.unwrap().revision.0, 2);
    node.stop().await;
}

/// The first batch is refused and those behind it wait for its slot: an empty entry lets them through.
#[tokio::test(start_paused = true)]
async fn a_gap_is_filled() {
    let refused = Fate { happens: Happens::NotWritten, reported: Reported::Refused, stall: 0 };
    let script = [Fate::HONEST, refused, Fate::HONEST, Fate::HONEST, Fate::HONEST, refused];
    let journal = Arc::new(Faulty::scripted(MemoryJournal::default(), script));
    let options = Options { max_batch_bytes: 256 << 10, ..Options::default() };
    let node = Node::start(Arc::<Faulty<MemoryJournal>>::clone(&journal), options).await;
    let value = "v".repeat(256 << 10);
    let puts: Vec<_> = (0..8).map(|n| node.put(&format!("k{n}"), &value).boxed()).collect();
    let outcomes = futures::future::join_all(puts).await;
    let told: Vec<_> = outcomes.iter().map(Result::is_ok).collect();
    assert_eq!(told, [false, true, true, true, true, true, true, true]);
    assert!(node.get("k0").is_none(), "nothing of what was refused took effect");
    let (position, digest) = node.digest().await;
    assert_eq!(replay(journal.inner(), position).await.digest(), digest);
    node.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_could_not_be_ended_is_ended_later() {
    let gauge = Arc::new(Gauge::memory());
    let node = Node::start(Arc::<Gauge>::clone(&gauge), Options::default()).await;
    node.grant(7, 10).await;
    node.engine.commit(put_on("a", 7)).await.unwrap();
    gauge.full.store(true, Ordering::SeqCst);
    node.clock.go(Duration::from_secs(11));
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(node.get("a").is_some());
    gauge.full.store(false, Ordering::SeqCst);
    node.clock.go(Duration::from_secs(4));
    until("the lease ends", || node.engine.leases().is_empty()).await;
    assert!(node.get("a").is_none());
    assert_eq!(node.engine.keep_alive(LeaseId(7)).await, Ok(0));
    node.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_sealed_journal_ends_the_engine_and_everybody_is_told() {
    let journal = memory();
    let node = Node::start(Arc::<MemoryJournal>::clone(&journal), Options::default()).await;
    node.put("a", "1").await.unwrap();
    journal.seal(Successor("elsewhere".to_owned())).await.unwrap();
    let puts: Vec<_> = (0..10).map(|_| node.put("a", "2").boxed()).collect();
    for outcome in futures::future::join_all(puts).await {
        assert!(matches!(outcome, Err(Fault::Unavailable(_))), "{outcome:?}");
    }
    assert_eq!(node.put("a", "3").await, Err(Fault::Stopped));
    assert_eq!(node.get("a").unwrap().value, "1");
    node.stop().await;
}
