//! What one write and its sync came to, for whoever measures the disk.

use std::sync::Arc;
use std::time::Duration;

use crate::Slot;

/// One write that was synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flush {
    /// Everything up to this slot is durable.
    pub durable: Slot,
    /// How many records it holds.
    pub records: usize,
    /// The bytes of the log that are new, their frames included.
    pub bytes: u64,
    /// What the write took.
    pub write: Duration,
    /// What the sync took.
    pub sync: Duration,
}

/// What is called with each [`Flush`].
pub type OnFlush = Arc<dyn Fn(&Flush) + Send + Sync>;
