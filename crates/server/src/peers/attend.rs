//! The writer's end of lines: the service `meridian.peer.v1.Replicas`.

use std::convert::Infallible;
use std::sync::{Arc, OnceLock};
use std::task::Poll;

use bytes::Bytes;
use engine::replicas::{News, Order};
use futures::{StreamExt, poll, stream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::queue::Queue;
use super::{LARGEST_MESSAGE, MOST_BYTES, MOST_MESSAGES, PATIENCE, PING_AFTER, PONG_WITHIN};
use super::{Writer, message};
use crate::grpc::{Code, Context, Kind, Messages, Payload, Requests, Service, Settings, Status};
use crate::observe::metrics::{Meter, MethodName, Metrics, Settings as Measured};
use crate::observe::peers::{Peer, PeerMetrics, Standing};

/// Answers other replicas.
#[derive(Clone)]
pub struct Attendant {
    cluster: u64,
    writer: Arc<dyn Writer>,
    /// Nobody looks at these: what lines do is measured by the engine.
    metrics: Arc<Metrics>,
    counts: PeerMetrics,
}

/// The one method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// `Follow`
    Follow,
}

const NAME: MethodName = MethodName {
    service: "meridian.peer.v1.Replicas",
    method: "Follow",
    kind: Kind::Bidirectional,
    timed: None,
};

impl Attendant {
    /// For the members of this cluster.
    #[must_use]
    pub fn new(cluster: u64, writer: Arc<dyn Writer>) -> Self {
        let metrics = Arc::new(Metrics::new([NAME].into_iter(), Measured::default()));
        Self { cluster, writer, metrics, counts: PeerMetrics::default() }
    }

    /// Counts what is carried.
    #[must_use]
    pub fn counting(self, counts: PeerMetrics) -> Self {
        Self { counts, ..self }
    }

    /// The limits of connections that lines come on.
    #[must_use]
    pub fn settings() -> Settings {
        Settings {
            max_message: LARGEST_MESSAGE,
            max_concurrent_streams: 16,
            keepalive_interval: Some(PING_AFTER),
            keepalive_timeout: PONG_WITHIN,
            pings_apart: None,
            ..Settings::default()
        }
    }

    /// Serves one line, from its first message on.
    async fn attend(
        self,
        mut requests: Requests,
        news: mpsc::Sender<News>,
        open: oneshot::Sender<()>,
        left: oneshot::Receiver<Infallible>,
        follower: Arc<OnceLock<Arc<Peer>>>,
    ) -> Result<(), Status> {
        let first = timeout(PATIENCE, requests.next()).await.map_err(|_| silent())?;
        let first = first.ok_or_else(silent)??;
        let (cluster, hello) = message::read_hello(first).map_err(malformed)?;
        if cluster != self.cluster {
            return Err(self.stranger(cluster));
        }
        let (queue, orders) = Queue::new(MOST_MESSAGES, MOST_BYTES);
        let mut following = self.writer.follow(hello, orders, news);
        // What is refused at once is refused before the line counts as open.
        if let Poll::Ready(ended) = poll!(&mut following) {
            return ended.map_err(Status::from);
        }
        let peer = Arc::clone(follower.get_or_init(|| self.counts.of(hello.member.0)));
        if open.send(()).is_err() {
            return Ok(());
        }
        let standing = Standing::with(peer);
        let broken = tokio::select! {
            ended = &mut following => return ended.map_err(Status::from),
            ended = take_in(requests, queue, &standing.0) => ended,
            _ = left => Ok(()),
        };
        // No order comes any more: whoever serves the line sees that and ends it in good order.
        drop(timeout(PATIENCE, following).await);
        broken
    }

    fn stranger(&self, cluster: u64) -> Status {
        let text = format!(
            "this is a replica of cluster {:x}, and it was called by one of cluster {cluster:x}: \
             see the peer URLs, and --initial-cluster-token of both",
            self.cluster
        );
        tracing::warn!(reason = text, "a line was refused");
        Status::new(Code::FailedPrecondition, text)
    }
}

/// Takes in orders until the line ends.
async fn take_in(
    mut requests: Requests,
    mut queue: Queue<Order>,
    peer: &Peer,
) -> Result<(), Status> {
    while let Some(message) = requests.next().await {
        let message = message?;
        let size = message.len();
        peer.received(size);
        let order = message::read_order(message).map_err(|why| {
            tracing::error!(reason = why, "a follower's line is cut");
            malformed(why)
        })?;
        if !queue.send(order, size).await {
            // Nobody takes orders any more; what the line is for now is said by who follows.
            std::future::pending::<()>().await;
        }
    }
    Ok(())
}

fn silent() -> Status {
    Status::fixed(Code::DeadlineExceeded, "a line was opened and nothing said on it")
}

fn malformed(why: String) -> Status {
    Status::new(Code::InvalidArgument, why)
}

impl Service for Attendant {
    type Method = Method;

    fn route(&self, path: &str) -> Result<(Method, Kind), Status> {
        if path == super::FOLLOW {
            return Ok((Method::Follow, Kind::Bidirectional));
        }
        let text = format!("{path:?} is not served on the peer port; clients use the client URLs");
        Err(Status::new(Code::Unimplemented, text))
    }

    fn meter(&self, _: Method) -> Meter {
        Meter::start(&self.metrics, 0)
    }

    async fn unary(&self, _: Method, _: Context, _: Bytes) -> Result<Payload, Status> {
        Err(misled())
    }

    async fn server_stream(&self, _: Method, _: Context, _: Bytes) -> Result<Messages, Status> {
        Err(misled())
    }

    fn bidirectional(&self, _: Method, _: Context, requests: Requests) -> Result<Messages, Status> {
        let (sender, news) = mpsc::channel(MOST_MESSAGES);
        let (open, opened) = oneshot::channel();
        let (stays, left) = oneshot::channel();
        let follower = Arc::default();
        let attending = self.clone().attend(requests, sender, open, left, Arc::clone(&follower));
        let task = Some(tokio::spawn(attending));
        let line = Attended { task, opened: Some(opened), news, follower, _stays: stays };
        Ok(Box::pin(stream::unfold(line, |mut line| async move {
            let next = line.next().await?;
            Some((next, line))
        })))
    }
}

fn misled() -> Status {
    Status::fixed(Code::Internal, "meridian: a line is a conversation")
}

/// What a follower hears. The line ends with this.
struct Attended {
    task: Option<JoinHandle<Result<(), Status>>>,
    opened: Option<oneshot::Receiver<()>>,
    news: mpsc::Receiver<News>,
    /// Who hears it, once that is known.
    follower: Arc<OnceLock<Arc<Peer>>>,
    _stays: oneshot::Sender<Infallible>,
}

impl Attended {
    async fn next(&mut self) -> Option<Result<Bytes, Status>> {
        if let Some(opened) = &mut self.opened {
            let is_open = opened.await.is_ok();
            self.opened = None;
            if is_open {
                return Some(Ok(message::welcome()));
            }
            return self.end().await;
        }
        match self.news.recv().await {
            Some(news) => {
                let message = message::news(news);
                if let Some(follower) = self.follower.get() {
                    follower.sent(message.len());
                }
                Some(Ok(message))
            }
            None => self.end().await,
        }
    }

    async fn end(&mut self) -> Option<Result<Bytes, Status>> {
        let ended = match self.task.as_mut()?.await {
            Ok(ended) => ended,
            Err(_) => Err(Status::fixed(Code::Internal, "meridian: the end of a line broke")),
        };
        self.task = None;
        ended.err().map(Err)
    }
}
