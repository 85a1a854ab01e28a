//! The follower's end of a line: opens it, and carries what is said.

use std::convert::Infallible;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use engine::replicas::{Hello, Line, News, Order, Peers};
use futures::future::BoxFuture;
use http::{HeaderMap, Request, Response, header};
use http_body::{Body, Frame};
use hyper::body::Incoming;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use state::MemberId;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::dial::{Dialer, Wire};
use super::queue::Queue;
use super::{FOLLOW, LARGEST_MESSAGE, MOST_BYTES, MOST_MESSAGES, PATIENCE, SILENCE};
use super::{PING_AFTER, PONG_WITHIN, message};
use crate::config::Url;
use crate::grpc::Decoder;
use crate::observe::peers::{Peer, PeerMetrics, Standing};

/// How much one who calls may be sent before it takes it in.
const WINDOW: u32 = 8 << 20;
/// Orders that are ready together leave together, up to this many bytes.
const TOGETHER: usize = 64 << 10;

/// Calls other replicas.
#[derive(Clone, Debug)]
pub struct Caller {
    cluster: u64,
    dialer: Dialer,
    counts: PeerMetrics,
    /// Where lines live: who calls may be on a thread that knows no network.
    runtime: Handle,
}

impl Caller {
    /// For the members of this cluster. Lines live on `runtime`, which must drive I/O and time.
    #[must_use]
    pub fn new(cluster: u64, dialer: Dialer, runtime: Handle) -> Self {
        Self { cluster, dialer, counts: PeerMetrics::default(), runtime }
    }

    /// Counts what is carried.
    #[must_use]
    pub fn counting(self, counts: PeerMetrics) -> Self {
        Self { counts, ..self }
    }
}

impl Peers for Caller {
    fn call(
        &self,
        member: MemberId,
        peer_urls: Vec<String>,
        hello: Hello,
    ) -> BoxFuture<'static, Result<Line, String>> {
        let Self { cluster, dialer, counts, runtime } = self.clone();
        let peer = counts.of(member.0);
        let first = message::hello(cluster, &hello);
        let opening = runtime.spawn(open_any(dialer, peer_urls, first, Arc::clone(&peer)));
        let mut opening = Abandoned(opening);
        Box::pin(async move {
            let opened = (&mut opening.0).await;
            let opened = opened.unwrap_or_else(|error| Err(error.to_string()));
            opened.map_err(|why| {
                peer.failed();
                format!("member {:x}: {why}", member.0)
            })
        })
    }
}

/// A task that ends with whoever waits for it.
struct Abandoned<T>(JoinHandle<T>);

impl<T> Drop for Abandoned<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Tries one URL after the other.
async fn open_any(
    dialer: Dialer,
    urls: Vec<String>,
    hello: Bytes,
    peer: Arc<Peer>,
) -> Result<Line, String> {
    let mut failures = Vec::new();
    for url in urls {
        let opened = match Url::parse(&url) {
            Ok(parsed) => timeout(PATIENCE, open(&dialer, &parsed, hello.clone(), &peer)).await,
            Err(why) => Ok(Err(why)),
        };
        match opened {
            Ok(Ok(line)) => return Ok(line),
            Ok(Err(why)) => failures.push(format!("{url}: {why}")),
            Err(_) => failures.push(format!("{url}: no answer within {PATIENCE:?}")),
        }
    }
    if failures.is_empty() {
        return Err("it has no peer URL".to_owned());
    }
    Err(failures.join("; "))
}

async fn open(dialer: &Dialer, url: &Url, hello: Bytes, peer: &Arc<Peer>) -> Result<Line, String> {
    let wire = dialer.dial(url).await?;
    let (mut sender, connection) = shake_hands(wire).await.map_err(|e| e.to_string())?;
    tokio::spawn(async move { drop(connection.await) });
    let (orders, to_send) = mpsc::channel(MOST_MESSAGES);
    let (goes_on, over) = oneshot::channel();
    let authority = if url.scheme().is_unix() { "localhost" } else { url.authority() };
    let (began, sent) = (Instant::now(), Arc::clone(peer));
    let request = Request::post(format!("http://{authority}{FOLLOW}"))
        .header(header::CONTENT_TYPE, "application/grpc")
        .header(header::TE, "trailers")
        .body(Orders { hello: Some(hello), orders: to_send, next: None, over, peer: sent })
        .map_err(|error| error.to_string())?;
    let answer = sender.send_request(request).await.map_err(|error| error.to_string())?;
    let mut incoming = Listener::of(answer, peer)?;
    match incoming.next().await? {
        Some(first) if message::is_welcome(first.clone()) => {}
        Some(_) => return Err(message::not_understood("a line begins with an answer")),
        None => return Err("it closed the line at once".to_owned()),
    }
    peer.answered(began.elapsed());
    let standing = Standing::with(Arc::clone(peer));
    let (queue, news) = Queue::new(MOST_MESSAGES, MOST_BYTES);
    tokio::spawn(async move {
        let why = listen(incoming, queue).await;
        tracing::debug!(reason = why, "a line to the writer ended");
        // Both directions end together.
        drop((sender, goes_on, standing));
    });
    Ok(Line { orders, news })
}

