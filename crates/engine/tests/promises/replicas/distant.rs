//! A journal that is as far away as a database: the writer is always one round trip ahead of who comes.

use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use journal::{Append, Body, Journal, JournalError, MemoryJournal, Nonce, Record, Slot, Successor};
use tokio::time::sleep;

/// What each call takes.
const TRIP: Duration = Duration::from_millis(3);

#[derive(Default)]
pub(crate) struct Distant(MemoryJournal);

impl Journal for Distant {
    fn append(&self, slot: Slot, nonce: Nonce, body: Body) -> BoxFuture<'_, Append> {
        sleep(TRIP).then(move |()| self.0.append(slot, nonce, body)).boxed()
    }

    fn read(&self, from: Slot, limit: usize) -> BoxFuture<'_, Result<Vec<Record>, JournalError>> {
        sleep(TRIP).then(move |()| self.0.read(from, limit)).boxed()
    }

    fn tail(&self) -> BoxFuture<'_, Result<Slot, JournalError>> {
        sleep(TRIP).then(move |()| self.0.tail()).boxed()
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
