//! The tail barrier: what makes a read linearizable on any replica. One question to the journal is shared by
//! all the reads that wait when it is asked, in the manner of Raft's read index.

use std::sync::atomic::{AtomicU64, Ordering};

use journal::{Journal, JournalError, Slot};
use state::Position;

/// See the module.
#[derive(Default)]
pub(crate) struct Barrier {
    /// How many have come.
    arrived: AtomicU64,
    asking: tokio::sync::Mutex<Answered>,
}

#[derive(Default)]
struct Answered {
    /// Those that had come when the newest answer was asked for.
    arrived: u64,
    /// All that is to be applied for them.
    upto: Position,
}

impl Barrier {
    /// The position of the last entry that may have been acknowledged before this call.
    pub(crate) async fn pass(&self, journal: &dyn Journal) -> Result<Position, JournalError> {
        let me = self.arrived.fetch_add(1, Ordering::AcqRel) + 1;
        let mut answered = self.asking.lock().await;
        // Who held the gate before us asked on our behalf, if it asked after we came.
        if answered.arrived >= me {
            return Ok(answered.upto);
        }
        let arrived = self.arrived.load(Ordering::Acquire);
        let Slot(tail) = journal.tail().await?;
        let upto = Position(tail.saturating_sub(1));
        *answered = Answered { arrived, upto };
        Ok(upto)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use journal::MemoryJournal;

    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn all_pass_and_none_with_an_answer_from_before_it_came() {
        let (journal, barrier) = (Arc::new(MemoryJournal::default()), Arc::new(Barrier::default()));
        for slot in 1..50 {
            let body = bytes::Bytes::new();
            journal.append(Slot(slot), journal::Nonce(slot.into()), body).await;
            let readers = (0..8).map(|_| {
                let (journal, barrier) = (Arc::clone(&journal), Arc::clone(&barrier));
                tokio::spawn(async move { barrier.pass(&*journal).await })
            });
            for passed in futures::future::join_all(readers).await {
                assert_eq!(passed.unwrap(), Ok(Position(slot)));
            }
        }
    }
}
