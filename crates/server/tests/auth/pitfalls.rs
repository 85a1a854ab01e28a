//! The pitfalls of authorization, each by a client. Their letters are those of `docs/pitfalls.md`.

use std::time::Duration;

use server::rpc::Limits;
use server::wire::etcdserverpb as pb;
use tonic::{Code, Status};

use crate::support::{
    Answer, BAD_TOKEN, BOTH, Client, DENIED, Guarded, NOBODY, READ, WRITE, auth, eventually, is,
    put, put_of, range_of,
};
use pb::request_op::Request;

fn op(request: Request) -> pb::RequestOp {
    pb::RequestOp { request: Some(request) }
}

async fn txn(client: &mut Client, request: pb::TxnRequest) -> Answer {
    auth::<_, pb::TxnResponse>(client, "/etcdserverpb.KV/Txn", request).await
}

fn within(request: pb::RequestOp, depth: usize, success: bool) -> pb::TxnRequest {
    let mut txn = pb::TxnRequest::default();
    if success {
        txn.success.push(request);
    } else {
        txn.failure.push(request);
    }
    for _ in 0..depth {
        txn = pb::TxnRequest { success: vec![op(Request::RequestTxn(txn))], ..Default::default() };
    }
    txn
}

async fn grant(client: &mut Client, id: i64) -> Answer {
    let request = pb::LeaseGrantRequest { ttl: 60, id };
    auth::<_, pb::LeaseGrantResponse>(client, "/etcdserverpb.Lease/LeaseGrant", request).await
}

async fn put_on(client: &mut Client, key: &str, lease: i64) -> Answer {
    let request = pb::PutRequest { lease, ..put_of(key) };
    auth::<_, pb::PutResponse>(client, "/etcdserverpb.KV/Put", request).await
}

async fn time_to_live(client: &mut Client, id: i64, keys: bool) -> Result<usize, Status> {
    let request = pb::LeaseTimeToLiveRequest { id, keys };
    let path = "/etcdserverpb.Lease/LeaseTimeToLive";
    let reply: Result<pb::LeaseTimeToLiveResponse, _> = client.call(path, request).await;
    reply.map(|reply| reply.keys.len())
}

async fn leases(client: &mut Client) -> Result<usize, Status> {
    let path = "/etcdserverpb.Lease/LeaseLeases";
    let reply: Result<pb::LeaseLeasesResponse, _> =
        client.call(path, pb::LeaseLeasesRequest {}).await;
    reply.map(|reply| reply.leases.len())
}

async fn keep_alive(client: &mut Client, id: i64) -> Result<i64, Status> {
    let (say, mut hear) =
        client.talk::<_, pb::LeaseKeepAliveResponse>("/etcdserverpb.Lease/LeaseKeepAlive").await;
    say.send(pb::LeaseKeepAliveRequest { id }).await.unwrap();
    hear.message().await.map(|reply| reply.expect("an answer").ttl)
}

async fn revoke(client: &mut Client, id: i64) -> Answer {
    let request = pb::LeaseRevokeRequest { id };
    auth::<_, pb::LeaseRevokeResponse>(client, "/etcdserverpb.Lease/LeaseRevoke", request).await
}

/// Pitfall u.
#[tokio::test]
async fn no_transaction_goes_past_the_rights_of_what_is_in_it() {
    let mut guarded = Guarded::start().await;
    let mut alice = guarded.user("alice", &[(WRITE, "w", ""), (READ, "r", "")]).await;
    put(&mut guarded.root, "secret").await.unwrap();
    let with_prev = pb::PutRequest { prev_kv: true, ..put_of("w") };
    let delete = pb::DeleteRangeRequest { key: "w".into(), prev_kv: true, ..Default::default() };
    let compare = pb::Compare { key: "a".into(), range_end: "z".into(), ..Default::default() };
    let reads = pb::TxnRequest { compare: vec![compare], ..Default::default() };
    let forbidden = [
        Request::RequestRange(range_of("secret", "")),
        Request::RequestPut(put_of("secret")),
        Request::RequestPut(with_prev),
        Request::RequestDeleteRange(delete),
        Request::RequestTxn(reads),
    ];
    for request in forbidden {
        for (depth, success) in [(0, true), (0, false), (1, false), (3, true)] {
            let txn_of = || within(op(request.clone()), depth, success);
            is(txn(&mut alice, txn_of()).await, DENIED);
            is(txn(&mut guarded.anonymous, txn_of()).await, NOBODY);
        }
    }
    let fine = Request::RequestPut(put_of("w"));
    txn(&mut alice, within(op(fine), 3, true)).await.unwrap();
    let fine = Request::RequestRange(range_of("r", ""));
    txn(&mut alice, within(op(fine), 0, false)).await.unwrap();
}

