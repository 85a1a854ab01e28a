//! The Lease service.

use server::wire::etcdserverpb as pb;
use tonic::{Code, Status};

use super::support::{Client, Server, refused};

const GRANT: &str = "/etcdserverpb.Lease/LeaseGrant";
const REVOKE: &str = "/etcdserverpb.Lease/LeaseRevoke";
const TTL: &str = "/etcdserverpb.Lease/LeaseTimeToLive";

async fn grant(client: &mut Client, id: i64, ttl: i64) -> Result<pb::LeaseGrantResponse, Status> {
    client.call(GRANT, pb::LeaseGrantRequest { ttl, id }).await
}

#[tokio::test]
async fn grants() {
    let server = Server::start().await;
    let mut client = server.client().await;
    let granted = grant(&mut client, -5, 30).await.unwrap();
    assert_eq!((granted.id, granted.ttl, granted.header.unwrap().revision), (-5, 30, 1));
    refused(
        grant(&mut client, -5, 30).await,
        Code::FailedPrecondition,
        "etcdserver: lease already exists",
    );
    refused(
        grant(&mut client, 9, 9_000_000_001).await,
        Code::OutOfRange,
        "etcdserver: too large lease TTL",
    );
    let drawn = grant(&mut client, 0, -1).await.unwrap();
    assert!(drawn.id > 0);
    assert_eq!(drawn.ttl, 2);
    let request = pb::LeaseLeasesRequest {};
    let leases: pb::LeaseLeasesResponse =
        client.call("/etcdserverpb.Lease/LeaseLeases", request).await.unwrap();
    let ids: Vec<i64> = leases.leases.iter().map(|lease| lease.id).collect();
    assert_eq!(ids, [drawn.id, -5]);
}

#[tokio::test]
async fn time_to_live_and_revoke() {
    let server = Server::start().await;
    let mut client = server.client().await;
    grant(&mut client, 5, 100).await.unwrap();
    for key in ["b", "a"] {
        let request = pb::PutRequest { key: key.into(), lease: 5, ..Default::default() };
        client.call::<_, pb::PutResponse>("/etcdserverpb.KV/Put", request).await.unwrap();
    }
    let request = pb::LeaseTimeToLiveRequest { id: 5, keys: true };
    let mut found: pb::LeaseTimeToLiveResponse = client.call(TTL, request).await.unwrap();
    found.keys.sort();
    assert_eq!((found.id, found.granted_ttl, found.keys.len()), (5, 100, 2));
    assert!((98..=100).contains(&found.ttl), "{}", found.ttl);
    let revoked: pb::LeaseRevokeResponse =
        client.call(REVOKE, pb::LeaseRevokeRequest { id: 5 }).await.unwrap();
    assert_eq!(revoked.header.unwrap().revision, 4);
    let gone: pb::LeaseTimeToLiveResponse = client.call(TTL, request).await.unwrap();
    assert_eq!((gone.id, gone.ttl, gone.granted_ttl), (5, -1, 0));
    let again =
        client.call::<_, pb::LeaseRevokeResponse>(REVOKE, pb::LeaseRevokeRequest { id: 5 }).await;
    refused(again, Code::NotFound, "etcdserver: requested lease not found");
}

#[tokio::test]
async fn keep_alives() {
    let server = Server::start().await;
    let mut client = server.client().await;
    grant(&mut client, 5, 60).await.unwrap();
    let (say, mut hear) = client
        .talk::<pb::LeaseKeepAliveRequest, pb::LeaseKeepAliveResponse>(
            "/etcdserverpb.Lease/LeaseKeepAlive",
        )
        .await;
    for (id, ttl) in [(5, 60), (6, 0), (5, 60)] {
        say.send(pb::LeaseKeepAliveRequest { id }).await.unwrap();
        let heard = hear.message().await.unwrap().unwrap();
        assert_eq!((heard.id, heard.ttl, heard.header.unwrap().revision), (id, ttl, 1));
    }
    drop(say);
    assert_eq!(hear.message().await.unwrap(), None);
}
