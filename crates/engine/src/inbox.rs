//! The inbox: where requests wait for the writer. Emptied in one swap, so that a batch costs one lock.

use parking_lot::Mutex;
use state::{Command, Outcome, State};
use tokio::sync::{Notify, oneshot};

use crate::fault::Fault;

/// How the sender of a command learns what it came to.
pub(crate) type ReplyTo = oneshot::Sender<Result<Outcome, Fault>>;

/// A question about the machine that only its owner can answer.
pub(crate) type Question = Box<dyn FnOnce(&State) + Send>;

/// A command on its way, with who waits for it.
pub(crate) struct Pending {
    pub(crate) command: Command,
    pub(crate) size: usize,
    pub(crate) reply: Option<ReplyTo>,
}

/// What waits. Bounded in number and in bytes.
#[derive(Default)]
pub(crate) struct Waiting {
    pub(crate) commands: Vec<Pending>,
    pub(crate) questions: Vec<Question>,
    bytes: usize,
    closed: bool,
}

/// See the module.
pub(crate) struct Inbox {
    waiting: Mutex<Waiting>,
    wake: Notify,
    max_commands: usize,
    max_bytes: usize,
}

impl Inbox {
    pub(crate) fn new(max_commands: usize, max_bytes: usize) -> Self {
        Self { waiting: Mutex::default(), wake: Notify::new(), max_commands, max_bytes }
    }

    /// Adds a command; its outcome goes to the returned receiver.
    pub(crate) fn push(
        &self,
        command: Command,
        size: usize,
    ) -> Result<oneshot::Receiver<Result<Outcome, Fault>>, Fault> {
        let (reply, outcome) = oneshot::channel();
        {
            let mut waiting = self.waiting.lock();
            if waiting.closed {
                return Err(Fault::Stopped);
            }
            let full = waiting.commands.len() >= self.max_commands
                || (waiting.bytes + size > self.max_bytes && !waiting.commands.is_empty());
            if full {
                return Err(Fault::TooManyRequests);
            }
            waiting.bytes += size;
            waiting.commands.push(Pending { command, size, reply: Some(reply) });
        }
        self.wake.notify_one();
        Ok(outcome)
    }

    /// Adds a question, answered between two batches.
    pub(crate) fn ask(&self, question: Question) -> Result<(), Fault> {
        {
            let mut waiting = self.waiting.lock();
            if waiting.closed {
                return Err(Fault::Stopped);
            }
            if waiting.questions.len() >= self.max_commands {
                return Err(Fault::TooManyRequests);
            }
            waiting.questions.push(question);
        }
        self.wake.notify_one();
        Ok(())
    }

    /// Takes all that waits.
    pub(crate) fn take(&self) -> (Vec<Pending>, Vec<Question>) {
        let mut waiting = self.waiting.lock();
        waiting.bytes = 0;
        (std::mem::take(&mut waiting.commands), std::mem::take(&mut waiting.questions))
    }

    /// Waits until something was added since the last take.
    pub(crate) async fn filled(&self) {
        self.wake.notified().await;
    }

    /// Refuses everything from now on.
    pub(crate) fn close(&self) {
        self.waiting.lock().closed = true;
        self.wake.notify_one();
    }

    /// Whether [`Inbox::close`] was called.
    pub(crate) fn is_closed(&self) -> bool {
        self.waiting.lock().closed
    }
}
