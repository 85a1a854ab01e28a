//! A log in memory, for tests and for trying things out. Nothing of it survives the process.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::FutureExt;
use futures::channel::oneshot;
use futures::future::{BoxFuture, ready};
use parking_lot::Mutex;

use crate::{Append, Body, Journal, JournalError, Nonce, Record, Slot, Successor};

/// Offers that may wait for an earlier slot.
const MAX_WAITING: usize = 8192;

/// One opener of a log in memory. A clone is another opener of the same log, as another replica
/// would be.
#[derive(Clone, Default)]
pub struct MemoryJournal {
    log: Arc<Mutex<Log>>,
}

impl std::fmt::Debug for MemoryJournal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let log = self.log.lock();
        f.debug_struct("MemoryJournal").field("tail", &log.tail()).finish_non_exhaustive()
    }
}

#[derive(Default)]
struct Log {
    /// The slots before the first record.
    trimmed: u64,
    records: std::collections::VecDeque<Record>,
    sealed: Option<Successor>,
    waiting: BTreeMap<Slot, Vec<Offer>>,
    waiters: usize,
}

struct Offer {
    record: Record,
    reply: oneshot::Sender<Append>,
}

impl Log {
    fn first(&self) -> Slot {
        Slot(self.trimmed + 1)
    }

    fn tail(&self) -> Slot {
        Slot(self.trimmed + self.records.len() as u64 + 1)
    }

    fn at(&self, slot: Slot) -> Option<&Record> {
        let back = slot.0.checked_sub(self.trimmed + 1)?;
        self.records.get(usize::try_from(back).ok()?)
    }

    fn offer(&mut self, offer: Offer) {
        let Offer { record, reply } = offer;
        let slot = record.slot;
        let outcome = if slot == Slot(0) {
            Append::Refused(JournalError::Unavailable("there is no slot 0".into()))
        } else if slot < self.first() {
            Append::Unknown(JournalError::Trimmed { first: self.first() })
        } else if let Some(held) = self.at(slot) {
            if held.nonce == record.nonce { Append::Won } else { Append::Lost }
        } else if let Some(successor) = &self.sealed {
            Append::Refused(JournalError::Sealed(successor.clone()))
        } else if slot == self.tail() {
            self.records.push_back(record);
            Append::Won
        } else if self.waiters < MAX_WAITING {
            self.waiters += 1;
            self.waiting.entry(slot).or_default().push(Offer { record, reply });
            return;
        } else {
            Append::Refused(JournalError::Unavailable("too many appends are waiting".into()))
        };
        // Whoever asked may have gone away: a dropped future withdraws nothing.
        drop(reply.send(outcome));
    }

    /// Judges again what waited for the slot before.
    fn settle(&mut self) {
        while let Some(offers) = self.waiting.remove(&self.tail()) {
            self.waiters -= offers.len();
            for offer in offers {
                self.offer(offer);
            }
        }
    }
}

impl Journal for MemoryJournal {
    fn append(&self, slot: Slot, nonce: Nonce, body: Body) -> BoxFuture<'_, Append> {
        let (reply, answer) = oneshot::channel();
        let mut log = self.log.lock();
        log.offer(Offer { record: Record { slot, nonce, body }, reply });
        log.settle();
        let stopped = || JournalError::Unavailable("the journal has stopped".into());
        answer.map(move |answer| answer.unwrap_or_else(|_| Append::Unknown(stopped()))).boxed()
    }

    fn read(&self, from: Slot, limit: usize) -> BoxFuture<'_, Result<Vec<Record>, JournalError>> {
        let log = self.log.lock();
        if from < log.first() {
            return ready(Err(JournalError::Trimmed { first: log.first() })).boxed();
        }
        let mut records = Vec::new();
        let mut taken = 0;
        let mut next = from;
        while let Some(record) = log.at(next) {
            taken += record.body.len();
            if taken > limit && !records.is_empty() {
                break;
            }
            records.push(record.clone());
            next = next.next();
        }
        ready(Ok(records)).boxed()
    }

    fn tail(&self) -> BoxFuture<'_, Result<Slot, JournalError>> {
        async move { Ok(self.log.lock().tail()) }.boxed()
    }

    fn trim(&self, before: Slot) -> BoxFuture<'_, Result<(), JournalError>> {
        let mut log = self.log.lock();
        let gone = before.0.saturating_sub(log.trimmed + 1).min(log.records.len() as u64);
        log.records.drain(..gone as usize);
        log.trimmed += gone;
        ready(Ok(())).boxed()
    }

    fn seal(&self, successor: Successor) -> BoxFuture<'_, Result<Slot, JournalError>> {
        let mut log = self.log.lock();
        let known = log.sealed.get_or_insert_with(|| successor.clone()).clone();
        for offer in std::mem::take(&mut log.waiting).into_values().flatten() {
            log.offer(offer);
        }
        log.waiters = 0;
        let sealed =
            if known == successor { Ok(log.tail()) } else { Err(JournalError::Sealed(known)) };
        ready(sealed).boxed()
    }

    fn successor(&self) -> BoxFuture<'_, Result<Option<Successor>, JournalError>> {
        ready(Ok(self.log.lock().sealed.clone())).boxed()
    }
}
