//! The Election service: one leader at a time, what it says, and who follows it.

use std::time::Duration;

use server::wire::etcdserverpb as pb;
use server::wire::v3electionpb as electionpb;
use tokio::time::timeout;
use tonic::{Code, Status, Streaming};

use super::lock::{grant, keys};
use super::support::{Client, Server, eventually, refused, soon};

const OBSERVE: &str = "/v3electionpb.Election/Observe";

async fn campaign(
    client: &mut Client,
    lease: i64,
    value: &str,
) -> Result<electionpb::CampaignResponse, Status> {
    let value = value.to_owned().into();
    let request = electionpb::CampaignRequest { name: "e".into(), lease, value };
    client.call("/v3electionpb.Election/Campaign", request).await
}

async fn leader(client: &mut Client) -> Result<electionpb::LeaderResponse, Status> {
    let request = electionpb::LeaderRequest { name: "e".into() };
    client.call("/v3electionpb.Election/Leader", request).await
}

async fn proclaim(
    client: &mut Client,
    leader: Option<electionpb::LeaderKey>,
    value: &str,
) -> Result<electionpb::ProclaimResponse, Status> {
    let request = electionpb::ProclaimRequest { leader, value: value.to_owned().into() };
    client.call("/v3electionpb.Election/Proclaim", request).await
}

async fn resign(
    client: &mut Client,
    leader: Option<electionpb::LeaderKey>,
) -> Result<electionpb::ResignResponse, Status> {
    client.call("/v3electionpb.Election/Resign", electionpb::ResignRequest { leader }).await
}

async fn heard(stream: &mut Streaming<electionpb::LeaderResponse>) -> (i64, String, String) {
    let told = timeout(Duration::from_secs(10), stream.message()).await;
    let told = told.expect("something is told").unwrap().unwrap();
    let (kv, revision) = (told.kv.unwrap(), told.header.unwrap().revision);
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (revision, text(&kv.key), text(&kv.value))
}

async fn member_of_two() -> (Server, Client) {
    let server = Server::start().await;
    let mut client = server.client().await;
    grant(&mut client, 1).await;
    grant(&mut client, 2).await;
    (server, client)
}

/// Starts a campaign that has to wait.
async fn waiting(
    server: &Server,
    lease: i64,
) -> tokio::task::JoinHandle<Result<electionpb::CampaignResponse, Status>> {
    let (mut client, engine) = (server.client().await, server.engine.clone());
    let before = engine.watch_counts().watchers;
    let call = tokio::spawn(async move { soon(campaign(&mut client, lease, "next")).await });
    eventually("it waits", || engine.watch_counts().watchers == before + 1).await;
    call
}

#[tokio::test]
async fn a_leader_speaks_and_resigns() {
    let (server, mut client) = member_of_two().await;
    refused(leader(&mut client).await, Code::Unknown, "election: no leader");
    let elected = campaign(&mut client, 1, "one").await.unwrap();
    let key = elected.leader.unwrap();
    assert_eq!((&key.name[..], &key.key[..], key.rev, key.lease), (&b"e"[..], &b"e/1"[..], 2, 1));
    assert_eq!(elected.header.unwrap().revision, 2);
    let waits = waiting(&server, 2).await;
    let said = proclaim(&mut client, Some(key.clone()), "two").await.unwrap();
    assert_eq!(said.header.unwrap().revision, 4);
    let seen = leader(&mut client).await.unwrap().kv.unwrap();
    assert_eq!((&seen.key[..], &seen.value[..]), (&b"e/1"[..], &b"two"[..]));
    resign(&mut client, Some(key.clone())).await.unwrap();
    let next = waits.await.unwrap().unwrap();
    // The header is that of the claim, made before.
    assert_eq!((next.header.unwrap().revision, next.leader.unwrap().rev), (3, 3));
    let late = proclaim(&mut client, Some(key), "three").await;
    refused(late, Code::Unknown, "election: not leader");
    let words = "\"leader\" field must be provided";
    refused(proclaim(&mut client, None, "x").await, Code::Unknown, words);
    refused(resign(&mut client, None).await, Code::Unknown, words);
}

#[tokio::test]
async fn a_second_campaign_of_one_lease_changes_its_words() {
    let (_server, mut client) = member_of_two().await;
    let first = campaign(&mut client, 1, "one").await.unwrap().leader;
    let second = campaign(&mut client, 1, "two").await.unwrap();
    assert_eq!(second.leader, first);
    assert_eq!(second.header.unwrap().revision, 2, "as found, before the words were changed");
    assert_eq!(&leader(&mut client).await.unwrap().kv.unwrap().value[..], b"two");
    let words = "etcdserver: requested lease not found";
    refused(campaign(&mut client, 9, "x").await, Code::Unknown, words);
}

#[tokio::test]
async fn who_leaves_is_no_candidate() {
    let (server, mut client) = member_of_two().await;
    let first = campaign(&mut client, 1, "one").await.unwrap().leader;
    let leaves = waiting(&server, 2).await;
    leaves.abort();
    let engine = server.engine.clone();
    eventually("its claim is gone", || engine.status().revision.0 == 4).await;
    assert_eq!(keys(&mut client).await.0, ["e/1"]);
    resign(&mut client, first).await.unwrap();
    refused(leader(&mut client).await, Code::Unknown, "election: no leader");
}

#[tokio::test]
async fn who_observes_is_told_every_leader() {
    let (server, mut client) = member_of_two().await;
    let mut observer = server.client().await;
    let request = electionpb::LeaderRequest { name: "e".into() };
    let mut early = observer.stream(OBSERVE, request.clone()).await.unwrap();
    let engine = server.engine.clone();
    eventually("it watches", || engine.watch_counts().watchers == 1).await;
    let key = campaign(&mut client, 1, "one").await.unwrap().leader;
    assert_eq!(heard(&mut early).await, (2, "e/1".to_owned(), "one".to_owned()));
    let mut late = observer.stream(OBSERVE, request).await.unwrap();
    assert_eq!(heard(&mut late).await, (2, "e/1".to_owned(), "one".to_owned()));
    let waits = waiting(&server, 2).await;
    proclaim(&mut client, key.clone(), "two").await.unwrap();
    resign(&mut client, key).await.unwrap();
    waits.await.unwrap().unwrap();
    for stream in [&mut early, &mut late] {
        assert_eq!(heard(stream).await, (4, "e/1".to_owned(), "two".to_owned()));
        assert_eq!(heard(stream).await, (5, "e/2".to_owned(), "next".to_owned()));
    }
    drop((early, late));
    eventually("nobody watches", || engine.watch_counts().streams == 0).await;
}

#[tokio::test]
async fn an_observer_outlives_compaction_and_an_empty_election() {
    let (server, mut client) = member_of_two().await;
    let request = electionpb::LeaderRequest { name: "e".into() };
    let mut stream = client.stream(OBSERVE, request).await.unwrap();
    for round in 0..3 {
        let key = campaign(&mut client, 1, "one").await.unwrap().leader;
        assert_eq!(heard(&mut stream).await.1, "e/1", "round {round}");
        let resigned = resign(&mut client, key).await.unwrap().header.unwrap().revision;
        let request = pb::CompactionRequest { revision: resigned, physical: true };
        let path = "/etcdserverpb.KV/Compact";
        client.call::<_, pb::CompactionResponse>(path, request).await.unwrap();
    }
    server.engine.stop();
    let end = timeout(Duration::from_secs(10), stream.message()).await.expect("an end");
    assert_eq!(end.unwrap_err().message(), "etcdserver: server stopped");
}
