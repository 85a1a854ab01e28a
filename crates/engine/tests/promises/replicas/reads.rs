//! Reads on every replica.

use std::sync::Arc;
use std::time::Duration;

use journal::MemoryJournal;
use state::MemberId;

use super::cluster::Cluster;
use crate::support::{get, put};

#[tokio::test(start_paused = true)]
async fn a_linearizable_read_sees_what_was_acknowledged_anywhere() {
    let cluster = Cluster::new(Arc::new(MemoryJournal::default()));
    let [first, second, third] = cluster.three().await;
    for cut in [false, true] {
        // Cut off, a replica finds in the journal what nobody tells it.
        cluster.network.cut(MemberId(1), MemberId(3), cut);
        for n in 0..50 {
            let value = format!("{cut} {n}");
            let at = [&first, &second, &third][n % 3];
            at.engine.commit(put("key", &value)).await.unwrap();
            for reader in [&first, &second, &third] {
                let view = reader.engine.linearizable_view().await.unwrap();
                assert_eq!(view.get(b"key").unwrap().value, value.as_bytes());
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_writer_that_was_asleep_does_not_answer_from_the_past() {
    let cluster = Cluster::new(Arc::new(MemoryJournal::default()));
    let [first, second, third] = cluster.three().await;
    for other in [2, 3] {
        cluster.network.cut(MemberId(1), MemberId(other), true);
    }
    third.engine.commit(put("key", "new")).await.unwrap();
    assert_eq!(get(&first.engine, "key"), None, "it has not heard of it yet");
    let view = first.engine.linearizable_view().await.unwrap();
    assert_eq!(view.get(b"key").unwrap().value, b"new");
    drop(second);
}

#[tokio::test(start_paused = true)]
async fn watches_on_every_replica_show_the_same() {
    let cluster = Cluster::new(Arc::new(MemoryJournal::default()));
    let [first, second, third] = cluster.three().await;
    let mut streams: Vec<_> = [&first, &second, &third]
        .into_iter()
        .map(|one| {
            let mut stream = one.engine.watch();
            stream.create(engine::watch::Create {
                range: state::KeyRange { key: "\0".into(), range_end: "\0".into() },
                start_revision: state::Revision(1),
                ..engine::watch::Create::default()
            });
            stream
        })
        .collect();
    for n in 0..30 {
        let at = [&first, &second, &third][n % 3];
        at.engine.commit(put("key", &n.to_string())).await.unwrap();
        if n == 15 {
            first.engine.hand_over(None).await.unwrap();
        }
    }
    let mut seen = Vec::new();
    for stream in &mut streams {
        let mut events = Vec::new();
        while events.len() < 32 {
            let next = tokio::time::timeout(Duration::from_secs(5), stream.next()).await;
            let next = next.expect("an event comes").expect("the stream goes on");
            events.extend(next.events.iter().map(|event| format!("{event:?}")));
        }
        seen.push(events);
    }
    assert_eq!(seen[0], seen[1]);
    assert_eq!(seen[0], seen[2]);
}
