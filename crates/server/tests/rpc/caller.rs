//! Who calls, as a connection proved it, is known where a call is answered.

use std::future::{Future, pending};
use std::sync::Arc;

use bytes::Bytes;
use engine::Options;
use journal::MemoryJournal;
use server::grpc::{
    Context, Kind, Messages, Payload, Peer, Requests, Service, Settings, Status, frame,
    serve_connection,
};
use server::http::Pages;
use server::observe::metrics::Meter;
use server::rpc::{Method, Services};
use server::security::Caller;
use server::wire::etcdserverpb as pb;
use tokio::net::TcpListener;

use super::support::{Client, services};

/// Answers every unary call with the name of its caller.
#[derive(Clone)]
struct WhoAmI(Services);

impl Service for WhoAmI {
    type Method = Method;

    fn route(&self, path: &str) -> Result<(Method, Kind), Status> {
        self.0.route(path)
    }

    fn meter(&self, method: Method) -> Meter {
        self.0.meter(method)
    }

    fn unary(
        &self,
        _: Method,
        context: Context,
        _: Bytes,
    ) -> impl Future<Output = Result<Payload, Status>> + Send {
        let name = context.peer.caller.common_name.as_deref().unwrap_or("nobody").to_owned();
        let reply = pb::StatusResponse { version: name, ..Default::default() };
        std::future::ready(Ok(Payload::Whole(frame(&reply))))
    }

    fn server_stream(
        &self,
        _: Method,
        _: Context,
        _: Bytes,
    ) -> impl Future<Output = Result<Messages, Status>> + Send {
        pending()
    }

    fn bidirectional(&self, _: Method, _: Context, _: Requests) -> Result<Messages, Status> {
        Ok(Box::pin(futures::stream::pending()))
    }
}

async fn asked_as(caller: Caller) -> String {
    let (_, services) = services(Arc::new(MemoryJournal::default()), Options::default()).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (socket, from) = listener.accept().await.unwrap();
        let peer = Peer { address: Some(from), caller };
        let (pages, settings) = (Pages::new(services.clone()), Settings::default());
        drop(serve_connection(socket, peer, WhoAmI(services), pages, settings, pending()).await);
    });
    let mut client = Client::of(address).await;
    let path = "/etcdserverpb.Maintenance/Status";
    let reply: pb::StatusResponse = client.call(path, pb::StatusRequest {}).await.unwrap();
    reply.version
}

#[tokio::test]
async fn a_call_knows_the_name_of_its_callers_certificate() {
    assert_eq!(asked_as(Caller { common_name: Some("alice".into()) }).await, "alice");
    assert_eq!(asked_as(Caller::default()).await, "nobody");
}
