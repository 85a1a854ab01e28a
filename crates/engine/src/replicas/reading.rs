//! How a replica learns what others have made durable, and how far it is.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use journal::{JournalError, Record, Slot};
use state::Position;

use super::mail::Mail;
use super::replica::Way;
use crate::entries::decode;
use crate::vitals::Ending;
use crate::writer::Writer;

/// Bytes of entries read from the journal at a time.
const FETCH_BYTES: usize = 4 << 20;
/// An entry that the writer has is on its way over the line: it is looked for only after this.
const ON_ITS_WAY: Duration = Duration::from_millis(10);

impl Writer {
    /// Reads what the journal holds beyond what was applied, unless that is being done.
    pub(crate) fn fetch(&mut self) {
        let from = Slot(self.state.position().0).next();
        // What stands where our own offers go, they will tell.
        if !self.offers.is_empty() {
            return;
        }
        let now = self.shared.clock.monotonic();
        let Some(replica) = &mut self.replica else { return };
        if std::mem::replace(&mut replica.fetching, true) {
            return;
        }
        replica.fetched = now;
        let mail = replica.shared.mail.clone();
        let journal = Arc::clone(&self.journal);
        tokio::spawn(async move {
            let found = journal.read(from, FETCH_BYTES).await;
            drop(mail.send(Mail::Fetched(found)).await);
        });
    }

    pub(super) fn fetched(&mut self, found: Result<Vec<Record>, JournalError>) {
        let now = self.shared.clock.monotonic();
        let before = self.state.position();
        let Some(replica) = &mut self.replica else { return };
        replica.fetching = false;
        replica.fetched = now;
        replica.overtaken = false;
        let since = replica.readable.map_or(now, |(since, _)| since);
        replica.readable = found.is_ok().then_some((since, now));
        match found {
            Ok(records) => {
                records.iter().for_each(|record| self.take_entry(record.slot, &record.body));
            }
            Err(JournalError::Trimmed { first }) => self.stop_for(Ending::Overtaken, format!(
                "the journal begins at slot {first}, and this replica stands at {before}: it begins \
                 anew from a checkpoint"
            )),
            Err(error) => tracing::warn!(%error, "cannot read the journal"),
        }
        let applied = self.state.position();
        let Some(replica) = &mut self.replica else { return };
        if applied > before {
            replica.at_work = Some(now);
            // There may be more.
            self.fetch();
        } else if replica.wanted > applied && self.offers.is_empty() {
            // Not at once: a journal that fails or lags may answer so without any delay.
            let (mail, position) = (replica.shared.mail.clone(), replica.wanted);
            tokio::spawn(async move {
                tokio::time::sleep(ON_ITS_WAY).await;
                drop(mail.send(Mail::Wanted(position)).await);
            });
        }
    }

    /// A reader waits for everything up to here.
    pub(super) fn want(&mut self, position: Position) {
        let behind = position > self.state.position();
        let Some(replica) = &mut self.replica else { return };
        if !behind {
            return;
        }
        let looked_for = replica.wanted >= position;
        replica.wanted = replica.wanted.max(position);
        if matches!(replica.way, Way::Line { .. }) && !looked_for {
            let mail = replica.shared.mail.clone();
            tokio::spawn(async move {
                tokio::time::sleep(ON_ITS_WAY).await;
                drop(mail.send(Mail::Wanted(position)).await);
            });
            return;
        }
        self.fetch();
    }

    /// Applies another's entry if it is the next and nothing of ours is on its way to its place.
    pub(super) fn take_entry(&mut self, slot: Slot, body: &Bytes) {
        let next = Slot(self.state.position().0).next();
        if slot < next || !self.offers.is_empty() {
            return;
        }
        if slot > next {
            self.fetch();
            return;
        }
        match decode(slot, body, self.shared.options.level) {
            Ok(entry) => {
                self.learnt = self.shared.clock.monotonic();
                self.next_slot = slot.next();
                self.apply(slot, &entry, body, None);
                self.maintain();
            }
            Err(error) => self.stop_for(Ending::Failed, error.to_string()),
        }
    }

    /// Notes how far we are, for those that wait for it.
    pub(crate) fn publish_position(&self, ours: bool) {
        let Some(replica) = &self.replica else { return };
        let position = self.state.position();
        replica.shared.applied.send_replace(position);
        if ours {
            replica.shared.won.send_replace(position);
        }
    }

    /// Notes which slot is offered next, before it is.
    pub(crate) fn publish_next_offer(&self) {
        if let Some(replica) = &self.replica {
            replica.shared.next_offer.store(self.next_slot.0, Ordering::Release);
        }
    }
}