type Connection = http2::Connection<TokioIo<Box<dyn Wire>>, Orders, TokioExecutor>;

async fn shake_hands(
    wire: Box<dyn Wire>,
) -> hyper::Result<(http2::SendRequest<Orders>, Connection)> {
    http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .keep_alive_interval(PING_AFTER)
        .keep_alive_timeout(PONG_WITHIN)
        .keep_alive_while_idle(true)
        .handshake(TokioIo::new(wire))
        .await
}

/// Takes in news until there is no more; says why.
async fn listen(mut incoming: Listener, mut queue: Queue<News>) -> String {
    loop {
        let next = tokio::select! {
            next = incoming.next() => next,
            () = queue.closed() => return "nobody listens any more".to_owned(),
        };
        let message = match next {
            Ok(Some(message)) => message,
            Ok(None) => return "the writer ended it".to_owned(),
            Err(why) => return why,
        };
        let size = message.len();
        let news = match message::read_news(message) {
            Ok(news) => news,
            Err(why) => {
                tracing::error!(reason = why, "a line to the writer is cut");
                return why;
            }
        };
        if !queue.send(news, size).await {
            return "nobody listens any more".to_owned();
        }
    }
}

/// Cuts the answer's body into messages, and misses what does not come.
struct Listener {
    body: Incoming,
    decoder: Decoder,
    peer: Arc<Peer>,
}

impl Listener {
    fn of(answer: Response<Incoming>, peer: &Arc<Peer>) -> Result<Self, String> {
        let (head, body) = answer.into_parts();
        if !head.status.is_success() {
            return Err(format!("it answers {}: is it the peer URL of a replica?", head.status));
        }
        refusal(&head.headers)?;
        let peer = Arc::clone(peer);
        Ok(Self { body, decoder: Decoder::new(LARGEST_MESSAGE, None), peer })
    }

    /// The next message; none at the end. Any bytes count as a sign of life: a large entry takes its time.
    async fn next(&mut self) -> Result<Option<Bytes>, String> {
        loop {
            let message = self.decoder.message();
            if let Some(message) = message.map_err(|status| status.message.into_owned())? {
                return Ok(Some(message));
            }
            let frame = poll_fn(|cx| Pin::new(&mut self.body).poll_frame(cx));
            let frame = timeout(SILENCE, frame).await.map_err(|_| "nothing was heard")?;
            let frame = match frame {
                Some(frame) => frame.map_err(|error| error.to_string())?,
                None => return Ok(None),
            };
            match frame.into_data() {
                Ok(data) => {
                    self.peer.received(data.len());
                    self.decoder.push(data);
                }
                Err(frame) => {
                    if let Ok(trailers) = frame.into_trailers() {
                        refusal(&trailers)?;
                    }
                }
            }
        }
    }
}

/// What a status says, if it is not well.
fn refusal(headers: &HeaderMap) -> Result<(), String> {
    let Some(code) = headers.get("grpc-status").filter(|code| *code != "0") else { return Ok(()) };
    let text = headers.get("grpc-message").map_or(&b""[..], |text| text.as_bytes());
    let text = String::from_utf8_lossy(text);
    Err(format!("{text} (gRPC code {})", code.to_str().unwrap_or("?")))
}

/// The body of the call: what this replica says. It ends when nobody can say more, and breaks off when
/// nobody listens any more.
struct Orders {
    hello: Option<Bytes>,
    orders: mpsc::Receiver<Order>,
    next: Option<Bytes>,
    /// Ready once the other direction is over.
    over: oneshot::Receiver<Infallible>,
    peer: Arc<Peer>,
}

impl Orders {
    /// The next order, framed.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if let Some(next) = self.next.take() {
            return Poll::Ready(Some(next));
        }
        self.orders.poll_recv(cx).map(|order| order.map(message::order))
    }
}

impl Body for Orders {
    type Data = Bytes;
    type Error = Over;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if Pin::new(&mut self.over).poll(cx).is_ready() {
            return Poll::Ready(Some(Err(Over)));
        }
        if let Some(hello) = self.hello.take() {
            self.peer.sent(hello.len());
            return Poll::Ready(Some(Ok(Frame::data(hello))));
        }
        let first = match self.poll_next(cx) {
            Poll::Ready(Some(first)) => first,
            Poll::Ready(None) => return Poll::Ready(None),
            Poll::Pending => return Poll::Pending,
        };
        let mut together = BytesMut::new();
        while first.len() + together.len() < TOGETHER {
            let Poll::Ready(Some(next)) = self.poll_next(cx) else { break };
            if together.is_empty() {
                if first.len() + next.len() > TOGETHER {
                    self.next = Some(next);
                    break;
                }
                together.extend_from_slice(&first);
            }
            together.extend_from_slice(&next);
            if together.len() >= TOGETHER {
                break;
            }
        }
        let data = if together.is_empty() { first } else { together.freeze() };
        self.peer.sent(data.len());
        Poll::Ready(Some(Ok(Frame::data(data))))
    }
}

/// The line is over.
#[derive(Debug)]
struct Over;

impl fmt::Display for Over {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the line is over")
    }
}

impl std::error::Error for Over {}
