//! Traces of calls (`--enable-distributed-tracing`): what a call spent its time on, told to an
//! OpenTelemetry collector. A call is followed if its client's trace is, or if it is drawn. What is
//! finished waits in a bounded queue; where that is full it is dropped and counted: no call waits.

mod call;
mod context;
mod export;
mod message;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use http::HeaderMap;
use rand::Rng;
use tokio::sync::mpsc;

pub use call::{CallSpan, current, within};
use call::{Finished, Origin};
use context::TraceParent;
pub use export::Exporter;

use super::metrics::MethodName;
use crate::config::Tracing;

/// Calls that may wait for the collector; each has up to seven spans.
const MOST_WAITING: usize = 1024;

/// Follows calls. See the module.
#[derive(Debug)]
pub struct Spans {
    /// A trace that begins here is followed if its number is below this.
    threshold: u64,
    finished: mpsc::Sender<Finished>,
    counts: Arc<Counts>,
}

/// What became of spans.
#[derive(Debug, Default)]
pub struct Counts {
    /// The collector took them.
    pub exported: AtomicU64,
    /// It did not, or there was no room for them to wait.
    pub dropped: AtomicU64,
}

impl Spans {
    /// Follows calls, and what tells the collector of them.
    #[must_use]
    pub fn new(settings: &Tracing) -> (Arc<Self>, Exporter) {
        Self::with(settings, MOST_WAITING, Duration::from_secs(1))
    }

    /// As [`Spans::new`], with so much room, and so much time for a batch to fill.
    #[must_use]
    pub fn with(settings: &Tracing, room: usize, every: Duration) -> (Arc<Self>, Exporter) {
        let (finished, waiting) = mpsc::channel(room);
        let counts = Arc::new(Counts::default());
        let threshold = threshold(settings.sampled_per_million);
        let spans = Self { threshold, finished, counts: Arc::clone(&counts) };
        (Arc::new(spans), Exporter::new(settings, waiting, counts, every))
    }

    /// What became of spans so far.
    #[must_use]
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Begins to follow a call with these headers, if it is one of those that are.
    #[must_use]
    pub fn begin(self: &Arc<Self>, name: MethodName, headers: &HeaderMap) -> Option<Arc<CallSpan>> {
        let parent = TraceParent::of(headers);
        let origin = match parent {
            Some(parent) if !parent.sampled => return None,
            Some(parent) => Origin { trace: parent.trace, parent: Some(parent.span) },
            None => {
                let trace: [u8; 16] = rand::rng().random();
                let [.., a, b, c, d, e, f, g, h] = trace;
                if u64::from_be_bytes([a, b, c, d, e, f, g, h]) >> 1 >= self.threshold {
                    return None;
                }
                Origin { trace, parent: None }
            }
        };
        Some(Arc::new(CallSpan::begin(Arc::clone(self), name, origin)))
    }

    fn finish(&self, finished: Finished) {
        let spans = finished.spans();
        if self.finished.try_send(finished).is_err() {
            self.counts.dropped.fetch_add(spans, Relaxed);
        }
    }
}

/// As OpenTelemetry's samplers draw: of the last eight bytes of a trace's number, all but one bit.
fn threshold(per_million: u32) -> u64 {
    let whole = u128::from(per_million.min(1_000_000)) << 63;
    u64::try_from(whole / 1_000_000).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_traces_is_drawn() {
        assert_eq!(threshold(0), 0);
        assert_eq!(threshold(500_000), 1 << 62);
        assert_eq!(threshold(1_000_000), 1 << 63, "which no number of 63 bits reaches");
    }
}
