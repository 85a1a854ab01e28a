//! Follows one call: counts it when it begins and ends, and its messages between.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use super::{Counters, Metrics};
use crate::grpc::{Code, Status};
use crate::observe::spans::CallSpan;

/// Follows one call. Dropped without [`Meter::ended`], the call counts as cancelled.
#[derive(Debug)]
pub struct Meter {
    metrics: Arc<Metrics>,
    method: usize,
    /// When the call began; none in a meter that only counts messages.
    began: Option<Instant>,
    code: Code,
    span: Option<Arc<CallSpan>>,
    /// What a call that is followed was refused with.
    refused: Option<Status>,
}

impl Meter {
    /// A call of the method at this place begins.
    #[must_use]
    pub fn start(metrics: &Arc<Metrics>, method: usize) -> Self {
        metrics.methods[method].started.fetch_add(1, Relaxed);
        let metrics = Arc::clone(metrics);
        let mut meter = Self::over(metrics, method);
        meter.began = Some(Instant::now());
        meter
    }

    /// A second handle on the same call that counts messages, not the call's end.
    #[must_use]
    pub fn counter(&self) -> Self {
        let metrics = Arc::clone(&self.metrics);
        Self::over(metrics, self.method)
    }

    fn over(metrics: Arc<Metrics>, method: usize) -> Self {
        Self { metrics, method, began: None, code: Code::Canceled, span: None, refused: None }
    }

    /// Follows the call for a trace.
    pub fn follow(&mut self, span: Option<Arc<CallSpan>>) {
        self.span = span;
    }

    /// The call, if it is followed.
    #[must_use]
    pub fn span(&self) -> Option<Arc<CallSpan>> {
        self.span.clone()
    }

    /// A message of the client arrived.
    pub fn received(&self, bytes: usize) {
        self.counters().received.fetch_add(1, Relaxed);
        self.metrics.received_bytes.fetch_add(bytes as u64, Relaxed);
        if let Some(span) = &self.span {
            span.step("receive");
        }
    }

    /// A message left.
    pub fn sent(&self, bytes: usize) {
        self.counters().sent.fetch_add(1, Relaxed);
        self.sent_bytes(bytes);
    }

    /// A part of a message left.
    pub fn sent_bytes(&self, bytes: usize) {
        self.metrics.sent_bytes.fetch_add(bytes as u64, Relaxed);
    }

    /// The call came to this.
    pub fn ended(&mut self, status: &Status) {
        self.code = status.code;
        if self.span.is_some() && status.code != Code::Ok {
            self.refused = Some(status.clone());
        }
    }

    fn counters(&self) -> &Counters {
        &self.metrics.methods[self.method]
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        let Some(began) = self.began else { return };
        if let Some(span) = &self.span {
            span.finish(self.code, self.refused.as_ref());
        }
        let counters = self.counters();
        counters.handled[self.code as usize].fetch_add(1, Relaxed);
        if counters.took.is_none() && counters.handling.is_none() {
            return;
        }
        let elapsed = began.elapsed();
        if let Some(took) = &counters.took {
            took[usize::from(self.code == Code::Ok)].observe(elapsed);
        }
        if let Some(handling) = &counters.handling {
            handling.observe(elapsed);
        }
    }
}
