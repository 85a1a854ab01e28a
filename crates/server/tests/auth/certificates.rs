//! Callers that are known by their certificate.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use prost::Message;
use server::grpc::{Context, Peer, Service, Status};
use server::rpc::{Authentication, Method, Services};
use server::security::Caller;
use server::wire::etcdserverpb as pb;
use tonic::Code;

use crate::support::{BOTH, Guarded, put_of, simple, token};

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
