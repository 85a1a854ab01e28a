//! The end: what was accepted is answered, what comes later is refused, and a dead writer is noticed.

use std::sync::Arc;
use std::time::Duration;

use engine::{Fault, Options};
use futures::FutureExt;
use state::LeaseId;

use crate::support::{Gauge, Node, memory, put, reopen};

#[tokio::test(start_paused = true)]
async fn a_stop_answers_everything_accepted() {
    let gauge = Arc::new(Gauge { delay: Duration::from_millis(10), ..Gauge::memory() });
    let options = Options { max_batch_bytes: 300, ..Options::default() };
    let node = Node::start(Arc::<Gauge>::clone(&gauge), options).await;
    let engine = node.engine.clone();
    let mut commits: Vec<_> =
        (0..500).map(|n| engine.commit(put(&format!("k{n}"), "v")).boxed()).collect();
    for commit in &mut commits {
        assert!(commit.as_mut().now_or_never().is_none());
    }
    let question = engine.ask(|state| state.position());
    let stopped = node.stop();
    let (outcomes, answer, ()) =
        futures::future::join3(futures::future::join_all(commits), question, stopped).await;
    assert!(answer.is_ok());
    for outcome in outcomes {
        outcome.unwrap();
    }
    assert_eq!(engine.commit(put("late", "v")).await, Err(Fault::Stopped));
    assert_eq!(engine.ask(|_| ()).await, Err(Fault::Stopped));
    assert_eq!(engine.keep_alive(LeaseId(1)).await, Err(Fault::Stopped));
    assert_eq!(engine.time_to_live(LeaseId(1), true).await, Err(Fault::Stopped));
    assert_eq!(engine.view().revision().0, 501);
}

/// Requests and the stop on different threads: each request is answered, one way or the other.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_stop_in_the_middle_of_traffic_leaves_nobody_waiting() {
    for _ in 0..200 {
        let node = Node::start(memory(), Options::default()).await;
        let clients: Vec<_> = (0..4)
            .map(|_| {
                let engine = node.engine.clone();
                tokio::spawn(async move {
                    let mut last = 0;
                    loop {
                        match engine.commit(put("k", "v")).await {
                            Ok(outcome) => last = outcome.revision.0,
                            Err(Fault::Stopped) => return last,
                            Err(other) => panic!("{other}"),
                        }
                    }
                })
            })
            .collect();
        tokio::time::sleep(Duration::from_micros(300)).await;
        let engine = node.engine.clone();
        tokio::time::timeout(Duration::from_secs(20), node.stop()).await.expect("it stops");
        for client in clients {
            let last = tokio::time::timeout(Duration::from_secs(20), client).await;
            assert!(last.expect("everybody is answered").unwrap() <= engine.view().revision().0);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_dead_writer_leaves_nobody_waiting() {
    let gauge = Arc::new(Gauge::memory());
    let node = Node::start(Arc::<Gauge>::clone(&gauge), Options::default()).await;
    gauge.stuck.send_replace(true);
    let engine = node.engine.clone();
    let mut commits: Vec<_> = (0..10).map(|_| engine.commit(put("k", "v")).boxed()).collect();
    for commit in &mut commits {
        assert!(commit.as_mut().now_or_never().is_none());
        tokio::task::yield_now().await;
    }
    node.kill().await;
    for outcome in futures::future::join_all(commits).await {
        assert!(matches!(outcome, Err(Fault::Unavailable(_))), "{outcome:?}");
    }
    assert_eq!(engine.commit(put("k", "v")).await, Err(Fault::Stopped));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_engines_live_in_one_process() {
    let dirs: Vec<_> = (0..20).map(|_| tempfile::tempdir().unwrap()).collect();
    let nodes = dirs.iter().map(|dir| Node::start(reopen(dir.path()), Options::default()));
    let nodes = futures::future::join_all(nodes).await;
    let work = nodes.iter().enumerate().map(|(n, node)| async move {
        for round in 0..10 {
            node.put("k", &format!("{n}-{round}")).await.unwrap();
        }
    });
    futures::future::join_all(work).await;
    for (n, node) in nodes.into_iter().enumerate() {
        let kv = node.get("k").unwrap();
        assert_eq!((kv.value, kv.version), (format!("{n}-9").into(), 10));
        node.stop().await;
    }
}
