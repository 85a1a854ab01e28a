//! Setbacks: what the writer does with a batch that did not get into its slot.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::stream::FuturesOrdered;
use futures::{FutureExt, StreamExt};
use journal::{JournalError, Slot};
use state::{Command, Entry, Origin};

use crate::fault::Fault;
use crate::inbox::{Handed, Load};
use crate::offer::{Offer, Settled, settle};
use crate::replicas::Role;
use crate::vitals::Ending;
use crate::writer::Writer;

/// How long to wait before a gap in a full journal is tried again.
const FULL_PAUSE: Duration = Duration::from_millis(200);
/// So often it is said that batches are refused, as long as they are: a log may be on the same disk.
const SAY_EVERY: Duration = Duration::from_secs(10);

/// What is said of batches that the journal refuses.
#[derive(Default)]
pub(crate) struct Refusals {
    /// When it was said last.
    said: Option<Duration>,
    left_out: u64,
}

impl Refusals {
    /// Whether to say it now; how many were left out before.
    fn admit(&mut self, now: Duration) -> Option<u64> {
        if self.said.is_some_and(|said| now.saturating_sub(said) < SAY_EVERY) {
            self.left_out += 1;
            return None;
        }
        self.said = Some(now);
        Some(std::mem::take(&mut self.left_out))
    }
}

impl Writer {
    /// Somebody else's entry stands in the slot: apply it, and offer our commands again.
    pub(crate) fn lost(&mut self, offer: Offer, theirs: &Entry, body: &Bytes) {
        self.apply(offer.slot, theirs, body, None);
        self.offer_again(offer);
    }

    /// Nothing of a batch took effect: what somebody waits for goes into a later slot. What we proposed
    /// ourselves may no longer be right and is judged anew.
    pub(crate) fn offer_again(&mut self, offer: Offer) {
        self.backlog.settle(offer.load);
        let still_ours = self.role == Role::Writer && offer.entry.epoch == self.state.epoch();
        let mut origins = offer.entry.origins.into_iter().flat_map(handed).peekable();
        let mut own = Vec::new();
        let commands = offer.entry.commands.into_iter().zip(offer.waiters).enumerate();
        for (at, (command, waiter)) in commands {
            let handed = origins.next_if(|(place, _)| *place == at);
            match (waiter, handed) {
                (Some(waiter), _) => self.backlog.again(command, waiter),
                // In another epoch whoever handed it to us hands it to the writer of that.
                (None, Some((_, handed))) if still_ours => {
                    self.backlog.forwarded_again(command, handed);
                }
                (None, Some(_)) => {}
                (None, None) => own.push(command),
            }
        }
        self.dropped(&own);
    }

    /// Nothing was written, for certain: say so to who waits. The slot is free, and those behind it wait
    /// for it; if there are any, an empty entry will fill the gap once there is room.
    pub(crate) fn refused(&mut self, offer: Offer, why: &JournalError) {
        if let Some(left_out) = self.refusals.admit(self.shared.clock.monotonic()) {
            let slot = offer.slot;
            tracing::error!(%slot, error = %why, "left-out" = left_out, "the journal refused a batch");
        }
        let Some(fault) = passing(why) else {
            return self.give_up(offer, Ending::Failed, why.to_string());
        };
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
            self.hand_back(&offer.entry, &fault);
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
        let epoch = self.state.epoch();
        let entry = Entry { epoch, clock, commands: Vec::new(), origins: Vec::new() };
        let body = entry.encode();
        let settle =
            settle(Arc::clone(&self.journal), slot, body.clone(), self.shared.options.level);
        let later = async move {
            tokio::time::sleep(FULL_PAUSE).await;
            settle.await
        };
        self.in_flight.push_front(later.boxed());
        let (waiters, load) = (Vec::new(), Load::default());
        let since = self.shared.clock.monotonic();
        self.offers.push_front(Offer { slot, entry, waiters, load, body, since });
    }

    fn end(&mut self, ending: Ending) {
        self.ended = true;
        self.shared.status.lock().ending.get_or_insert(ending);
        self.shared.inbox.close();
    }

    /// We cannot go on: answer everybody, and end.
    pub(crate) fn stop_for(&mut self, ending: Ending, why: String) {
        if ending != Ending::Removed {
            tracing::error!(error = %why, "this replica stops");
        }
        self.end(ending);
        let fault = Fault::Unavailable(why);
        if let Some(replica) = &mut self.replica {
            for sent in std::mem::take(&mut replica.sent).into_values() {
                if let Some(waiter) = sent.waiter {
                    self.backlog.settle(Load::one(sent.command.size()));
                    waiter.answer(Err(fault.clone()));
                }
            }
        }
        self.take_requests();
        self.backlog.fail(&fault);
    }

    /// The journal will take nothing more from us: answer everybody, and end.
    pub(crate) fn give_up(&mut self, mut offer: Offer, ending: Ending, why: String) {
        tracing::error!(error = %why, "stopping, since the journal takes no more entries");
        let fault = Fault::Unavailable(why);
        self.end(ending);
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
    pub(crate) fn dropped(&mut self, commands: &[Command]) {
        let now = self.shared.clock.monotonic();
        for command in commands {
            if let Command::LeaseRevoke { id } = command.bare() {
                self.shared.leases.postpone(*id, now);
            }
            self.quota.dropped(command.bare());
        }
    }
}

/// Each command of a run, by its place in the entry.
fn handed(origin: Origin) -> impl Iterator<Item = (usize, Handed)> {
    let Origin { at, count, member, session, first } = origin;
    let places = at..at.saturating_add(usize::try_from(count).unwrap_or(usize::MAX));
    places.zip(first..).map(move |(at, number)| (at, Handed { member, session, number }))
}

/// What to tell clients when the journal may take the next batch all the same.
fn passing(why: &JournalError) -> Option<Fault> {
    match why {
        JournalError::Full(_) => Some(Fault::NoSpace),
        JournalError::Unavailable(why) => Some(Fault::Unavailable(why.clone())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_said_from_time_to_time() {
        let mut refusals = Refusals::default();
        let now = Duration::from_secs(100);
        assert_eq!(refusals.admit(now), Some(0));
        for _ in 0..1000 {
            assert_eq!(refusals.admit(now + SAY_EVERY / 2), None);
        }
        assert_eq!(refusals.admit(now + SAY_EVERY), Some(1000));
        assert_eq!(refusals.admit(now + 3 * SAY_EVERY), Some(0));
    }
}
