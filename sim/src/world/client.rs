//! Clients: real gRPC over the world's network.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use http::uri::PathAndQuery;
use hyper_util::rt::TokioIo;
use prost::Message;
use tokio::sync::mpsc;
use tonic::client::Grpc;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status, Streaming};
use tonic_prost::ProstCodec;

use super::Site;
use super::replica::client_url;
use super::stream::{Outlet, Stream};

/// A connection on which nothing is heard for this long is pinged, and given up after as long again.
const SILENCE: Duration = Duration::from_secs(2);
/// Requests on one stream that wait to be sent.
const AHEAD: usize = 16;

/// Calls one replica.
#[derive(Clone)]
pub(crate) struct Client {
    grpc: Grpc<Channel>,
}

/// Connects over the world's network.
#[derive(Clone)]
struct Connector(Outlet);

impl tower_service::Service<Uri> for Connector {
    type Response = TokioIo<Stream>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let called = self.0.call(uri.host().unwrap_or_default(), uri.port_u16().unwrap_or(0));
        Box::pin(async move { called.await.map(TokioIo::new) })
    }
}

impl Client {
    /// On a host, since a connection is a task.
    pub(crate) fn new(outlet: &Outlet, replica: Site) -> Self {
        Self::with_window(outlet, replica, None)
    }

    /// One that takes so many bytes of a stream before it has read them.
    pub(crate) fn with_window(outlet: &Outlet, replica: Site, window: Option<u32>) -> Self {
        let endpoint = Endpoint::from_shared(client_url(replica)).expect("a URL");
        let endpoint = endpoint
            .connect_timeout(SILENCE)
            .initial_stream_window_size(window)
            .http2_keep_alive_interval(SILENCE)
            .keep_alive_timeout(SILENCE);
        Self { grpc: Grpc::new(endpoint.connect_with_connector_lazy(Connector(outlet.clone()))) }
    }

    /// One request, one reply, or none within `patience`.
    pub(crate) async fn call<Q, R>(
        &mut self,
        path: &'static str,
        request: Q,
        patience: Duration,
    ) -> Result<R, Status>
    where
        Q: Message + Default + Send + 'static,
        R: Message + Default + Send + 'static,
    {
        let call = async {
            self.ready().await?;
            let codec = ProstCodec::<Q, R>::default();
            let path = PathAndQuery::from_static(path);
            self.grpc.unary(Request::new(request), path, codec).await
        };
        match tokio::time::timeout(patience, call).await {
            Ok(answered) => answered.map(tonic::Response::into_inner),
            Err(_) => Err(Status::deadline_exceeded("the client waits no longer")),
        }
    }

    /// A conversation: what is sent into the channel goes out, and dropping that is the half-close.
    pub(crate) async fn talk<Q, R>(
        &mut self,
        path: &'static str,
        patience: Duration,
    ) -> Result<(mpsc::Sender<Q>, Streaming<R>), Status>
    where
        Q: Message + Default + Send + Sync + 'static,
        R: Message + Default + Send + 'static,
    {
        let (sender, receiver) = mpsc::channel(AHEAD);
        let requests = futures::stream::unfold(receiver, |mut receiver| async move {
            receiver.recv().await.map(|request: Q| (request, receiver))
        });
        let open = async {
            self.ready().await?;
            let codec = ProstCodec::<Q, R>::default();
            self.grpc
                .streaming(Request::new(requests), PathAndQuery::from_static(path), codec)
                .await
        };
        let opened = tokio::time::timeout(patience, open).await;
        let opened = opened.map_err(|_| Status::deadline_exceeded("the client waits no longer"))?;
        Ok((sender, opened?.into_inner()))
    }

    async fn ready(&mut self) -> Result<(), Status> {
        self.grpc.ready().await.map_err(|error| Status::unavailable(error.to_string()))
    }
}
