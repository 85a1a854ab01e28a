//! How long what a journal asks of its engine takes, counted for `/metrics`.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper bounds of the buckets: a half of a millisecond, doubled.
pub const BUCKETS: usize = 16;
const FIRST: Duration = Duration::from_micros(500);

/// How long something took, counted by buckets.
#[derive(Debug, Default)]
pub struct Latency {
    buckets: [AtomicU64; BUCKETS],
    nanos: AtomicU64,
    count: AtomicU64,
}

impl Latency {
    /// Counts one.
    pub fn record(&self, took: Duration) {
        let mut bound = FIRST;
        for bucket in &self.buckets {
            if took <= bound {
                bucket.fetch_add(1, Ordering::Relaxed);
                break;
            }
            bound *= 2;
        }
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.nanos.fetch_add(nanos, Ordering::Relaxed);
        self.count.fetch_add(1, Ordering::Relaxed);
    }

    /// Upper bounds, each with how many took at most so long.
    #[must_use]
    pub fn buckets(&self) -> [(Duration, u64); BUCKETS] {
        let mut so_far = 0;
        let mut bound = FIRST;
        self.buckets.each_ref().map(|bucket| {
            so_far += bucket.load(Ordering::Relaxed);
            let found = (bound, so_far);
            bound *= 2;
            found
        })
    }

    /// All of it together.
    #[must_use]
    pub fn sum(&self) -> Duration {
        Duration::from_nanos(self.nanos.load(Ordering::Relaxed))
    }

    /// How many there were.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }
}
