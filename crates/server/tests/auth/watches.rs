//! Watches: judged when they are made, on the range that was asked for, and again when rights change.

use std::time::Duration;

use server::wire::etcdserverpb as pb;
use tokio::sync::mpsc::Sender;
use tonic::Streaming;

use crate::support::{
    BOTH, Client, Guarded, READ, Server, WRITE, add_user, enable, grant_role, put, revoke_role,
};
use pb::watch_request::RequestUnion;

const DENIED: &str = "rpc error: code = PermissionDenied desc = etcdserver: permission denied";
const NOBODY: &str = "rpc error: code = InvalidArgument desc = etcdserver: user name is empty";
const BAD_TOKEN: &str = "rpc error: code = Unauthenticated desc = etcdserver: invalid auth token";

struct Watch {
    say: Sender<pb::WatchRequest>,
    hear: Streaming<pb::WatchResponse>,
}

impl Watch {
    async fn open(client: &mut Client) -> Self {
        let (say, hear) = client.talk("/etcdserverpb.Watch/Watch").await;
        Self { say, hear }
    }

    async fn create(&mut self, key: &str, end: &str) -> pb::WatchResponse {
        self.create_from(key, end, 0).await
    }

    async fn create_from(&mut self, key: &str, end: &str, from: i64) -> pb::WatchResponse {
        let (key, range_end) = (key.to_owned().into(), end.to_owned().into());
        let create =
            pb::WatchCreateRequest { key, range_end, start_revision: from, ..Default::default() };
        let request_union = Some(RequestUnion::CreateRequest(create));
        self.say.send(pb::WatchRequest { request_union }).await.unwrap();
        self.next().await
    }

    async fn next(&mut self) -> pb::WatchResponse {
        let response = tokio::time::timeout(Duration::from_secs(10), self.hear.message()).await;
        response.expect("an answer in time").unwrap().expect("the stream goes on")
    }

    /// That nothing comes.
    async fn quiet(&mut self) {
        let response = tokio::time::timeout(Duration::from_millis(100), self.hear.message()).await;
        assert!(response.is_err(), "{response:?}");
    }
}

fn refused(response: &pb::WatchResponse, reason: &str) {
    assert!(response.created && response.canceled && response.events.is_empty());
    assert_eq!((response.watch_id, &*response.cancel_reason), (-1, reason));
}

fn revoked(response: &pb::WatchResponse, id: i64, reason: &str) {
    assert!(response.canceled && !response.created && response.events.is_empty());
    assert_eq!((response.watch_id, &*response.cancel_reason), (id, reason));
}

fn keys(response: &pb::WatchResponse) -> Vec<String> {
    let key = |event: &server::wire::mvccpb::Event| {
        String::from_utf8_lossy(&event.kv.as_ref().unwrap().key).into_owned()
    };
    response.events.iter().map(key).collect()
}

/// Pitfall v.
#[tokio::test]
async fn a_watch_is_judged_on_the_range_as_asked_for() {
    let mut guarded = Guarded::start().await;
    let rights = [(READ, "a", "c"), (READ, "c", "d"), (READ, "m", ""), (WRITE, "w", "")];
    let mut alice = guarded.user("alice", &rights).await;
    let mut watch = Watch::open(&mut alice).await;
    for (key, end) in
        [("m", "\0"), ("a", "\0"), ("\0", "\0"), ("", "\0"), ("", ""), ("a", "e"), ("w", "")]
    {
        refused(&watch.create(key, end).await, DENIED);
    }
    let fine = watch.create("a", "d").await;
    assert!(fine.created && !fine.canceled && fine.watch_id == 0, "the stream goes on");
    put(&mut guarded.root, "b").await.unwrap();
    assert_eq!(keys(&watch.next().await), ["b"]);
    let from_the_past = watch.create_from("m", "n", 1).await;
    refused(&from_the_past, DENIED);
    // A range that is none is refused for that, but not to who may not have it.
    refused(&watch.create("b", "a").await, "mvcc: watcher range is empty");
    refused(&watch.create("x", "w").await, DENIED);
    let negative = watch.create_from("x", "", -1).await;
    refused(&negative, "etcdserver: mvcc: required revision has been compacted");
    let mut open = Watch::open(&mut guarded.anonymous).await;
    refused(&open.create("a", "").await, NOBODY);
    let mut other = Watch::open(&mut alice.bearing("nonsense")).await;
    refused(&other.create("a", "").await, BAD_TOKEN);
    let mut all = guarded.user("all", &[(READ, "\0", "\0")]).await;
    let mut watch = Watch::open(&mut all).await;
    assert!(!watch.create("", "\0").await.canceled);
}

