//! Replicas that hold their states against one another.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use journal::MemoryJournal;
use state::{Alarm, AlarmType, Entry, MemberId};

use super::cluster::{Cluster, agree};
use super::lying::Lying;
use crate::support::put;

fn with_lies(body: &Bytes) -> Bytes {
    let mut entry = Entry::decode(body).unwrap();
    for command in &mut entry.commands {
        if *command == put("key", "true") {
            *command = put("key", "lies");
        }
    }
    entry.encode()
}

#[tokio::test]
async fn a_replica_whose_state_differs_raises_corrupt_and_ends() {
    let journal = MemoryJournal::default();
    let cluster = Cluster::new(Arc::new(journal.clone()));
    let (first, second) = (cluster.start(1).await, cluster.start(2).await);
    let third = cluster.try_start_on(Arc::new(Lying(journal, with_lies)), 3).await.unwrap();
    // What it reads in the journal is not what the others are told.
    cluster.network.cut(MemberId(1), MemberId(3), true);
    second.engine.commit(put("key", "true")).await.unwrap();
    third.engine.linearizable_view().await.unwrap();
    cluster.network.cut(MemberId(1), MemberId(3), false);
    assert_eq!(third.engine.view().get(b"key").unwrap().value, b"lies");
    agree(&[&first, &second]).await;
    first.engine.commit_own(state::Command::DigestDue).await.unwrap();
    for _ in 0..1_000 {
        if third.engine.stopping() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(third.engine.stopping(), "it has found out");
    first.engine.linearizable_view().await.unwrap();
    let alarm = Alarm { member: MemberId(3), alarm: AlarmType::Corrupt };
    assert_eq!(first.engine.status().alarms, [alarm]);
    assert!(!first.engine.stopping() && !second.engine.stopping());
}
