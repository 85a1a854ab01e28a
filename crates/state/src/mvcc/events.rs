//! The changes of the past, in the order they were made: what watches and checkpoints read.

use super::history::Place;
use super::record::KvRef;
use super::view::View;
use crate::ids::{ModRevision, Revision};

/// The changes from one revision on, tombstones included. [`KvRef::is_create`] tells a new key from a
/// new version; [`View::previous_of`] has what was there before.
#[derive(Clone)]
pub struct Events<'a> {
    view: &'a View,
    next: Option<Place>,
}

impl<'a> Events<'a> {
    pub(super) fn new(view: &'a View, from: Revision) -> Self {
        let next = view.history().lower_bound(ModRevision { main: from, sub: 0 });
        Self { view, next }
    }

    /// Whether this is its key's last change in its revision. Compaction keeps of its own revision what is
    /// visible in the end: a key that a transaction wrote and then deleted has one event there, not two,
    /// whether maintenance was there already or not.
    fn is_last(&self, event: &KvRef<'_>) -> bool {
        self.view.change_at(event.key, event.mod_revision) == Some(event.at())
    }

    /// The revision of the next event: to stop before it and to come back to it later.
    #[must_use]
    pub fn next_revision(&self) -> Option<Revision> {
        self.clone().next().map(|event| event.mod_revision)
    }
}

impl<'a> Iterator for Events<'a> {
    type Item = KvRef<'a>;

    fn next(&mut self) -> Option<KvRef<'a>> {
        loop {
            let place = self.next?;
            let event = self.view.history().record(place);
            // What the writer appended after this view was pinned is there, but is not part of it.
            if event.mod_revision > self.view.revision() {
                self.next = None;
                return None;
            }
            self.next = self.view.history().after(place);
            if event.mod_revision != self.view.compact_revision() || self.is_last(&event) {
                return Some(event);
            }
        }
    }
}
