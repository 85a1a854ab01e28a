//! What others got wrong, asked over the wire: see `docs/pitfalls.md`.

use bytes::Bytes;
use server::wire::etcdserverpb as pb;
use tonic::Code;

use super::support::{Client, Server, everything, refused};
use super::watch::create;

const COMPACTED: &str = "etcdserver: mvcc: required revision has been compacted";
const DELETE: &str = "/etcdserverpb.KV/DeleteRange";
const PAGE: usize = 7;

async fn compact(client: &mut Client, revision: i64) {
    let request = pb::CompactionRequest { revision, physical: true };
    let path = "/etcdserverpb.KV/Compact";
    client.call::<_, pb::CompactionResponse>(path, request).await.unwrap();
}

/// The page of a list at `revision` that begins at `from`.
fn page(from: Vec<u8>, revision: i64) -> pb::RangeRequest {
    pb::RangeRequest { key: from.into(), revision, limit: PAGE as i64, ..everything() }
}

/// Pitfall f: the pages of a list add up to the store as it was at the first page, whatever is
/// written, deleted and compacted below meanwhile.
#[tokio::test]
async fn a_paged_list_stays_at_its_revision_until_that_is_compacted() {
    let server = Server::start().await;
    let mut client = server.client().await;
    for n in 0..60 {
        client.put(&format!("key{n:02}"), "old").await;
    }
    let whole = client.range(everything()).await.unwrap();
    let at = whole.header.unwrap().revision;
    let (mut listed, mut from) = (Vec::new(), vec![0]);
    for round in 0.. {
        let part = client.range(page(from, at)).await.unwrap();
        assert_eq!(part.count as usize, 60 - listed.len(), "keys that came and went do not count");
        listed.extend(part.kvs);
        if !part.more {
            break;
        }
        from = listed.last().unwrap().key.to_vec();
        from.push(0);
        for n in 0..60 {
            client.put(&format!("key{n:02}"), "new").await;
            client.put(&format!("key{n:02}-{round}"), "more").await;
        }
        let request = pb::DeleteRangeRequest { key: "key59".into(), ..Default::default() };
        client.call::<_, pb::DeleteRangeResponse>(DELETE, request).await.unwrap();
        if round == 3 {
            compact(&mut client, at).await;
        }
    }
    assert_eq!(listed, whole.kvs);

    // From the first revision above on, the rest of the list is refused, in etcd's words.
    compact(&mut client, at + 1).await;
    refused(client.range(page(b"key30".to_vec(), at)).await, Code::OutOfRange, COMPACTED);
}

/// Pitfalls h and ad: from `\0` to `\0` is everything, for whoever takes a range; keys are bytes.
#[tokio::test]
async fn from_zero_to_zero_is_everything() {
    let server = Server::start().await;
    let mut client = server.client().await;
    let keys: [&[u8]; 6] = [b"\0", b"\0\0", b"a", b"\x80\xfe", b"\xff", b"\xff\xff\xff"];
    let (say, mut hear) = client.talk("/etcdserverpb.Watch/Watch").await;
    let all = Bytes::from_static(b"\0");
    say.send(create(everything_watched())).await.unwrap();
    let created: pb::WatchResponse = hear.message().await.unwrap().unwrap();
    assert!(created.created);
    for key in keys {
        let request = pb::PutRequest {
            key: Bytes::from_static(key),
            value: "v".into(),
            ..Default::default()
        };
        client.call::<_, pb::PutResponse>("/etcdserverpb.KV/Put", request).await.unwrap();
    }
    let listed = client.range(everything()).await.unwrap();
    assert_eq!(listed.kvs.iter().map(|kv| &kv.key[..]).collect::<Vec<_>>(), keys);
    let counted = client.range(pb::RangeRequest { count_only: true, ..everything() }).await;
    assert_eq!(counted.unwrap().count, 6);
    let mut seen = Vec::new();
    while seen.len() < keys.len() {
        let events = hear.message().await.unwrap().unwrap().events;
        seen.extend(events.into_iter().map(|event| event.kv.unwrap().key));
    }
    assert_eq!(seen, keys);
    let request = pb::DeleteRangeRequest { key: all.clone(), range_end: all, prev_kv: false };
    let deleted: pb::DeleteRangeResponse = client.call(DELETE, request).await.unwrap();
    assert_eq!(deleted.deleted, 6);
    assert_eq!(client.range(everything()).await.unwrap().count, 0);
}

/// Pitfall i: a put on a key that exists is no put-if-absent.
#[tokio::test]
async fn a_put_on_an_existing_key_takes_effect_and_counts() {
    let server = Server::start().await;
    let mut client = server.client().await;
    for version in 1..=5 {
        let value = format!("v{version}");
        let revision = client.put("a", &value).await.header.unwrap().revision;
        assert_eq!(revision, 1 + version);
        let kv = client.range(everything()).await.unwrap().kvs.remove(0);
        assert_eq!(kv.value, value);
        assert_eq!((kv.create_revision, kv.mod_revision, kv.version), (2, revision, version));
    }
}

