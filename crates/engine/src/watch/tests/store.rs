//! A real machine's history with a hub beside it, and a plain record of all that was ever written.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use state::{KeyRange, LeaseId, Mvcc, Revision, View};
use tokio::sync::watch;

use crate::watch::{Create, Hub, Options, Response, Stream};

/// One change as the tests expect to see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Written {
    pub(super) revision: Revision,
    pub(super) key: Vec<u8>,
    /// None: deleted.
    pub(super) value: Option<Vec<u8>>,
    pub(super) previous: Option<Vec<u8>>,
}

pub(super) struct Store {
    mvcc: Mvcc,
    sender: watch::Sender<Arc<View>>,
    pub(super) hub: Hub,
    pub(super) log: Vec<Written>,
}

impl Store {
    /// With the hub's loop running.
    pub(super) fn start(options: Options) -> Self {
        let mvcc = Mvcc::new();
        let (sender, receiver) = watch::channel(Arc::new(mvcc.view()));
        let (hub, run) = Hub::new(receiver, options);
        tokio::spawn(run);
        Self { mvcc, sender, hub, log: Vec::new() }
    }

    pub(super) fn revision(&self) -> Revision {
        self.mvcc.revision()
    }

    pub(super) fn compact_revision(&self) -> Revision {
        self.mvcc.compact_revision()
    }

    /// One revision, seen by nobody yet. Deleting what is not there is left out.
    pub(super) fn write(&mut self, changes: &[(&[u8], Option<&[u8]>)]) {
        let revision = self.mvcc.revision().next();
        for (key, value) in changes {
            let previous = self.mvcc.get(key).map(|kv| kv.value.to_vec());
            match value {
                Some(value) => drop(self.mvcc.put(key, value, LeaseId::NONE)),
                None if !self.mvcc.delete(key) => continue,
                None => {}
            }
            let (key, value) = (key.to_vec(), value.map(<[u8]>::to_vec));
            self.log.push(Written { revision, key, value, previous });
        }
        self.mvcc.commit();
    }

    pub(super) fn view(&self) -> View {
        self.mvcc.view()
    }

    pub(super) fn publish(&self) {
        self.sender.send_replace(Arc::new(self.mvcc.view()));
    }

    /// Written and published.
    pub(super) fn put(&mut self, key: &str, value: &str) -> Revision {
        self.write(&[(key.as_bytes(), Some(value.as_bytes()))]);
        self.publish();
        self.revision()
    }

    /// Deleted and published.
    pub(super) fn delete(&mut self, key: &str) -> Revision {
        self.write(&[(key.as_bytes(), None)]);
        self.publish();
        self.revision()
    }

    /// Compacted to the end, and published.
    pub(super) fn compact(&mut self, revision: Revision) {
        self.hub.before_compaction(Arc::new(self.mvcc.view()));
        self.compact_unannounced(revision);
    }

    /// The same, by somebody who does not tell the hub.
    pub(super) fn compact_unannounced(&mut self, revision: Revision) {
        self.mvcc.compact(revision).expect("a revision that can be compacted");
        while self.mvcc.maintain(1000) {}
        self.publish();
    }

    /// Until the hub has handed out everything published.
    pub(super) async fn settle(&self) {
        while self.hub.seen() < self.sender.borrow().revision() {
            tokio::task::yield_now().await;
        }
    }
}

pub(super) fn range(key: &str, end: &str) -> KeyRange {
    KeyRange {
        key: Bytes::copy_from_slice(key.as_bytes()),
        range_end: Bytes::copy_from_slice(end.as_bytes()),
    }
}

/// A watcher of one key, or of a range.
pub(super) fn on(key: &str, end: &str) -> Create {
    Create { range: range(key, end), ..Create::default() }
}

/// The next response, which must come.
pub(super) async fn soon(stream: &mut Stream) -> Response {
    let next = tokio::time::timeout(Duration::from_secs(5), stream.next());
    next.await.expect("a response in time").expect("a running engine")
}

/// Nothing more is coming.
pub(super) async fn assert_quiet(stream: &mut Stream) {
    let next = tokio::time::timeout(Duration::from_millis(50), stream.next()).await;
    assert!(next.is_err(), "unexpected: {next:?}");
}

/// A watcher, made and acknowledged.
pub(super) async fn created(stream: &mut Stream, create: Create) -> i64 {
    stream.create(create);
    let response = soon(stream).await;
    assert!(response.created && !response.canceled && response.events.is_empty());
    response.watch_id
}

/// Keys and values (None: deleted) of a response's events.
pub(super) fn what(response: &Response) -> Vec<(String, Option<String>)> {
    let text = |bytes: &Bytes| String::from_utf8(bytes.to_vec()).expect("text");
    let events = response.events.iter();
    events
        .map(|event| {
            let put = event.kind == crate::watch::EventKind::Put;
            (text(&event.kv.key), put.then(|| text(&event.kv.value)))
        })
        .collect()
}
