//! The answers of a batch, held back until the sync that covers them.

use super::queue::{Offer, Queue, SealReply};
use crate::{Append, JournalError, Slot};

enum Answer {
    Append(Offer, Append),
    Seal(SealReply, Result<Slot, JournalError>),
}

/// What will be said once the batch is durable.
#[derive(Default)]
pub(crate) struct Answers(Vec<Answer>);

impl Answers {
    pub(crate) fn append(&mut self, offer: Offer, outcome: Append) {
        self.0.push(Answer::Append(offer, outcome));
    }

    pub(crate) fn seal(&mut self, reply: SealReply, outcome: Result<Slot, JournalError>) {
        self.0.push(Answer::Seal(reply, outcome));
    }

    /// Says it; or, where the journal is broken, that nobody knows.
    pub(crate) fn send(&mut self, queue: &Queue, broken: Option<&str>) {
        let bytes = |answer: &Answer| match answer {
            Answer::Append(offer, _) => offer.body.len(),
            Answer::Seal(..) => 0,
        };
        queue.answered(self.0.len(), self.0.iter().map(bytes).sum());
        let broken = broken.map(|why| JournalError::Unavailable(why.into()));
        // Whoever asked may have gone away: a dropped future withdraws nothing.
        for answer in self.0.drain(..) {
            match (answer, broken.clone()) {
                (Answer::Append(offer, outcome), None) => drop(offer.reply.send(outcome)),
                (Answer::Append(offer, _), Some(why)) => {
                    drop(offer.reply.send(Append::Unknown(why)));
                }
                (Answer::Seal(reply, outcome), None) => drop(reply.send(outcome)),
                (Answer::Seal(reply, _), Some(why)) => drop(reply.send(Err(why))),
            }
        }
    }
}
