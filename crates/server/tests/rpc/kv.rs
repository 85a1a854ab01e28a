//! The KV service.

use bytes::Bytes;
use server::wire::etcdserverpb as pb;
use tonic::Code;

use super::support::{CLUSTER, MEMBER, Server, everything, refused};

const PUT: &str = "/etcdserverpb.KV/Put";
const TXN: &str = "/etcdserverpb.KV/Txn";
const COMPACT: &str = "/etcdserverpb.KV/Compact";
const DELETE: &str = "/etcdserverpb.KV/DeleteRange";

fn put(key: &str, value: &str) -> pb::PutRequest {
    pb::PutRequest {
        key: key.to_owned().into(),
        value: value.to_owned().into(),
        ..Default::default()
    }
}

fn op(request: pb::request_op::Request) -> pb::RequestOp {
    pb::RequestOp { request: Some(request) }
}

fn put_op(key: &str) -> pb::RequestOp {
    op(pb::request_op::Request::RequestPut(put(key, "v")))
}

fn get(key: &str) -> pb::RangeRequest {
    pb::RangeRequest { key: key.to_owned().into(), ..Default::default() }
}

#[tokio::test]
async fn a_write_is_answered_at_its_own_revision() {
    let server = Server::start().await;
    let mut client = server.client().await;
    let first = client.put("a", "1").await.header.unwrap();
    assert_eq!((first.cluster_id, first.member_id, first.revision), (CLUSTER, MEMBER, 2));
    assert!(first.raft_term > 0);
    let request = pb::PutRequest { prev_kv: true, ..put("a", "2") };
    let second: pb::PutResponse = client.call(PUT, request).await.unwrap();
    assert_eq!(second.header.unwrap().revision, 3);
    assert_eq!(second.prev_kv.unwrap().value, "1");

    let read = client.range(get("a")).await.unwrap();
    assert_eq!((read.count, read.more), (1, false));
    let kv = &read.kvs[0];
    assert_eq!(
        (&kv.value[..], kv.create_revision, kv.mod_revision, kv.version),
        (&b"2"[..], 2, 3, 2)
    );
    // The header is at the newest revision, whichever was asked for.
    let old = client.range(pb::RangeRequest { revision: 2, ..get("a") }).await.unwrap();
    assert_eq!((old.header.unwrap().revision, &old.kvs[0].value[..]), (3, &b"1"[..]));

    let request = pb::DeleteRangeRequest {
        key: Bytes::from_static(b"a"),
        prev_kv: true,
        ..Default::default()
    };
    let deleted: pb::DeleteRangeResponse = client.call(DELETE, request).await.unwrap();
    assert_eq!((deleted.header.unwrap().revision, deleted.deleted), (4, 1));
    assert_eq!(deleted.prev_kvs[0].value, "2");
}

#[tokio::test]
async fn arguments_are_refused_in_etcds_words() {
    let server = Server::start().await;
    let mut client = server.client().await;
    let wrong = Code::InvalidArgument;
    let no_key = "etcdserver: key is not provided";
    refused(client.call::<_, pb::PutResponse>(PUT, put("", "x")).await, wrong, no_key);
    refused(client.range(get("")).await, wrong, no_key);
    let request = pb::DeleteRangeRequest::default();
    refused(client.call::<_, pb::DeleteRangeResponse>(DELETE, request).await, wrong, no_key);
    let request = pb::RangeRequest { sort_order: 9, ..get("a") };
    refused(client.range(request).await, wrong, "etcdserver: invalid sort option");
    let request = pb::PutRequest { ignore_value: true, ..put("a", "x") };
    let answer = client.call::<_, pb::PutResponse>(PUT, request).await;
    refused(answer, wrong, "etcdserver: value is provided");
    let request = pb::PutRequest { ignore_lease: true, lease: 1, ..put("a", "x") };
    let answer = client.call::<_, pb::PutResponse>(PUT, request).await;
    refused(answer, wrong, "etcdserver: lease is provided");
    let request = pb::PutRequest { ignore_value: true, ..put("a", "") };
    let answer = client.call::<_, pb::PutResponse>(PUT, request).await;
    refused(answer, wrong, "etcdserver: key not found");
    let request = pb::PutRequest { lease: 77, ..put("a", "x") };
    let answer = client.call::<_, pb::PutResponse>(PUT, request).await;
    refused(answer, Code::NotFound, "etcdserver: requested lease not found");
    let future = client.range(pb::RangeRequest { revision: 9, ..get("a") }).await;
    let words = "etcdserver: mvcc: required revision is a future revision";
    refused(future, Code::OutOfRange, words);
}

