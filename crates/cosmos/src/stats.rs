//! Counts for `/metrics` and `meridian status`: what was asked of the service, what it was charged, and how
//! near the container's throughput that is.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use journal::Latency;
use parking_lot::Mutex;

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// Creating a slot.
    Append,
    /// Learning where the log ends.
    Tail,
    /// Reading slots.
    Read,
    /// Forgetting slots.
    Trim,
    /// Checkpoints that replicas share.
    Objects,
    /// Reading the account, the container and their settings.
    Account,
}

impl Purpose {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 6] =
        [Self::Append, Self::Tail, Self::Read, Self::Trim, Self::Objects, Self::Account];

    /// As a metric's label has it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Append => "append",
            Self::Tail => "tail",
            Self::Read => "read",
            Self::Trim => "trim",
            Self::Objects => "objects",
            Self::Account => "account",
        }
    }
}

/// Seconds over which what was spent is averaged.
const WINDOW: usize = 10;

/// What happened so far.
#[derive(Debug)]
pub struct Stats {
    /// From sending an append to its answer; those that came back without one are not in it.
    pub append: Latency,
    /// From sending a round that asks for the tail to its answer.
    pub tail: Latency,
    requests: [AtomicU64; 6],
    /// Thousandths of request units.
    charges: [AtomicU64; 6],
    throttled: AtomicU64,
    throttled_nanos: AtomicU64,
    appended: AtomicU64,
    unknown: AtomicU64,
    recent: Mutex<Recent>,
}

/// Thousandths of request units by second, in a ring.
#[derive(Debug)]
struct Recent {
    began: Instant,
    /// The second that `spent` ends with.
    second: u64,
    spent: [u64; WINDOW],
}

impl Default for Stats {
    fn default() -> Self {
        let recent = Recent { began: Instant::now(), second: 0, spent: [0; WINDOW] };
        Self {
            append: Latency::default(),
            tail: Latency::default(),
            requests: Default::default(),
            charges: Default::default(),
            throttled: AtomicU64::new(0),
            throttled_nanos: AtomicU64::new(0),
            appended: AtomicU64::new(0),
            unknown: AtomicU64::new(0),
            recent: Mutex::new(recent),
        }
    }
}

impl Stats {
    /// A request was answered; `units` is what the service says that it was charged.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small charge")]
    pub(crate) fn charged(&self, purpose: Purpose, units: f64) {
        let thousandths = (units.clamp(0.0, 1e9) * 1000.0).round() as u64;
        self.requests[purpose as usize].fetch_add(1, Ordering::Relaxed);
        self.charges[purpose as usize].fetch_add(thousandths, Ordering::Relaxed);
        let mut recent = self.recent.lock();
        recent.advance();
        let at = recent.second as usize % WINDOW;
        recent.spent[at] += thousandths;
    }

    /// The service took no more, and wants to be left alone for so long.
    pub(crate) fn throttled(&self, pause: Duration) {
        self.throttled.fetch_add(1, Ordering::Relaxed);
        let nanos = u64::try_from(pause.as_nanos()).unwrap_or(u64::MAX);
        self.throttled_nanos.fetch_add(nanos, Ordering::Relaxed);
    }

    pub(crate) fn won(&self, bytes: usize) {
        self.appended.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(crate) fn unknown(&self) {
        self.unknown.fetch_add(1, Ordering::Relaxed);
    }

    /// Requests so far.
    #[must_use]
    pub fn requests(&self, purpose: Purpose) -> u64 {
        self.requests[purpose as usize].load(Ordering::Relaxed)
    }

    /// Request units so far, as the service charged them.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a counter for people")]
    pub fn charge(&self, purpose: Purpose) -> f64 {
        self.charges[purpose as usize].load(Ordering::Relaxed) as f64 / 1000.0
    }

    /// Request units a second, over the last ten whole seconds.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    pub fn spent_recently(&self) -> f64 {
        let mut recent = self.recent.lock();
        recent.advance();
        let now = recent.second as usize % WINDOW;
        let spent: u64 = recent.spent.iter().sum::<u64>() - recent.spent[now];
        spent as f64 / 1000.0 / (WINDOW - 1) as f64
    }

    /// Answers that the service takes no more at the moment (429).
    #[must_use]
    pub fn throttles(&self) -> u64 {
        self.throttled.load(Ordering::Relaxed)
    }

    /// How long the service wanted to be left alone, all told.
    #[must_use]
    pub fn throttled_for(&self) -> Duration {
        Duration::from_nanos(self.throttled_nanos.load(Ordering::Relaxed))
    }

    /// Bytes of bodies that won their slots.
    #[must_use]
    pub fn appended_bytes(&self) -> u64 {
        self.appended.load(Ordering::Relaxed)
    }

    /// Appends whose outcome was unknown when they were answered.
    #[must_use]
    pub fn unknown_outcomes(&self) -> u64 {
        self.unknown.load(Ordering::Relaxed)
    }
}

impl Recent {
    fn advance(&mut self) {
        let now = self.began.elapsed().as_secs();
        for second in (self.second + 1..=now).take(WINDOW) {
            self.spent[second as usize % WINDOW] = 0;
        }
        if now - self.second > WINDOW as u64 {
            self.spent = [0; WINDOW];
        }
        self.second = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn charges_are_counted_by_purpose() {
        let stats = Stats::default();
        stats.charged(Purpose::Append, 5.71);
        stats.charged(Purpose::Append, 5.71);
        stats.charged(Purpose::Tail, 1.0);
        assert_eq!(stats.requests(Purpose::Append), 2);
        assert!((stats.charge(Purpose::Append) - 11.42).abs() < 1e-9);
        assert!((stats.charge(Purpose::Tail) - 1.0).abs() < 1e-9);
        assert!(stats.spent_recently().abs() < 1e-9, "the running second is not whole");
        stats.recent.lock().began -= Duration::from_secs(1);
        assert!((stats.spent_recently() - 12.42 / 9.0).abs() < 1e-9);
        stats.recent.lock().began -= Duration::from_secs(60);
        assert!(stats.spent_recently().abs() < 1e-9, "a minute ago is not lately");
    }
}
