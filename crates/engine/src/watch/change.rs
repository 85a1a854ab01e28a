//! Changes as the hub hands them round: read once from a view, then shared by every watcher that
//! wants them. The only place where an event is built.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use state::{KeyValue, KvRef, LeaseId, Revision, View};

use super::index::Tag;

/// What happened to a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventKind {
    /// It was set.
    Put,
    /// It was deleted.
    Delete,
}

/// One change to one key. Its bytes are shared by all who watch it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Which way.
    pub kind: EventKind,
    /// What there is now; of a delete only the key and the revision.
    pub kv: KeyValue,
    /// What was there before, if it was asked for, was there, and is not compacted.
    pub prev_kv: Option<KeyValue>,
}

impl Event {
    /// The length of this event as etcd's message.
    pub(super) fn wire_size(&self) -> usize {
        let kind = if self.kind == EventKind::Put { 0 } else { 2 };
        let kv = nested(kv_size(&self.kv));
        kind + kv + self.prev_kv.as_ref().map_or(0, |prev| nested(kv_size(prev)))
    }
}

/// An event with all that any watcher may ask for.
#[derive(Debug)]
pub(super) struct Change {
    event: Event,
}

impl Change {
    /// Copies a record out of history, and what it replaced if somebody wants that.
    pub(super) fn read(view: &View, record: &KvRef<'_>, with_previous: bool) -> Self {
        let previous = if with_previous { view.previous_of(record) } else { None };
        let value = if record.tombstone { &[][..] } else { record.value };
        let before = previous.as_ref().map_or(&[][..], |previous| previous.value);
        // One allocation of exactly the bytes needed, whatever they were a part of.
        let mut buffer = BytesMut::with_capacity(record.key.len() + value.len() + before.len());
        buffer.extend_from_slice(record.key);
        buffer.extend_from_slice(value);
        buffer.extend_from_slice(before);
        let buffer = buffer.freeze();
        let key = buffer.slice(..record.key.len());
        let value_end = key.len() + value.len();
        let prev_kv =
            previous.map(|previous| owned(&previous, key.clone(), buffer.slice(value_end..)));
        let kv = if record.tombstone {
            KeyValue { key, mod_revision: record.mod_revision, ..KeyValue::default() }
        } else {
            let value = buffer.slice(key.len()..value_end);
            owned(record, key, value)
        };
        let kind = if record.tombstone { EventKind::Delete } else { EventKind::Put };
        Self { event: Event { kind, kv, prev_kv } }
    }

    pub(super) fn revision(&self) -> Revision {
        self.event.kv.mod_revision
    }

    /// What holding on to it costs, roughly.
    pub(super) fn weight(&self) -> usize {
        let before = self.event.prev_kv.as_ref().map_or(0, |kv| kv.value.len());
        size_of::<Self>() + self.event.kv.key.len() + self.event.kv.value.len() + before
    }

    fn passes(&self, tag: &Tag) -> bool {
        match self.event.kind {
            EventKind::Put => !tag.no_put,
            EventKind::Delete => !tag.no_delete,
        }
    }

    fn event_for(&self, tag: &Tag) -> Event {
        Event {
            kind: self.event.kind,
            kv: self.event.kv.clone(),
            prev_kv: if tag.prev_kv { self.event.prev_kv.clone() } else { None },
        }
    }
}

fn owned(record: &KvRef<'_>, key: Bytes, value: Bytes) -> KeyValue {
    KeyValue {
        key,
        value,
        create_revision: record.create_revision,
        mod_revision: record.mod_revision,
        version: record.version,
        lease: record.lease,
    }
}

/// The changes of one range that go out in one response: one revision live, several in catch-up.
/// Shared by all who watch that range.
#[derive(Debug)]
pub(super) struct Batch {
    /// What the response's header says.
    pub(super) revision: Revision,
    changes: Vec<Arc<Change>>,
    weight: usize,
}

impl Batch {
    pub(super) fn new(revision: Revision, changes: Vec<Arc<Change>>) -> Self {
        let weight = changes.iter().map(|change| change.weight()).sum();
        Self { revision, changes, weight }
    }

    pub(super) fn len(&self) -> usize {
        self.changes.len()
    }

    pub(super) fn weight(&self) -> usize {
        self.weight
    }

    /// The revision of its oldest change.
    pub(super) fn first(&self) -> Option<Revision> {
        self.changes.first().map(|change| change.revision())
    }

    /// The revision of its newest change.
    pub(super) fn last(&self) -> Option<Revision> {
        self.changes.last().map(|change| change.revision())
    }

    /// The same without what is older than `from`.
    pub(super) fn since(&self, from: Revision) -> Self {
        let at = self.changes.partition_point(|change| change.revision() < from);
        Self::new(self.revision, self.changes[at..].to_vec())
    }

    /// Whether the watcher's filters leave any of it.
    pub(super) fn concerns(&self, tag: &Tag) -> bool {
        self.changes.iter().any(|change| change.passes(tag))
    }

    /// What the watcher is sent.
    pub(super) fn events_for(&self, tag: &Tag) -> Vec<Event> {
        let passing = self.changes.iter().filter(|change| change.passes(tag));
        passing.map(|change| change.event_for(tag)).collect()
    }
}

fn varint_size(number: i64) -> usize {
    let bits = 64 - (number.cast_unsigned() | 1).leading_zeros() as usize;
    bits.div_ceil(7)
}

fn field_size(number: i64) -> usize {
    if number == 0 { 0 } else { 1 + varint_size(number) }
}

pub(super) fn nested(length: usize) -> usize {
    1 + varint_size(i64::try_from(length).unwrap_or(i64::MAX)) + length
}

fn bytes_size(bytes: &[u8]) -> usize {
    if bytes.is_empty() { 0 } else { nested(bytes.len()) }
}

fn kv_size(kv: &KeyValue) -> usize {
    let LeaseId(lease) = kv.lease;
    let numbers = [kv.create_revision.0, kv.mod_revision.0, kv.version, lease];
    let numbers: usize = numbers.into_iter().map(field_size).sum();
    bytes_size(&kv.key) + bytes_size(&kv.value) + numbers
}
