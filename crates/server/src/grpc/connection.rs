//! One connection: HTTP/2 with gRPC, or HTTP/1 with the web pages, told apart by its first bytes.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::future::BoxFuture;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};

use super::body::ReplyBody;
use super::call::{Shared, answer};
use super::hangup::{Attentive, Hangup};
use super::io::{Courteous, Rewound};
use super::pings::{Calm, OpenCalls};
use super::{Peer, Service};

/// How every HTTP/2 connection begins. No HTTP/1 method is called PRI.
const PREFACE: &[u8] = b"PRI * HTTP/2.0";
/// How much a client may send before we take it in: on one stream, and on all of a connection.
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 4 << 20;
/// What may wait to be sent on one stream.
const SEND_BUFFER: usize = 256 << 10;
const MAX_HEADER_LIST: u32 = 64 << 10;
/// Streams that a client opened and reset before we saw them; beyond it is an attack.
const MAX_PENDING_RESETS: usize = 256;

/// Limits of a connection.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// A larger message is refused before it is read.
    pub max_message: usize,
    /// HTTP/2 streams at once.
    pub max_concurrent_streams: u32,
    /// A silent client is asked for a sign of life after this long; never, if there is none.
    pub keepalive_interval: Option<Duration>,
    /// And must give it within this.
    pub keepalive_timeout: Duration,
    /// A client that pings more often than this, while it has calls open, is let go; none is, if
    /// there is no such limit.
    pub pings_apart: Option<Duration>,
    /// A client must say something, and an HTTP/1 client its whole header, within this.
    pub first_bytes_within: Duration,
    /// Whether HTTP/1 is spoken.
    pub http1: bool,
    /// Whether HTTP/2 is spoken.
    pub http2: bool,
    /// Whether gRPC calls are answered as such; otherwise every request is for the pages.
    pub grpc: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_message: 2 << 20,
            max_concurrent_streams: u32::MAX,
            keepalive_interval: Some(Duration::from_secs(2 * 3600)),
            keepalive_timeout: Duration::from_secs(20),
            pings_apart: Some(Duration::from_secs(5)),
            first_bytes_within: Duration::from_secs(60),
            http1: true,
            http2: true,
            grpc: true,
        }
    }
}

/// What answers requests that are not gRPC.
pub trait Web: Clone + Send + Sync + 'static {
    /// Answers one request. Dropped, as is the body of the answer, when the client has gone away.
    fn answer(
        &self,
        request: Request<Incoming>,
    ) -> impl Future<Output = Response<ReplyBody>> + Send;

    /// Whether a client that will send no more counts as gone away; otherwise it is answered. Only
    /// HTTP/1 has to ask.
    fn gone_when_silent(&self, request: &Request<Incoming>) -> bool;
}

/// What an HTTP/1 connection goes on with in another protocol, once that was agreed: an answer has
/// it among its extensions. It is part of the connection, and ends with it.
#[derive(Clone, Default)]
pub struct Afterwards(Arc<Mutex<Option<BoxFuture<'static, ()>>>>);

impl Afterwards {
    /// Goes on with this.
    #[must_use]
    pub fn new(other: BoxFuture<'static, ()>) -> Self {
        Self(Arc::new(Mutex::new(Some(other))))
    }

    fn put(&self, other: Self) {
        *self.0.lock() = other.take();
    }

    fn take(&self) -> Option<BoxFuture<'static, ()>> {
        self.0.lock().take()
    }
}

