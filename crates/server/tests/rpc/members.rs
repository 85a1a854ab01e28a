//! The members of a cluster that shares a journal: listed, added, promoted, moved to and removed, over real
//! lines between whole servers.

use std::sync::Arc;

use bytes::Bytes;
use journal::MemoryJournal;
use server::rpc::Limits;
use server::wire::etcdserverpb as pb;
use state::{Level, MemberId};
use tonic::{Code, Status};

use super::replicas::{Replica, founded, port, start, start_with};
use super::support::{Client, eventually, everything, refused, soon};

async fn members(client: &mut Client) -> Vec<pb::Member> {
    let request = pb::MemberListRequest { linearizable: true };
    let list: pb::MemberListResponse =
        soon(client.call("/etcdserverpb.Cluster/MemberList", request)).await.unwrap();
    assert_eq!(list.header.unwrap().revision, 0);
    list.members
}

async fn add(
    client: &mut Client,
    urls: &[&str],
    is_learner: bool,
) -> Result<pb::MemberAddResponse, Status> {
    let peer_ur_ls = urls.iter().map(|url| (*url).to_owned()).collect();
    let request = pb::MemberAddRequest { peer_ur_ls, is_learner };
    soon(client.call("/etcdserverpb.Cluster/MemberAdd", request)).await
}

async fn remove(client: &mut Client, id: u64) -> Result<pb::MemberRemoveResponse, Status> {
    let request = pb::MemberRemoveRequest { id };
    soon(client.call("/etcdserverpb.Cluster/MemberRemove", request)).await
}

async fn promote(client: &mut Client, id: u64) -> Result<pb::MemberPromoteResponse, Status> {
    let request = pb::MemberPromoteRequest { id };
    soon(client.call("/etcdserverpb.Cluster/MemberPromote", request)).await
}

async fn update(
    client: &mut Client,
    id: u64,
    url: &str,
) -> Result<pb::MemberUpdateResponse, Status> {
    let request = pb::MemberUpdateRequest { id, peer_ur_ls: vec![url.to_owned()] };
    soon(client.call("/etcdserverpb.Cluster/MemberUpdate", request)).await
}

async fn status(client: &mut Client) -> pb::StatusResponse {
    soon(client.call("/etcdserverpb.Maintenance/Status", pb::StatusRequest {})).await.unwrap()
}

async fn lead(client: &mut Client, target_id: u64) -> Result<pb::MoveLeaderResponse, Status> {
    let request = pb::MoveLeaderRequest { target_id };
    soon(client.call("/etcdserverpb.Maintenance/MoveLeader", request)).await
}

