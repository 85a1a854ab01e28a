//! What is asked of the service, and nothing else: the seam between the journal and the wire.

use futures::future::BoxFuture;

use crate::failure::Failure;
use crate::guarantee::Guarantee;
use crate::item::{Item, Name};
use crate::stats::Purpose;
use crate::throughput::Throughput;

/// How creating an item ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Created {
    /// It is there now, and durable.
    New,
    /// One of this name was there before.
    Taken,
}

/// A container of items. Every call is one request, or a few where the service pages; every one is counted
/// under its purpose, with what it was charged. None is repeated after an answer of unknown outcome.
pub(crate) trait Items: Send + Sync + 'static {
    /// Creates an item whose name nobody has.
    ///
    /// # Errors
    /// [`Kind::Ambiguous`](crate::Kind) when it may have happened, or still happen.
    fn create(&self, purpose: Purpose, item: Item) -> BoxFuture<'_, Result<Created, Failure>>;

    /// One item, as the account's consistency lets a linearizable read see it.
    fn get(&self, purpose: Purpose, name: Name) -> BoxFuture<'_, Result<Option<Item>, Failure>>;

    /// The items of a partition with `from <= slot < to`, by slot, at most `most` of them, and none
    /// beyond about `bytes` of bodies, but at least one if there is one.
    fn range(&self, purpose: Purpose, range: Range) -> BoxFuture<'_, Result<Vec<Item>, Failure>>;

    /// Replaces an item that is still of the tag it was read with; false when it is not.
    fn replace(&self, purpose: Purpose, item: Item) -> BoxFuture<'_, Result<bool, Failure>>;

    /// Deletes an item. One that is not there is deleted already.
    fn delete(&self, purpose: Purpose, name: Name) -> BoxFuture<'_, Result<(), Failure>>;

    /// Whether a region's loss can take along what was acknowledged (bounded staleness).
    fn may_lose(&self) -> bool;

    /// What the account's settings come to, as they were read last.
    fn guarantee(&self) -> Guarantee;

    /// What the container may spend, as it was read last.
    fn throughput(&self) -> Throughput;
}

/// A part of a partition.
#[derive(Clone, Debug)]
pub(crate) struct Range {
    /// Whose items.
    pub(crate) partition: String,
    /// The first slot.
    pub(crate) from: u64,
    /// The first slot that is not asked for.
    pub(crate) to: u64,
    /// Items at most.
    pub(crate) most: usize,
    /// Bytes of bodies, about.
    pub(crate) bytes: usize,
}
