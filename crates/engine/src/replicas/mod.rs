//! Replicas: how those that share a journal divide the work. One is the writer and orders what all of them
//! are asked; the others hand it their commands over a **line** and apply what it has made durable.
//!
//! A line makes things fast and never safe: what a command came to, a replica learns by applying the entry
//! that holds it, and a line that breaks costs nothing but time. The network is the server's: it implements
//! [`Peers`], and hands the writer's end of a line to [`Engine::follow`](crate::Engine::follow).

mod asking;
mod barrier;
mod digests;
mod duties;
mod follow;
mod introduction;
mod join;
mod levels;
mod line;
mod mail;
mod outsiders;
mod reading;
mod replica;
mod takeover;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use journal::{Objects, Slot};
use state::{ClusterVersion, Epoch, LeaseId, MemberId, Position};
use tokio::sync::mpsc;

use crate::fault::Fault;

pub(crate) use duties::PULSE;
pub use follow::IDLE;
pub(crate) use follow::KEPT;
pub(crate) use join::{has_another_writer, join};
pub use levels::held_back;
pub(crate) use levels::{NEWER, admit, check};
pub(crate) use mail::{Mail, Question};
pub use replica::Role;
pub(crate) use replica::{Replica, SharedReplicas};

/// What makes an engine one of many.
#[derive(Clone)]
pub struct Replicas {
    /// How the others are reached.
    pub peers: Arc<dyn Peers>,
    /// Where checkpoints are shared.
    pub objects: Arc<dyn Objects>,
    /// What this replica says of itself.
    pub myself: Myself,
    /// The members of a cluster that is to be made if the journal is empty, with their peer URLs; this
    /// replica is one of them.
    pub founders: Vec<(MemberId, Vec<String>)>,
    /// How often the replicas hold their states against one another.
    pub digest_every: Duration,
    /// After so long without word from the writer another one is made (etcd: `--election-timeout`).
    pub patience: Duration,
}

/// What a replica says of itself when it starts.
#[derive(Clone, Debug)]
pub struct Myself {
    /// The id it had at an earlier start, if any.
    pub member: Option<MemberId>,
    /// Its name.
    pub name: String,
    /// Where the other replicas reach it.
    pub peer_urls: Vec<String>,
    /// Where clients reach it.
    pub client_urls: Vec<String>,
    /// The newest version that it can speak.
    pub version: ClusterVersion,
}

/// How replicas reach one another.
pub trait Peers: Send + Sync + 'static {
    /// Opens a line to the member at these URLs, tried in order. It ends when either end is dropped.
    ///
    /// # Errors
    /// Why it could not be opened, for the log.
    fn call(
        &self,
        member: MemberId,
        peer_urls: Vec<String>,
        hello: Hello,
    ) -> BoxFuture<'static, Result<Line, String>>;
}

/// What a follower opens a line with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hello {
    /// Who calls.
    pub member: MemberId,
    /// Which start of it.
    pub session: u64,
    /// The epoch it takes the other to be the writer of.
    pub epoch: Epoch,
    /// What it has applied.
    pub applied: Position,
}

/// A follower's end of a line. Both directions keep their order.
pub struct Line {
    /// To the writer.
    pub orders: mpsc::Sender<Order>,
    /// From the writer.
    pub news: mpsc::Receiver<News>,
}

/// What a follower sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// Commands to be ordered, if the writer's epoch is still this.
    Commands {
        /// The epoch.
        epoch: Epoch,
        /// The number of the first in this session; the others follow. A number that was seen is skipped.
        first: u64,
        /// As an entry without a clock or origins.
        body: Bytes,
    },
    /// What only the writer knows.
    Ask {
        /// Comes back with the answer.
        id: u64,
        /// What.
        ask: Ask,
    },
    /// This start of it comes to its end and appends nothing any more: it is not to be waited for.
    Leaving,
}

/// What only the writer knows: the time that leases have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Give a lease its full time again.
    Renew(LeaseId),
    /// What is left of a lease.
    Remaining(LeaseId),
    /// All leases, the next to end first.
    Leases,
}

/// What a writer sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// An entry that is durable.
    Entry {
        /// Where.
        slot: Slot,
        /// As in the journal.
        body: Bytes,
    },
    /// Commands that were not ordered and will not be.
    Refused {
        /// The number of the first.
        first: u64,
        /// How many.
        count: u64,
        /// What to tell who asked.
        fault: Fault,
    },
    /// To [`Order::Ask`].
    Answer {
        /// Of the question.
        id: u64,
        /// What.
        answer: Answer,
    },
    /// Nothing happened for a while: the line stands.
    Idle,
}

/// To an [`Ask`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Seconds: granted for [`Ask::Renew`], left for [`Ask::Remaining`]; `None` if there is no such lease.
    Seconds(Option<i64>),
    /// To [`Ask::Leases`].
    Leases(Vec<LeaseId>),
    /// Whoever was asked is not the writer, or could not say in time.
    Unknown,
}
