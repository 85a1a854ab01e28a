//! Invariant 2: applied ≤ durable ≤ tail, at every moment that anybody can look.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use engine::Options;

use crate::support::{Gauge, Node, put, reopen, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn applied_never_runs_ahead_of_durable() {
    let dir = tempfile::tempdir().unwrap();
    let gauge = Arc::new(Gauge::over(reopen(dir.path())));
    let node = Node::start(Arc::<Gauge>::clone(&gauge), Options::default()).await;
    let (engine, seen) = (node.engine.clone(), Arc::clone(&gauge));
    let looker = std::thread::spawn(move || {
        let (mut looks, mut last) = (0_u64, 0);
        while !engine.stopping() {
            // What is shown is read first: durability may only have grown since.
            let (status, view) = (engine.status(), engine.view());
            let (won, puts) = (seen.won.load(Ordering::SeqCst), seen.puts.load(Ordering::SeqCst));
            assert!(status.applied <= status.durable);
            assert!(status.durable.0 <= won, "{} shown, {won} durable", status.durable);
            let shown = u64::try_from(view.revision().0).unwrap() - 1;
            assert!(shown <= puts, "revision of {shown} puts shown, {puts} durable");
            assert!(shown >= last, "what was shown was taken back");
            (looks, last) = (looks + 1, shown);
        }
        looks
    });
    let clients = (0..64).map(|client| {
        let (engine, gauge) = (node.engine.clone(), Arc::clone(&gauge));
        tokio::spawn(async move {
            for n in 0..50 {
                let outcome =
                    engine.commit(put(&format!("k{client}"), &n.to_string())).await.unwrap();
                let shown = engine.view().revision();
                assert!(outcome.revision <= shown, "a reply came before what it is about is shown");
                let durable = gauge.puts.load(Ordering::SeqCst);
                assert!(u64::try_from(outcome.revision.0).unwrap() - 1 <= durable);
                assert!(engine.status().revision >= outcome.revision);
            }
        })
    });
    for client in futures::future::join_all(clients).await {
        client.unwrap();
    }
    assert_eq!(node.engine.view().revision().0, 1 + 64 * 50);
    tokio::time::sleep(Duration::from_millis(5)).await;
    node.stop().await;
    assert!(looker.join().unwrap() > 0);
}

#[tokio::test]
async fn the_course_of_a_command_is_told_in_its_order() {
    let gauge = Arc::new(Gauge::memory());
    let node = Node::start(Arc::<Gauge>::clone(&gauge), Options::default()).await;
    let second = Duration::from_secs(1);
    node.clock.go(second);
    gauge.stuck.send_replace(true);
    let engine = node.engine.clone();
    let following = tokio::spawn(async move { engine.commit_followed(put("k", "v")).await });
    until("it is offered", || gauge.under_way.load(Ordering::SeqCst) == 1).await;
    node.clock.go(second * 3);
    gauge.stuck.send_replace(false);
    let (outcome, course) = following.await.unwrap();
    assert_eq!(outcome.unwrap().revision.0, 2);
    let course = course.expect("it was applied");
    assert_eq!((course.queued, course.offered), (second, second));
    assert_eq!((course.durable, course.applied), (second * 4, second * 4));
    let engine = node.engine.clone();
    node.stop().await;
    let (outcome, course) = engine.commit_followed(put("k", "v")).await;
    assert!(outcome.is_err() && course.is_none());
}
