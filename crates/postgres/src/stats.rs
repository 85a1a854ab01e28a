//! Counts for `/metrics`.

use std::sync::atomic::{AtomicU64, Ordering};

use journal::Latency;

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
