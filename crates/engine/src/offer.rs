//! An offer: one batch on its way into one slot, followed until it is settled.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use journal::{Append, Journal, JournalError, Nonce, Slot};
use state::Entry;

use crate::inbox::ReplyTo;

/// The pause before an unsettled batch is offered again, doubled each time up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// A batch and who waits for it.
pub(crate) struct Offer {
    pub(crate) slot: Slot,
    pub(crate) entry: Entry,
    pub(crate) replies: Vec<Option<ReplyTo>>,
    pub(crate) bytes: u64,
    pub(crate) since: Duration,
}

/// How an offer ended. Unknown is not an end.
pub(crate) enum Settled {
    Won,
    Lost,
    Refused(JournalError),
}

/// Offers `body` to `slot` until the slot is decided. The same bytes, the same nonce, the same slot:
/// an absent slot proves nothing, only an occupied one does.
pub(crate) async fn settle(
    journal: Arc<dyn Journal>,
    slot: Slot,
    nonce: Nonce,
    body: Bytes,
) -> Settled {
    let mut pause = FIRST_PAUSE;
    loop {
        match journal.append(slot, nonce, body.clone()).await {
            Append::Won => return Settled::Won,
            Append::Lost => return Settled::Lost,
            Append::Refused(why) => return Settled::Refused(why),
            Append::Unknown(why) => {
                tracing::warn!(%slot, error = %why, "append of unknown outcome, offering it again");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }
}