#[tokio::test]
async fn a_request_between_the_limits_is_too_large() {
    let server = Server::start().await;
    let mut client = server.client().await;
    let limit = 3 << 19;
    // Tags, lengths and etcd's own header take 30 bytes around this value.
    let fits = pb::PutRequest { value: vec![0; limit - 40].into(), ..put("a", "") };
    client.call::<_, pb::PutResponse>(PUT, fits).await.unwrap();
    let large = pb::PutRequest { value: vec![0; limit].into(), ..put("a", "") };
    let answer = client.call::<_, pb::PutResponse>(PUT, large).await;
    refused(answer, Code::InvalidArgument, "etcdserver: request is too large");
    let read = client.range(get("a")).await.unwrap();
    assert_eq!(read.kvs[0].value.len(), limit - 40);
}

#[tokio::test]
async fn transactions() {
    let server = Server::start().await;
    let mut client = server.client().await;
    let request = pb::TxnRequest {
        compare: vec![pb::Compare {
            key: Bytes::from_static(b"a"),
            target: pb::compare::CompareTarget::Mod as i32,
            target_union: Some(pb::compare::TargetUnion::ModRevision(0)),
            ..Default::default()
        }],
        success: vec![
            op(pb::request_op::Request::RequestRange(get("a"))),
            put_op("a"),
            op(pb::request_op::Request::RequestRange(get("a"))),
        ],
        failure: vec![op(pb::request_op::Request::RequestRange(get("a")))],
    };
    let taken: pb::TxnResponse = client.call(TXN, request.clone()).await.unwrap();
    assert!(taken.succeeded);
    assert_eq!(taken.header.unwrap().revision, 2);
    let revisions: Vec<i64> = taken
        .responses
        .iter()
        .map(|response| match response.response.as_ref().unwrap() {
            pb::response_op::Response::ResponseRange(range) => {
                let header = range.header.unwrap();
                assert_eq!((header.cluster_id, header.member_id, header.raft_term), (0, 0, 0));
                header.revision
            }
            pb::response_op::Response::ResponsePut(put) => put.header.unwrap().revision,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(revisions, [1, 2, 2]);
    let not_taken: pb::TxnResponse = client.call(TXN, request).await.unwrap();
    assert!(!not_taken.succeeded);
    assert_eq!(not_taken.header.unwrap().revision, 2);
}

#[tokio::test]
async fn transactions_are_refused_in_etcds_words() {
    let server = Server::start().await;
    let mut client = server.client().await;
    let cases = [
        (vec![put_op("a"), put_op("a")], "etcdserver: duplicate key given in txn request"),
        (vec![pb::RequestOp { request: None }], "etcdserver: key not found"),
        (vec![put_op("a"); 129], "etcdserver: too many operations in txn request"),
        (vec![put_op("b"), put_op("")], "etcdserver: key is not provided"),
    ];
    for (success, words) in cases {
        let request = pb::TxnRequest { success, ..Default::default() };
        let answer = client.call::<_, pb::TxnResponse>(TXN, request).await;
        refused(answer, Code::InvalidArgument, words);
    }
    // Of two faults the first in etcd's order is named: operations before duplicates.
    let sorted = pb::RangeRequest { sort_target: 7, ..get("x") };
    let success = vec![put_op("a"), put_op("a"), op(pb::request_op::Request::RequestRange(sorted))];
    let request = pb::TxnRequest { success, ..Default::default() };
    let answer = client.call::<_, pb::TxnResponse>(TXN, request).await;
    refused(answer, Code::InvalidArgument, "etcdserver: invalid sort option");
}

#[tokio::test]
async fn compaction() {
    let server = Server::start().await;
    let mut client = server.client().await;
    for value in ["1", "2", "3"] {
        client.put("a", value).await;
    }
    let request = pb::CompactionRequest { revision: 3, physical: true };
    let done: pb::CompactionResponse = client.call(COMPACT, request).await.unwrap();
    assert_eq!(done.header.unwrap().revision, 4);
    let words = "etcdserver: mvcc: required revision has been compacted";
    let again = client.call::<_, pb::CompactionResponse>(COMPACT, request).await;
    refused(again, Code::OutOfRange, words);
    let old = client.range(pb::RangeRequest { revision: 2, ..get("a") }).await;
    refused(old, Code::OutOfRange, words);
    client.range(pb::RangeRequest { revision: 3, ..get("a") }).await.unwrap();
    let request = pb::CompactionRequest { revision: 9, physical: false };
    let future = client.call::<_, pb::CompactionResponse>(COMPACT, request).await;
    let words = "etcdserver: mvcc: required revision is a future revision";
    refused(future, Code::OutOfRange, words);
}

#[tokio::test]
async fn a_large_list_arrives_whole() {
    let server = Server::start().await;
    let mut client = server.client().await;
    let value = "x".repeat(50_000);
    for n in 0..100 {
        client.put(&format!("key{n:03}"), &value).await;
    }
    let read = client.range(everything()).await.unwrap();
    assert_eq!((read.kvs.len(), read.count), (100, 100));
    assert!(read.kvs.iter().all(|kv| kv.value.len() == 50_000));
    assert!(read.kvs.is_sorted_by(|one, other| one.key < other.key));
}
