//! Who writes, and what happens when that changes.

use std::sync::Arc;
use std::time::Duration;

use engine::Fault;
use engine::replicas::Role;
use journal::faulty::Odds;
use journal::{Faulty, Journal, MemoryJournal};
use state::{MemberId, Reply};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::cluster::{Cluster, Replica, agree, writer};
use crate::support::{get, put};

/// Clients that count up keys of their own at a replica. A put that timed out may have taken effect
/// once, and no other may.
fn clients(at: &Replica, clients: usize, puts: i64) -> Vec<JoinHandle<i64>> {
    let client = |n: usize| {
        let (engine, member) = (at.engine.clone(), at.member);
        tokio::spawn(async move {
            let key = format!("{member}-{n}");
            let (mut least, mut most) = (0, 0);
            for n in 0..puts {
                match engine.commit(put(&key, &n.to_string())).await {
                    Ok(outcome) => {
                        let Ok(Reply::Put { prev_kv }) = outcome.result else { panic!("refused") };
                        let before = prev_kv.map_or(0, |kv| kv.version);
                        assert!(
                            (least..=most).contains(&before),
                            "{key}: {before} puts took effect"
                        );
                        (least, most) = (before + 1, before + 1);
                    }
                    Err(Fault::Timeout | Fault::Unavailable(_)) => most += 1,
                    Err(fault) => panic!("{fault}"),
                }
                tokio::time::sleep(Duration::from_millis(3)).await;
            }
            let version = get(&engine, &key).map_or(0, |kv| kv.version);
            assert!((least..=most).contains(&version), "{key}: {version} puts took effect");
            version
        })
    };
    (0..clients).map(client).collect()
}

async fn finish(all: Vec<JoinHandle<i64>>) {
    for client in futures::future::join_all(all).await {
        assert!(client.expect("no client has failed") > 0);
    }
}

#[tokio::test(start_paused = true)]
async fn commands_are_handed_to_the_writer_and_take_effect_once() {
    let cluster = Cluster::new(Arc::new(MemoryJournal::default()));
    let [first, second, third] = cluster.three().await;
    let epoch = first.engine.epoch();
    let all = [&first, &second, &third].map(|one| clients(one, 4, 100));
    finish(all.into_iter().flatten().collect()).await;
    assert_eq!(first.engine.epoch(), epoch, "nobody has taken the journal");
    let roles = [&first, &second, &third].map(|one| one.engine.role());
    assert_eq!(roles, [Role::Writer, Role::Follower, Role::Follower]);
    assert_eq!(third.engine.status().leader, MemberId(1));
    agree(&[&first, &second, &third]).await;
}

#[tokio::test(start_paused = true)]
async fn a_writer_that_dies_is_replaced_within_a_second() {
    let cluster = Cluster::new(Arc::new(MemoryJournal::default()));
    let [first, second, third] = cluster.three().await;
    let all = [&second, &third].map(|one| clients(one, 4, 400));
    tokio::time::sleep(Duration::from_millis(300)).await;
    let began = Instant::now();
    first.kill().await;
    second.engine.commit(put("after", "")).await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    finish(all.into_iter().flatten().collect()).await;
    let again = cluster.start(1).await;
    assert_eq!(again.member, MemberId(1));
    agree(&[&again, &second, &third]).await;
    assert_ne!(writer(&[&again, &second, &third]).await, MemberId(1));
}

#[tokio::test(start_paused = true)]
async fn a_writer_that_is_cut_off_appends_beside_the_next() {
    let cluster = Cluster::new(Arc::new(MemoryJournal::default()));
    let [first, second, third] = cluster.three().await;
    let all = [&first, &second, &third].map(|one| clients(one, 3, 3_000));
    for other in [2, 3] {
        cluster.network.cut(MemberId(1), MemberId(other), true);
    }
    tokio::time::sleep(Duration::from_secs(4)).await;
    let epoch = second.engine.epoch();
    first.engine.commit(put("from", "outside")).await.unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(first.engine.role(), Role::Guest);
    assert_eq!(second.engine.epoch(), epoch, "they do not take it from one another in turn");
    for other in [2, 3] {
        cluster.network.cut(MemberId(1), MemberId(other), false);
    }
    finish(all.into_iter().flatten().collect()).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(first.engine.role(), Role::Follower);
    agree(&[&first, &second, &third]).await;
}

#[tokio::test(start_paused = true)]
async fn the_journal_is_handed_over_without_a_pause() {
    let cluster = Cluster::new(Arc::new(MemoryJournal::default()));
    let [first, second, third] = cluster.three().await;
    let all = [&first, &second, &third].map(|one| clients(one, 4, 500));
    for (from, to) in [(&first, 3), (&third, 2), (&second, 1)] {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let began = Instant::now();
        assert_eq!(from.engine.hand_over(Some(MemberId(to))).await, Ok(MemberId(to)));
        let handed = began.elapsed();
        from.engine.commit(put("handed", "over")).await.unwrap();
        assert!(
            began.elapsed() < Duration::from_millis(50),
            "{to} {handed:?} {:?}",
            began.elapsed()
        );
    }
    finish(all.into_iter().flatten().collect()).await;
    assert_eq!(writer(&[&first, &second, &third]).await, MemberId(1));
    let refused = second.engine.hand_over(None).await;
    assert_eq!(refused, Err(Fault::Unavailable("this replica is not the writer".to_owned())));
    agree(&[&first, &second, &third]).await;
}

#[tokio::test(start_paused = true)]
async fn a_writer_that_stops_hands_over_what_waits() {
    let cluster = Cluster::new(Arc::new(MemoryJournal::default()));
    let [first, second, third] = cluster.three().await;
    let all = [&second, &third].map(|one| clients(one, 4, 200));
    tokio::time::sleep(Duration::from_millis(100)).await;
    first.engine.hand_over(None).await.unwrap();
    first.stop().await;
    finish(all.into_iter().flatten().collect()).await;
    agree(&[&second, &third]).await;
}

#[tokio::test(start_paused = true)]
async fn replicas_over_a_faulty_journal_agree() {
    for seed in 0..8 {
        let odds = Odds { append: 0, other: 200, stall: 3 };
        let journal = Arc::new(Faulty::seeded(MemoryJournal::default(), seed, odds));
        journal.heal();
        let cluster = Cluster::new(Arc::<Faulty<MemoryJournal>>::clone(&journal));
        let [first, second, third] = cluster.three().await;
        let all = [&first, &second, &third].map(|one| clients(one, 2, 60));
        for round in 0..6 {
            let (one, other) = (MemberId(1 + round % 3), MemberId(1 + (round + 1) % 3));
            cluster.network.cut(one, other, true);
            tokio::time::sleep(Duration::from_millis(700)).await;
            cluster.network.cut(one, other, false);
        }
        finish(all.into_iter().flatten().collect()).await;
        agree(&[&first, &second, &third]).await;
        for one in [first, second, third] {
            one.stop().await;
        }
        assert!(journal.inner().tail().await.is_ok());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn replicas_on_many_threads_agree() {
    let cluster = Cluster::new(Arc::new(MemoryJournal::default()));
    let [first, second, third] = cluster.three().await;
    let all = [&first, &second, &third].map(|one| clients(one, 4, 200));
    tokio::time::sleep(Duration::from_millis(100)).await;
    first.engine.hand_over(Some(MemberId(2))).await.unwrap();
    cluster.network.cut(MemberId(2), MemberId(3), true);
    finish(all.into_iter().flatten().collect()).await;
    cluster.network.cut(MemberId(2), MemberId(3), false);
    agree(&[&first, &second, &third]).await;
}
