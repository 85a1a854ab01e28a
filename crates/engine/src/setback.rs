//! Setbacks: what the writer does with a batch that did not get into its slot.

use std::sync::Arc;
use std::time::Duration;

use futures::stream::FuturesOrdered;
use futures::{FutureExt, StreamExt};
use journal::{JournalError, Slot};
use state::{Command, Entry};

use crate::fault::Fault;
use crate::inbox::Load;
use crate::offer::{Offer, Settled, settle};
use crate::writer::Writer;

/// How long to wait before a gap in a full journal is tried again.
const FULL_PAUSE: Duration = Duration::from_millis(200);

impl Writer {
    /// Somebody else's entry stands in the slot: apply it, and offer our commands again.
    pub(crate) fn lost(&mut self, offer: Offer, theirs: &Entry, bytes: u64) {
        self.apply(offer.slot, theirs, bytes, None);
        self.offer_again(offer);
    }

    /// Nothing of a batch took effect: what somebody waits for goes into a later slot. What we proposed
    /// ourselves may no longer be right and is judged anew.
    pub(crate) fn offer_again(&mut self, offer: Offer) {
        self.backlog.settle(offer.load);
        let mut own = Vec::new();
        for (command, waiter) in offer.entry.commands.into_iter().zip(offer.waiters) {
            match waiter {
                Some(waiter) => self.backlog.again(command, waiter),
                None => own.push(command),
            }
        }
        self.dropped(&own);
    }

    /// Nothing was written, for certain: say so to who waits. The slot is free, and those behind it wait
    /// for it; if there are any, an empty entry will fill the gap once there is room.
    pub(crate) fn refused(&mut self, offer: Offer, why: &JournalError) {
        tracing::error!(slot = %offer.slot, error = %why, "the journal refused a batch");
        let Some(fault) = passing(why) else { return self.give_up(offer, why.to_string()) };
        let mut refused = vec![offer];
        // Those behind it may have been refused as well, and then there is no gap.
        while let Some(Some(next)) = self.in_flight.next().now_or_never() {
            if !matches!(&next, Settled::Refused(why) if passing(why).is_some()) {
                self.in_flight.push_front(futures::future::ready(next).boxed());
                break;
            }
            refused.extend(self.offers.pop_front());
        }
        for offer in &mut refused {
            offer.fail(&fault);
            self.backlog.settle(offer.load);
            self.dropped(&offer.entry.commands);
        }
        if self.offers.is_empty() {
            self.next_slot = refused[0].slot;
            return;
        }
        for offer in refused.iter().rev() {
            self.fill(offer.slot);
        }
    }

    /// Offers an empty entry to a slot that others wait behind, a little later.
    fn fill(&mut self, slot: Slot) {
        let clock = self.shared.clock.wall();
        let entry = Entry { epoch: self.epoch, clock, commands: Vec::new(), origins: Vec::new() };
        let body = entry.encode();
        let bytes = body.len() as u64;
        let settle = settle(Arc::clone(&self.journal), slot, body);
        let later = async move {
            tokio::time::sleep(FULL_PAUSE).await;
            settle.await
        };
        self.in_flight.push_front(later.boxed());
        let (waiters, load) = (Vec::new(), Load::default());
        let since = self.shared.clock.monotonic();
        self.offers.push_front(Offer { slot, entry, waiters, load, bytes, since });
    }

    /// The journal will take nothing more from us: answer everybody, and end.
    pub(crate) fn give_up(&mut self, mut offer: Offer, why: String) {
        tracing::error!(error = %why, "stopping, since the journal takes no more entries");
        let fault = Fault::Unavailable(why);
        self.shared.inbox.close();
        self.in_flight = FuturesOrdered::new();
        offer.fail(&fault);
        self.backlog.settle(offer.load);
        while let Some(mut offer) = self.offers.pop_front() {
            offer.fail(&fault);
            self.backlog.settle(offer.load);
        }
        self.take_requests();
        self.backlog.fail(&fault);
    }

    /// These commands will not take effect: those that were our own may be proposed anew.
    fn dropped(&mut self, commands: &[Command]) {
        let now = self.shared.clock.monotonic();
        for command in commands {
            if let Command::LeaseRevoke { id } = command.bare() {
                self.shared.leases.postpone(*id, now);
            }
            self.quota.dropped(command.bare());
        }
    }
}

/// What to tell clients when the journal may take the next batch all the same.
fn passing(why: &JournalError) -> Option<Fault> {
    match why {
        JournalError::Full(_) => Some(Fault::NoSpace),
        JournalError::Unavailable(why) => Some(Fault::Unavailable(why.clone())),
        _ => None,
    }
}
