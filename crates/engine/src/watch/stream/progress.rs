//! How far a stream has come, told on request and now and then. Always with the registry held and
//! through the stream's queue: no answer overtakes an event that it covers.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

use tokio::time::Instant;

use super::{Stream, Watch};
use crate::watch::registry::Registry;
use crate::watch::{NO_WATCH, Options, Response};

/// Requests for progress that may wait for the hub to come up.
const MAX_PROGRESS_REQUESTS: usize = 64;
const MIN_PROGRESS_INTERVAL: Duration = Duration::from_millis(100);

impl Stream {
    /// Asks how far the stream has come. Answered, in order with the events, if every watcher is up
    /// to date.
    pub fn progress(&mut self) {
        let shared = self.shared.clone();
        let mut registry = shared.registry.lock();
        let revision = shared.revision();
        if registry.seen() >= revision && self.asked.is_empty() {
            self.answer_progress(&registry);
        } else if self.asked.len() < MAX_PROGRESS_REQUESTS {
            self.asked.push_back(revision);
            registry.wait(self.key);
        }
    }

    /// Answers what was asked for before the hub had come so far.
    pub(super) fn settle_progress(&mut self) {
        if self.asked.is_empty() {
            return;
        }
        let shared = self.shared.clone();
        let mut registry = shared.registry.lock();
        while self.asked.front().is_some_and(|asked| *asked <= registry.seen()) {
            self.asked.pop_front();
            self.answer_progress(&registry);
        }
        if !self.asked.is_empty() {
            registry.wait(self.key);
        }
    }

    /// With the registry held, the hub adds nothing meanwhile: all events up to what it has seen
    /// stand in the queue before this answer.
    fn answer_progress(&mut self, registry: &Registry) {
        let mut live = self.watches.values().filter(|watch| watch.slot.is_some()).peekable();
        if live.peek().is_some() && live.all(|watch| is_up_to_date(watch, registry)) {
            let (watch_id, revision) = (NO_WATCH, registry.seen());
            self.notify(Response { watch_id, revision, ..Response::default() });
        }
    }

    /// Tells quiet watchers the revision, when it is time.
    pub(super) fn tick_if_due(&mut self) {
        let now = Instant::now();
        if now < self.next_tick {
            return;
        }
        self.next_tick = now + self.interval;
        self.alarm = None;
        // A reader so slow that the last notices still wait needs no more of them.
        if self.notices > 0 {
            return;
        }
        let shared = self.shared.clone();
        let registry = shared.registry.lock();
        let mut due = Vec::new();
        for (watch_id, watch) in &mut self.watches {
            if !watch.progress_notify {
                continue;
            }
            if watch.quiet && is_up_to_date(watch, &registry) {
                due.push(*watch_id);
            }
            watch.quiet = true;
        }
        let revision = registry.seen();
        for watch_id in due {
            self.notify(Response { watch_id, revision, ..Response::default() });
        }
    }
}

fn is_up_to_date(watch: &Watch, registry: &Registry) -> bool {
    let synced = watch.slot.is_some_and(|slot| registry.is_synced(slot));
    synced && watch.progress_from <= registry.seen()
}

/// How often this stream tells its quiet watchers the revision: up to a tenth later than asked, at
/// random, so that streams do not all speak at once.
pub(super) fn interval(options: &Options) -> Duration {
    let interval = options.progress_interval.max(MIN_PROGRESS_INTERVAL);
    let tenth = u64::try_from(interval.as_nanos() / 10).unwrap_or(u64::MAX).max(1);
    interval + Duration::from_nanos(RandomState::new().build_hasher().finish() % tenth)
}
