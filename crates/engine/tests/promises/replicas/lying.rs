//! A journal that does not show what was written.

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use journal::{Append, Body, Journal, JournalError, MemoryJournal, Nonce, Record, Slot, Successor};

/// A journal that shows one reader something else than was written: what no engine may do.
pub(crate) struct Lying(pub(crate) MemoryJournal, pub(crate) fn(&Bytes) -> Bytes);

impl Journal for Lying {
    fn append(&self, slot: Slot, nonce: Nonce, body: Body) -> BoxFuture<'_, Append> {
        self.0.append(slot, nonce, body)
    }

    fn read(&self, from: Slot, limit: usize) -> BoxFuture<'_, Result<Vec<Record>, JournalError>> {
        let (records, lie) = (self.0.read(from, limit), self.1);
        async move {
            let mut records = records.await?;
            for record in &mut records {
                record.body = lie(&record.body);
            }
            Ok(records)
        }
        .boxed()
    }

    fn tail(&self) -> BoxFuture<'_, Result<Slot, JournalError>> {
        self.0.tail()
    }

    fn trim(&self, before: Slot) -> BoxFuture<'_, Result<(), JournalError>> {
        self.0.trim(before)
    }

    fn seal(&self, successor: Successor) -> BoxFuture<'_, Result<Slot, JournalError>> {
        self.0.seal(successor)
    }

    fn successor(&self) -> BoxFuture<'_, Result<Option<Successor>, JournalError>> {
        self.0.successor()
    }
}
