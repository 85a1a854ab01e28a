//! One offer: how it gets into its slot, and what became of it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::join;
use journal::{Append, Nonce};
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::failure::{Failure, Kind};
use crate::item::Item;
use crate::items::Created;
use crate::layout::kind;
use crate::log::{Answer, Held, Log};
use crate::stats::Purpose;

/// A body, or a pointer to its parts, on its way into a slot.
pub(crate) struct Offer {
    pub(crate) slot: u64,
    pub(crate) nonce: Nonce,
    pub(crate) kind: u32,
    /// Of the body, wherever it stands.
    pub(crate) length: usize,
    /// What stands in the slot's item.
    pub(crate) body: Bytes,
    pub(crate) since: Instant,
    pub(crate) reply: oneshot::Sender<Append>,
}

impl Offer {
    pub(crate) fn answer(self, outcome: Append) {
        // Whoever asked may have gone away: a dropped future withdraws nothing.
        drop(self.reply.send(outcome));
    }
}

/// What became of an offer.
pub(crate) enum Outcome {
    Won,
    Lost,
    /// The log ended at or before its slot.
    Ended,
    /// Its slot is forgotten; this is the first one that is not.
    Trimmed(u64),
    /// Nothing; this is why.
    Nothing(Failure),
    /// Nobody knows; this is why.
    Unknown(Failure),
}

/// Creates the slot of an offer, whose predecessor is known to be occupied.
pub(crate) async fn fly(log: Arc<Log>, offer: Offer, patience: Duration) -> (Offer, Outcome) {
    let outcome = create(&log, &offer, patience).await.unwrap_or_else(Outcome::Unknown);
    (offer, outcome)
}

async fn create(log: &Log, offer: &Offer, patience: Duration) -> Answer<Outcome> {
    // Nothing is sent that nobody would believe.
    let first = log.refresh(Purpose::Append).await?;
    if offer.slot < first {
        return Ok(Outcome::Trimmed(first));
    }
    let name = log.layout.slot(offer.slot);
    let (slot, nonce, kind, body) = (offer.slot, offer.nonce, offer.kind, offer.body.clone());
    let item = Item { name, slot, nonce, kind, body, tag: None };
    let (sent, last) = (Instant::now(), log.last());
    let created = log.once(patience, log.items.create(Purpose::Append, item.clone()));
    let (created, there) = join(created, log.verify(Purpose::Append, &last)).await;
    there?;
    let created = match created {
        Err(failure) if matches!(failure.kind, Kind::Throttled | Kind::Full) => {
            return Ok(Outcome::Nothing(failure));
        }
        created => created?,
    };
    log.stats.append.record(sent.elapsed());
    if created == Created::Taken {
        return held(log, offer).await;
    }
    // If the answer was long on its way the slot may have been removed, and made anew by this.
    let first = log.refresh(Purpose::Append).await?;
    if slot < first {
        return Ok(Outcome::Trimmed(first));
    }
    log.saw(&item);
    Ok(Outcome::Won)
}

/// Answers an offer whose slot is occupied.
pub(crate) async fn settle(log: Arc<Log>, offer: Offer) -> (Offer, Outcome) {
    let outcome = match log.winner(offer.slot) {
        Some(nonce) if nonce == offer.nonce => Outcome::Won,
        Some(_) => Outcome::Lost,
        None => held(&log, &offer).await.unwrap_or_else(Outcome::Unknown),
    };
    (offer, outcome)
}

/// Learns who holds the slot of an offer.
async fn held(log: &Log, offer: &Offer) -> Answer<Outcome> {
    match log.look(Purpose::Append, offer.slot).await? {
        Held::Item(item) => {
            log.saw(&item);
            Ok(match item.kind {
                _ if item.nonce == offer.nonce => Outcome::Won,
                kind::END => Outcome::Ended,
                _ => Outcome::Lost,
            })
        }
        Held::Trimmed(first) => Ok(Outcome::Trimmed(first)),
        Held::Free => {
            let why = "the service says that the slot is taken, and that nothing is there";
            Err(Failure::new(Kind::Ambiguous, why))
        }
    }
}
