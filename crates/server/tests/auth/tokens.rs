//! Tokens: how long they hold, over what, and by which header they come.

use std::sync::Arc;
use std::time::Duration;

use engine::Options;
use journal::{Journal, MemoryJournal};
use server::config::{AuthToken, JwtOptions, SignMethod};
use server::wire::etcdserverpb as pb;
use tonic::Request;

use crate::support::{
    BAD_TOKEN, BOTH, Client, Guarded, OLD, Server, add_user, eventually, is, known_by, login, put,
    range, range_of, simple, token,
};

const LONG: Duration = Duration::from_secs(300);

#[tokio::test]
async fn a_token_survives_a_restart() {
    let journal: Arc<dyn Journal> = Arc::new(MemoryJournal::default());
    let mut guarded = Guarded::of(Arc::clone(&journal), simple(LONG)).await;
    guarded.user("alice", &[(BOTH, "a", "")]).await;
    let kept = token(&guarded.anonymous, "alice", "alice").await.unwrap();
    put(&mut guarded.anonymous.bearing(&kept), "a").await.unwrap();
    guarded.server.engine.stop();
    drop(guarded);
    let again = Server::known_by(journal, simple(LONG), Options::default()).await;
    let mut alice = again.client().await.bearing(&kept);
    assert_eq!(range(&mut alice, "a", "").await.unwrap(), 1);
    put(&mut alice, "a").await.unwrap();
    // And the user with it.
    login(&alice, "alice").await;
}

#[tokio::test]
async fn tokens_look_like_etcds_and_come_by_either_header() {
    let mut guarded = Guarded::start().await;
    let token = token(&guarded.anonymous, "root", "root").await.unwrap();
    let (letters, number) = token.split_once('.').unwrap();
    assert_eq!(letters.len(), 16);
    assert!(number.parse::<u64>().is_ok());
    let path = "/etcdserverpb.KV/Range";
    for (header, value) in [
        ("token", token.clone()),
        ("token", format!("Bearer {token}")),
        ("authorization", token.clone()),
        ("authorization", format!("Bearer {token}")),
    ] {
        let mut request = Request::new(range_of("a", ""));
        request.metadata_mut().insert(header, value.parse().unwrap());
        let reply = guarded.anonymous.call_with::<_, pb::RangeResponse>(path, request).await;
        assert!(reply.is_ok(), "{header}: {reply:?}");
    }
    // Of two, that of gRPC counts.
    let mut request = Request::new(range_of("a", ""));
    request.metadata_mut().insert("token", "nonsense".parse().unwrap());
    request.metadata_mut().insert("authorization", token.parse().unwrap());
    is(guarded.anonymous.call_with::<_, pb::RangeResponse>(path, request).await, BAD_TOKEN);
}

#[tokio::test]
async fn what_nobody_uses_ends() {
    let journal: Arc<dyn Journal> = Arc::new(MemoryJournal::default());
    let mut guarded = Guarded::of(journal, simple(Duration::from_millis(600))).await;
    tokio::spawn(guarded.server.services.clone().sweep_tokens());
    let mut idle = login(&guarded.anonymous, "root").await;
    let engine = guarded.server.engine.clone();
    assert_eq!(engine.auth().token_count(), 2);
    let begun = std::time::Instant::now();
    while engine.auth().token_count() == 2 {
        assert!(begun.elapsed() < Duration::from_secs(10), "the machine forgets what is idle");
        range(&mut guarded.root, "a", "").await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    is(range(&mut idle, "a", "").await, BAD_TOKEN);
    range(&mut guarded.root, "a", "").await.unwrap();
    eventually("and the other, once it is", || engine.auth().token_count() == 0).await;
    is(range(&mut guarded.root, "a", "").await, BAD_TOKEN);
    assert_eq!(engine.auth().revision().0, 3, "no change of rights");
}

fn jwt(secret: &std::path::Path) -> AuthToken {
    AuthToken::Jwt(JwtOptions {
        method: SignMethod::Hs256,
        public_key: None,
        private_key: Some(secret.to_owned()),
        ttl: LONG,
    })
}

#[tokio::test]
async fn a_signed_token_is_of_the_rights_it_was_signed_at() {
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    std::fs::write(&secret, "a secret of thirty-two bytes ....").unwrap();
    let journal: Arc<dyn Journal> = Arc::new(MemoryJournal::default());
    let mut guarded = Guarded::of(journal, known_by(&jwt(&secret))).await;
    put(&mut guarded.root, "a").await.unwrap();
    assert_eq!(range(&mut guarded.root, "a", "").await.unwrap(), 1);
    let applied = guarded.server.engine.status().applied;
    let again = login(&guarded.anonymous, "root").await;
    assert_eq!(guarded.server.engine.status().applied, applied, "nothing is kept of it");
    add_user(&mut guarded.root, "alice", &[]).await;
    for mut client in [guarded.root.clone(), again] {
        is(put(&mut client, "a").await, OLD);
        is(range(&mut client, "a", "").await, OLD);
    }
    let mut fresh: Client = login(&guarded.anonymous, "root").await;
    put(&mut fresh, "a").await.unwrap();
}
