//! The end of leases that are due, as the writer proposes it: in an entry of its own, and only where all
//! before it is applied. A guest's renewal is acknowledged once it has a slot; whichever slot it wins, it is
//! either known here before the end is judged, or takes the very slot that the end was offered to.

use state::{Command, Entry};

use crate::backlog::Batch;
use crate::writer::Writer;

impl Writer {
    /// Offers the end of the leases that are due, if there are any: nothing may be on its way, or won and
    /// not applied yet. Whether all else waits for that.
    pub(crate) fn offer_ends(&mut self) -> bool {
        if !std::mem::take(&mut self.ends_due) {
            return false;
        }
        if !self.is_at_the_tail() {
            self.ends_due = true;
            return true;
        }
        let due = self.shared.leases.take_due(self.shared.clock.monotonic());
        if due.is_empty() {
            return false;
        }
        self.shared.status.lock().leases_expired += due.len() as u64;
        let ends = due.into_iter().map(|id| self.shared.own(Command::LeaseRevoke { id }));
        let commands: Vec<_> = ends.collect();
        let waiters = commands.iter().map(|_| None).collect();
        let (epoch, clock) = (self.state.epoch(), self.shared.clock.wall());
        let entry = Entry { epoch, clock, commands, origins: Vec::new() };
        self.offer(entry, Batch { waiters, ..Batch::default() });
        false
    }
}