/// Kubernetes' transaction: if the key is at this version, put; else, read.
fn at_version(version: i64, value: &'static str) -> pb::TxnRequest {
    use pb::request_op::Request::{RequestPut, RequestRange};
    let key = Bytes::from_static(b"compact_rev_key");
    let put = pb::PutRequest { key: key.clone(), value: value.into(), ..Default::default() };
    let range = pb::RangeRequest { key: key.clone(), ..Default::default() };
    pb::TxnRequest {
        compare: vec![pb::Compare {
            key,
            target: pb::compare::CompareTarget::Version as i32,
            target_union: Some(pb::compare::TargetUnion::Version(version)),
            ..Default::default()
        }],
        success: vec![pb::RequestOp { request: Some(RequestPut(put)) }],
        failure: vec![pb::RequestOp { request: Some(RequestRange(range)) }],
    }
}

/// Pitfall k: the way Kubernetes' API servers agree on who compacts, by the key's version.
#[tokio::test]
async fn the_compact_rev_key_transaction_works() {
    let path = "/etcdserverpb.KV/Txn";
    let server = Server::start().await;
    let mut client = server.client().await;
    let first: pb::TxnResponse = client.call(path, at_version(0, "1")).await.unwrap();
    assert!(first.succeeded);
    let late: pb::TxnResponse = client.call(path, at_version(0, "2")).await.unwrap();
    assert!(!late.succeeded);
    let Some(pb::response_op::Response::ResponseRange(read)) = &late.responses[0].response else {
        panic!("{late:?}");
    };
    assert_eq!((read.kvs[0].version, &read.kvs[0].value[..]), (1, &b"1"[..]));
    let next: pb::TxnResponse = client.call(path, at_version(1, "3")).await.unwrap();
    assert!(next.succeeded);
    assert_eq!(next.header.unwrap().revision, 3);
    let kv = client.range(everything()).await.unwrap().kvs.remove(0);
    assert_eq!((kv.version, &kv.value[..]), (2, &b"3"[..]));
}

/// Pitfall ae: the empty store is at revision 1 and has no key, the first write is revision 2; what
/// is no write to a key (a lease, an alarm, a compaction) uses up none and leaves no key.
#[tokio::test]
async fn a_fresh_store_shows_one_and_its_first_write_two() {
    let server = Server::start().await;
    let mut client = server.client().await;
    let grant = pb::LeaseGrantRequest { ttl: 60, id: 7 };
    let path = "/etcdserverpb.Lease/LeaseGrant";
    client.call::<_, pb::LeaseGrantResponse>(path, grant).await.unwrap();
    for action in [1, 2] {
        let alarm = pb::AlarmRequest { action, member_id: 3, alarm: 2 };
        let path = "/etcdserverpb.Maintenance/Alarm";
        client.call::<_, pb::AlarmResponse>(path, alarm).await.unwrap();
    }
    compact(&mut client, 1).await;
    let empty = client.range(everything()).await.unwrap();
    assert_eq!((empty.header.unwrap().revision, empty.count), (1, 0));
    assert_eq!(client.put("a", "1").await.header.unwrap().revision, 2);
    assert_eq!(client.range(everything()).await.unwrap().count, 1, "nothing of our own is a key");
}

/// Pitfall af: compaction at the newest revision holds at once, for reads, pages and watches.
#[tokio::test]
async fn compaction_at_the_newest_revision_holds_at_once() {
    let server = Server::start().await;
    let mut client = server.client().await;
    for n in 0..20 {
        client.put(&format!("key{n:02}"), "v").await;
    }
    let request = pb::CompactionRequest { revision: 21, physical: false };
    let path = "/etcdserverpb.KV/Compact";
    client.call::<_, pb::CompactionResponse>(path, request).await.unwrap();
    let old = pb::RangeRequest { key: "key00".into(), revision: 20, ..Default::default() };
    refused(client.range(old).await, Code::OutOfRange, COMPACTED);
    refused(client.range(page(vec![0], 20)).await, Code::OutOfRange, COMPACTED);
    assert_eq!(client.range(page(vec![0], 21)).await.unwrap().kvs.len(), PAGE);
    let (say, mut hear) = client.talk("/etcdserverpb.Watch/Watch").await;
    let watch = pb::WatchCreateRequest { start_revision: 20, ..everything_watched() };
    say.send(create(watch)).await.unwrap();
    let created: pb::WatchResponse = hear.message().await.unwrap().unwrap();
    assert!(created.created);
    let canceled = hear.message().await.unwrap().unwrap();
    assert!(canceled.canceled && canceled.events.is_empty());
    assert_eq!(canceled.compact_revision, 21);
}

fn everything_watched() -> pb::WatchCreateRequest {
    let all = Bytes::from_static(b"\0");
    pb::WatchCreateRequest { key: all.clone(), range_end: all, ..Default::default() }
}
