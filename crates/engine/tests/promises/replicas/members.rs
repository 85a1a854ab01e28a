//! Who belongs to the cluster.

use std::sync::Arc;
use std::time::Duration;

use engine::Ending;
use engine::replicas::Role;
use journal::{MemoryJournal, Objects};
use state::{Command, Epoch, Level, MemberId, Refusal};
use tokio::time::{Instant, timeout};

use super::cluster::{Cluster, agree};
use super::distant::Distant;
use super::sleeper::Sleeper;
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
    assert_eq!(first.engine.role(), Role::Writer);
    let began = Instant::now();
    // Wherever it is asked for, also at the one that goes.
    let remove = Command::MemberRemove { member: first.member };
    first.engine.commit(remove).await.unwrap().result.unwrap();
    for left in [&second, &third] {
        left.engine.commit(put("key", "value")).await.unwrap();
    }
    assert_eq!(first.engine.status().ending, Some(Ending::Removed));
    let next = second.engine.status().leader;
    let remove = Command::MemberRemove { member: next };
    second.engine.commit(remove).await.unwrap().result.unwrap();
    let last = if next == second.member { &third } else { &second };
    last.engine.commit(put("key", "value")).await.unwrap();
    assert_eq!(last.engine.epoch(), Epoch(3), "nobody had to take it");
    assert!(began.elapsed() < Duration::from_millis(100), "{:?}", began.elapsed());
    // The last one cannot go, and nothing moves for it.
    let remove = Command::MemberRemove { member: last.member };
    let refused = last.engine.commit(remove).await.unwrap().result;
    assert!(refused.is_err(), "{refused:?}");
    last.engine.commit(put("key", "value")).await.unwrap();
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
    // One that looks for them in another place.
    cluster.objects = journal::MemoryObjects::default();
    let refused = cluster.try_start(5).await.err().expect("it cannot know the beginning");
    let told = refused.to_string();
    assert!(told.contains("all replicas must name the same --archive"), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn who_slept_until_the_journal_was_trimmed_begins_anew_from_a_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let mut cluster = Cluster::new(Arc::new(MemoryJournal::default()));
    cluster.folder = Some(folder.path().to_owned());
    cluster.options.checkpoint_after = 20_000;
    let (first, second) = (cluster.start(1).await, cluster.start(2).await);
    let asleep = Arc::new(Sleeper::over(&cluster.journal));
    let third = cluster.try_start_on(Arc::<Sleeper>::clone(&asleep), 3).await.unwrap();
    third.engine.commit(put("key", "before")).await.unwrap();
    asleep.sleeps.send_replace(true);
    for other in [first.member, second.member] {
        cluster.network.cut(third.member, other, true);
    }
    let stood = third.engine.status().applied;
    while cluster.journal.read(journal::Slot(stood.0 + 1), 1).await.is_ok() {
        second.engine.commit(put("key", &"v".repeat(1_000))).await.unwrap();
    }
    // By now it has begun to take over.
    while third.engine.role() != Role::Claiming {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    asleep.sleeps.send_replace(false);
    while third.engine.status().ending.is_none() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(third.engine.status().ending, Some(Ending::Overtaken));
    // It does nothing more, wherever the journal stands by now.
    tokio::time::sleep(Duration::from_millis(200)).await;
    for other in [first.member, second.member] {
        cluster.network.cut(third.member, other, false);
    }
    third.stop().await;
    let third = cluster.start(3).await;
    agree(&[&first, &second, &third]).await;
    third.engine.commit(put("key", "after")).await.unwrap();
    assert_eq!(third.engine.status().ending, None);
}

#[tokio::test(start_paused = true)]
async fn a_member_joins_and_changes_while_the_writer_leaves_no_slot_free() {
    let mut cluster = Cluster::new(Arc::new(Distant::default()));
    cluster.options.level = Level::FIRST;
    let [first, second, third] = cluster.three().await;
    let client = |n: u64, engine: engine::Engine| async move {
        loop {
            drop(engine.commit(put(&format!("busy-{n}"), "value")).await);
        }
    };
    let busy = [&first, &second].into_iter().flat_map(|one| (0..4).map(|_| one.engine.clone()));
    let busy: Vec<_> = (0..).zip(busy).map(|(n, engine)| tokio::spawn(client(n, engine))).collect();
    tokio::time::sleep(Duration::from_millis(500)).await;
    let patience = Duration::from_secs(3);
    // Without a way to the writer it gets no slot: this is what a line is for.
    cluster.network.cut(first.member, MemberId(4), true);
    timeout(patience, cluster.start(4)).await.err().expect("it waits");
    cluster.network.cut(first.member, MemberId(4), false);
    let fourth = timeout(patience, cluster.start(4)).await.expect("it joins");
    // One that says something else of itself than before.
    third.stop().await;
    let third = timeout(patience, cluster.start_at(3, Level(2))).await.expect("it publishes");
    busy.iter().for_each(tokio::task::JoinHandle::abort);
    agree(&[&first, &second, &third, &fourth]).await;
    let known = first.engine.status().cluster;
    assert_eq!((known.members().len(), known.members()[&third.member].level), (4, Level(2)));
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
