//! Who reads: a follower asks for the next slot and mostly finds nothing there, so it is asked for by name,
//! which costs least; whoever is behind reads on in portions.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use futures::future::join;
use journal::{JournalError, Record, Slot};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::Instant;

use crate::failure::Failure;
use crate::item::Item;
use crate::items::Range;
use crate::layout::{damaged, kind, segment_end};
use crate::log::{Answer, Held, Log, stopped};
use crate::parts;
use crate::stats::Purpose;

/// Reads on their way at once; others wait.
const AT_ONCE: usize = 32;

/// Slots in one answer.
const MAX_SLOTS: usize = 4096;

/// So many reads in a row that found the next slot occupied, and whoever asks is behind.
const BEHIND: u32 = 2;

/// So many slots before the tail, and whoever asks looks at the mark each time.
const FAR: u64 = 64;

/// Who waits to learn the tail.
pub(crate) type Waiter = oneshot::Sender<Result<Slot, JournalError>>;

/// Answers for the tail until nobody can ask any more. Who waits when a round begins is answered by it; who
/// comes later waits for the next one, since what it asks for may have been acknowledged meanwhile.
pub(crate) async fn tell_tail(log: Arc<Log>, mut waiting: mpsc::Receiver<Waiter>) {
    let mut round = Vec::new();
    while waiting.recv_many(&mut round, usize::MAX).await > 0 {
        let began = Instant::now();
        let tail = log.tail_now().await;
        if tail.is_ok() {
            log.stats.tail.record(began.elapsed());
        }
        for waiter in round.drain(..) {
            // Who asked may have gone away.
            drop(waiter.send(tail.clone().map(Slot).map_err(Failure::into_journal)));
        }
    }
}

impl Log {
    /// The first free slot, if nothing below it was lost.
    async fn tail_now(&self) -> Answer<u64> {
        self.check()?;
        let last = self.last();
        let (tail, there) = join(self.find_tail(), self.verify(Purpose::Tail, &last)).await;
        there?;
        if self.last() != last {
            // What is new came after what we asked for; whether that is still there is asked behind it.
            self.verify(Purpose::Tail, &last).await?;
        }
        tail
    }
}

/// See the module.
pub(crate) struct Reader {
    log: Arc<Log>,
    room: Semaphore,
    /// Reads in a row that found the next slot occupied.
    found: AtomicU32,
}

impl Reader {
    pub(crate) fn new(log: Arc<Log>) -> Self {
        Self { log, room: Semaphore::new(AT_ONCE), found: AtomicU32::new(0) }
    }

    pub(crate) async fn read(&self, from: u64, limit: usize) -> Result<Vec<Record>, JournalError> {
        let _room = self.room.acquire().await.map_err(|_| stopped())?;
        let first = self.log.first();
        if from < first {
            return Err(JournalError::Trimmed { first: Slot(first) });
        }
        let last = self.log.last();
        let items = match self.portion(from, limit).await.map_err(Failure::into_journal)? {
            Ok(items) => items,
            Err(first) => return Err(JournalError::Trimmed { first: Slot(first) }),
        };
        if !items.is_empty() {
            self.log.verify(Purpose::Read, &last).await.map_err(Failure::into_journal)?;
        }
        self.records(items, limit).await.map_err(Failure::into_journal)
    }

    /// The items from `from` on, contiguous; the first slot, if that is beyond.
    async fn portion(&self, from: u64, limit: usize) -> Answer<Result<Vec<Item>, u64>> {
        self.log.check()?;
        let tail = self.log.tail();
        if tail > from + 1 || self.found.load(Ordering::Relaxed) >= BEHIND {
            // Whoever is far behind may be behind the mark as well, though nothing was removed yet.
            let far = tail > from.saturating_add(FAR);
            let mark =
                async { if far { self.log.mark(Purpose::Read).await.map(drop) } else { Ok(()) } };
            let (items, mark) = join(self.range(from, limit), mark).await;
            mark?;
            let (items, first) = (items?, self.log.refresh(Purpose::Read).await?);
            if from < first {
                return Ok(Err(first));
            }
            if items.len() < 2 {
                self.found.store(0, Ordering::Relaxed);
            }
            if !items.is_empty() {
                return Ok(Ok(items));
            }
        }
        match self.log.look(Purpose::Read, from).await? {
            Held::Trimmed(first) => Ok(Err(first)),
            Held::Item(item) => {
                self.found.fetch_add(1, Ordering::Relaxed);
                Ok(Ok(vec![item]))
            }
            Held::Free => {
                self.found.store(0, Ordering::Relaxed);
                Ok(Ok(Vec::new()))
            }
        }
    }

    /// What a query finds from `from` on, without a gap.
    async fn range(&self, from: u64, limit: usize) -> Answer<Vec<Item>> {
        let mut items: Vec<Item> = Vec::new();
        let (mut next, mut bytes) = (from, 0);
        while items.len() < MAX_SLOTS && (bytes < limit || items.is_empty()) {
            let to = segment_end(next);
            let range = Range {
                partition: self.log.layout.segment(next),
                from: next,
                to,
                most: MAX_SLOTS - items.len(),
                bytes: limit.saturating_sub(bytes).max(1),
            };
            let found =
                self.log.insist(|| self.log.items.range(Purpose::Read, range.clone())).await?;
            for item in found {
                if item.slot != next {
                    // What lies behind a gap is asked for by name, and then the gap is known for what it is.
                    return Ok(items);
                }
                bytes += item.body.len();
                next += 1;
                items.push(item);
            }
            if next < to {
                break;
            }
        }
        Ok(items)
    }

    async fn records(&self, items: Vec<Item>, limit: usize) -> Answer<Vec<Record>> {
        let mut records = Vec::with_capacity(items.len());
        let mut bytes = 0;
        for item in items {
            let length = match item.kind {
                kind::END => {
                    self.log.saw(&item);
                    break;
                }
                kind::PARTS => parts::length(&item)?,
                kind::BODY => item.body.len(),
                other => {
                    let why = format!("is of kind {other}: written by a newer version, or damaged");
                    return Err(damaged(&item, &why));
                }
            };
            bytes += length;
            if bytes > limit && !records.is_empty() {
                break;
            }
            self.log.saw(&item);
            let (slot, nonce) = (Slot(item.slot), item.nonce);
            let body =
                if item.kind == kind::PARTS { self.log.fetch(&item).await? } else { item.body };
            records.push(Record { slot, nonce, body });
        }
        Ok(records)
    }
}
