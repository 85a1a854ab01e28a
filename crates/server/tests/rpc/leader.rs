//! `hasleader`: what a replica without a writer does for those that ask for one.

use std::sync::Arc;
use std::time::Duration;

use journal::{Journal, MemoryJournal};
use server::wire::etcdserverpb as pb;
use state::MemberId;
use tokio::time::timeout;
use tonic::{Code, Streaming};

use super::replicas::{port, start};
use super::sleeper::Sleeper;
use super::support::{Client, eventually, everything, refused, soon};

async fn watch(client: &mut Client) -> Streaming<pb::WatchResponse> {
    let (say, mut hear) =
        client.talk::<pb::WatchRequest, pb::WatchResponse>("/etcdserverpb.Watch/Watch").await;
    let all =
        pb::WatchCreateRequest { key: "\0".into(), range_end: "\0".into(), ..Default::default() };
    say.send(super::watch::create(all)).await.unwrap();
    assert!(hear.message().await.unwrap().unwrap().created);
    hear
}

#[tokio::test(flavor = "multi_thread")]
async fn who_requires_a_leader_is_told_that_there_is_none() {
    let journal: Arc<dyn Journal> = Arc::new(MemoryJournal::default());
    let ports = [port().await, port().await];
    let founders: Vec<_> =
        (1..).map(MemberId).zip(ports.iter().map(|(_, url)| vec![url.clone()])).collect();
    let [one, other] = [Sleeper::over(&journal), Sleeper::over(&journal)].map(Arc::new);
    let [first_port, second_port] = ports;
    let first = start(&one, "r1", first_port, founders.clone()).await;
    let second = start(&other, "r2", second_port, founders).await;
    let mut client = second.client().await;
    soon(client.put("key", "value")).await;
    let mut strict = client.requiring_a_leader();
    let (mut watched, mut watched_strictly) = (watch(&mut client).await, watch(&mut strict).await);
    assert_eq!(soon(strict.range(everything())).await.unwrap().count, 1);

    // Nobody writes, and whoever would cannot reach the journal.
    other.sleeps.send_replace(true);
    drop(first);
    let engine = second.engine.clone();
    eventually("no leader is known", || engine.status().leader.0 == 0).await;
    let serializable = || pb::RangeRequest { serializable: true, ..everything() };
    let answer = soon(strict.range(serializable())).await;
    refused(answer, Code::Unavailable, "etcdserver: no leader");
    assert_eq!(soon(client.range(serializable())).await.unwrap().count, 1);
    let ended = soon(watched_strictly.message()).await;
    refused(ended, Code::Unavailable, "etcdserver: no leader");
    let silent = timeout(Duration::from_millis(100), watched.message()).await;
    assert!(silent.is_err(), "it was not asked to end: {silent:?}");
    assert!(second.http("/health").await.contains("RAFT NO LEADER"));

    other.sleeps.send_replace(false);
    eventually("it writes itself", || engine.status().leader == engine.status().member).await;
    soon(strict.put("key", "again")).await;
    let event = soon(watched.message()).await.unwrap().unwrap();
    assert_eq!(event.events.len(), 1);
    drop(watch(&mut strict).await);
}