/// All follow the same writer, over lines.
async fn settled(replicas: &[Replica]) {
    let leader = |replica: &Replica| replica.engine.status().leader;
    eventually("one writer", || {
        let first = leader(&replicas[0]);
        first.0 != 0 && replicas.iter().all(|replica| leader(replica) == first)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn three_replicas_are_one_cluster() {
    let (_journal, replicas) = founded(3).await;
    settled(&replicas).await;
    for (number, replica) in (1..).zip(&replicas) {
        let mut client = replica.client().await;
        let key = format!("from-{number}");
        soon(client.put(&key, "x")).await;
        // What one has acknowledged, all read.
        for other in &replicas {
            let mut other = other.client().await;
            let found = soon(other.range(everything())).await.unwrap();
            assert_eq!(found.count, number);
        }
        let listed = members(&mut client).await;
        let shown: Vec<_> = listed.iter().map(|member| (member.id, member.name.as_str())).collect();
        assert_eq!(shown, [(1, "r1"), (2, "r2"), (3, "r3")]);
        for (member, replica) in listed.iter().zip(&replicas) {
            assert_eq!(member.peer_ur_ls, std::slice::from_ref(&replica.peer_url));
            assert_eq!(member.client_ur_ls, [format!("http://{}", replica.address)]);
        }
        let status = status(&mut client).await;
        assert_eq!(
            (status.leader, status.is_learner),
            (replicas[0].engine.status().leader.0, false)
        );
        assert_eq!(status.header.unwrap().member_id, replica.id);
        assert_eq!(status.storage_version, "3.7.0");
        assert!(status.errors.is_empty(), "{:?}", status.errors);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_writer_is_moved_as_etcd_moves_a_leader() {
    let (_journal, replicas) = founded(3).await;
    settled(&replicas).await;
    let writer = replicas[0].engine.status().leader.0;
    let at = |id: u64| replicas.iter().find(move |replica| replica.id == id).unwrap();
    let target = if writer == 3 { 2 } else { 3 };
    let mut follower = at(target).client().await;
    let not_leader = "etcdserver: not leader";
    refused(lead(&mut follower, writer).await, Code::FailedPrecondition, not_leader);
    let mut client = at(writer).client().await;
    let bad = "etcdserver: bad leader transferee";
    refused(lead(&mut client, 77).await, Code::FailedPrecondition, bad);
    soon(client.put("before", "x")).await;
    let epoch = status(&mut client).await.raft_term;
    // It follows as soon as its line stands.
    let mut moved = lead(&mut client, target).await;
    for _ in 0..50 {
        if moved.is_ok() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        moved = lead(&mut client, target).await;
    }
    assert_eq!(moved.unwrap().header, None);
    for replica in &replicas {
        eventually("the new writer is known", || replica.engine.status().leader.0 == target).await;
    }
    assert!(status(&mut follower).await.raft_term > epoch);
    for replica in &replicas {
        soon(replica.client().await.put("after", "x")).await;
    }
    // To itself there is nothing to move.
    lead(&mut follower, target).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn members_are_added_and_removed_in_etcd_s_words() {
    let (_journal, replicas) = founded(2).await;
    settled(&replicas).await;
    let mut client = replicas[1].client().await;
    for urls in [&[][..], &["x"], &["http://a"], &["http://a:1/p"]] {
        let bad = "etcdserver: given member URLs are invalid";
        refused(add(&mut client, urls, false).await, Code::InvalidArgument, bad);
    }
    let exists = "etcdserver: Peer URLs already exists";
    let taken = replicas[0].peer_url.as_str();
    refused(add(&mut client, &[taken], false).await, Code::FailedPrecondition, exists);
    let added = add(&mut client, &["http://b:1", "http://a:1"], false).await.unwrap();
    let member = added.member.unwrap();
    assert_eq!((member.name.as_str(), member.is_learner), ("", false));
    assert_eq!(member.peer_ur_ls, ["http://a:1", "http://b:1"]);
    assert!(added.members.contains(&member) && added.members.len() == 3);
    let learner = add(&mut client, &["http://c:1"], true).await.unwrap().member.unwrap();
    assert!(learner.is_learner && learner.id != member.id);
    let many = "etcdserver: too many learner members in cluster";
    refused(add(&mut client, &["http://d:1"], true).await, Code::FailedPrecondition, many);
    let ready = "etcdserver: can only promote a learner member which is in sync with leader";
    refused(promote(&mut client, learner.id).await, Code::FailedPrecondition, ready);
    let voter = "etcdserver: can only promote a learner member";
    refused(promote(&mut client, 1).await, Code::FailedPrecondition, voter);
    refused(update(&mut client, learner.id, "http://a:1").await, Code::FailedPrecondition, exists);
    let updated = update(&mut client, learner.id, "http://e:1").await.unwrap();
    assert!(updated.members.iter().any(|member| member.peer_ur_ls == ["http://e:1"]));
    for id in [learner.id, member.id] {
        let left = remove(&mut client, id).await.unwrap().members;
        assert!(left.iter().all(|member| member.id != id));
        let absent = "etcdserver: member not found";
        refused(remove(&mut client, id).await, Code::NotFound, absent);
        refused(promote(&mut client, id).await, Code::NotFound, absent);
        refused(update(&mut client, id, "http://f:1").await, Code::NotFound, absent);
    }
    assert_eq!(members(&mut client).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_that_may_write_is_not_removed() {
    let (_journal, replicas) = founded(1).await;
    let mut client = replicas[0].client().await;
    let words = "etcdserver: re-configuration failed due to not enough started members";
    refused(remove(&mut client, 1).await, Code::Unknown, words);
    // To nobody else can it be moved, and it leads already.
    lead(&mut client, 1).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn as_many_learners_are_let_in_as_the_member_that_is_asked_was_told() {
    let (journal, replicas) = founded(1).await;
    settled(&replicas).await;
    let place = port().await;
    let limits = Limits { max_learners: 2, ..Limits::default() };
    let generous = start_with(&journal, "generous", place, Vec::new(), limits).await;
    eventually("both can apply more", || generous.engine.status().cluster.level() == Level(2))
        .await;
    let mut strict = replicas[0].client().await;
    let mut generous = generous.client().await;
    let many = "etcdserver: too many learner members in cluster";
    add(&mut strict, &["http://a:1"], true).await.unwrap();
    refused(add(&mut strict, &["http://b:1"], true).await, Code::FailedPrecondition, many);
    let second = add(&mut generous, &["http://b:1"], true).await.unwrap();
    assert!(second.member.unwrap().is_learner);
    assert_eq!(second.members.iter().filter(|member| member.is_learner).count(), 2);
    refused(add(&mut generous, &["http://c:1"], true).await, Code::FailedPrecondition, many);
    assert!(!add(&mut strict, &["http://c:1"], false).await.unwrap().member.unwrap().is_learner);
}

/// One that has not started might turn out to be a program that knows no limit but the default.
#[tokio::test(flavor = "multi_thread")]
async fn another_limit_of_learners_waits_until_all_members_understand_it() {
    let journal = Arc::new(MemoryJournal::default());
    let place = port().await;
    let founders =
        vec![(MemberId(1), vec![place.1.clone()]), (MemberId(2), vec!["http://away:1".into()])];
    let limits = Limits { max_learners: 2, ..Limits::default() };
    let first = start_with(&journal, "first", place, founders, limits).await;
    settled(std::slice::from_ref(&first)).await;
    let mut client = first.client().await;
    let answer = add(&mut client, &["http://a:1"], true).await.unwrap_err();
    assert_eq!(answer.code(), Code::FailedPrecondition);
    assert!(answer.message().contains("level 2"), "{answer}");
    assert_eq!(members(&mut client).await.len(), 2, "nothing was ordered");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_learner_answers_what_needs_nobody_else() {
    let (journal, replicas) = founded(1).await;
    let mut client = replicas[0].client().await;
    soon(client.put("k", "v")).await;
    let place = port().await;
    let learner = add(&mut client, &[&place.1], true).await.unwrap().member.unwrap();
    let replica = start(&journal, "learner", place, Vec::new()).await;
    assert_eq!(replica.id, learner.id);
    let mut there = replica.client().await;
    let words = "etcdserver: rpc not supported for learner";
    refused(soon(there.range(everything())).await, Code::FailedPrecondition, words);
    let serializable = pb::RangeRequest { serializable: true, ..everything() };
    assert_eq!(soon(there.range(serializable)).await.unwrap().count, 1);
    let put = pb::PutRequest { key: Bytes::from("x"), ..Default::default() };
    let put = there.call::<_, pb::PutResponse>("/etcdserverpb.KV/Put", put).await;
    refused(put, Code::FailedPrecondition, words);
    refused(lead(&mut there, 1).await, Code::FailedPrecondition, words);
    assert!(status(&mut there).await.is_learner);
    let bad = "etcdserver: bad leader transferee";
    refused(lead(&mut client, learner.id).await, Code::FailedPrecondition, bad);
    assert!(replica.http("/metrics").await.contains("\netcd_server_is_learner 1\n"));
    let ready = replica.http("/readyz").await;
    assert!(ready.contains("[-]non_learner failed: not supported for learner"), "{ready}");
    let promoted = promote(&mut client, learner.id).await.unwrap();
    assert!(promoted.members.iter().all(|member| !member.is_learner));
    eventually("it has heard of it", || !replica.engine.is_learner()).await;
    assert_eq!(soon(there.range(everything())).await.unwrap().count, 1);
    let counts = |count| format!("\netcd_server_learner_promote_successes {count}\n");
    assert!(replica.http("/metrics").await.contains(&counts(0)), "the writer counts it");
    assert!(replicas[0].http("/metrics").await.contains(&counts(1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_tell_of_the_others_and_of_the_journal() {
    let (_journal, replicas) = founded(2).await;
    settled(&replicas).await;
    let mut writers = 0;
    for replica in &replicas {
        let page = replica.http("/metrics").await;
        for line in [
            &format!("etcd_network_known_peers{{Local=\"{}\",Remote=\"1\"}} 1", replica.id)[..],
            &format!("etcd_network_known_peers{{Local=\"{}\",Remote=\"2\"}} 1", replica.id)[..],
            "etcd_server_has_leader 1",
            "meridian_members 2",
            "meridian_test_journal 1",
        ] {
            assert!(page.lines().any(|found| found == line), "{line}: {page}");
        }
        let leads = page.contains("\netcd_server_is_leader 1\n");
        assert_eq!(page.contains("meridian_replica_role{role=\"writer\"} 1"), leads);
        writers += u8::from(leads);
        let ready = replica.http("/readyz?verbose").await;
        assert!(ready.contains("[i]journal: in memory: the end of this process loses all\n"));
        assert!(ready.contains("[i]writer: ") && ready.ends_with("ok\n"), "{ready}");
        assert!(!replica.http("/livez?verbose").await.contains("[i]"));
    }
    assert_eq!(writers, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_are_counted_under_etcd_s_names_for_peers() {
    let (_journal, replicas) = founded(3).await;
    settled(&replicas).await;
    let writer = replicas[0].engine.status().leader.0;
    let follower = replicas.iter().find(|replica| replica.id != writer).unwrap();
    let other = replicas.iter().find(|replica| replica.id == writer).unwrap();
    soon(follower.client().await.put("key", &"v".repeat(10_000))).await;
    let value = |page: &str, series: &str| {
        let line = page.lines().find_map(|line| line.strip_prefix(series)).map(str::trim);
        line.unwrap_or_else(|| panic!("no {series} in\n{page}")).parse::<f64>().unwrap()
    };
    for (at, remote) in [(follower, writer), (other, follower.id)] {
        let (page, local) = (at.http("/metrics").await, at.id);
        let labels = format!("{{Local=\"{local:x}\",Remote=\"{remote:x}\"}}");
        assert!(value(&page, &format!("etcd_network_active_peers{labels}")) == 1.0);
        for (name, label) in [("sent", "To"), ("received", "From")] {
            let series = format!("etcd_network_peer_{name}_bytes_total{{{label}=\"{remote:x}\"}}");
            // The follower hands the value over, and the writer tells it in an entry.
            let bytes = value(&page, &series);
            assert!((10_000.0..100_000.0).contains(&bytes), "{series} {bytes}");
        }
        assert_eq!(value(&page, "etcd_server_leader_changes_seen_total"), 1.0);
        assert_eq!(value(&page, "etcd_server_has_leader"), 1.0);
        let leads = if local == writer { 1.0 } else { 0.0 };
        assert_eq!(value(&page, "etcd_server_is_leader"), leads);
    }
    let page = follower.http("/metrics").await;
    let trips = format!("etcd_network_peer_round_trip_time_seconds_count{{To=\"{writer:x}\"}}");
    // Once for each line: the first may have been opened to one that did not lead yet.
    assert!(value(&page, &trips) >= 1.0);
    let mut client = other.client().await;
    lead(&mut client, follower.id).await.unwrap();
    settled(&replicas).await;
    let page = follower.http("/metrics").await;
    assert_eq!(value(&page, "etcd_server_leader_changes_seen_total"), 2.0);
}
