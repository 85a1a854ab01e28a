//! What each service asks of who calls.

use server::wire::etcdserverpb as pb;
use tonic::Status;

use crate::support::{
    Answer, BAD_TOKEN, BOTH, Client, DENIED, Guarded, NOBODY, READ, WRITE, auth, is, put, put_of,
    range, range_of, revoke_role,
};

async fn members(client: &mut Client) -> Answer {
    let path = "/etcdserverpb.Cluster/MemberList";
    auth::<_, pb::MemberListResponse>(client, path, pb::MemberListRequest::default()).await
}

async fn status(client: &mut Client) -> Answer {
    let path = "/etcdserverpb.Maintenance/Status";
    auth::<_, pb::StatusResponse>(client, path, pb::StatusRequest::default()).await
}

async fn alarm(client: &mut Client, action: i32) -> Answer {
    let request = pb::AlarmRequest { action, member_id: 0, alarm: 1 };
    auth::<_, pb::AlarmResponse>(client, "/etcdserverpb.Maintenance/Alarm", request).await
}

async fn only_roots(client: &mut Client) -> Vec<Answer> {
    let compact = pb::CompactionRequest { revision: 1, physical: false };
    vec![
        auth::<_, pb::CompactionResponse>(client, "/etcdserverpb.KV/Compact", compact).await,
        auth::<_, pb::DefragmentResponse>(
            client,
            "/etcdserverpb.Maintenance/Defragment",
            pb::DefragmentRequest::default(),
        )
        .await,
        auth::<_, pb::HashResponse>(
            client,
            "/etcdserverpb.Maintenance/Hash",
            pb::HashRequest::default(),
        )
        .await,
        auth::<_, pb::HashKvResponse>(
            client,
            "/etcdserverpb.Maintenance/HashKV",
            pb::HashKvRequest::default(),
        )
        .await,
        alarm(client, 1).await,
        alarm(client, 2).await,
    ]
}

/// Of those that a later version answers, the refusal comes all the same.
const LATER: [&str; 6] = [
    "/etcdserverpb.Cluster/MemberAdd",
    "/etcdserverpb.Cluster/MemberRemove",
    "/etcdserverpb.Cluster/MemberUpdate",
    "/etcdserverpb.Cluster/MemberPromote",
    "/etcdserverpb.Maintenance/MoveLeader",
    "/etcdserverpb.Maintenance/Downgrade",
];

#[tokio::test]
async fn a_name_is_enough_for_some_and_root_is_needed_for_the_rest() {
    let mut guarded = Guarded::start().await;
    let mut alice = guarded.user("alice", &[]).await;
    for answer in only_roots(&mut guarded.anonymous).await {
        is(answer, NOBODY);
    }
    for answer in only_roots(&mut alice).await {
        is(answer, DENIED);
    }
    put(&mut guarded.root, "a").await.unwrap();
    for answer in only_roots(&mut guarded.root).await {
        answer.unwrap();
    }
    for path in LATER {
        let request = pb::StatusRequest::default;
        is(auth::<_, pb::StatusResponse>(&mut guarded.anonymous, path, request()).await, NOBODY);
        is(auth::<_, pb::StatusResponse>(&mut alice, path, request()).await, DENIED);
    }
    let snapshot = "/etcdserverpb.Maintenance/Snapshot";
    let mut stream =
        alice.stream::<_, pb::StatusResponse>(snapshot, pb::StatusRequest::default()).await;
    if let Ok(stream) = &mut stream {
        is(stream.message().await, DENIED);
    } else {
        is(stream.map(drop), DENIED);
    }
    is(members(&mut guarded.anonymous).await, NOBODY);
    is(status(&mut guarded.anonymous).await, NOBODY);
    is(alarm(&mut guarded.anonymous, 0).await, NOBODY);
    members(&mut alice).await.unwrap();
    status(&mut alice).await.unwrap();
    alarm(&mut alice, 0).await.unwrap();
    is(members(&mut alice.bearing("nonsense")).await, BAD_TOKEN);
}

