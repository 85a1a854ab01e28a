//! Members and downgrades of a cluster of one.

use std::sync::Arc;

use engine::Options;
use journal::{Journal, MemoryJournal};
use server::wire::etcdserverpb as pb;
use tonic::{Code, Status};

use super::support::{Client, MEMBER, Server, refused};

const OWN: &str = "http://127.0.0.1:2380";
const VALIDATE: i32 = 0;
const ENABLE: i32 = 1;
const CANCEL: i32 = 2;

async fn add(client: &mut Client, urls: &[&str]) -> Result<pb::MemberAddResponse, Status> {
    let peer_ur_ls = urls.iter().map(|url| (*url).to_owned()).collect();
    let request = pb::MemberAddRequest { peer_ur_ls, is_learner: false };
    client.call("/etcdserverpb.Cluster/MemberAdd", request).await
}

async fn update(
    client: &mut Client,
    id: u64,
    urls: &[&str],
) -> Result<pb::MemberUpdateResponse, Status> {
    let peer_ur_ls = urls.iter().map(|url| (*url).to_owned()).collect();
    let request = pb::MemberUpdateRequest { id, peer_ur_ls };
    client.call("/etcdserverpb.Cluster/MemberUpdate", request).await
}

async fn peer_urls(client: &mut Client) -> Vec<String> {
    let request = pb::MemberListRequest { linearizable: true };
    let list: pb::MemberListResponse =
        client.call("/etcdserverpb.Cluster/MemberList", request).await.unwrap();
    list.members.into_iter().flat_map(|member| member.peer_ur_ls).collect()
}

async fn downgrade(
    client: &mut Client,
    action: i32,
    version: &str,
) -> Result<pb::DowngradeResponse, Status> {
    let request = pb::DowngradeRequest { action, version: version.to_owned() };
    client.call("/etcdserverpb.Maintenance/Downgrade", request).await
}

async fn versions(client: &mut Client) -> (String, String, pb::DowngradeInfo) {
    let path = "/etcdserverpb.Maintenance/Status";
    let status: pb::StatusResponse = client.call(path, pb::StatusRequest {}).await.unwrap();
    (status.version, status.storage_version, status.downgrade_info.unwrap())
}

#[tokio::test]
async fn a_second_member_is_refused_with_etcd_s_reason_or_ours() {
    let server = Server::start().await;
    let mut client = server.client().await;
    let bad = "etcdserver: given member URLs are invalid";
    for urls in [&[][..], &["x"], &["http://a"], &["http://a:1/p"], &["http://a:1", "ftp://a:1"]] {
        refused(add(&mut client, urls).await, Code::InvalidArgument, bad);
    }
    let there = "etcdserver: Peer URLs already exists";
    refused(add(&mut client, &["http://a:1", OWN]).await, Code::FailedPrecondition, there);
    let refusal = add(&mut client, &["http://a:1"]).await.unwrap_err();
    assert_eq!(refusal.code(), Code::FailedPrecondition);
    assert!(refusal.message().contains("--journal postgres://"), "{refusal}");
}

#[tokio::test]
async fn the_only_member_is_neither_removed_nor_promoted_nor_replaced() {
    let server = Server::start().await;
    let mut client = server.client().await;
    let unknown = "etcdserver: member not found";
    let remove = |id| pb::MemberRemoveRequest { id };
    let path = "/etcdserverpb.Cluster/MemberRemove";
    let other = client.call::<_, pb::MemberRemoveResponse>(path, remove(1)).await;
    refused(other, Code::NotFound, unknown);
    let itself = client.call::<_, pb::MemberRemoveResponse>(path, remove(MEMBER)).await;
    let words = "etcdserver: re-configuration failed due to not enough started members";
    refused(itself, Code::Unknown, words);
    let promote = |id| pb::MemberPromoteRequest { id };
    let path = "/etcdserverpb.Cluster/MemberPromote";
    let other = client.call::<_, pb::MemberPromoteResponse>(path, promote(1)).await;
    refused(other, Code::NotFound, unknown);
    let itself = client.call::<_, pb::MemberPromoteResponse>(path, promote(MEMBER)).await;
    refused(itself, Code::FailedPrecondition, "etcdserver: can only promote a learner member");
    let lead = |target_id| pb::MoveLeaderRequest { target_id };
    let path = "/etcdserverpb.Maintenance/MoveLeader";
    let other = client.call::<_, pb::MoveLeaderResponse>(path, lead(1)).await;
    refused(other, Code::FailedPrecondition, "etcdserver: bad leader transferee");
    let itself: pb::MoveLeaderResponse = client.call(path, lead(MEMBER)).await.unwrap();
    assert_eq!(itself.header, None);
}

