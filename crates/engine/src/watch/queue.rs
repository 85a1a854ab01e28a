//! What waits to be taken by one stream's reader, in the order in which it will be sent. The hub
//! and the stream share it; each holds its lock for a few instructions at a time.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use state::KeyRange;
use tokio::sync::Notify;

use super::Response;
use super::change::Batch;
use super::index::{Member, Tag};

/// Counts over all streams.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Events that readers took.
    pub(super) sent: AtomicU64,
    /// Events that wait in queues.
    pub(super) pending: AtomicU64,
}

/// One thing to send.
#[derive(Debug)]
pub(super) enum Item {
    /// Events that just happened.
    Live(Tag, Arc<Batch>),
    /// Events read from history.
    Past(Tag, Arc<Batch>),
    /// Anything without events.
    Notice(Box<Response>),
}

impl Item {
    fn batch(&self) -> Option<&Batch> {
        match self {
            Self::Live(_, batch) | Self::Past(_, batch) => Some(batch),
            Self::Notice(_) => None,
        }
    }
}

/// A watcher that is not up to date: its `from` is the first revision it has not been given.
#[derive(Debug)]
pub(super) struct Straggler {
    pub(super) member: Member,
    pub(super) range: KeyRange,
}

/// How much of what is new one stream may leave untaken.
#[derive(Clone, Copy, Debug)]
pub(super) struct QueueLimits {
    pub(super) responses: usize,
    pub(super) bytes: usize,
}

#[derive(Debug, Default)]
struct Waiting {
    items: VecDeque<Item>,
    live: usize,
    live_weight: usize,
    stragglers: Vec<Straggler>,
    closed: bool,
}

/// The queue of one stream.
#[derive(Debug)]
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    wake: Notify,
    limits: QueueLimits,
    tally: Arc<Tally>,
}

/// What a look into the queue gave.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) item: Option<Item>,
    /// Watchers that the hub gave up feeding since the last look.
    pub(super) stragglers: Vec<Straggler>,
    pub(super) closed: bool,
}

impl Queue {
    pub(super) fn new(limits: QueueLimits, tally: Arc<Tally>) -> Self {
        Self { waiting: Mutex::default(), wake: Notify::new(), limits, tally }
    }

    /// The hub's delivery, under one hold of the lock: `fill` asks what fits, and turns what does
    /// not into stragglers.
    pub(super) fn deliver(&self, mut fill: impl FnMut(&mut Room<'_>)) {
        let mut waiting = self.waiting.lock();
        let mut room = Room { waiting: &mut waiting, limits: self.limits, events: 0 };
        fill(&mut room);
        self.tally.pending.fetch_add(room.events, Ordering::Relaxed);
        drop(waiting);
        self.wake.notify_one();
    }

    /// The stream's own additions; bounded by how it makes them.
    pub(super) fn push(&self, item: Item) {
        let events = item.batch().map_or(0, Batch::len);
        self.tally.pending.fetch_add(events as u64, Ordering::Relaxed);
        self.waiting.lock().items.push_back(item);
    }

    /// The next thing to send, and what else there is to know.
    pub(super) fn take(&self) -> Taken {
        let mut waiting = self.waiting.lock();
        let item = waiting.items.pop_front();
        if let Some(Item::Live(_, batch)) = &item {
            waiting.live -= 1;
            waiting.live_weight -= batch.weight();
        }
        if let Some(batch) = item.as_ref().and_then(Item::batch) {
            self.tally.pending.fetch_sub(batch.len() as u64, Ordering::Relaxed);
        }
        Taken { item, stragglers: std::mem::take(&mut waiting.stragglers), closed: waiting.closed }
    }

    /// The stragglers alone.
    pub(super) fn take_stragglers(&self) -> Vec<Straggler> {
        std::mem::take(&mut self.waiting.lock().stragglers)
    }

    pub(super) fn wake(&self) {
        self.wake.notify_one();
    }

    /// Nothing new will come.
    pub(super) fn close(&self) {
        self.waiting.lock().closed = true;
        self.wake.notify_one();
    }

    /// Until something changed. May return early.
    pub(super) async fn changed(&self) {
        self.wake.notified().await;
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        let items = &self.waiting.get_mut().items;
        let events: usize = items.iter().filter_map(Item::batch).map(Batch::len).sum();
        self.tally.pending.fetch_sub(events as u64, Ordering::Relaxed);
    }
}

/// A queue held open for the hub's delivery.
pub(super) struct Room<'a> {
    waiting: &'a mut Waiting,
    limits: QueueLimits,
    events: u64,
}

impl Room<'_> {
    /// Whether there is room for these events. An empty queue has room for anything.
    pub(super) fn fits(&self, batch: &Batch) -> bool {
        self.waiting.live == 0
            || (self.waiting.live < self.limits.responses
                && self.waiting.live_weight + batch.weight() <= self.limits.bytes)
    }

    /// Adds events; only after [`Self::fits`].
    pub(super) fn push(&mut self, tag: Tag, batch: Arc<Batch>) {
        self.waiting.live += 1;
        self.waiting.live_weight += batch.weight();
        self.events += batch.len() as u64;
        self.waiting.items.push_back(Item::Live(tag, batch));
    }

    /// Leaves a watcher to its stream: it has to read history.
    pub(super) fn give_up(&mut self, straggler: Straggler) {
        self.waiting.stragglers.push(straggler);
    }
}
