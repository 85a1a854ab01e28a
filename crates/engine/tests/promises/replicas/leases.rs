//! Leases, whose time only the writer knows.

use std::sync::Arc;
use std::time::Duration;

use engine::replicas::Role;
use journal::MemoryJournal;
use state::{Command, LeaseId, MemberId};

use super::cluster::{Cluster, Replica};
use crate::support::{get, put_on};

async fn grant(at: &Replica, id: i64, ttl: i64) {
    at.engine.commit(Command::LeaseGrant { id: LeaseId(id), ttl }).await.unwrap().result.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_lease_is_renewed_and_looked_at_on_any_replica() {
    let cluster = Cluster::new(Arc::new(MemoryJournal::default()));
    let [first, second, third] = cluster.three().await;
    grant(&third, 7, 10).await;
    third.engine.commit(put_on("key", 7)).await.unwrap();
    for _ in 0..6 {
        tokio::time::sleep(Duration::from_secs(4)).await;
        assert_eq!(second.engine.keep_alive(LeaseId(7)).await, Ok(10));
    }
    tokio::time::sleep(Duration::from_secs(3)).await;
    let found = third.engine.time_to_live(LeaseId(7), true).await.unwrap().unwrap();
    assert!((6..=7).contains(&found.ttl), "{found:?}");
    assert_eq!(found.keys, ["key"]);
    assert_eq!(third.engine.list_leases().await, [LeaseId(7)]);
    assert_eq!(second.engine.keep_alive(LeaseId(8)).await, Ok(0), "there is no such lease");
    tokio::time::sleep(Duration::from_secs(12)).await;
    for one in [&first, &second, &third] {
        one.engine.linearizable_view().await.unwrap();
        assert_eq!(get(&one.engine, "key"), None, "it has ended everywhere");
    }
}

#[tokio::test(start_paused = true)]
async fn a_change_of_writer_gives_every_lease_its_full_time_again() {
    let cluster = Cluster::new(Arc::new(MemoryJournal::default()));
    let [first, second, third] = cluster.three().await;
    grant(&first, 7, 10).await;
    tokio::time::sleep(Duration::from_secs(8)).await;
    first.kill().await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let found = second.engine.time_to_live(LeaseId(7), false).await.unwrap().unwrap();
    assert!((4..=7).contains(&found.ttl), "{found:?}");
    assert_eq!(third.engine.keep_alive(LeaseId(7)).await, Ok(10));
}

#[tokio::test(start_paused = true)]
async fn who_is_cut_off_renews_through_the_journal() {
    let cluster = Cluster::new(Arc::new(MemoryJournal::default()));
    let [first, second, third] = cluster.three().await;
    grant(&first, 7, 5).await;
    for other in [2, 3] {
        cluster.network.cut(MemberId(1), MemberId(other), true);
    }
    for n in 0..20 {
        tokio::time::sleep(Duration::from_secs(2)).await;
        // Somebody is at work, so that the one outside need not take over.
        second.engine.commit(crate::support::put("key", &n.to_string())).await.unwrap();
        let renewed = first.engine.keep_alive(LeaseId(7)).await;
        assert_eq!(renewed, Ok(5), "round {n}");
    }
    drop(third);
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_was_granted_elsewhere_is_known_to_who_is_behind() {
    let cluster = Cluster::new(Arc::new(MemoryJournal::default()));
    let [first, second, third] = cluster.three().await;
    cluster.network.cut(MemberId(1), MemberId(3), true);
    tokio::time::sleep(Duration::from_millis(10)).await;
    for id in 1..20 {
        grant(&first, id, 10).await;
        let found = third.engine.time_to_live(LeaseId(id), false).await.unwrap();
        assert!(found.is_some(), "lease {id}");
    }
    drop(second);
}

#[tokio::test(start_paused = true)]
async fn a_writer_does_not_deny_what_another_has_granted_beside_it() {
    let cluster = Cluster::new(Arc::new(MemoryJournal::default()));
    let [first, second, third] = cluster.three().await;
    cluster.network.cut(MemberId(1), MemberId(3), true);
    for n in 0..200 {
        tokio::time::sleep(Duration::from_millis(50)).await;
        second.engine.commit(crate::support::put("key", &n.to_string())).await.unwrap();
    }
    assert_eq!((first.engine.role(), third.engine.role()), (Role::Guest, Role::Writer));
    for id in 1..20 {
        grant(&first, id, 10).await;
        assert_eq!(third.engine.keep_alive(LeaseId(id)).await, Ok(10), "lease {id}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_renewal_counts_though_its_writer_is_none_any_more() {
    let cluster = Cluster::new(Arc::new(MemoryJournal::default()));
    let [first, second, third] = cluster.three().await;
    grant(&first, 7, 10).await;
    for other in [2, 3] {
        cluster.network.cut(MemberId(1), MemberId(other), true);
    }
    while second.engine.role() != Role::Writer {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(first.engine.role(), Role::Writer, "it does not know yet");
    assert_eq!(first.engine.keep_alive(LeaseId(7)).await, Ok(10));
    tokio::time::sleep(Duration::from_millis(9_900)).await;
    let found = third.engine.time_to_live(LeaseId(7), false).await.unwrap();
    assert!(found.is_some(), "it had its full time a moment ago");
}
