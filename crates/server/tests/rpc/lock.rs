//! The Lock service: one holder at a time, in the order of the claims, and nothing left behind.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::Duration;

use bytes::Bytes;
use futures::future;
use server::wire::etcdserverpb as pb;
use server::wire::v3lockpb::{LockRequest, LockResponse, UnlockRequest, UnlockResponse};
use tonic::{Code, Request, Status};

use super::support::{Client, Server, eventually, everything, refused, soon};

const LOCK: &str = "/v3lockpb.Lock/Lock";
const UNLOCK: &str = "/v3lockpb.Lock/Unlock";

pub(crate) async fn grant(client: &mut Client, id: i64) {
    let request = pb::LeaseGrantRequest { ttl: 600, id };
    let path = "/etcdserverpb.Lease/LeaseGrant";
    client.call::<_, pb::LeaseGrantResponse>(path, request).await.unwrap();
}

async fn lock(client: &mut Client, name: &str, lease: i64) -> Result<LockResponse, Status> {
    client.call(LOCK, LockRequest { name: name.to_owned().into(), lease }).await
}

async fn unlock(client: &mut Client, key: Bytes) -> UnlockResponse {
    client.call(UNLOCK, UnlockRequest { key }).await.unwrap()
}

/// The keys there are, and the revision.
pub(crate) async fn keys(client: &mut Client) -> (Vec<Bytes>, i64) {
    let listed = client.range(everything()).await.unwrap();
    (listed.kvs.into_iter().map(|kv| kv.key).collect(), listed.header.unwrap().revision)
}

#[tokio::test]
async fn a_free_lock_is_a_key_on_its_lease() {
    let server = Server::start().await;
    let mut client = server.client().await;
    grant(&mut client, 255).await;
    let held = lock(&mut client, "a", 255).await.unwrap();
    assert_eq!((&held.key[..], held.header.unwrap().revision), (&b"a/ff"[..], 2));
    let again = lock(&mut client, "a", 255).await.unwrap();
    assert_eq!((&again.key[..], again.header.unwrap().revision), (&b"a/ff"[..], 2));
    let stored = client.range(everything()).await.unwrap().kvs;
    assert_eq!((stored.len(), stored[0].lease, &stored[0].value[..]), (1, 255, &b""[..]));
    assert_eq!(unlock(&mut client, held.key).await.header.unwrap().revision, 3);
    assert_eq!(keys(&mut client).await.0.len(), 0);
}

#[tokio::test]
async fn a_caller_without_a_lease_gets_one_of_a_minute() {
    let server = Server::start().await;
    let mut client = server.client().await;
    let held = lock(&mut client, "a", 0).await.unwrap();
    let text = std::str::from_utf8(&held.key).unwrap().strip_prefix("a/").unwrap();
    let id = i64::from_str_radix(text, 16).unwrap();
    let request = pb::LeaseTimeToLiveRequest { id, keys: true };
    let path = "/etcdserverpb.Lease/LeaseTimeToLive";
    let lease: pb::LeaseTimeToLiveResponse = client.call(path, request).await.unwrap();
    assert_eq!((lease.granted_ttl, lease.keys), (60, vec![held.key]));
}

#[tokio::test]
async fn what_is_refused_is_refused_as_etcd_refuses_it() {
    let server = Server::start().await;
    let mut client = server.client().await;
    let words = "etcdserver: requested lease not found";
    refused(lock(&mut client, "a", 7).await, Code::Unknown, words);
    let nothing = client.call::<_, UnlockResponse>(UNLOCK, UnlockRequest::default()).await;
    refused(nothing, Code::Unknown, "etcdserver: key is not provided");
    assert_eq!(keys(&mut client).await.1, 1);
}

/// Starts a call for a lock that is taken, and returns once it waits.
async fn waiting(
    server: &Server,
    name: &'static str,
    lease: i64,
) -> tokio::task::JoinHandle<Result<LockResponse, Status>> {
    let (mut client, engine) = (server.client().await, server.engine.clone());
    let before = engine.watch_counts().watchers;
    let call = tokio::spawn(async move { soon(lock(&mut client, name, lease)).await });
    eventually("it waits", || engine.watch_counts().watchers == before + 1).await;
    call
}

#[tokio::test]
async fn the_lock_goes_to_who_asked_first() {
    let server = Server::start().await;
    let mut client = server.client().await;
    for lease in 1..=3 {
        grant(&mut client, lease).await;
    }
    let first = lock(&mut client, "a", 1).await.unwrap();
    let second = waiting(&server, "a", 2).await;
    let third = waiting(&server, "a", 3).await;
    unlock(&mut client, first.key).await;
    let second = second.await.unwrap().unwrap();
    assert_eq!((&second.key[..], second.header.unwrap().revision), (&b"a/2"[..], 5));
    assert!(!third.is_finished());
    // A lease that ends lets go as well.
    let path = "/etcdserverpb.Lease/LeaseRevoke";
    let request = pb::LeaseRevokeRequest { id: 2 };
    client.call::<_, pb::LeaseRevokeResponse>(path, request).await.unwrap();
    assert_eq!(&third.await.unwrap().unwrap().key[..], b"a/3");
}

