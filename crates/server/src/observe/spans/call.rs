//! One call that is followed: its stages, each beginning where the one before it ended.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use engine::Course;
use parking_lot::Mutex;
use rand::Rng;

use super::Spans;
use crate::grpc::{Code, Status};
use crate::observe::metrics::MethodName;

/// More stages than a call has; of a call that reads again and again, the first are kept.
const MOST_STAGES: usize = 16;

/// Where a call belongs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Origin {
    pub(super) trace: [u8; 16],
    pub(super) parent: Option<[u8; 8]>,
}

/// One call on its way.
#[derive(Debug)]
pub struct CallSpan {
    spans: Arc<Spans>,
    name: MethodName,
    origin: Origin,
    began: SystemTime,
    clock: Instant,
    course: Mutex<Stages>,
}

#[derive(Debug)]
struct Stages {
    done: Vec<Stage>,
    /// The end of the last, since the call began.
    last: Duration,
}

/// A stage: its times are counted from the beginning of the call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stage {
    pub(super) name: &'static str,
    pub(super) from: Duration,
    pub(super) to: Duration,
}

/// A call that is over.
#[derive(Debug)]
pub(super) struct Finished {
    pub(super) name: MethodName,
    pub(super) origin: Origin,
    pub(super) span: [u8; 8],
    /// Since 1970.
    pub(super) began: Duration,
    pub(super) took: Duration,
    pub(super) stages: Vec<Stage>,
    pub(super) code: Code,
    /// What went wrong.
    pub(super) message: String,
}

impl Finished {
    pub(super) fn spans(&self) -> u64 {
        1 + self.stages.len() as u64
    }
}

impl CallSpan {
    pub(super) fn begin(spans: Arc<Spans>, name: MethodName, origin: Origin) -> Self {
        let course = Mutex::new(Stages { done: Vec::with_capacity(8), last: Duration::ZERO });
        let (began, clock) = (SystemTime::now(), Instant::now());
        Self { spans, name, origin, began, clock, course }
    }

    /// A stage ends now.
    pub fn step(&self, name: &'static str) {
        let now = self.clock.elapsed();
        self.course.lock().step(name, now);
    }

    /// One stage ended when this began, and the other now.
    pub fn steps_around(&self, before: &'static str, began: Instant, name: &'static str) {
        let (then, now) = (began.saturating_duration_since(self.clock), self.clock.elapsed());
        let mut course = self.course.lock();
        course.step(before, then);
        course.step(name, now);
    }

    /// The stages of a command that was proposed when the last stage ended.
    pub fn ordered(&self, times: &Course) {
        let mut course = self.course.lock();
        let queued = course.last;
        let since = |time: Duration| queued + time.saturating_sub(times.queued);
        course.step("order", since(times.offered));
        course.step("append", since(times.durable));
        course.step("apply", since(times.applied));
    }

    /// The call is over.
    pub fn finish(&self, code: Code, status: Option<&Status>) {
        self.step("reply");
        let took = self.clock.elapsed();
        let stages = std::mem::take(&mut self.course.lock().done);
        self.spans.finish(Finished {
            name: self.name,
            origin: self.origin,
            span: rand::rng().random(),
            began: self.began.duration_since(UNIX_EPOCH).unwrap_or_default(),
            took,
            stages,
            code,
            message: status.map(|status| status.message.to_string()).unwrap_or_default(),
        });
    }
}

impl Stages {
    fn step(&mut self, name: &'static str, to: Duration) {
        let (from, to) = (self.last, to.max(self.last));
        self.last = to;
        if self.done.len() < MOST_STAGES {
            self.done.push(Stage { name, from, to });
        }
    }
}

tokio::task_local! {
    static CALL: Arc<CallSpan>;
}

/// The call that is being answered, if it is followed.
#[must_use]
pub fn current() -> Option<Arc<CallSpan>> {
    CALL.try_with(Arc::clone).ok()
}

/// Answers a call, so that [`current`] knows it.
pub async fn within<F: Future>(span: Option<Arc<CallSpan>>, work: F) -> F::Output {
    let mut work = pin!(work);
    poll_fn(|cx| match &span {
        Some(span) => CALL.sync_scope(Arc::clone(span), || work.as_mut().poll(cx)),
        None => work.as_mut().poll(cx),
    })
    .await
}
