//! Lines between replicas that share a journal: our own gRPC service on the peer listeners, and the way to
//! those of others. What is said over a line is the engine's; here it becomes bytes and comes back.
//!
//! A line is one call on a connection of its own. Where nothing is heard for [`SILENCE`], not even the answer
//! to a ping, it is dropped at both ends: the engine calls again, or makes another writer.

mod attend;
mod call;
mod dial;
pub mod message;
mod queue;

use std::time::Duration;

use engine::replicas::{Hello, News, Order};
use engine::{Engine, Fault};
use futures::future::BoxFuture;
use tokio::sync::mpsc;

pub use attend::{Attendant, Method};
pub use call::Caller;
pub use dial::{Dialer, Network};

/// A line on which nothing is heard for so long is dead.
pub const SILENCE: Duration = Duration::from_secs(1);
/// How long one URL of a member may take until a line to it is open.
const PATIENCE: Duration = Duration::from_secs(1);
/// The silence after which the other end is pinged.
const PING_AFTER: Duration = Duration::from_millis(300);
/// And within which it has to answer.
const PONG_WITHIN: Duration = Duration::from_millis(700);
/// Messages that may wait on one end of a line, in each direction.
const MOST_MESSAGES: usize = 1024;
/// Bytes of messages that were received and wait to be taken; one message may be larger.
const MOST_BYTES: usize = 8 << 20;
/// The largest message: the largest entry, and what stands around it.
const LARGEST_MESSAGE: usize = (64 << 20) + (64 << 10);
const FOLLOW: &str = "/meridian.peer.v1.Replicas/Follow";

/// Who has the writer's end of lines.
pub trait Writer: Send + Sync + 'static {
    /// Serves a follower until the line ends: when there are no more orders, or nobody hears the news. Given
    /// a second for that, and then dropped.
    ///
    /// # Errors
    /// Why this follower is not served, also because there is no writer here.
    fn follow(
        &self,
        hello: Hello,
        orders: mpsc::Receiver<Order>,
        news: mpsc::Sender<News>,
    ) -> BoxFuture<'static, Result<(), Fault>>;
}

impl Writer for Engine {
    fn follow(
        &self,
        hello: Hello,
        orders: mpsc::Receiver<Order>,
        news: mpsc::Sender<News>,
    ) -> BoxFuture<'static, Result<(), Fault>> {
        let engine = self.clone();
        Box::pin(async move { Engine::follow(&engine, hello, orders, news).await })
    }
}
