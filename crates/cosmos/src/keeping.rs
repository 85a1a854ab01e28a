//! Forgetting. A trim moves the mark, and that is all that anybody waits for; the items go later, in the
//! background.
//!
//! They go when this process has seen the mark beyond them for forty minutes, by the clock that a suspended
//! machine stops. Whoever believes an answer of a slot has seen the mark before it within five minutes, by the
//! clock that runs on. So a slot is never absent to somebody who could take it for free, however long a
//! request was held up on its way. No clock of one machine is compared with that of another.

use std::collections::VecDeque;
use std::sync::Arc;

use futures::stream::{self, StreamExt, TryStreamExt};
use parking_lot::Mutex;
use rand::Rng;
use tokio::time::{Instant, sleep};

use crate::items::Range;
use crate::layout::{Mark, parts_end};
use crate::log::{Answer, Log};
use crate::stats::Purpose;

/// Slots that are removed before that is noted.
const CHUNK: u64 = 256;

/// Deletes on their way at once.
const AT_ONCE: usize = 8;

/// Parts that are listed at once.
const LISTED: usize = 64;

/// See the module.
pub(crate) struct Keeper {
    pub(crate) log: Arc<Log>,
    seen: Mutex<Seen>,
}

/// What this process has seen of the mark.
#[derive(Default)]
struct Seen {
    /// Where the log began, and since when at the latest. Ordered.
    marks: VecDeque<(u64, Instant)>,
    /// Below which nothing was left.
    removed: u64,
}

impl Keeper {
    pub(crate) fn new(log: Arc<Log>) -> Self {
        Self { log, seen: Mutex::default() }
    }

    /// Removes what is due, again and again.
    pub(crate) async fn run(self: Arc<Self>) {
        let every = self.log.options.keep_every;
        // Not all replicas at the same moment: the first one that is at work is left alone by the others.
        let first = rand::rng().random_range(0.0..1.0);
        sleep(every.mul_f64(first)).await;
        loop {
            if let Err(failure) = self.keep().await {
                tracing::warn!(error = %failure, "forgotten slots are not removed for now");
            }
            sleep(every).await;
        }
    }

    async fn keep(&self) -> Answer<()> {
        self.log.pace.follow(self.log.items.throughput());
        self.log.check()?;
        let (mut mark, mut tag) = self.log.mark(Purpose::Trim).await?;
        let due = {
            let mut seen = self.seen.lock();
            let others_do = std::mem::replace(&mut seen.removed, mark.removed) != mark.removed;
            let due = seen.due(mark.first, self.log.options.removed_after);
            if others_do { None } else { due }
        };
        let Some(due) = due else { return Ok(()) };
        while mark.removed < due {
            let (begun, end) = (mark.removed, due.min(mark.removed + CHUNK));
            self.remove(begun, end).await?;
            while !self.replace(&Mark { removed: end, ..mark }, tag).await? {
                (mark, tag) = self.log.mark(Purpose::Trim).await?;
                if mark.removed != begun {
                    // Somebody else is at it, or it was us and nobody told.
                    return Ok(());
                }
            }
            (mark, tag) = self.log.mark(Purpose::Trim).await?;
            self.seen.lock().removed = mark.removed;
        }
        Ok(())
    }

    /// Replaces the mark, if it is still of that tag. After an answer of unknown outcome it is not.
    async fn replace(&self, mark: &Mark, tag: Option<String>) -> Answer<bool> {
        let item = self.log.mark_item(mark, tag);
        self.log.insist(|| self.log.items.replace(Purpose::Trim, item.clone())).await
    }

    /// Forgets the slots before `before`. Durable when it returns.
    pub(crate) async fn trim(&self, before: u64) -> Answer<()> {
        self.log.check()?;
        let tail = self.log.tail();
        let tail = if before > tail { self.log.find_tail().await? } else { tail };
        let before = before.min(tail);
        loop {
            let (mark, tag) = self.log.mark(Purpose::Trim).await?;
            if before <= mark.first {
                return Ok(());
            }
            if self.replace(&Mark { first: before, ..mark }, tag).await? {
                self.log.mark(Purpose::Trim).await?;
                return Ok(());
            }
        }
    }

    /// Removes slots and the parts of their bodies.
    async fn remove(&self, from: u64, end: u64) -> Answer<()> {
        let mut next = from;
        while next < end {
            let to = end.min(parts_end(next));
            self.remove_parts(next, to).await?;
            next = to;
        }
        let names = (from..end).map(|slot| self.log.layout.slot(slot));
        stream::iter(names)
            .map(|name| async {
                self.log.pace.turn().await;
                self.log.delete(Purpose::Trim, name).await
            })
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await
    }

    /// Removes the parts of slots of one segment, those that nobody points to as well.
    async fn remove_parts(&self, from: u64, to: u64) -> Answer<()> {
        let partition = self.log.layout.parts(from);
        let range = Range { partition, from, to, most: LISTED, bytes: 1 << 20 };
        loop {
            self.log.pace.turn().await;
            let parts =
                self.log.insist(|| self.log.items.range(Purpose::Trim, range.clone())).await?;
            if parts.is_empty() {
                return Ok(());
            }
            for part in parts {
                self.log.pace.turn().await;
                self.log.delete(Purpose::Trim, part.name).await?;
            }
        }
    }
}

impl Seen {
    /// Notes the mark, and answers the slot below which all has been forgotten for long enough.
    fn due(&mut self, first: u64, after: std::time::Duration) -> Option<u64> {
        if self.marks.back().is_none_or(|(last, _)| *last < first) {
            self.marks.push_back((first, Instant::now()));
        }
        let mut due = None;
        while let Some((first, since)) = self.marks.front().copied()
            && since.elapsed() >= after
        {
            due = Some(first);
            if self.marks.len() == 1 {
                break;
            }
            self.marks.pop_front();
        }
        due
    }
}