#[tokio::test]
async fn rights_that_are_taken_end_the_watches_they_gave() {
    let mut guarded = Guarded::start().await;
    let mut alice = guarded.user("alice", &[(READ, "a", "c")]).await;
    guarded.user("more", &[(BOTH, "m", "n")]).await;
    grant_role(&mut guarded.root, "alice", "more").await.unwrap();
    let mut watch = Watch::open(&mut alice).await;
    for (id, (key, end)) in [("a", ""), ("m", "n"), ("a", "b")].into_iter().enumerate() {
        let created = watch.create(key, end).await;
        assert_eq!((created.watch_id, created.canceled), (id as i64, false));
    }
    revoke_role(&mut guarded.root, "alice", "more").await.unwrap();
    revoked(&watch.next().await, 1, DENIED);
    put(&mut guarded.root, "m").await.unwrap();
    put(&mut guarded.root, "a").await.unwrap();
    let mut heard = [watch.next().await, watch.next().await];
    heard.sort_by_key(|response| response.watch_id);
    let heard: Vec<_> = heard.iter().map(|r| (r.watch_id, keys(r))).collect();
    assert_eq!(heard, [0, 2].map(|id| (id, vec!["a".to_owned()])));
    // Other changes are no reason to end anything.
    add_user(&mut guarded.root, "bob", &[]).await;
    grant_role(&mut guarded.root, "alice", "more").await.unwrap();
    watch.quiet().await;
    assert_eq!(watch.create("m", "n").await.watch_id, 3);
    let path = "/etcdserverpb.Auth/UserDelete";
    let request = pb::AuthUserDeleteRequest { name: "alice".to_owned() };
    guarded.root.call::<_, pb::AuthUserDeleteResponse>(path, request).await.unwrap();
    for id in [0, 2, 3] {
        revoked(&watch.next().await, id, DENIED);
    }
}

#[tokio::test]
async fn no_event_comes_after_the_right_to_it_has_gone() {
    let mut guarded = Guarded::start().await;
    let mut alice = guarded.user("alice", &[(READ, "a", "c")]).await;
    for round in 0..10 {
        let mut watch = Watch::open(&mut alice).await;
        assert!(!watch.create("a", "").await.canceled);
        // Neither is waited for: both may be on their way when the stream looks.
        let mut writer = guarded.root.clone();
        revoke_role(&mut guarded.root, "alice", "alice").await.unwrap();
        put(&mut writer, "a").await.unwrap();
        let first = watch.next().await;
        assert!(first.canceled && first.events.is_empty(), "round {round}: {first:?}");
        watch.quiet().await;
        grant_role(&mut guarded.root, "alice", "alice").await.unwrap();
    }
}

#[tokio::test]
async fn enabling_ends_what_nobody_in_particular_watches() {
    let server = Server::start().await;
    let mut client = server.client().await;
    add_user(&mut client, "root", &["root"]).await;
    let mut watch = Watch::open(&mut client).await;
    assert!(!watch.create("a", "").await.canceled);
    enable(&mut client).await;
    revoked(&watch.next().await, 0, NOBODY);
    refused(&watch.create("a", "").await, NOBODY);
}

#[tokio::test]
async fn a_watch_outlives_its_token() {
    let mut guarded = Guarded::start().await;
    let mut alice = guarded.user("alice", &[(READ, "a", "")]).await;
    let mut watch = Watch::open(&mut alice).await;
    assert!(!watch.create("a", "").await.canceled);
    let path = "/etcdserverpb.Auth/UserChangePassword";
    let (name, password) = ("alice".to_owned(), "new".to_owned());
    let request = pb::AuthUserChangePasswordRequest { name, password, ..Default::default() };
    guarded.root.call::<_, pb::AuthUserChangePasswordResponse>(path, request).await.unwrap();
    put(&mut guarded.root, "a").await.unwrap();
    assert_eq!(keys(&watch.next().await), ["a"]);
    refused(&watch.create("a", "").await, BAD_TOKEN);
}
