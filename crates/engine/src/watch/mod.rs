//! The watch hub: live events from each published view, history for whoever is behind.
//!
//! The hub reads a view's new revisions once and hands them to the streams whose watchers are up to
//! date; it never waits for a reader. A watcher that starts in the past, or whose stream's queue is
//! full, is *behind*: its stream reads history for it, at its reader's pace, until it has caught
//! up. Memory a stream can hold is bounded; nobody is dropped for being slow; only compaction ends
//! a watcher that did not ask for it.

use std::borrow::Cow;
use std::time::Duration;

use state::{KeyRange, Revision};

mod behind;
mod change;
mod hub;
mod index;
mod intervals;
mod queue;
mod registry;
mod stream;
#[cfg(test)]
mod tests;

pub use change::{Event, EventKind};
pub use hub::{Counts, Hub};
pub use stream::Stream;

/// The watch id of what concerns no watcher, or all of a stream's.
pub const NO_WATCH: i64 = -1;

/// What bounds watching, and how often a quiet watcher hears something.
#[derive(Clone, Debug)]
pub struct Options {
    /// How often a quiet watcher that asked for it is told the revision; each stream adds up to 10
    /// % at random.
    pub progress_interval: Duration,
    /// A response of this size is cut, if its watcher allows; and about so much history is read at
    /// once.
    pub max_response_bytes: usize,
    /// More watchers on one stream are refused.
    pub max_watchers_per_stream: usize,
    /// So many responses with new events may wait in a stream's queue.
    pub max_queued_responses: usize,
    /// So many bytes of new events may wait in a stream's queue.
    pub max_queued_bytes: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            progress_interval: Duration::from_secs(600),
            max_response_bytes: 2 << 20,
            max_watchers_per_stream: 1 << 20,
            max_queued_responses: 1024,
            max_queued_bytes: 4 << 20,
        }
    }
}

/// See etcd's `WatchCreateRequest`.
#[derive(Clone, Debug, Default)]
pub struct Create {
    /// Which keys. An empty key is the smallest one.
    pub range: KeyRange,
    /// The first revision wanted; 0 is the next one.
    pub start_revision: Revision,
    /// The watcher's name on its stream; 0 leaves the choice to us.
    pub watch_id: i64,
    /// Send what was there before, too.
    pub prev_kv: bool,
    /// Tell the revision now and then while nothing happens.
    pub progress_notify: bool,
    /// Leave puts out.
    pub no_put: bool,
    /// Leave deletes out.
    pub no_delete: bool,
    /// Cut responses that are too large.
    pub fragment: bool,
}

/// See etcd's `WatchResponse`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Response {
    /// Which watcher; [`NO_WATCH`] if none or all.
    pub watch_id: i64,
    /// The header's revision; 0 is a header without one.
    pub revision: Revision,
    /// The answer to a create.
    pub created: bool,
    /// The watcher's end.
    pub canceled: bool,
    /// Not 0: the watcher ended because its next revision was compacted, and this one can still be
    /// read.
    pub compact_revision: Revision,
    /// Why it ended, where there is something to say.
    pub cancel_reason: Cow<'static, str>,
    /// More of the same response follows at once.
    pub fragment: bool,
    /// In revision order.
    pub events: Vec<Event>,
}
