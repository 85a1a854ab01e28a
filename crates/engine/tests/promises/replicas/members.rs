//! Who belongs to the cluster.

use std::sync::Arc;
use std::time::Duration;

use journal::{MemoryJournal, Objects};
use state::{Command, MemberId, Refusal};

use super::cluster::{Cluster, agree};
use crate::support::put;

#[tokio::test(start_paused = true)]
async fn the_founders_find_themselves_and_a_fourth_joins() {
    let cluster = Cluster::new(Arc::new(MemoryJournal::default()));
    let [first, second, third] = cluster.three().await;
    assert_eq!([first.member, second.member, third.member], [1, 2, 3].map(MemberId));
    let fourth = cluster.start(4).await;
    fourth.engine.commit(put("from", "the fourth")).await.unwrap();
    agree(&[&first, &second, &third, &fourth]).await;
    let known = first.engine.status().cluster;
    let names: Vec<_> = known.members().values().map(|member| member.name.as_str()).collect();
    assert_eq!(names.len(), 4);
    assert!((1..=4).all(|n| names.contains(&format!("replica{n}").as_str())), "{names:?}");
    assert!(!known.members()[&fourth.member].learner);
}

#[tokio::test(start_paused = true)]
async fn who_was_removed_stops_and_is_refused_with_its_old_id() {
    let cluster = Cluster::new(Arc::new(MemoryJournal::default()));
    let [first, second, third] = cluster.three().await;
    let remove = Command::MemberRemove { member: third.member };
    second.engine.commit(remove.clone()).await.unwrap().result.unwrap();
    let again = second.engine.commit(remove).await.unwrap();
    assert_eq!(again.result, Err(Refusal::MemberNotFound));
    let refused = loop {
        match third.engine.commit(put("too", "late")).await {
            Err(fault) => break fault.to_string(),
            Ok(_) => tokio::task::yield_now().await,
        }
    };
    assert!(refused.contains("stopping") || refused.contains("removed"), "{refused}");
    agree(&[&first, &second]).await;
}

#[tokio::test(start_paused = true)]
async fn a_writer_that_is_removed_is_replaced() {
    let cluster = Cluster::new(Arc::new(MemoryJournal::default()));
    let [first, second, third] = cluster.three().await;
    second.engine.commit(Command::MemberRemove { member: first.member }).await.unwrap();
    let removed = tokio::time::Instant::now();
    third.engine.commit(put("key", "value")).await.unwrap();
    // Nobody waits for word from it: all know that it is gone.
    assert!(removed.elapsed() < Duration::from_millis(300), "{:?}", removed.elapsed());
    assert_ne!(second.engine.status().leader, first.member);
    agree(&[&second, &third]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn who_comes_late_begins_from_a_checkpoint_that_is_shared() {
    let folder = tempfile::tempdir().unwrap();
    let mut cluster = Cluster::new(Arc::new(MemoryJournal::default()));
    cluster.folder = Some(folder.path().to_owned());
    cluster.options.checkpoint_after = 20_000;
    let [first, second, third] = cluster.three().await;
    let trimmed = async |before: u64| {
        loop {
            let there = cluster.journal.read(journal::Slot(before), 1).await;
            if matches!(there, Err(journal::JournalError::Trimmed { .. })) {
                return;
            }
            second.engine.commit(put("key", &"v".repeat(1_000))).await.unwrap();
        }
    };
    trimmed(1).await;
    let fourth = cluster.start(4).await;
    agree(&[&first, &second, &third, &fourth]).await;
    // One that was away, and one that has lost its disk.
    let away = third.member;
    third.stop().await;
    let stood = second.engine.status().applied.0;
    trimmed(stood + 1).await;
    let third = cluster.start(3).await;
    assert_eq!(third.member, away);
    fourth.stop().await;
    std::fs::remove_dir_all(folder.path().join("4")).unwrap();
    let fourth = cluster.start(4).await;
    agree(&[&first, &second, &third, &fourth]).await;
    let kept = cluster.objects.list().await.unwrap().len();
    assert!((1..=2).contains(&kept), "{kept} are kept");
}

#[tokio::test(start_paused = true)]
async fn a_learner_follows_and_never_takes_over() {
    let cluster = Cluster::new(Arc::new(MemoryJournal::default()));
    let first = {
        let cluster = Cluster { founders: 1, ..Cluster::new(Arc::clone(&cluster.journal)) };
        let cluster = Cluster { network: Arc::clone(&cluster.network), ..cluster };
        let first = cluster.start(1).await;
        let peer_urls = vec!["http://replica2:2380".to_owned()];
        let add = Command::MemberAdd { member: MemberId(2), peer_urls, learner: true };
        first.engine.commit(add).await.unwrap().result.unwrap();
        let second = cluster.start(2).await;
        assert_eq!(second.member, MemberId(2), "it is found by where it is reached");
        second.engine.commit(put("key", "value")).await.unwrap();
        assert!(first.engine.hand_over(Some(MemberId(2))).await.is_err());
        first.kill().await;
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert_eq!(second.engine.role(), engine::replicas::Role::Follower);
        cluster.start(1).await
    };
    first.engine.commit(put("key", "again")).await.unwrap();
}
