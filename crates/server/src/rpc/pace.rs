//! The pace of long work beside short requests: as quick as it can while nobody writes, and with a rest
//! after each stretch while somebody does. Requests then find a core free.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use crate::observe::metrics::Metrics;

/// The rest, for each unit of processor time that the thread took.
const REST: f64 = 1.0;
/// Never longer at a time.
const LONGEST: Duration = Duration::from_millis(50);
/// Somebody writes who did so this short a time ago.
const RECENTLY: Duration = Duration::from_millis(100);

/// Of one thread, which alone calls it.
pub(super) struct Pace {
    metrics: Arc<Metrics>,
    /// How far the journal was when it was last looked at, and since when.
    durable: u64,
    written: Option<Instant>,
    /// What the thread had taken when it last rested.
    taken: Duration,
}

impl Pace {
    /// Of the calling thread, beside the requests that `metrics` count.
    pub(super) fn beside(metrics: Arc<Metrics>) -> Self {
        let durable = metrics.store.durable();
        Self { metrics, durable, written: None, taken: taken() }
    }

    /// Rests, if that is of use to anybody.
    pub(super) fn rest(&mut self) {
        let durable = self.metrics.store.durable();
        if durable != self.durable {
            (self.durable, self.written) = (durable, Some(Instant::now()));
        }
        if self.written.is_some_and(|written| written.elapsed() < RECENTLY) {
            let stretch = taken().saturating_sub(self.taken);
            thread::sleep(stretch.mul_f64(REST).min(LONGEST));
        }
        self.taken = taken();
    }
}

/// The processor time of the calling thread so far.
fn taken() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default()
}
