//! The lease clock: when each lease is due. The machine knows that a lease exists and what hangs on
//! it; only this knows the time. Proposes the end of due leases, never ends one itself.
//!
//! Renewals are not journalled: a renewal moves a deadline in memory. After a restart every lease has
//! its full time again, as in etcd.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::time::Duration;

use parking_lot::Mutex;
use state::LeaseId;
use tokio::sync::Notify;

mod expiry;

/// How many leases may be proposed for their end in one round and not settled yet, so that a mass expiry
/// shares the journal with the traffic (etcd: 500 every 500 ms), and a journal that stalls gathers none.
const MOST_A_ROUND: usize = 500;

/// A lease whose end was proposed and refused is proposed again after this long.
const RETRY: Duration = Duration::from_secs(3);

/// One lease's time.
#[derive(Clone, Copy, Debug)]
struct Due {
    at: Duration,
    ttl: Duration,
    /// Its end was proposed: it can no longer be renewed.
    ending: bool,
    /// The proposal is on its way, so there must be no second one: that would end a new lease of the
    /// same name.
    proposed: bool,
}

#[derive(Default)]
struct Book {
    leases: HashMap<LeaseId, Due>,
    /// Lazy: an entry earlier than the lease's deadline is put back when it comes up.
    queue: BinaryHeap<Reverse<(Duration, LeaseId)>>,
    /// How many ends are proposed and on their way.
    proposed: usize,
}

impl Book {
    /// The lease that is due first, if any is: it heads the queue, once what is out of date there is gone.
    fn first_due(&mut self, now: Duration) -> Option<LeaseId> {
        while let Some(&Reverse((at, id))) = self.queue.peek() {
            if at > now {
                return None;
            }
            let lease = self.leases.get(&id).filter(|lease| !lease.proposed);
            if lease.is_some_and(|lease| lease.at <= now) {
                return Some(id);
            }
            let again = lease.map(|lease| lease.at);
            self.queue.pop();
            if let Some(again) = again {
                self.queue.push(Reverse((again, id)));
            }
        }
        None
    }

    /// Leases revoked long before they were due leave an entry in the queue: drop these when they
    /// outnumber the leases.
    fn forget_ended(&mut self) {
        if self.queue.len() > 2 * self.leases.len() + 1024 {
            let waiting = self.leases.iter().filter(|(_, due)| !due.proposed);
            self.queue = waiting.map(|(id, due)| Reverse((due.at, *id))).collect();
        }
    }
}

/// See the module.
#[derive(Default)]
pub(crate) struct LeaseClock {
    book: Mutex<Book>,
    ended: Notify,
}

/// What a renewal found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Renewal {
    /// Renewed; the granted time in seconds.
    Renewed(i64),
    /// There is no such lease.
    Absent,
    /// Its end is on the way; ask again when one has [ended](LeaseClock::ended).
    Ending,
}

impl LeaseClock {
    /// A lease was granted (or found at start): its time begins.
    pub(crate) fn start(&self, id: LeaseId, ttl_seconds: i64, now: Duration) {
        let ttl = Duration::from_secs(u64::try_from(ttl_seconds).unwrap_or(0));
        let at = now.saturating_add(ttl);
        let mut book = self.book.lock();
        book.leases.insert(id, Due { at, ttl, ending: false, proposed: false });
        book.queue.push(Reverse((at, id)));
        book.forget_ended();
    }

    /// Every lease has its full time again, those whose end is proposed excepted.
    pub(crate) fn restart(&self, now: Duration) {
        let mut book = self.book.lock();
        for due in book.leases.values_mut().filter(|due| !due.proposed) {
            due.ending = false;
            due.at = now.saturating_add(due.ttl);
        }
    }

    /// A lease is gone. [Tell](LeaseClock::tell_ended) once for all that are.
    pub(crate) fn end(&self, id: LeaseId) {
        let mut book = self.book.lock();
        let proposed = book.leases.remove(&id).is_some_and(|due| due.proposed);
        book.proposed -= usize::from(proposed);
    }

    /// Wakes those that wait for the end of a lease.
    pub(crate) fn tell_ended(&self) {
        self.ended.notify_waiters();
    }

    /// The proposal to end a lease came to nothing. It will be proposed again.
    pub(crate) fn postpone(&self, id: LeaseId, now: Duration) {
        let mut book = self.book.lock();
        let Some(due) = book.leases.get_mut(&id).filter(|due| due.proposed) else { return };
        due.proposed = false;
        book.proposed -= 1;
        book.queue.push(Reverse((now.saturating_add(RETRY), id)));
        book.forget_ended();
    }

    /// Gives a lease its full time again, unless its end was already proposed.
    pub(crate) fn renew(&self, id: LeaseId, now: Duration) -> Renewal {
        let mut book = self.book.lock();
        let Some(due) = book.leases.get_mut(&id) else { return Renewal::Absent };
        if due.ending || due.at <= now {
            return Renewal::Ending;
        }
        due.at = now.saturating_add(due.ttl);
        Renewal::Renewed(i64::try_from(due.ttl.as_secs()).unwrap_or(i64::MAX))
    }

