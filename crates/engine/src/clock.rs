//! The clock, as an argument: the machine below has none, and tests bring their own.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use state::Timestamp;

/// Where the engine learns what time it is.
pub trait Clock: Send + Sync + 'static {
    /// Milliseconds since the Unix epoch; goes into every entry. May jump.
    fn wall(&self) -> Timestamp;
    /// Time since some fixed moment; never goes back. Leases are measured with it.
    fn monotonic(&self) -> Duration;
}

/// The machine's own clock.
#[derive(Debug)]
pub struct SystemClock {
    started: Instant,
}

impl SystemClock {
    /// Starts at zero.
    #[must_use]
    pub fn new() -> Self {
        Self { started: Instant::now() }
    }
}

/// A moment as entries hold it.
pub(crate) fn timestamp(moment: SystemTime) -> Timestamp {
    let since = moment.duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn wall(&self) -> Timestamp {
        timestamp(SystemTime::now())
    }

    fn monotonic(&self) -> Duration {
        self.started.elapsed()
    }
}