/// Pitfall u.
#[tokio::test]
async fn prev_kv_is_a_read() {
    let mut guarded = Guarded::start().await;
    let mut alice = guarded.user("alice", &[(WRITE, "w", "x"), (BOTH, "b", "c")]).await;
    let put = "/etcdserverpb.KV/Put";
    let delete = "/etcdserverpb.KV/DeleteRange";
    for (key, end, allowed) in [("w", "x", false), ("b", "c", true)] {
        let request = pb::PutRequest { prev_kv: true, ..put_of(key) };
        let wrote = auth::<_, pb::PutResponse>(&mut alice, put, request).await;
        let request =
            pb::DeleteRangeRequest { key: key.into(), range_end: end.into(), prev_kv: true };
        let deleted = auth::<_, pb::DeleteRangeResponse>(&mut alice, delete, request.clone()).await;
        if allowed {
            wrote.and(deleted).unwrap();
        } else {
            is(wrote, DENIED);
            is(deleted, DENIED);
            let request = pb::DeleteRangeRequest { prev_kv: false, ..request };
            auth::<_, pb::DeleteRangeResponse>(&mut alice, delete, request).await.unwrap();
        }
    }
}

/// Pitfall u.
#[tokio::test]
async fn a_lease_belongs_to_who_may_write_its_keys() {
    let mut guarded = Guarded::start().await;
    let mut alice = guarded.user("alice", &[(BOTH, "a", "b")]).await;
    for id in [1, 2] {
        grant(&mut alice, id).await.unwrap();
    }
    is(grant(&mut guarded.anonymous, 3).await, NOBODY);
    put_on(&mut guarded.root, "secret", 1).await.unwrap();
    put_on(&mut alice, "a2", 2).await.unwrap();
    is(put_on(&mut alice, "a1", 1).await, DENIED);
    let nested = Request::RequestPut(pb::PutRequest { lease: 1, ..put_of("a1") });
    is(txn(&mut alice, within(op(nested), 1, false)).await, DENIED);
    is(revoke(&mut alice, 1).await, DENIED);
    is(keep_alive(&mut alice, 1).await, DENIED);
    is(time_to_live(&mut alice, 1, true).await, DENIED);
    is(leases(&mut alice).await, DENIED);
    assert_eq!(time_to_live(&mut alice, 1, false).await.unwrap(), 0);
    assert_eq!(keep_alive(&mut alice, 2).await.unwrap(), 60);
    assert_eq!(time_to_live(&mut alice, 2, true).await.unwrap(), 1);
    let anonymous = &mut guarded.anonymous;
    is(revoke(anonymous, 2).await, NOBODY);
    is(keep_alive(anonymous, 2).await, NOBODY);
    is(keep_alive(anonymous, 99).await, NOBODY);
    is(time_to_live(anonymous, 2, false).await, NOBODY);
    is(leases(anonymous).await, NOBODY);
    revoke(&mut alice, 2).await.unwrap();
    assert_eq!(keep_alive(&mut guarded.root, 1).await.unwrap(), 60);
    assert_eq!(leases(&mut guarded.root).await.unwrap(), 1);
    revoke(&mut guarded.root, 1).await.unwrap();
    assert_eq!(leases(&mut alice).await.unwrap(), 0, "nothing is on any of them");
}

/// What the server has to do is held back by nobody's rights.
#[tokio::test]
async fn a_lease_ends_in_time_with_auth_on() {
    let mut guarded = Guarded::start().await;
    let path = "/etcdserverpb.Lease/LeaseGrant";
    let request = pb::LeaseGrantRequest { ttl: 2, id: 5 };
    auth::<_, pb::LeaseGrantResponse>(&mut guarded.root, path, request).await.unwrap();
    put_on(&mut guarded.root, "a", 5).await.unwrap();
    let engine = &guarded.server.engine;
    eventually("the lease ends", || engine.leases().is_empty()).await;
    assert_eq!(engine.view().revision().0, 3, "the key was deleted");
    tokio::time::sleep(Duration::from_millis(1)).await;
}

/// etcd looks at the size of a request once it knows the caller, and before it misses one.
#[tokio::test]
async fn a_request_that_is_too_large_is_told_so_before_its_missing_caller() {
    let mut guarded = Guarded::start().await;
    let too_large = (Code::InvalidArgument, "etcdserver: request is too large");
    let put = |size| pb::PutRequest { value: vec![b'v'; size].into(), ..put_of("a") };
    let path = "/etcdserverpb.KV/Put";
    let largest = Limits::default().max_request_bytes;
    let anonymous = &mut guarded.anonymous;
    is(auth::<_, pb::PutResponse>(anonymous, path, put(largest)).await, too_large);
    is(auth::<_, pb::PutResponse>(anonymous, path, put(largest - 100)).await, NOBODY);
    is(auth::<_, pb::PutResponse>(&mut guarded.root, path, put(largest)).await, too_large);
    let mut stranger = guarded.anonymous.bearing("nonsense");
    is(auth::<_, pb::PutResponse>(&mut stranger, path, put(largest)).await, BAD_TOKEN);
}