    /// A renewal stands in the journal, and so before the end that may be proposed: the lease has its full
    /// time again, and its end is judged anew.
    pub(crate) fn renewed(&self, id: LeaseId, now: Duration) {
        let mut book = self.book.lock();
        let Some(due) = book.leases.get_mut(&id) else { return };
        due.ending = false;
        due.at = now.saturating_add(due.ttl);
    }

    /// Resolves when the next lease ends. Take it before looking, so that no end is missed.
    pub(crate) fn ended(&self) -> tokio::sync::futures::Notified<'_> {
        self.ended.notified()
    }

    /// What is left of a lease, in whole seconds; 0 when it is due.
    pub(crate) fn remaining(&self, id: LeaseId, now: Duration) -> Option<i64> {
        let book = self.book.lock();
        let due = book.leases.get(&id)?;
        let left = if due.ending { 0 } else { due.at.saturating_sub(now).as_secs() };
        Some(i64::try_from(left).unwrap_or(i64::MAX))
    }

    /// All leases, the next to end first.
    pub(crate) fn by_expiry(&self) -> Vec<LeaseId> {
        let mut all: Vec<(Duration, LeaseId)> =
            self.book.lock().leases.iter().map(|(id, due)| (due.at, *id)).collect();
        all.sort_unstable();
        all.into_iter().map(|(_, id)| id).collect()
    }

    /// Whether there is a lease to propose for its end now.
    pub(crate) fn is_due(&self, now: Duration) -> bool {
        let mut book = self.book.lock();
        book.proposed < MOST_A_ROUND && book.first_due(now).is_some()
    }

    /// The leases to propose for their end now; from here on they cannot be renewed. Each is named once,
    /// until it was [postponed](LeaseClock::postpone).
    pub(crate) fn take_due(&self, now: Duration) -> Vec<LeaseId> {
        let book = &mut *self.book.lock();
        let mut due = Vec::new();
        while book.proposed < MOST_A_ROUND {
            let Some(id) = book.first_due(now) else { break };
            book.queue.pop();
            if let Some(lease) = book.leases.get_mut(&id) {
                lease.ending = true;
                lease.proposed = true;
                book.proposed += 1;
                due.push(id);
            }
        }
        due
    }

    /// How many leases there are.
    pub(crate) fn len(&self) -> usize {
        self.book.lock().leases.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_renewal_moves_the_deadline() {
        let clock = LeaseClock::default();
        clock.start(LeaseId(7), 10, Duration::ZERO);
        assert_eq!(clock.renew(LeaseId(7), 9 * SECOND), Renewal::Renewed(10));
        assert!(clock.take_due(11 * SECOND).is_empty());
        assert_eq!(clock.remaining(LeaseId(7), 11 * SECOND), Some(8));
        assert_eq!(clock.take_due(19 * SECOND), vec![LeaseId(7)]);
    }

    #[test]
    fn a_due_lease_cannot_be_renewed_and_is_proposed_again_only_later() {
        let clock = LeaseClock::default();
        clock.start(LeaseId(7), 10, Duration::ZERO);
        assert_eq!(clock.take_due(10 * SECOND), vec![LeaseId(7)]);
        assert_eq!(clock.renew(LeaseId(7), 10 * SECOND), Renewal::Ending);
        assert!(clock.take_due(60 * SECOND).is_empty(), "the proposal is still on its way");
        clock.postpone(LeaseId(7), 10 * SECOND);
        assert!(clock.take_due(12 * SECOND).is_empty());
        assert_eq!(clock.take_due(13 * SECOND), vec![LeaseId(7)]);
        clock.end(LeaseId(7));
        assert_eq!(clock.renew(LeaseId(7), 13 * SECOND), Renewal::Absent);
        assert!(clock.take_due(60 * SECOND).is_empty());
        assert!(clock.book.lock().queue.is_empty());
    }

    #[test]
    fn what_the_journal_renewed_is_renewed_though_its_end_was_on_the_way() {
        let clock = LeaseClock::default();
        clock.start(LeaseId(7), 10, Duration::ZERO);
        assert_eq!(clock.take_due(10 * SECOND), vec![LeaseId(7)]);
        clock.renewed(LeaseId(7), 10 * SECOND);
        // Its slot was lost to the renewal.
        clock.postpone(LeaseId(7), 10 * SECOND);
        assert_eq!(clock.remaining(LeaseId(7), 13 * SECOND), Some(7));
        assert!(clock.take_due(13 * SECOND).is_empty());
        assert_eq!(clock.renew(LeaseId(7), 19 * SECOND), Renewal::Renewed(10));
        assert_eq!(clock.take_due(29 * SECOND), vec![LeaseId(7)]);
        clock.end(LeaseId(7));
    }

    #[test]
    fn a_mass_expiry_is_spread_over_rounds() {
        let clock = LeaseClock::default();
        for id in 1..=1_200 {
            clock.start(LeaseId(id), 1, Duration::ZERO);
        }
        for expected in [500, 500, 200] {
            let due = clock.take_due(2 * SECOND);
            assert_eq!(due.len(), expected);
            assert!(clock.take_due(2 * SECOND).is_empty() || expected < 500);
            due.into_iter().for_each(|id| clock.end(id));
        }
        assert_eq!(clock.len(), 0);
    }
}
