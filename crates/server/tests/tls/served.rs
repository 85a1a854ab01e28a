//! A store behind any listeners, and clients that come through TLS.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use engine::Options;
use http::Uri;
use hyper_util::rt::TokioIo;
use journal::MemoryJournal;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use server::config::Tls;
use server::grpc::Settings;
use server::http::Access;
use server::peers::Attendant;
use server::security::Credentials;
use server::serve::{Listener, Parts, Secrecy, Socket, Traffic, serve};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::transport::{Channel, Endpoint};

use crate::rpc::{Client, services};

/// Long enough for anything on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// See the module; it is shut down by [`Served::end`], and ends with the test at last.
pub(crate) struct Served {
    pub(crate) addresses: Vec<SocketAddr>,
    shutdown: oneshot::Sender<()>,
    serving: JoinHandle<io::Result<()>>,
}

impl Served {
    /// Listeners on ports of their own.
    pub(crate) async fn on(doors: Vec<(Traffic, Secrecy)>) -> Self {
        let mut listeners = Vec::new();
        let mut addresses = Vec::new();
        for (traffic, secrecy) in doors {
            let socket = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            addresses.push(socket.local_addr().expect("an address"));
            listeners.push(Listener { socket: Socket::Tcp(socket), traffic, secrecy });
        }
        Self::with(listeners, addresses).await
    }

    /// One listener with TLS.
    pub(crate) async fn tls(tls: &Tls) -> Self {
        Self::on(vec![(Traffic::All, secrecy(tls))]).await
    }

    pub(crate) async fn with(listeners: Vec<Listener>, addresses: Vec<SocketAddr>) -> Self {
        Self::attended(None, listeners, addresses).await
    }

    /// A peer port, attended to.
    pub(crate) async fn peers(attendant: Attendant, secrecy: Secrecy) -> Self {
        let socket = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let addresses = vec![socket.local_addr().expect("an address")];
        let listener = Listener { socket: Socket::Tcp(socket), traffic: Traffic::Peers, secrecy };
        Self::attended(Some(attendant), vec![listener], addresses).await
    }

    async fn attended(
        peers: Option<Attendant>,
        listeners: Vec<Listener>,
        addresses: Vec<SocketAddr>,
    ) -> Self {
        let (_, services) = services(Arc::new(MemoryJournal::default()), Options::default()).await;
        let drain = Duration::from_millis(500);
        let settings = Settings::default();
        let access = Access::default();
        let parts = Parts { services, peers, settings, access, gateway: true, drain };
        let (shutdown, ending) = oneshot::channel();
        let ended = async move { drop(ending.await) };
        let serving = tokio::spawn(serve(parts, listeners, ended));
        Self { addresses, shutdown, serving }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.addresses[0]
    }

    /// Shuts it down; returns when that is done.
    pub(crate) async fn end(self) {
        drop(self.shutdown);
        within(self.serving).await.expect("no panic").expect("a good end");
    }
}

pub(crate) fn secrecy(tls: &Tls) -> Secrecy {
    Secrecy::Tls(Arc::new(Credentials::open(tls).expect("credentials")))
}

/// Fails the test instead of hanging it.
pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("an end in time")
}

/// A handshake with `localhost` there.
pub(crate) async fn dial(
    address: SocketAddr,
    client: &ClientConfig,
) -> io::Result<TlsStream<TcpStream>> {
    let connector = TlsConnector::from(Arc::new(client.clone()));
    let name = ServerName::try_from("localhost").expect("a name");
    within(connector.connect(name, TcpStream::connect(address).await?)).await
}

/// A gRPC client over TLS.
pub(crate) async fn grpc(address: SocketAddr, client: &ClientConfig) -> Result<Client, String> {
    let endpoint = Endpoint::from_static("http://localhost");
    let dialer = Dialer { address, client: client.clone() };
    let channel: Result<Channel, _> = within(endpoint.connect_with_connector(dialer)).await;
    channel.map(Client::over).map_err(|error| format!("{error:?}"))
}

#[derive(Clone)]
struct Dialer {
    address: SocketAddr,
    client: ClientConfig,
}

impl tower_service::Service<Uri> for Dialer {
    type Response = TokioIo<TlsStream<TcpStream>>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let Self { address, client } = self.clone();
        Box::pin(async move { Ok(TokioIo::new(dial(address, &client).await?)) })
    }
}

/// What comes back for these bytes, until the other side closes.
pub(crate) async fn answer(address: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut socket = TcpStream::connect(address).await.expect("a connection");
    socket.write_all(bytes).await.expect("somebody who reads");
    rest(&mut socket).await
}

/// What is still to come, until the other side closes or resets.
pub(crate) async fn rest(socket: &mut TcpStream) -> Vec<u8> {
    let mut heard = Vec::new();
    drop(within(socket.read_to_end(&mut heard)).await);
    heard
}

/// One HTTP/1 request over a stream, and the whole reply.
pub(crate) async fn http1<IO>(mut stream: IO, request: &str) -> String
where
    IO: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    let head = format!("{request} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await.expect("somebody who reads");
    let mut reply = Vec::new();
    within(stream.read_to_end(&mut reply)).await.expect("a good end");
    String::from_utf8(reply).expect("text")
}
