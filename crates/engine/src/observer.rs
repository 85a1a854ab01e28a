//! What the writer tells whoever measures it: one call a batch, on the writer's own thread, so it
//! must be quick and must not wait.

use std::time::Duration;

use state::{Command, Outcome};

/// An entry that was applied and published.
#[derive(Clone, Copy, Debug)]
pub struct Applied<'a> {
    /// What it held.
    pub commands: &'a [Command],
    /// What each of them came to.
    pub outcomes: &'a [Outcome],
    /// Its bytes in the journal.
    pub bytes: u64,
    /// From its offer to the journal until the writer learnt that it is durable; none, if it was
    /// another writer's.
    pub append: Option<Duration>,
    /// From then until its view was published.
    pub lag: Duration,
    /// The part of that which was spent on applying it.
    pub apply: Duration,
}

/// A checkpoint that is durable.
#[derive(Clone, Copy, Debug)]
pub struct Checkpointed {
    /// From the first byte to the name.
    pub took: Duration,
    /// What the last sync of the file took.
    pub sync: Duration,
}

/// See the module. Every method does nothing unless said otherwise.
pub trait Observer: Send + Sync + 'static {
    /// An entry was applied.
    fn applied(&self, _: &Applied<'_>) {}

    /// A step of compaction held up the batches for so long.
    fn compaction_step(&self, _: Duration) {}

    /// A compaction was carried out, so long after it was ordered.
    fn compacted(&self, _: Duration) {}

    /// A checkpoint was written.
    fn checkpointed(&self, _: &Checkpointed) {}
}

/// Nobody measures.
impl Observer for () {}