/// What a connection broke off with.
#[derive(Debug)]
pub enum Broken {
    /// It begins with TLS, which is not spoken here.
    Tls,
    /// It speaks a version of HTTP that is not spoken here.
    Version,
    /// It did not say in time what it speaks.
    Silent,
    /// Something in its course: nothing to act upon.
    Other(Box<dyn std::error::Error + Send + Sync>),
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tls => f.write_str("TLS on a plaintext connection"),
            Self::Version => f.write_str("a version of HTTP that is not spoken here"),
            Self::Silent => f.write_str("silent for too long"),
            Self::Other(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Broken {}

impl From<hyper::Error> for Broken {
    fn from(error: hyper::Error) -> Self {
        Self::Other(error.into())
    }
}

/// Serves one connection until it ends. Once `shutdown` is ready no new request is taken (GOAWAY),
/// and it ends with the last of those under way: whoever must not wait for those drops this future.
///
/// # Errors
/// What the connection broke off with.
pub async fn serve_connection<IO, S: Service, W: Web>(
    mut io: IO,
    peer: Peer,
    service: S,
    web: W,
    settings: Settings,
    shutdown: impl Future<Output = ()>,
) -> Result<(), Broken>
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut shutdown = pin!(shutdown);
    let first = tokio::select! {
        first = tokio::time::timeout(settings.first_bytes_within, first_bytes(&mut io)) => {
            first.map_err(|_| Broken::Silent)?.map_err(|error| Broken::Other(error.into()))?
        }
        () = &mut shutdown => return Ok(()),
    };
    let is_http2 = first.starts_with(PREFACE);
    match first.first() {
        None => return Ok(()),
        Some(_) if looks_like_tls(&first) => return Err(Broken::Tls),
        Some(_) if is_http2 && !settings.http2 => return Err(Broken::Version),
        Some(_) if !is_http2 && !settings.http1 => return Err(Broken::Version),
        Some(_) => {}
    }
    let hangup = Hangup::default();
    let calls = OpenCalls::default();
    let pings_apart = settings.pings_apart.filter(|_| is_http2);
    let calm = Calm::new(Rewound::new(first, io), pings_apart, calls.clone());
    let io = TokioIo::new(Courteous::new(Attentive::new(calm, hangup.clone())));
    let shared = Arc::new(Shared { service, web, settings, peer, calls });
    if is_http2 {
        let connection = http2_builder(&settings).serve_connection(
            io,
            service_fn(move |request| Box::pin(infallible(answer(Arc::clone(&shared), request)))),
        );
        let mut connection = pin!(connection);
        tokio::select! {
            ended = connection.as_mut() => return Ok(ended?),
            () = shutdown => connection.as_mut().graceful_shutdown(),
        }
        return Ok(connection.await?);
    }
    let afterwards = Afterwards::default();
    let next = afterwards.clone();
    let service = service_fn(move |request| {
        infallible(page(Arc::clone(&shared), request, hangup.clone(), next.clone()))
    });
    let connection = http1_builder(&settings).serve_connection(io, service).with_upgrades();
    let mut connection = pin!(connection);
    tokio::select! {
        ended = connection.as_mut() => ended?,
        () = &mut shutdown => {
            connection.as_mut().graceful_shutdown();
            return Ok(connection.await?);
        }
    }
    if let Some(other) = afterwards.take() {
        tokio::select! {
            () = other => {}
            () = shutdown => {}
        }
    }
    Ok(())
}

/// Whether a connection begins as TLS does: a record of a handshake, of any version since SSL 3.
pub(crate) fn looks_like_tls(first: &[u8]) -> bool {
    first.first() == Some(&0x16) && first.get(1).is_none_or(|major| *major == 3)
}

async fn page<S: Service, W: Web>(
    shared: Arc<Shared<S, W>>,
    request: Request<Incoming>,
    hangup: Hangup,
    next: Afterwards,
) -> Response<ReplyBody> {
    hangup.overlook(!shared.web.gone_when_silent(&request));
    let mut response = shared.web.answer(request).await;
    hangup.overlook(false);
    if let Some(afterwards) = response.extensions_mut().remove::<Afterwards>() {
        next.put(afterwards);
    }
    response
}

async fn infallible<T>(future: impl Future<Output = T>) -> Result<T, Infallible> {
    Ok(future.await)
}

fn http2_builder(settings: &Settings) -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .auto_date_header(false)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .max_header_list_size(MAX_HEADER_LIST)
        .max_concurrent_streams(settings.max_concurrent_streams)
        .max_pending_accept_reset_streams(MAX_PENDING_RESETS)
        .keep_alive_interval(settings.keepalive_interval)
        .keep_alive_timeout(settings.keepalive_timeout);
    builder
}

fn http1_builder(settings: &Settings) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(settings.first_bytes_within)
        .half_close(false);
    builder
}

/// Reads until it is clear whether this is HTTP/2.
async fn first_bytes(io: &mut (impl AsyncRead + Unpin)) -> io::Result<Bytes> {
    let mut first = BytesMut::with_capacity(1 << 10);
    loop {
        let read = io.read_buf(&mut first).await?;
        let compared = first.len().min(PREFACE.len());
        if read == 0 || first.len() >= PREFACE.len() || first[..compared] != PREFACE[..compared] {
            return Ok(first.freeze());
        }
    }
}
