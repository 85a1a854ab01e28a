//! Callers that are known by their certificate.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use prost::Message;
use server::grpc::{Context, Peer, Service, Settings, Status, serve_connection};
use server::http::Pages;
use server::rpc::{Authentication, Method, Services};
use server::security::Caller;
use server::wire::etcdserverpb as pb;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tonic::Code;

use crate::support::{BOTH, Guarded, disable, put_of, simple, token};

fn context(common_name: Option<&str>, metadata: &[(&'static str, &str)]) -> Context {
    let caller = Caller { common_name: common_name.map(Arc::from) };
    let mut context = Context { peer: Peer { caller, ..Peer::default() }, ..Context::default() };
    for (name, value) in metadata {
        context.metadata.insert(*name, value.parse().unwrap());
    }
    context
}

async fn put(services: &Services, context: Context) -> Result<(), Status> {
    let message = Bytes::from(put_of("a").encode_to_vec());
    services.unary(Method::Put, context, message).await.map(drop)
}

async fn guarded(certificates: bool) -> Guarded {
    let authentication = Authentication { certificates, ..simple(Duration::from_secs(300)) };
    let mut guarded =
        Guarded::of(Arc::new(journal::MemoryJournal::default()), authentication).await;
    guarded.user("alice", &[(BOTH, "a", "")]).await;
    guarded
}

fn words(answer: Result<(), Status>) -> String {
    answer.err().map_or_else(|| "ok".to_owned(), |status| status.message.into_owned())
}

#[tokio::test]
async fn a_certificates_name_is_a_user() {
    let guarded = guarded(true).await;
    let services = &guarded.server.services;
    let nobody = "etcdserver: user name is empty";
    assert_eq!(words(put(services, context(Some("alice"), &[])).await), "ok");
    assert_eq!(words(put(services, context(None, &[])).await), nobody);
    let eve = put(services, context(Some("eve"), &[])).await;
    assert_eq!(words(eve), "etcdserver: permission denied");
    // A token goes before it, a wrong one too.
    let root = token(&guarded.anonymous, "root", "root").await.unwrap();
    let shown = put(services, context(Some("eve"), &[("token", &root)])).await;
    assert_eq!(words(shown), "ok");
    let wrong = put(services, context(Some("alice"), &[("token", "nonsense")])).await;
    assert_eq!(words(wrong), "etcdserver: invalid auth token");
    // The gateway's own certificate is nobody's.
    let through = context(Some("alice"), &[("grpcgateway-accept", "application/json")]);
    assert_eq!(words(put(services, through).await), nobody);
}

#[tokio::test]
async fn without_client_cert_auth_it_is_not() {
    let guarded = guarded(false).await;
    let refused = put(&guarded.server.services, context(Some("alice"), &[])).await.unwrap_err();
    assert_eq!(refused.code as i32, Code::InvalidArgument as i32);
    assert_eq!(refused.message, "etcdserver: user name is empty");
}

#[tokio::test]
async fn only_root_compacts_by_certificate() {
    let guarded = guarded(true).await;
    let services = &guarded.server.services;
    put(services, context(Some("root"), &[])).await.unwrap();
    let request =
        || Bytes::from(pb::CompactionRequest { revision: 1, ..Default::default() }.encode_to_vec());
    let compact = |name| services.unary(Method::Compact, context(Some(name), &[]), request());
    let denied = compact("alice").await.map(drop);
    assert_eq!(words(denied), "etcdserver: permission denied");
    compact("root").await.map(drop).unwrap();
}

/// The gateway's answer to a put by a client whose certificate has this name.
async fn through_the_gateway(guarded: &Guarded, common_name: Option<&str>) -> String {
    let services = guarded.server.services.clone();
    let peer = context(common_name, &[]).peer;
    let pages = Pages::new(services.clone()).of_peer(peer.clone(), true);
    let (mut client, socket) = tokio::io::duplex(64 << 10);
    tokio::spawn(async move {
        let settings = Settings::default();
        drop(serve_connection(socket, peer, services, pages, settings, pending()).await);
    });
    let body = r#"{"key":"YQ==","value":"dg=="}"#;
    let request = format!(
        "POST /v3/kv/put HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    client.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn the_gateway_refuses_a_certificate_that_would_name_its_user() {
    let mut guarded = guarded(true).await;
    let refused = "CommonName of client sending a request against gateway will be ignored and not \
                   used as expected";
    for name in ["alice", "eve"] {
        let answer = through_the_gateway(&guarded, Some(name)).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
        assert!(answer.contains(refused), "{answer}");
    }
    // One without a name is asked for a token as on any other connection.
    for name in [None, Some("")] {
        let answer = through_the_gateway(&guarded, name).await;
        assert!(answer.contains("etcdserver: user name is empty"), "{answer}");
    }
    disable(&mut guarded.root).await.unwrap();
    let answer = through_the_gateway(&guarded, Some("alice")).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

#[tokio::test]
async fn the_gateway_takes_a_certificate_that_names_nobody() {
    let guarded = guarded(false).await;
    let answer = through_the_gateway(&guarded, Some("alice")).await;
    assert!(answer.contains("etcdserver: user name is empty"), "{answer}");
}