#[tokio::test]
async fn ranges_are_judged_as_asked_for() {
    let mut guarded = Guarded::start().await;
    let mut alice = guarded
        .user("alice", &[(READ, "a", "c"), (READ, "c", ""), (READ, "x", "\0"), (WRITE, "w", "")])
        .await;
    for key in ["a", "b", "c", "d", "x", "y"] {
        put(&mut guarded.root, key).await.unwrap();
    }
    assert_eq!(range(&mut alice, "a", "c\0").await.unwrap(), 3);
    assert_eq!(range(&mut alice, "x", "\0").await.unwrap(), 2);
    assert_eq!(range(&mut alice, "y", "").await.unwrap(), 1);
    for (key, end) in [("a", "d"), ("d", ""), ("w", ""), ("a", "\0"), ("\0", "\0"), ("b", "\0")] {
        is(range(&mut alice, key, end).await, DENIED);
        is(range(&mut guarded.anonymous, key, end).await, NOBODY);
    }
    let path = "/etcdserverpb.KV/RangeStream";
    let streamed = async |client: &mut Client, end: &str| -> Result<usize, Status> {
        let request = range_of("a", end);
        let mut stream = client.stream::<_, pb::RangeStreamResponse>(path, request).await?;
        let mut keys = 0;
        while let Some(chunk) = stream.message().await? {
            keys += chunk.range_response.unwrap().kvs.len();
        }
        Ok(keys)
    };
    assert_eq!(streamed(&mut alice, "c").await.unwrap(), 2);
    is(streamed(&mut alice, "d").await, DENIED);
    is(streamed(&mut guarded.anonymous, "c").await, NOBODY);
    put(&mut alice, "w").await.unwrap();
    is(put(&mut alice, "a").await, DENIED);
    // A serializable read is judged by the same rights.
    let serializable = pb::RangeRequest { serializable: true, ..range_of("a", "d") };
    is(alice.range(serializable).await, DENIED);
}

#[tokio::test]
async fn a_right_that_is_taken_is_gone_with_the_reply() {
    let mut guarded = Guarded::start().await;
    let mut alice = guarded.user("alice", &[(BOTH, "a", "")]).await;
    put(&mut alice, "a").await.unwrap();
    revoke_role(&mut guarded.root, "alice", "alice").await.unwrap();
    is(put(&mut alice, "a").await, DENIED);
    is(range(&mut alice, "a", "").await, DENIED);
}

#[tokio::test]
async fn health_is_nobodys_secret() {
    let guarded = Guarded::start().await;
    let page = guarded.server.http("GET /health").await;
    assert!(page.contains("{\"health\":\"true\""), "{page}");
    let page = guarded.server.http("GET /readyz").await;
    assert!(page.ends_with("ok\n"), "{page}");
    let metrics = guarded.server.http("GET /metrics").await;
    assert!(metrics.contains("\netcd_debugging_auth_revision 3\n"), "users and roles so far");
}

#[tokio::test]
async fn arguments_are_looked_at_before_names() {
    let mut guarded = Guarded::start().await;
    let empty = pb::PutRequest::default();
    let path = "/etcdserverpb.KV/Put";
    let anonymous = &mut guarded.anonymous;
    let answer = auth::<_, pb::PutResponse>(anonymous, path, empty).await;
    assert_eq!(answer.unwrap_err().message(), "etcdserver: key is not provided");
    let lease = pb::PutRequest { lease: 77, ..put_of("a") };
    is(auth::<_, pb::PutResponse>(anonymous, path, lease.clone()).await, NOBODY);
    let answer = auth::<_, pb::PutResponse>(&mut guarded.root, path, lease).await;
    assert_eq!(answer.unwrap_err().message(), "etcdserver: requested lease not found");
}
