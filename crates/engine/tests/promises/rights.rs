//! Users and rights: published before what they are asked about, kept over restarts, and no obstacle
//! to what the server itself has to do.

use std::sync::Arc;
use std::time::Duration;

use engine::Options;
use journal::MemoryJournal;
use state::{
    AlarmType, AuthChange, AuthRevision, Command, Identity, LeaseId, PasswordHash, Refusal, Reply,
    Revision, TokenDigest,
};

use crate::support::{Node, delete, memory, put, put_on, until};

async fn change(node: &Node, change: AuthChange) {
    let outcome = node.engine.commit_own(Command::Auth(change)).await.unwrap();
    assert_eq!(outcome.result, Ok(Reply::Auth));
}

async fn user(node: &Node, name: &str) {
    let password = PasswordHash("hash".into());
    change(node, AuthChange::UserAdd { name: name.into(), password, no_password: false }).await;
}

async fn guard(node: &Node) {
    user(node, "root").await;
    change(node, AuthChange::UserGrantRole { user: "root".into(), role: "root".into() }).await;
    change(node, AuthChange::Enable).await;
}

fn root(node: &Node) -> Identity {
    Identity::User { name: "root".into(), auth_revision: node.engine.auth().revision() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rights_are_never_older_than_the_view_they_are_asked_about() {
    let node = Node::start(memory(), Options::default()).await;
    let engine = node.engine.clone();
    let reader = tokio::spawn(async move {
        let mut last = 0;
        while last < 500 {
            // In this order, as every reader does it.
            let view = engine.view();
            let auth = engine.auth();
            if let Some(kv) = view.get(b"revision") {
                let written: u64 = String::from_utf8_lossy(kv.value).parse().unwrap();
                assert!(auth.revision() >= AuthRevision(written), "{auth:?} behind {written}");
                last = written;
            }
            tokio::task::yield_now().await;
        }
    });
    for revision in 2..=500u64 {
        let role = AuthChange::RoleAdd { name: format!("r{revision}").into() };
        let noted = put("revision", &revision.to_string());
        // At once, so that one publication may show both.
        let (changed, noted) =
            tokio::join!(node.engine.commit(Command::Auth(role)), node.engine.commit(noted));
        assert!(changed.unwrap().result.is_ok() && noted.unwrap().result.is_ok());
    }
    reader.await.unwrap();
    node.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_servers_own_work_goes_on_with_auth_on() {
    let options = Options { quota: Some(1 << 20), ..Options::default() };
    let node = Node::start(memory(), options).await;
    guard(&node).await;
    let own = |command: Command| node.engine.commit_own(command);
    assert_eq!(node.put("a", "v").await.unwrap().result, Err(Refusal::UserEmpty));
    own(Command::LeaseGrant { id: LeaseId(7), ttl: 10 }).await.unwrap().result.unwrap();
    own(put_on("a", 7)).await.unwrap().result.unwrap();
    node.clock.go(Duration::from_millis(10_001));
    until("the lease ends", || node.engine.leases().is_empty()).await;
    assert!(node.get("a").is_none());
    // The alarm, and what undoes it.
    let large = put("large", &"v".repeat(1 << 19));
    while node.engine.admit(large.cost()).await.unwrap() {
        let by_root = large.clone().by(root(&node));
        node.engine.commit(by_root).await.unwrap().result.unwrap();
    }
    let alarmed = || {
        let alarms = node.engine.status().alarms;
        alarms.iter().any(|alarm| alarm.alarm == AlarmType::NoSpace)
    };
    assert!(alarmed());
    own(delete("large")).await.unwrap().result.unwrap();
    until("the alarm ends by itself", || !alarmed()).await;
    node.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_was_proposed_before_auth_came_on_is_proposed_again() {
    let node = Node::start(memory(), Options::default()).await;
    node.grant(7, 10).await;
    node.engine.commit(put_on("a", 7)).await.unwrap().result.unwrap();
    user(&node, "root").await;
    let grant = AuthChange::UserGrantRole { user: "root".into(), role: "root".into() };
    change(&node, grant).await;
    // As if it had been on its way in nobody's name.
    let (enabled, revoked) = tokio::join!(
        node.engine.commit(Command::Auth(AuthChange::Enable)),
        node.engine.commit(Command::LeaseRevoke { id: LeaseId(7) }),
    );
    assert_eq!(enabled.unwrap().result, Ok(Reply::Auth));
    assert_eq!(revoked.unwrap().result, Err(Refusal::UserEmpty));
    assert_eq!(node.engine.keep_alive(LeaseId(7)).await, Ok(10), "it was not taken for ended");
    node.clock.go(Duration::from_secs(30));
    until("the lease ends", || node.engine.leases().is_empty()).await;
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn users_and_tokens_come_back() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("checkpoints");
    let journal = Arc::new(MemoryJournal::default());
    let often = Options { checkpoint_after: 4 << 10, ..Options::default() };
    let start = || {
        let journal = Arc::<MemoryJournal>::clone(&journal);
        Node::try_start(journal, Some(folder.clone()), often.clone())
    };
    let node = start().await.unwrap();
    guard(&node).await;
    let token = |seed: u8| TokenDigest([seed; 32]);
    let issue = async |node: &Node, seed: u8| {
        let (user, digest) = ("root".into(), token(seed));
        let auth_revision = node.engine.auth().revision();
        change(node, AuthChange::TokenIssue { user, digest, auth_revision }).await;
    };
    issue(&node, 1).await;
    while node.engine.status().checkpoint.0 == 0 {
        let by_root = put("k", &"v".repeat(100)).by(root(&node));
        node.engine.commit(by_root).await.unwrap().result.unwrap();
    }
    issue(&node, 2).await;
    let (digest, auth) = (node.digest().await, node.engine.auth());
    node.stop().await;
    let node = start().await.unwrap();
    assert_eq!(*node.engine.auth(), *auth);
    assert_eq!(node.engine.auth().token_user(&token(2)).map(|user| &**user), Some("root"));
    assert_ne!(node.digest().await, digest, "a claim stands between the two");
    let compact = Command::Compact { revision: Revision(2) };
    assert_eq!(node.engine.commit(compact).await.unwrap().result, Err(Refusal::UserEmpty));
    node.stop().await;
}
