//! The inbox: where requests wait for the writer. Emptied in one swap, so that a batch costs one lock.
//!
//! The limits count what was accepted and is not settled yet, wherever it is: here, in the writer's
//! backlog, or on its way to the journal.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use state::{Command, MemberId, Outcome, State};
use tokio::sync::{Notify, oneshot};

use crate::course::Followed;
use crate::fault::Fault;

/// How the sender of a command learns what it came to.
pub(crate) type ReplyTo = oneshot::Sender<Result<Outcome, Fault>>;

/// A question about the machine that only its owner can answer.
pub(crate) type Question = Box<dyn FnOnce(&State) + Send>;

/// Who waits for a command, and since when.
pub(crate) struct Waiter {
    pub(crate) reply: ReplyTo,
    pub(crate) since: Duration,
    /// Where its course is noted, if somebody follows it.
    pub(crate) followed: Option<Arc<Followed>>,
}

/// A command on its way. Without a waiter it is the writer's own, another replica's, or nobody waits any more.
pub(crate) struct Pending {
    pub(crate) command: Command,
    pub(crate) size: usize,
    pub(crate) waiter: Option<Waiter>,
    /// Where it came from, if another replica handed it to us.
    pub(crate) from: Option<Handed>,
}

/// A command's number at the replica that handed it to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Handed {
    pub(crate) member: MemberId,
    pub(crate) session: u64,
    pub(crate) number: u64,
}

/// How much of the limits something takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Load {
    pub(crate) commands: usize,
    pub(crate) bytes: usize,
}

impl Load {
    pub(crate) fn add(&mut self, more: Self) {
        self.commands += more.commands;
        self.bytes += more.bytes;
    }

    pub(crate) fn remove(&mut self, less: Self) {
        assert!(self.commands >= less.commands, "more was settled than accepted");
        assert!(self.bytes >= less.bytes, "more bytes were settled than accepted");
        self.commands -= less.commands;
        self.bytes -= less.bytes;
    }

    /// What one accepted command takes.
    pub(crate) fn one(bytes: usize) -> Self {
        Self { commands: 1, bytes }
    }
}

#[derive(Default)]
struct Waiting {
    commands: VecDeque<Pending>,
    questions: VecDeque<Question>,
    /// Of the commands here.
    bytes: usize,
    /// Of all that is not settled.
    accepted: Load,
}

/// What a [take](Inbox::take) found, besides what it moved.
pub(crate) struct Taken {
    /// Of the commands that were moved.
    pub(crate) bytes: usize,
    /// Nothing comes after this.
    pub(crate) closed: bool,
}

/// See the module.
pub(crate) struct Inbox {
    waiting: Mutex<Waiting>,
    /// Changes only under the lock.
    closed: AtomicBool,
    wake: Notify,
    limit: Load,
}

impl Inbox {
    pub(crate) fn new(commands: usize, bytes: usize) -> Self {
        let limit = Load { commands, bytes };
        Self {
            waiting: Mutex::default(),
            closed: AtomicBool::new(false),
            wake: Notify::new(),
            limit,
        }
    }

    /// Adds a command; its outcome goes to the returned receiver.
    pub(crate) fn push(
        &self,
        command: Command,
        now: Duration,
        followed: Option<Arc<Followed>>,
    ) -> Result<oneshot::Receiver<Result<Outcome, Fault>>, Fault> {
        let size = command.size();
        let (reply, outcome) = oneshot::channel();
        let waiter = Some(Waiter { reply, since: now, followed });
        {
            let mut waiting = self.waiting.lock();
            if self.is_closed() {
                return Err(Fault::Stopped);
            }
            // One command may be larger than the limit, if it is alone.
            let taken = waiting.accepted;
            let large = taken.commands > 0 && taken.bytes.saturating_add(size) > self.limit.bytes;
            if taken.commands >= self.limit.commands || large {
                return Err(Fault::TooManyRequests);
            }
            waiting.accepted.add(Load::one(size));
            assert!(waiting.accepted.commands <= self.limit.commands, "the inbox is bounded");
            waiting.bytes += size;
            waiting.commands.push_back(Pending { command, size, waiter, from: None });
        }
        self.wake.notify_one();
        Ok(outcome)
    }

    /// Adds a question, answered between two batches.
    pub(crate) fn ask(&self, question: Question) -> Result<(), Fault> {
        {
            let mut waiting = self.waiting.lock();
            if self.is_closed() {
                return Err(Fault::Stopped);
            }
            if waiting.questions.len() >= self.limit.commands {
                return Err(Fault::TooManyRequests);
            }
            waiting.questions.push_back(question);
        }
        self.wake.notify_one();
        Ok(())
    }

    /// Appends all commands that wait to `commands`, and all questions to `questions` if that is empty.
    /// What was `settled` since the last time makes room.
    pub(crate) fn take(
        &self,
        commands: &mut VecDeque<Pending>,
        questions: &mut VecDeque<Question>,
        settled: Load,
    ) -> Taken {
        let mut waiting = self.waiting.lock();
        waiting.accepted.remove(settled);
        if commands.is_empty() {
            // The emptied queue goes back, with its memory.
            std::mem::swap(commands, &mut waiting.commands);
        } else {
            commands.append(&mut waiting.commands);
        }
        if questions.is_empty() {
            std::mem::swap(questions, &mut waiting.questions);
        }
        Taken { bytes: std::mem::take(&mut waiting.bytes), closed: self.is_closed() }
    }

    /// Waits until something was added since the last time.
    pub(crate) async fn filled(&self) {
        self.wake.notified().await;
    }

    /// Refuses everything from now on.
    pub(crate) fn close(&self) {
        {
            let _waiting = self.waiting.lock();
            self.closed.store(true, Ordering::Release);
        }
        self.wake.notify_one();
    }

    /// Whether [`Inbox::close`] was called.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }
}
