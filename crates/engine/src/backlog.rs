//! The backlog: commands the writer has taken and not offered yet, in order.

use std::collections::VecDeque;
use std::time::Duration;

use state::{Command, Origin};

use crate::fault::Fault;
use crate::inbox::{Handed, Inbox, Load, Pending, Question, Waiter};

/// Commands that go into one entry.
#[derive(Default)]
pub(crate) struct Batch {
    pub(crate) commands: Vec<Command>,
    /// One for each command.
    pub(crate) waiters: Vec<Option<Waiter>>,
    /// Which of them came from other replicas.
    pub(crate) origins: Vec<Origin>,
    /// What it takes of the inbox's limits until it is settled.
    pub(crate) load: Load,
}

impl Batch {
    /// Notes where the command that is about to be added came from.
    fn extend_origins(&mut self, from: Handed) {
        let at = self.commands.len();
        let Handed { member, session, number } = from;
        if let Some(last) = self.origins.last_mut() {
            let next =
                (last.at as u64 + last.count, last.member, last.session, last.first + last.count);
            if next == (at as u64, member, session, number) {
                last.count += 1;
                return;
            }
        }
        self.origins.push(Origin { at, count: 1, member, session, first: number });
    }
}

/// See the module.
#[derive(Default)]
pub(crate) struct Backlog {
    /// Had their slot taken from them, and go first.
    again: VecDeque<Pending>,
    /// Straight from the inbox.
    fresh: VecDeque<Pending>,
    bytes: usize,
    /// Left the backlog or the pipeline since the inbox was last told.
    settled: Load,
}

impl Backlog {
    pub(crate) fn is_empty(&self) -> bool {
        self.again.is_empty() && self.fresh.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.again.len() + self.fresh.len()
    }

    /// Adds a command of our own; nobody waits for it, and it takes nothing of the limits.
    pub(crate) fn propose(&mut self, command: Command) {
        let size = command.size();
        self.bytes += size;
        self.fresh.push_back(Pending { command, size, waiter: None, from: None });
    }

    /// Adds a command that another replica waits for; its limits are that replica's.
    pub(crate) fn forwarded(&mut self, command: Command, from: Handed) {
        let size = command.size();
        self.bytes += size;
        self.fresh.push_back(Pending { command, size, waiter: None, from: Some(from) });
    }

    /// As [`forwarded`](Self::forwarded), for one that has to be offered again.
    pub(crate) fn forwarded_again(&mut self, command: Command, from: Handed) {
        let size = command.size();
        self.bytes += size;
        self.again.push_back(Pending { command, size, waiter: None, from: Some(from) });
    }

    /// Adds a command that was handed to another replica and did not take effect. It was never counted
    /// as settled.
    pub(crate) fn taken_back(&mut self, command: Command, waiter: Waiter) {
        let size = command.size();
        self.bytes += size;
        self.again.push_back(Pending { command, size, waiter: Some(waiter), from: None });
    }

    /// Forgets what nobody here waits for, and returns what was our own of it.
    pub(crate) fn keep_waited(&mut self) -> Vec<Command> {
        let mut own = Vec::new();
        for queue in [&mut self.again, &mut self.fresh] {
            for pending in std::mem::take(queue) {
                if pending.waiter.is_some() {
                    queue.push_back(pending);
                    continue;
                }
                self.bytes -= pending.size;
                if pending.from.is_none() {
                    own.push(pending.command);
                }
            }
        }
        own
    }

    /// Adds a command that has to be offered again.
    pub(crate) fn again(&mut self, command: Command, waiter: Waiter) {
        let size = command.size();
        // It was counted as settled together with its batch, and is not.
        self.settled.remove(Load::one(size));
        self.bytes += size;
        self.again.push_back(Pending { command, size, waiter: Some(waiter), from: None });
    }

    /// Something accepted is settled.
    pub(crate) fn settle(&mut self, load: Load) {
        self.settled.add(load);
    }

    /// Bytes of commands.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes all that waits in the inbox, and tells it what was settled. Whether it is closed.
    pub(crate) fn take_from(&mut self, inbox: &Inbox, questions: &mut VecDeque<Question>) -> bool {
        let taken = inbox.take(&mut self.fresh, questions, std::mem::take(&mut self.settled));
        self.bytes += taken.bytes;
        taken.closed
    }

    /// Takes the next commands, at most `max_bytes` of them, but one at least. Whose client has gone
    /// away is left out.
    pub(crate) fn close_batch(&mut self, max_bytes: usize) -> Batch {
        let mut batch = Batch::default();
        batch.commands.reserve(self.len().min(1024));
        batch.waiters.reserve(self.len().min(1024));
        let mut bytes = 0;
        while let Some(queue) = self.next_queue() {
            let Some(next) = queue.front() else { break };
            // A compaction stands alone, so that the view before it is one that was published.
            let alone =
                is_compaction(&next.command) || batch.commands.last().is_some_and(is_compaction);
            let full = bytes + next.size > max_bytes;
            if !batch.commands.is_empty() && (full || alone) {
                break;
            }
            let Some(pending) = queue.pop_front() else { break };
            self.bytes -= pending.size;
            if pending.waiter.as_ref().is_some_and(|waiter| waiter.reply.is_closed()) {
                self.settled.add(Load::one(pending.size));
                continue;
            }
            bytes += pending.size;
            if pending.waiter.is_some() {
                batch.load.add(Load::one(pending.size));
            }
            if let Some(from) = pending.from {
                batch.extend_origins(from);
            }
            batch.commands.push(pending.command);
            batch.waiters.push(pending.waiter);
        }
        batch
    }

    fn next_queue(&mut self) -> Option<&mut VecDeque<Pending>> {
        if !self.again.is_empty() {
            return Some(&mut self.again);
        }
        (!self.fresh.is_empty()).then_some(&mut self.fresh)
    }

    /// Answers those that have waited longer than `patience`, and forgets their commands.
    pub(crate) fn expire(&mut self, now: Duration, patience: Duration) {
        for queue in [&mut self.again, &mut self.fresh] {
            // In the order of their arrival, so that the first says whether there is any.
            let first = queue.iter().find_map(|pending| pending.waiter.as_ref());
            if !first.is_some_and(|waiter| waiter.is_late(now, patience)) {
                continue;
            }
            for mut pending in std::mem::take(queue) {
                let late = pending.waiter.take_if(|waiter| waiter.is_late(now, patience));
                let Some(waiter) = late else {
                    queue.push_back(pending);
                    continue;
                };
                self.bytes -= pending.size;
                self.settled.add(Load::one(pending.size));
                waiter.answer(Err(Fault::Timeout));
            }
        }
    }

    /// Answers everybody.
    pub(crate) fn fail(&mut self, fault: &Fault) {
        self.bytes = 0;
        for pending in self.again.drain(..).chain(self.fresh.drain(..)) {
            let Some(waiter) = pending.waiter else { continue };
            self.settled.add(Load::one(pending.size));
            waiter.answer(Err(fault.clone()));
        }
    }
}

pub(crate) fn is_compaction(command: &Command) -> bool {
    matches!(command.bare(), Command::Compact { .. })
}
