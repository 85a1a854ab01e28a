//! Counts for `/metrics`.

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
    pub(crate) fn record(&self, took: Duration) {
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

/// What happened so far.
#[derive(Debug, Default)]
pub struct Stats {
    /// From sending an append to its answer; those that came back without one are not in it.
    pub append: Latency,
    /// From sending a round of reads to the end of its barrier.
    pub barrier: Latency,
    appended: AtomicU64,
    reconnects: AtomicU64,
    doubts: AtomicU64,
    unknown: AtomicU64,
}

impl Stats {
    pub(crate) fn won(&self, bytes: usize) {
        self.appended.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(crate) fn reconnected(&self) {
        self.reconnects.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn doubted(&self) {
        self.doubts.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn unknown(&self, count: usize) {
        self.unknown.fetch_add(count as u64, Ordering::Relaxed);
    }

    /// Bytes of bodies that won their slots.
    #[must_use]
    pub fn appended_bytes(&self) -> u64 {
        self.appended.load(Ordering::Relaxed)
    }

    /// Connections that had to be made again.
    #[must_use]
    pub fn reconnects(&self) -> u64 {
        self.reconnects.load(Ordering::Relaxed)
    }

    /// Times the server warned that an answer is not to be relied on.
    #[must_use]
    pub fn doubts(&self) -> u64 {
        self.doubts.load(Ordering::Relaxed)
    }

    /// Appends whose outcome was unknown when they were answered.
    #[must_use]
    pub fn unknown_outcomes(&self) -> u64 {
        self.unknown.load(Ordering::Relaxed)
    }
}