/// A store that is opened again over the same journal.
async fn again(journal: &Arc<MemoryJournal>, before: Option<Server>) -> (Server, Client) {
    if let Some(server) = before {
        server.engine.stop();
        server.shut_down();
    }
    let shared: Arc<dyn Journal> = Arc::<MemoryJournal>::clone(journal);
    let server = Server::over(shared, Options::default()).await;
    let client = server.client().await;
    (server, client)
}

#[tokio::test]
async fn peer_urls_that_were_given_are_kept() {
    let journal = Arc::new(MemoryJournal::default());
    let (server, mut client) = again(&journal, None).await;
    assert_eq!(peer_urls(&mut client).await, [OWN]);
    let words = "etcdserver: member not found";
    refused(update(&mut client, 1, &["http://a:1"]).await, Code::NotFound, words);
    let updated = update(&mut client, MEMBER, &["http://b:1", "as etcd: any text"]).await.unwrap();
    assert_eq!(updated.header.unwrap().revision, 0);
    assert_eq!(updated.members[0].peer_ur_ls, ["http://b:1", "as etcd: any text"]);
    let there = "etcdserver: Peer URLs already exists";
    refused(add(&mut client, &["http://b:1"]).await, Code::FailedPrecondition, there);
    let (_server, mut client) = again(&journal, Some(server)).await;
    assert_eq!(peer_urls(&mut client).await, ["http://b:1", "as etcd: any text"]);
}

#[tokio::test]
async fn a_downgrade_is_judged_begun_kept_and_called_off() {
    let journal = Arc::new(MemoryJournal::default());
    let (server, mut client) = again(&journal, None).await;
    let format = "etcdserver: wrong downgrade target version format";
    let target = "etcdserver: invalid downgrade target version";
    for (version, words) in [("", format), ("3", format), ("v3.6", format), ("3.5", target)] {
        for action in [VALIDATE, ENABLE] {
            let answer = downgrade(&mut client, action, version).await;
            refused(answer, Code::InvalidArgument, words);
        }
    }
    refused(downgrade(&mut client, 7, "3.6").await, Code::Unknown, "etcdserver: unknown method");
    assert_eq!(downgrade(&mut client, VALIDATE, "3.6.4").await.unwrap().version, "3.7");
    assert_eq!(downgrade(&mut client, CANCEL, "").await.unwrap().version, "3.7");
    assert_eq!(downgrade(&mut client, ENABLE, "3.6.4").await.unwrap().version, "3.7");
    let target_version = "3.6.0".to_owned();
    let under_way = pb::DowngradeInfo { enabled: true, target_version };
    let (server, mut client) = again(&journal, Some(server)).await;
    assert_eq!(versions(&mut client).await, ("3.7.1".into(), "3.6.0".into(), under_way));
    assert!(server.http("GET /version").await.contains("\"etcdcluster\":\"3.6.0\""));
    refused(downgrade(&mut client, ENABLE, "3.6").await, Code::InvalidArgument, target);
    let words = "etcdserver: cluster has a downgrade job in progress";
    refused(downgrade(&mut client, ENABLE, "3.5").await, Code::FailedPrecondition, words);
    assert_eq!(downgrade(&mut client, CANCEL, "").await.unwrap().version, "3.6");
    let none = pb::DowngradeInfo::default();
    assert_eq!(versions(&mut client).await, ("3.7.1".into(), "3.7.0".into(), none));
}