#[tokio::test]
async fn who_leaves_or_is_late_leaves_nothing_behind() {
    let server = Server::start().await;
    let mut client = server.client().await;
    for lease in 1..=4 {
        grant(&mut client, lease).await;
    }
    let held = lock(&mut client, "a", 1).await.unwrap();
    let leaves = waiting(&server, "a", 2).await;
    let stays = waiting(&server, "a", 3).await;
    leaves.abort();
    let mut late = Request::new(LockRequest { name: "a".into(), lease: 4 });
    late.set_timeout(Duration::from_millis(50));
    let late = client.call_with::<_, LockResponse>(LOCK, late).await.unwrap_err();
    assert!(matches!(late.code(), Code::DeadlineExceeded | Code::Cancelled), "{late}");
    let engine = server.engine.clone();
    eventually("their keys and watches are gone", || {
        let all = state::KeyRange { key: "\0".into(), range_end: "\0".into() };
        let left = engine.view().count(&all, state::Revision(0)).unwrap();
        (left, engine.watch_counts().watchers) == (2, 1)
    })
    .await;
    unlock(&mut client, held.key).await;
    let stays = stays.await.unwrap().unwrap();
    assert_eq!(keys(&mut client).await.0, [stays.key]);
}

#[tokio::test]
async fn a_lease_that_ends_while_its_caller_waits_is_told() {
    let server = Server::start().await;
    let mut client = server.client().await;
    grant(&mut client, 1).await;
    grant(&mut client, 2).await;
    let held = lock(&mut client, "a", 1).await.unwrap();
    let waits = waiting(&server, "a", 2).await;
    let path = "/etcdserverpb.Lease/LeaseRevoke";
    let request = pb::LeaseRevokeRequest { id: 2 };
    client.call::<_, pb::LeaseRevokeResponse>(path, request).await.unwrap();
    unlock(&mut client, held.key).await;
    refused(waits.await.unwrap(), Code::Unknown, "mutex: session is expired");
}

/// Compaction of what a waiter's watch has yet to see, while it waits, is nothing to it.
#[tokio::test]
async fn compaction_ends_no_wait() {
    let server = Server::start().await;
    let mut client = server.client().await;
    grant(&mut client, 1).await;
    grant(&mut client, 2).await;
    let held = lock(&mut client, "a", 1).await.unwrap();
    let waits = waiting(&server, "a", 2).await;
    for _ in 0..3 {
        let revision = client.put("b", "1").await.header.unwrap().revision;
        let request = pb::CompactionRequest { revision, physical: true };
        let path = "/etcdserverpb.KV/Compact";
        client.call::<_, pb::CompactionResponse>(path, request).await.unwrap();
    }
    assert!(!waits.is_finished());
    unlock(&mut client, held.key).await;
    waits.await.unwrap().unwrap();
}

/// Twenty clients, of which some have little patience: one holds at a time, turns are taken in the order of
/// the claims, and in the end nothing is there.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_contend() {
    let server = Server::start().await;
    let inside = Arc::new(AtomicU32::new(0));
    let turns = Arc::new(parking_lot::Mutex::new(Vec::new()));
    let contenders = (1..=20).map(|lease| {
        let (inside, turns) = (Arc::clone(&inside), Arc::clone(&turns));
        let address = server.address;
        async move {
            let mut client = Client::of(address).await;
            for round in 0..10i64 {
                // A call that is left behind may still give its claim up, or be granted it as its caller
                // goes (in etcd as here): a caller comes back with another lease, and ends this one.
                let lease = lease + 100 * round;
                grant(&mut client, lease).await;
                let mut request = Request::new(LockRequest { name: "a".into(), lease });
                if lease % 4 == 0 {
                    request.set_timeout(Duration::from_millis(round as u64 * 3 + 1));
                }
                let answer = client.call_with::<_, LockResponse>(LOCK, request).await;
                let Ok(held) = answer else {
                    assert_eq!(lease % 4, 0, "{answer:?}");
                    let request = pb::LeaseRevokeRequest { id: lease };
                    let path = "/etcdserverpb.Lease/LeaseRevoke";
                    client.call::<_, pb::LeaseRevokeResponse>(path, request).await.unwrap();
                    continue;
                };
                assert_eq!(inside.fetch_add(1, SeqCst), 0, "two hold at once");
                let key = held.key.clone();
                let mine = pb::RangeRequest { key, ..Default::default() };
                let mine = client.range(mine).await.unwrap();
                turns.lock().push(mine.kvs[0].create_revision);
                inside.fetch_sub(1, SeqCst);
                unlock(&mut client, held.key).await;
            }
        }
    });
    let contenders: Vec<_> = contenders.collect();
    let contenders = future::join_all(contenders.into_iter().map(tokio::spawn));
    soon(contenders).await.into_iter().for_each(|one| one.unwrap());
    let turns = turns.lock().clone();
    assert!(turns.len() >= 150, "{} turns", turns.len());
    assert!(turns.is_sorted_by(|one, next| one < next), "{turns:?}");
    let engine = server.engine.clone();
    eventually("nothing is left", || {
        let all = state::KeyRange { key: "\0".into(), range_end: "\0".into() };
        let left = engine.view().count(&all, state::Revision(0)).unwrap();
        (left, engine.watch_counts().streams, engine.status().pending) == (0, 0, 0)
    })
    .await;
}
