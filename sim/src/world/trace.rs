//! The trace: all that leaves a process and all that happens to it, in order. Always summed up, so that two
//! runs can be held against one another; kept as lines where somebody wants to read them.

use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;

use super::Site;

/// Lines that are kept at most; the oldest go first.
const MOST_LINES: usize = 2_000_000;

/// A cheap handle.
#[derive(Clone)]
pub(crate) struct Trace(Arc<Mutex<Inner>>);

struct Inner {
    sum: u64,
    events: u64,
    now: u64,
    lines: Option<std::collections::VecDeque<String>>,
}

impl Trace {
    /// Keeps lines if asked to.
    #[must_use]
    pub(crate) fn new(readable: bool) -> Self {
        let lines = readable.then(Default::default);
        Self(Arc::new(Mutex::new(Inner { sum: 0xcbf2_9ce4_8422_2325, events: 0, now: 0, lines })))
    }

    pub(crate) fn at(&self, now: u64) {
        self.0.lock().now = now;
    }

    /// Sums up something that is too much to read.
    pub(crate) fn sum(&self, numbers: &[u64], bytes: &[u8]) {
        let mut inner = self.0.lock();
        inner.events += 1;
        let mut sum = inner.sum ^ inner.now;
        let mut take =
            |word: u64| sum = (sum ^ word).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(29);
        for number in numbers {
            take(*number);
        }
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            take(u64::from_le_bytes(word));
        }
        inner.sum = sum;
    }

    /// Sums up something and keeps the line.
    pub(crate) fn say(&self, site: Site, what: fmt::Arguments<'_>) {
        let text = what.to_string();
        self.sum(&[u64::from(site.0)], text.as_bytes());
        self.keep(site, &text);
    }

    /// Keeps a line that counts for nothing: what a process logs.
    pub(crate) fn remark(&self, site: Site, text: &str) {
        self.keep(site, text);
    }

    pub(crate) fn readable(&self) -> bool {
        self.0.lock().lines.is_some()
    }

    fn keep(&self, site: Site, text: &str) {
        let mut inner = self.0.lock();
        let now = inner.now;
        let Some(lines) = &mut inner.lines else { return };
        if lines.len() == MOST_LINES {
            lines.pop_front();
        }
        let (seconds, rest) = (now / 1_000_000_000, now / 1_000_000 % 1000);
        lines.push_back(format!("{seconds:4}.{rest:03} {site:>7} {text}"));
    }

    /// What it all comes to, and how many events that is.
    #[must_use]
    pub(crate) fn digest(&self) -> (u64, u64) {
        let inner = self.0.lock();
        (inner.sum, inner.events)
    }

    /// The lines that were kept.
    #[must_use]
    pub(crate) fn lines(&self) -> Vec<String> {
        self.0.lock().lines.iter().flatten().cloned().collect()
    }
}
