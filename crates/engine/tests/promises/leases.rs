//! Leases end when they should, as real deletes, and their end does not hold up the traffic.

use std::sync::Arc;
use std::time::{Duration, Instant};

use engine::{Fault, Options};
use futures::FutureExt;
use journal::MemoryJournal;
use state::{Command, LeaseId, Reply, Revision};

use crate::support::{Gauge, Node, memory, put_on, until};

/// Pitfall d: the end of a lease is a delete with its own revision.
#[tokio::test(start_paused = true)]
async fn the_end_of_a_lease_is_a_delete_with_its_own_revision() {
    let node = Node::start(memory(), Options::default()).await;
    for lease in [7, 8] {
        node.grant(lease, 10).await;
        node.engine.commit(put_on(&format!("a{lease}"), lease)).await.unwrap();
        node.engine.commit(put_on(&format!("b{lease}"), lease)).await.unwrap();
    }
    assert_eq!(node.engine.view().revision().0, 5);
    node.clock.go(Duration::from_millis(10_001));
    until("both end", || node.engine.leases().is_empty()).await;
    let view = node.engine.view();
    assert_eq!(view.revision().0, 7, "one revision for each lease");
    let events: Vec<_> = view
        .events(Revision(6))
        .unwrap()
        .map(|event| (event.mod_revision.0, String::from_utf8_lossy(event.key).into_owned()))
        .collect();
    let expected = [(6, "a7"), (6, "b7"), (7, "a8"), (7, "b8")];
    assert_eq!(events, expected.map(|(revision, key)| (revision, key.to_owned())));
    assert_eq!(node.engine.status().leases, 0);
    node.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_keep_alive_extends() {
    let node = Node::start(memory(), Options::default()).await;
    node.grant(7, 10).await;
    for _ in 0..5 {
        node.clock.go(Duration::from_secs(9));
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(node.engine.keep_alive(LeaseId(7)).await, Ok(10));
    }
    node.clock.go(Duration::from_secs(4));
    let status = node.engine.time_to_live(LeaseId(7), true).await.unwrap().unwrap();
    assert_eq!((status.ttl, status.granted_ttl, status.keys.len()), (6, 10, 0));
    node.engine.commit(put_on("a", 7)).await.unwrap();
    let status = node.engine.time_to_live(LeaseId(7), true).await.unwrap().unwrap();
    assert_eq!(status.keys, ["a"]);
    assert_eq!(node.engine.time_to_live(LeaseId(9), true).await, Ok(None));
    assert_eq!(node.engine.keep_alive(LeaseId(9)).await, Ok(0));
    node.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_keep_alive_of_a_due_lease_waits_for_its_end() {
    let gauge = Arc::new(Gauge::memory());
    let node = Node::start(Arc::<Gauge>::clone(&gauge), Options::default()).await;
    node.grant(7, 10).await;
    gauge.stuck.send_replace(true);
    node.clock.go(Duration::from_secs(11));
    let engine = node.engine.clone();
    let waits = tokio::spawn(async move { engine.keep_alive(LeaseId(7)).await });
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!waits.is_finished());
    gauge.stuck.send_replace(false);
    assert_eq!(waits.await.unwrap(), Ok(0));
    // If the end does not become durable, the client is told in time.
    node.grant(8, 10).await;
    gauge.stuck.send_replace(true);
    node.clock.go(Duration::from_secs(11));
    assert_eq!(node.engine.keep_alive(LeaseId(8)).await, Err(Fault::Timeout));
    gauge.stuck.send_replace(false);
    node.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_restart_gives_every_lease_its_full_time() {
    let journal = memory();
    let node = Node::start(Arc::<MemoryJournal>::clone(&journal), Options::default()).await;
    node.grant(7, 100).await;
    node.clock.go(Duration::from_secs(90));
    node.stop().await;
    let node = Node::start(journal, Options::default()).await;
    node.clock.go(Duration::from_secs(99));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(node.engine.leases(), [LeaseId(7)]);
    node.clock.go(Duration::from_secs(2));
    until("it ends", || node.engine.leases().is_empty()).await;
    node.stop().await;
}

#[tokio::test(start_paused = true)]
async fn leases_are_listed_by_their_end() {
    let node = Node::start(memory(), Options::default()).await;
    for (id, ttl) in [(1, 30), (2, 10), (3, 20)] {
        node.grant(id, ttl).await;
    }
    assert_eq!(node.engine.leases(), [LeaseId(2), LeaseId(3), LeaseId(1)]);
    node.clock.go(Duration::from_secs(5));
    node.engine.keep_alive(LeaseId(2)).await.unwrap();
    node.clock.go(Duration::from_secs(4));
    node.engine.keep_alive(LeaseId(3)).await.unwrap();
    assert_eq!(node.engine.leases(), [LeaseId(2), LeaseId(3), LeaseId(1)]);
    node.engine.keep_alive(LeaseId(2)).await.unwrap();
    let revoked = node.engine.commit(Command::LeaseRevoke { id: LeaseId(1) }).await.unwrap();
    assert_eq!(revoked.result, Ok(Reply::LeaseRevoke));
    assert_eq!(node.engine.leases(), [LeaseId(2), LeaseId(3)]);
    node.stop().await;
}

/// A journal that stalls gathers no second proposal, which would end a new lease of the same name.
#[tokio::test(start_paused = true)]
async fn a_stalled_journal_does_not_end_a_lease_twice() {
    let gauge = Arc::new(Gauge::memory());
    let node = Node::start(Arc::<Gauge>::clone(&gauge), Options::default()).await;
    node.grant(7, 10).await;
    gauge.stuck.send_replace(true);
    node.clock.go(Duration::from_secs(11));
    for _ in 0..20 {
        node.clock.go(Duration::from_secs(1));
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    assert_eq!(node.engine.status().pending, 1);
    let mut grant = node.engine.commit(Command::LeaseGrant { id: LeaseId(7), ttl: 60 }).boxed();
    assert!(grant.as_mut().now_or_never().is_none());
    gauge.stuck.send_replace(false);
    assert!(grant.await.unwrap().result.is_ok());
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(node.engine.keep_alive(LeaseId(7)).await, Ok(60));
    node.stop().await;
}

/// Pitfall r: mass expiry shares the journal with the traffic.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mass_expiry_does_not_stop_the_traffic() {
    let gauge = Arc::new(Gauge { delay: Duration::from_millis(1), ..Gauge::memory() });
    let node = Node::start(Arc::<Gauge>::clone(&gauge), Options::default()).await;
    let engine = &node.engine;
    let grants = (1..=10_000).map(|n| async move {
        engine.commit(Command::LeaseGrant { id: LeaseId(n), ttl: 10 }).await?;
        engine.commit(put_on(&format!("k{n}"), n)).await
    });
    for granted in futures::future::join_all(grants).await {
        assert!(granted.unwrap().result.is_ok());
    }
    node.clock.go(Duration::from_secs(11));
    let (started, mut worst, mut puts) = (Instant::now(), Duration::ZERO, 0);
    while engine.status().leases > 0 {
        let asked = Instant::now();
        node.put("traffic", "v").await.unwrap();
        worst = worst.max(asked.elapsed());
        puts += 1;
        assert!(started.elapsed() < Duration::from_secs(60), "leases do not end");
    }
    assert!(puts > 100, "{puts} puts while 10,000 leases ended");
    assert!(worst < Duration::from_secs(2), "a put took {worst:?}");
    assert_eq!(engine.view().len(), 1);
    node.stop().await;
}
