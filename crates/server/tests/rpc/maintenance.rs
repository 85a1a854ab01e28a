//! Maintenance, Cluster and Health.

use server::wire::etcdserverpb as pb;
use server::wire::health::{HealthCheckRequest, HealthCheckResponse};
use tonic::Code;

use super::support::{CLUSTER, Client, MEMBER, Server, refused};

const ALARM: &str = "/etcdserverpb.Maintenance/Alarm";

async fn status(client: &mut Client) -> pb::StatusResponse {
    client.call("/etcdserverpb.Maintenance/Status", pb::StatusRequest {}).await.unwrap()
}

#[tokio::test]
async fn status_is_that_of_an_etcd() {
    let server = Server::start().await;
    let mut client = server.client().await;
    client.put("a", "1").await;
    let status = status(&mut client).await;
    assert_eq!((&*status.version, &*status.storage_version), ("3.7.1", "3.7.0"));
    assert_eq!((status.leader, status.db_size_quota, status.is_learner), (MEMBER, 2 << 30, false));
    assert_eq!(status.downgrade_info, Some(pb::DowngradeInfo::default()));
    assert!(status.raft_index >= status.raft_applied_index && status.raft_applied_index > 0);
    assert!(status.db_size_in_use > 0 && status.db_size >= status.db_size_in_use);
    assert_eq!(status.header.unwrap().revision, 2);
    assert!(status.errors.is_empty());
}

#[tokio::test]
async fn alarms() {
    let server = Server::start().await;
    let mut client = server.client().await;
    let (get, on, off) = (0, 1, 2);
    let ask = |action, alarm| pb::AlarmRequest { action, member_id: 3, alarm };
    let raised: pb::AlarmResponse = client.call(ALARM, ask(on, 2)).await.unwrap();
    assert_eq!(raised.alarms, [pb::AlarmMember { member_id: 3, alarm: 2 }]);
    let none: pb::AlarmResponse = client.call(ALARM, ask(on, 0)).await.unwrap();
    assert!(none.alarms.is_empty());
    for (filter, expected) in [(0, 1), (2, 1), (1, 0)] {
        let listed: pb::AlarmResponse = client.call(ALARM, ask(get, filter)).await.unwrap();
        assert_eq!(listed.alarms.len(), expected);
    }
    assert_eq!(status(&mut client).await.errors, ["memberID:3 alarm:CORRUPT"]);
    let request = pb::PutRequest { key: "a".into(), ..Default::default() };
    let put = client.call::<_, pb::PutResponse>("/etcdserverpb.KV/Put", request).await;
    refused(put, Code::DataLoss, "etcdserver: corrupt cluster");
    let ended: pb::AlarmResponse = client.call(ALARM, ask(off, 2)).await.unwrap();
    assert_eq!(ended.alarms.len(), 1);
    client.put("a", "1").await;
}

#[tokio::test]
async fn a_full_store_refuses_before_it_looks_at_arguments() {
    let options = engine::Options { quota: Some(1), ..engine::Options::default() };
    let server = Server::with(options).await;
    let mut client = server.client().await;
    let full = "etcdserver: mvcc: database space exceeded";
    let request = pb::PutRequest::default();
    let put = client.call::<_, pb::PutResponse>("/etcdserverpb.KV/Put", request).await;
    refused(put, Code::ResourceExhausted, full);
    let request = pb::LeaseGrantRequest { ttl: 5, id: 0 };
    let grant =
        client.call::<_, pb::LeaseGrantResponse>("/etcdserverpb.Lease/LeaseGrant", request).await;
    refused(grant, Code::ResourceExhausted, full);
    let errors = status(&mut client).await.errors;
    assert_eq!(errors, [format!("memberID:{MEMBER} alarm:NOSPACE")]);
    // What needs no room is let through.
    let request = pb::TxnRequest::default();
    client.call::<_, pb::TxnResponse>("/etcdserverpb.KV/Txn", request).await.unwrap();
}

#[tokio::test]
async fn hashes() {
    let server = Server::start().await;
    let mut client = server.client().await;
    client.put("a", "1").await;
    let path = "/etcdserverpb.Maintenance/HashKV";
    let hashed: pb::HashKvResponse =
        client.call(path, pb::HashKvRequest { revision: 0 }).await.unwrap();
    assert_eq!((hashed.compact_revision, hashed.hash_revision), (-1, 2));
    assert_ne!(hashed.hash, 0);
    let future =
        client.call::<_, pb::HashKvResponse>(path, pb::HashKvRequest { revision: 3 }).await;
    let words = "etcdserver: mvcc: required revision is a future revision";
    refused(future, Code::OutOfRange, words);
}

#[tokio::test]
async fn small_replies() {
    let server = Server::start().await;
    let mut client = server.client().await;
    let request = pb::DefragmentRequest {};
    let reply: pb::DefragmentResponse =
        client.call("/etcdserverpb.Maintenance/Defragment", request).await.unwrap();
    assert_eq!(reply.header, None);
    let request = pb::MemberListRequest { linearizable: true };
    let list: pb::MemberListResponse =
        client.call("/etcdserverpb.Cluster/MemberList", request).await.unwrap();
    let header = list.header.unwrap();
    assert_eq!((header.cluster_id, header.member_id, header.revision), (CLUSTER, MEMBER, 0));
    assert_eq!((list.members[0].id, &*list.members[0].name), (MEMBER, "one"));
    let path = "/grpc.health.v1.Health/Check";
    let health: HealthCheckResponse =
        client.call(path, HealthCheckRequest::default()).await.unwrap();
    assert_eq!(health.status, 1);
    let request = HealthCheckRequest { service: "x".to_owned() };
    let unknown = client.call::<_, HealthCheckResponse>(path, request).await;
    refused(unknown, Code::NotFound, "unknown service");
}

#[tokio::test]
async fn what_comes_later_says_so() {
    let server = Server::start().await;
    let mut client = server.client().await;
    for (path, name) in [
        ("/etcdserverpb.Cluster/MemberAdd", "etcdserverpb.Cluster/MemberAdd"),
        ("/v3lockpb.Lock/Lock", "v3lockpb.Lock/Lock"),
    ] {
        let answer = client.call::<_, pb::StatusResponse>(path, pb::StatusRequest {}).await;
        let words = format!("meridian: {name} is not implemented yet: a later version has it");
        refused(answer, Code::Unimplemented, &words);
    }
}
