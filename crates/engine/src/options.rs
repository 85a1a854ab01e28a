//! What an engine is made of, and its limits.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use journal::Journal;
use state::{Level, MemberId};

use crate::clock::Clock;
use crate::errands::Errands;
use crate::observer::Observer;
use crate::replicas::Replicas;

/// What an engine is made of: everything that touches the world is handed in.
pub struct Parts {
    /// Where entries become durable.
    pub journal: Arc<dyn Journal>,
    /// Where checkpoints are kept; without one, the journal is never trimmed.
    pub checkpoints: Option<PathBuf>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Who does what takes its time.
    pub errands: Arc<dyn Errands>,
    /// Who we are, if nobody shares the journal; the journal knows better if somebody does.
    pub member: MemberId,
    /// What makes us one of many; `None` if the journal is ours alone.
    pub replicas: Option<Replicas>,
    /// Who measures; `()` is nobody.
    pub observer: Arc<dyn Observer>,
    /// Limits and habits.
    pub options: Options,
}

/// Limits and habits. The defaults are etcd's where etcd has one.
#[derive(Clone, Debug)]
pub struct Options {
    /// Bytes in use at which writes are refused; `None` is no limit.
    pub quota: Option<u64>,
    /// Commands that may wait for the writer; the next one is refused.
    pub max_waiting: usize,
    /// Bytes of commands that may wait for the writer.
    pub max_waiting_bytes: usize,
    /// Bytes of commands in one batch (one command may be larger).
    pub max_batch_bytes: usize,
    /// A batch this large is offered even while another is on its way.
    pub eager_bytes: usize,
    /// Batches on their way to the journal at once.
    pub max_in_flight: usize,
    /// After this long without an answer from the journal, clients are told so.
    pub request_timeout: Duration,
    /// Whether and how to compact by itself.
    pub auto_compaction: AutoCompaction,
    /// Journal bytes after which a checkpoint is due. As many bytes as the last checkpoint has are waited
    /// for as well, so that writing checkpoints never costs more than writing the journal.
    pub checkpoint_after: u64,
    /// What this replica says it can apply. Less than the newest holds the whole cluster back, so that it can
    /// go back to programs of that level.
    pub level: Level,
    /// For the watches.
    pub watch: crate::watch::Options,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            quota: Some(2 << 30),
            max_waiting: 10_000,
            max_waiting_bytes: 128 << 20,
            max_batch_bytes: 1 << 20,
            eager_bytes: 256 << 10,
            max_in_flight: 4,
            request_timeout: Duration::from_secs(7),
            auto_compaction: AutoCompaction::Off,
            checkpoint_after: 64 << 20,
            level: Level::NEWEST,
            watch: crate::watch::Options::default(),
        }
    }
}

/// How history is forgotten without being asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AutoCompaction {
    /// Not at all.
    Off,
    /// Keep this much time.
    Periodic(Duration),
    /// Keep this many revisions.
    Revision(i64),
}
