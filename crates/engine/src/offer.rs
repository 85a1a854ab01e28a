//! An offer: one batch on its way into one slot, followed until it is settled.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use journal::{Append, Journal, JournalError, Nonce, Slot};
use rand::Rng;
use state::{Entry, Level, Outcome};

use crate::entries::read_entry;
use crate::fault::{Fault, OpenError};
use crate::inbox::{Load, Waiter};

/// The pause before an unsettled batch is offered again, doubled each time up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// A batch and who waits for it.
pub(crate) struct Offer {
    pub(crate) slot: Slot,
    pub(crate) entry: Entry,
    /// One for each command.
    pub(crate) waiters: Vec<Option<Waiter>>,
    /// What it takes of the inbox's limits.
    pub(crate) load: Load,
    /// As it stands in the journal.
    pub(crate) body: Bytes,
    /// When it was made.
    pub(crate) since: Duration,
}

impl Offer {
    /// Answers those that have waited longer than `patience`. The command may still take effect.
    pub(crate) fn expire(&mut self, now: Duration, patience: Duration) {
        for waiter in &mut self.waiters {
            if let Some(late) = waiter.take_if(|waiter| waiter.is_late(now, patience)) {
                late.answer(Err(Fault::Timeout));
            }
        }
    }

    /// Answers everybody who waits.
    pub(crate) fn fail(&mut self, fault: &Fault) {
        for waiter in self.waiters.drain(..).flatten() {
            waiter.answer(Err(fault.clone()));
        }
    }
}

impl Waiter {
    pub(crate) fn is_late(&self, now: Duration, patience: Duration) -> bool {
        now.saturating_sub(self.since) > patience
    }

    /// The receiver may have gone away; that is its right.
    pub(crate) fn answer(self, with: Result<Outcome, Fault>) {
        drop(self.reply.send(with));
    }
}

/// How an offer ended. Unknown is not an end.
pub(crate) enum Settled {
    /// Ours is there.
    Won,
    /// Somebody else's entry is there, of these bytes.
    Lost(Box<Entry>, Bytes),
    /// Nothing is there of ours, now or later.
    Refused(JournalError),
    /// The slot is forgotten: others went on without us, and we cannot go on from here.
    Overtaken(String),
    /// What is there cannot be learnt: we cannot go on from here.
    Failed(String),
}

/// Offers `body` to `slot` until the slot is decided. The same bytes, the same nonce, the same slot:
/// an absent slot proves nothing, only an occupied one does. What another put there must be of the level
/// `own` at most.
pub(crate) fn settle(
    journal: Arc<dyn Journal>,
    slot: Slot,
    body: Bytes,
    own: Level,
) -> BoxFuture<'static, Settled> {
    let nonce = Nonce(rand::rng().random());
    Box::pin(async move {
        let mut pause = FIRST_PAUSE;
        let mut unknown = false;
        loop {
            match journal.append(slot, nonce, body.clone()).await {
                Append::Won => return Settled::Won,
                Append::Lost => return lost(&*journal, slot, own).await,
                // That this offer was refused says nothing of an earlier one that may still land.
                Append::Refused(why) if !unknown || matches!(why, JournalError::Sealed(_)) => {
                    return Settled::Refused(why);
                }
                // Somebody else went on without us, and what became of our offer is forgotten.
                Append::Unknown(why @ JournalError::Trimmed { .. }) => {
                    return Settled::Overtaken(why.to_string());
                }
                Append::Unknown(why) | Append::Refused(why) => {
                    unknown = true;
                    tracing::warn!(%slot, error = %why, "append of unknown outcome, offering it again");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
    })
}

async fn lost(journal: &dyn Journal, slot: Slot, own: Level) -> Settled {
    match read_entry(journal, slot, own).await {
        Ok((entry, body)) => Settled::Lost(Box::new(entry), body),
        Err(OpenError::Journal(why @ JournalError::Trimmed { .. })) => {
            Settled::Overtaken(why.to_string())
        }
        Err(error) => Settled::Failed(format!("slot {slot} was lost and cannot be read: {error}")),
    }
}
