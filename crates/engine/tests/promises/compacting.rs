//! Auto-compaction, on a clock that the test moves.

use std::time::Duration;

use engine::{AutoCompaction, Options};

use crate::support::{Node, memory, put};

fn options(auto_compaction: AutoCompaction) -> Options {
    Options { auto_compaction, ..Options::default() }
}

#[tokio::test(start_paused = true)]
async fn periodic_compaction_keeps_its_time() {
    let retention = Duration::from_secs(600);
    let node = Node::start(memory(), options(AutoCompaction::Periodic(retention))).await;
    for minute in 0..40 {
        let view = node.engine.view();
        // One put a minute: what is older than the retention goes, what is younger stays.
        let kept = view.revision().0 - view.compact_revision().0.max(0);
        assert!(kept >= minute.min(10), "minute {minute}: only {kept} kept");
        assert!(kept <= 22, "minute {minute}: {kept} kept");
        node.put("k", &minute.to_string()).await.unwrap();
        tokio::time::sleep(Duration::from_secs(60)).await;
    }
    assert!(node.engine.view().compact_revision().0 > 10);
    node.stop().await;
}

#[tokio::test(start_paused = true)]
async fn compaction_by_revision_keeps_so_many() {
    let node = Node::start(memory(), options(AutoCompaction::Revision(100))).await;
    for n in 0..300 {
        node.put("k", &n.to_string()).await.unwrap();
    }
    assert!(node.engine.view().compact_revision().0 <= 0);
    tokio::time::sleep(Duration::from_secs(301)).await;
    assert_eq!(node.engine.view().compact_revision().0, 201);
    let committed = node.engine.status().committed;
    tokio::time::sleep(Duration::from_secs(900)).await;
    assert_eq!(node.engine.status().committed, committed, "nothing new, nothing to do");
    node.stop().await;
}

/// Compaction is carried out although the writer never rests.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_busy_writer_carries_out_compaction() {
    let node = Node::start(memory(), Options { quota: None, ..Options::default() }).await;
    let value = "v".repeat(100);
    for round in 0..30 {
        let puts = (0..1_000).map(|n| node.engine.commit(put(&format!("k{n}"), &value)));
        let outcomes = futures::future::join_all(puts).await;
        assert!(outcomes.iter().all(Result::is_ok), "round {round}");
    }
    let before = node.engine.status().in_use_bytes;
    let clients: Vec<_> = (0..8)
        .map(|_| {
            let engine = node.engine.clone();
            tokio::spawn(async move { while engine.commit(put("busy", "v")).await.is_ok() {} })
        })
        .collect();
    let revision = node.engine.view().revision();
    node.engine.commit(state::Command::Compact { revision }).await.unwrap();
    tokio::time::timeout(Duration::from_secs(30), node.engine.quiesce_compaction())
        .await
        .expect("it comes to an end")
        .unwrap();
    assert!(node.engine.status().in_use_bytes < before / 2);
    node.stop().await;
    for client in clients {
        client.await.unwrap();
    }
}
