//! Invariant 8, the writer's part of it: what is accepted and not settled is bounded, wherever it waits.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use engine::{Fault, Options};
use futures::FutureExt;

use crate::support::{Gauge, Node, put, until};

#[tokio::test(start_paused = true)]
async fn the_inbox_is_bounded() {
    let gauge = Arc::new(Gauge::memory());
    let request_timeout = Duration::from_secs(3600);
    let options = Options { max_waiting: 100, request_timeout, ..Options::default() };
    let node = Node::start(Arc::<Gauge>::clone(&gauge), options).await;
    gauge.stuck.send_replace(true);
    let mut accepted = Vec::new();
    let mut refused = 0;
    for n in 0..400 {
        let mut commit = node.engine.commit(put(&format!("k{n}"), "v")).boxed();
        match commit.as_mut().now_or_never() {
            None => accepted.push(commit),
            Some(Err(Fault::TooManyRequests)) => refused += 1,
            Some(other) => panic!("{other:?}"),
        }
        // The writer takes what it can: that must not make room.
        tokio::task::yield_now().await;
    }
    assert_eq!((accepted.len(), refused), (100, 300));
    assert!(node.engine.status().pending <= 101);
    gauge.stuck.send_replace(false);
    for commit in accepted {
        commit.await.unwrap();
    }
    // There is room again, all of it.
    tokio::time::sleep(Duration::from_millis(1)).await;
    let again: Vec<_> =
        (0..100).map(|n| node.put(if n == 0 { "x" } else { "y" }, "v").boxed()).collect();
    for commit in futures::future::join_all(again).await {
        commit.unwrap();
    }
    node.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_inbox_is_bounded_in_bytes() {
    let gauge = Arc::new(Gauge::memory());
    let options = Options { max_waiting_bytes: 10_000, ..Options::default() };
    let node = Node::start(Arc::<Gauge>::clone(&gauge), options).await;
    gauge.stuck.send_replace(true);
    let value = "v".repeat(900);
    let mut accepted = Vec::new();
    for _ in 0..40 {
        let mut commit = node.put("k", &value).boxed();
        if commit.as_mut().now_or_never().is_none() {
            accepted.push(commit);
        }
        tokio::task::yield_now().await;
    }
    assert_eq!(accepted.len(), 10);
    gauge.stuck.send_replace(false);
    for commit in accepted {
        commit.await.unwrap();
    }
    // One alone may be larger than the limit.
    node.put("k", &"v".repeat(20_000)).await.unwrap();
    node.stop().await;
}

#[tokio::test(start_paused = true)]
async fn who_waits_too_long_is_told_and_order_is_kept() {
    let gauge = Arc::new(Gauge::memory());
    let node = Node::start(Arc::<Gauge>::clone(&gauge), Options::default()).await;
    gauge.stuck.send_replace(true);
    let offered = node.put("k", "offered").boxed();
    let (mut offered, mut waits) = (offered, node.put("k", "waits").boxed());
    assert!(offered.as_mut().now_or_never().is_none());
    until("it is offered", || gauge.under_way.load(Ordering::SeqCst) == 1).await;
    assert!(waits.as_mut().now_or_never().is_none());
    node.clock.go(Duration::from_secs(8));
    assert_eq!(offered.await, Err(Fault::Timeout));
    assert_eq!(waits.await, Err(Fault::Timeout), "in the backlog time counts as well");
    let mut late = node.put("k", "late").boxed();
    assert!(late.as_mut().now_or_never().is_none());
    gauge.stuck.send_replace(false);
    let outcome = late.await.unwrap();
    // What was offered took effect, what was not is forgotten.
    assert_eq!(outcome.revision.0, 3);
    assert_eq!(node.get("k").unwrap().value, "late");
    assert_eq!(node.engine.status().pending, 0);
    node.stop().await;
}

/// Pitfall ab: a client that goes away leaves nothing behind.
#[tokio::test(start_paused = true)]
async fn a_dropped_request_leaves_nothing_behind() {
    let gauge = Arc::new(Gauge::memory());
    let options = Options { max_waiting: 50, ..Options::default() };
    let node = Node::start(Arc::<Gauge>::clone(&gauge), options).await;
    gauge.stuck.send_replace(true);
    let mut first = node.put("first", "v").boxed();
    assert!(first.as_mut().now_or_never().is_none());
    until("it is offered", || gauge.under_way.load(Ordering::SeqCst) == 1).await;
    for n in 0..49 {
        let mut gone = node.put(&format!("gone{n}"), "v").boxed();
        assert!(gone.as_mut().now_or_never().is_none());
    }
    gauge.stuck.send_replace(false);
    first.await.unwrap();
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(node.engine.status().pending, 0);
    assert_eq!(node.engine.view().revision().0, 2, "queued requests went with their clients");
    let many: Vec<_> = (0..50).map(|_| node.put("k", "v").boxed()).collect();
    for commit in futures::future::join_all(many).await {
        commit.unwrap();
    }
    node.stop().await;
}

/// While one batch is made durable the next one fills and is offered.
#[tokio::test(start_paused = true)]
async fn batches_overlap_and_keep_their_order() {
    let gauge = Arc::new(Gauge { delay: Duration::from_millis(100), ..Gauge::memory() });
    let options = Options { max_batch_bytes: 256 << 10, ..Options::default() };
    let node = Node::start(Arc::<Gauge>::clone(&gauge), options).await;
    let value = "v".repeat(256 << 10);
    let started = tokio::time::Instant::now();
    let puts: Vec<_> = (0..20).map(|n| node.put("k", &format!("{n}{value}")).boxed()).collect();
    let outcomes = futures::future::join_all(puts).await;
    let took = started.elapsed();
    for (n, outcome) in outcomes.into_iter().enumerate() {
        assert_eq!(outcome.unwrap().revision.0, 2 + n as i64, "in the order they were asked");
    }
    assert_eq!(gauge.most_under_way.load(Ordering::SeqCst), 4, "as many as the pipeline takes");
    assert!(took < Duration::from_millis(700), "20 batches of 100 ms, 4 at once: {took:?}");
    node.stop().await;
}
