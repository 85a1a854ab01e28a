//! What is known of the log without asking. None of it is ever taken back, but for the age of what is known
//! of the mark.

use std::time::{Duration, SystemTime};

use journal::{Nonce, Successor};
use tokio::time::Instant;

/// Slots whose winners are remembered: the last ones. Two, not one, are looked at again where a region's loss
/// may take acknowledged slots along, see [`Log::verify`](crate::log::Log::verify).
const REMEMBERED: usize = 2;

/// A moment, by two clocks: one stands still while the machine is suspended, the other may be set.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    steady: Instant,
    wall: SystemTime,
}

impl Moment {
    pub(crate) fn now() -> Self {
        Self { steady: Instant::now(), wall: SystemTime::now() }
    }

    /// By the clock that says more.
    pub(crate) fn age(&self) -> Duration {
        self.steady.elapsed().max(self.wall.elapsed().unwrap_or_default())
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Known {
    /// The first slot that can be read.
    pub(crate) first: u64,
    /// Before the mark was asked for the last time.
    pub(crate) marked: Moment,
    /// Every slot below has been occupied; [`Known::end`], if the log has ended.
    pub(crate) tail: u64,
    /// Where the log ended.
    pub(crate) end: Option<(u64, Successor)>,
    /// The last slots that were seen, and who won them.
    pub(crate) last: Vec<(u64, Nonce)>,
    /// What the service has lost.
    pub(crate) lost: Option<String>,
}

impl Known {
    pub(crate) fn new(first: u64, marked: Moment) -> Self {
        Self { first, marked, tail: first, end: None, last: Vec::new(), lost: None }
    }

    /// The mark was seen; it was asked for at that moment.
    pub(crate) fn begins(&mut self, first: u64, marked: Moment) {
        self.first = self.first.max(first);
        self.tail = self.tail.max(first);
        if marked.steady > self.marked.steady {
            self.marked = marked;
        }
    }

    /// A slot was seen, and who won it.
    pub(crate) fn occupied(&mut self, slot: u64, nonce: Nonce) {
        self.tail = self.tail.max(slot + 1);
        let newest = self.last.last().is_none_or(|(last, _)| *last < slot);
        if newest {
            self.last.push((slot, nonce));
            if self.last.len() > REMEMBERED {
                self.last.remove(0);
            }
        }
    }

    /// The end was seen.
    pub(crate) fn ends(&mut self, slot: u64, successor: Successor) {
        self.tail = self.tail.max(slot);
        self.end = Some((slot, successor));
    }

    /// Who won a slot, if it is one of the last.
    pub(crate) fn winner(&self, slot: u64) -> Option<Nonce> {
        self.last.iter().find(|(last, _)| *last == slot).map(|(_, nonce)| *nonce)
    }
}
