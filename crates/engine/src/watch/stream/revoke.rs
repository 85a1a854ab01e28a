//! Taking watchers away from a client that may no longer have them.

use std::borrow::Cow;

use state::KeyRange;

use super::super::Response;
use super::{Stream, WATCHERS_AT_ONCE};

impl Stream {
    /// Ends a watcher and says why. Unlike after [`Stream::cancel`] nothing more of it comes out, not
    /// even what waits in the queue.
    pub fn revoke(&mut self, watch_id: i64, reason: impl Into<Cow<'static, str>>) {
        if self.watches.contains_key(&watch_id) {
            self.muted.push(watch_id);
            self.fragments.retain(|fragment| fragment.watch_id != watch_id);
            self.end(watch_id, reason.into());
        }
    }

    /// What each of its watchers watches, by their ids. Those that compaction has ended are left out.
    #[must_use]
    pub fn ranges(&self) -> Vec<(i64, KeyRange)> {
        let watches = self.watches.iter();
        let mut slots: Vec<_> =
            watches.filter_map(|(id, watch)| watch.slot.map(|slot| (*id, slot))).collect();
        slots.sort_unstable_by_key(|(id, _)| *id);
        let mut ranges = Vec::with_capacity(slots.len());
        for some in slots.chunks(WATCHERS_AT_ONCE) {
            let registry = self.shared.registry.lock();
            ranges.extend(some.iter().map(|(id, slot)| (*id, registry.range(*slot).clone())));
        }
        ranges
    }

    pub(super) fn is_muted(&self, watch_id: i64) -> bool {
        self.muted.contains(&watch_id)
    }

    /// The word of its end has come out: what bears the same id from here on is another watcher.
    pub(super) fn unmute(&mut self, notice: &Response) {
        if notice.canceled && !self.muted.is_empty() {
            self.muted.retain(|muted| *muted != notice.watch_id);
        }
    }
}
