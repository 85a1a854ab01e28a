//! The hub: the handle that streams are opened from, and the loop that feeds them.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use parking_lot::Mutex;
use state::{Revision, View};
use tokio::sync::watch::Receiver;

use super::queue::{Queue, QueueLimits, Tally};
use super::registry::Registry;
use super::{Options, Stream};

/// What the hub and its streams share. Lock order: the registry, then a queue.
pub(super) struct Shared {
    pub(super) registry: Mutex<Registry>,
    pub(super) published: Receiver<Arc<View>>,
    pub(super) options: Options,
    pub(super) tally: Arc<Tally>,
}

impl Shared {
    /// The newest state there is to see.
    pub(super) fn view(&self) -> Arc<View> {
        self.published.borrow().clone()
    }

    /// Its revision.
    pub(super) fn revision(&self) -> Revision {
        self.published.borrow().revision()
    }
}

/// A handle to one engine's watches. Clones are cheap and equal.
#[derive(Clone)]
pub struct Hub {
    shared: Arc<Shared>,
}

/// What there is to count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Open streams.
    pub streams: usize,
    /// Watchers on them.
    pub watchers: usize,
    /// Those of them that are behind.
    pub slow_watchers: usize,
    /// Events taken by readers, ever.
    pub events_sent: u64,
    /// Events that wait to be taken.
    pub pending: u64,
}

impl Hub {
    /// A hub, and its loop for somebody to run: it ends when the sender of views is dropped, and
    /// then every stream ends once it has given out what it holds.
    pub fn new(
        published: Receiver<Arc<View>>,
        options: Options,
    ) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let seen = published.borrow().revision();
        let shared = Arc::new(Shared {
            registry: Mutex::new(Registry::new(seen)),
            published: published.clone(),
            options,
            tally: Arc::default(),
        });
        (Self { shared: shared.clone() }, run(Closing(shared), published))
    }

    /// A stream without watchers.
    #[must_use]
    pub fn stream(&self) -> Stream {
        let limits = QueueLimits {
            responses: self.shared.options.max_queued_responses,
            bytes: self.shared.options.max_queued_bytes,
        };
        let queue = Arc::new(Queue::new(limits, self.shared.tally.clone()));
        let key = self.shared.registry.lock().open(queue.clone());
        Stream::new(self.shared.clone(), key, queue)
    }

    /// To be called before a compaction is applied, with the state as it is then. What was written
    /// before it but not handed out yet is then read from there, so that a watcher that was up to
    /// date gets it, as in etcd, where events go out with the write. Without this call such a
    /// watcher is told that it was compacted. Nothing of `view` goes out before it has been
    /// published.
    pub fn before_compaction(&self, view: Arc<View>) {
        self.shared.registry.lock().pin(view);
    }

    /// Up to which revision events have been handed out.
    #[must_use]
    pub fn seen(&self) -> Revision {
        self.shared.registry.lock().seen()
    }

    /// The counts of this moment.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let registry = self.shared.registry.lock();
        Counts {
            streams: registry.streams(),
            watchers: registry.watchers(),
            slow_watchers: registry.slow_watchers(),
            events_sent: self.shared.tally.sent.load(Ordering::Relaxed),
            pending: self.shared.tally.pending.load(Ordering::Relaxed),
        }
    }
}

/// However the loop ends, the streams learn of it.
struct Closing(Arc<Shared>);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.registry.lock().close();
    }
}

async fn run(hub: Closing, mut published: Receiver<Arc<View>>) {
    loop {
        let view = published.borrow_and_update().clone();
        while !hub.0.registry.lock().advance(&view) {
            tokio::task::yield_now().await;
        }
        // A view kept while nothing happens would keep its history alive.
        drop(view);
        if published.changed().await.is_err() {
            return;
        }
    }
}
