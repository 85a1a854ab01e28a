//! When one command passed each of its stages, for whoever traces calls. Costs nothing to those who
//! do not ask.

use std::sync::OnceLock;
use std::time::Duration;

use crate::clock::Clock;
use crate::inbox::Waiter;

/// The stages of a command that took its way to the end, by the engine's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Course {
    /// It came into the inbox.
    pub queued: Duration,
    /// Its batch was offered to the journal.
    pub offered: Duration,
    /// The writer learnt that the batch is durable.
    pub durable: Duration,
    /// The batch was applied and its view published.
    pub applied: Duration,
}

/// Where a [`Course`] is written, once.
pub(crate) type Followed = OnceLock<Course>;

impl Waiter {
    /// Notes how the command fared, if somebody follows it.
    pub(crate) fn note_course(&self, offered: Duration, durable: Duration, clock: &dyn Clock) {
        if let Some(followed) = &self.followed {
            let applied = clock.monotonic();
            followed.get_or_init(|| Course { queued: self.since, offered, durable, applied });
        }
    }
}
