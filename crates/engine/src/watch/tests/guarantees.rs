//! etcd's promises about watches, by name, against a plain list of all that was written:
//! ordered, unique, atomic, reliable, resumable, bookmarkable.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use futures::FutureExt;
use proptest::prelude::*;
use state::{KeyRange, Revision};

use super::store::{Store, Written, range};
use crate::watch::{Create, Event, EventKind, Options, Response, Stream};

#[derive(Clone, Debug)]
enum Step {
    /// One revision; keys by number, values by length.
    Write(Vec<(u8, Option<u8>)>),
    Publish,
    HubRuns,
    Create {
        stream: usize,
        keys: (u8, u8),
        back: i64,
        flags: u8,
    },
    Cancel {
        stream: usize,
        nth: usize,
    },
    /// Cancel, and watch on from what was delivered last.
    Resume {
        stream: usize,
        nth: usize,
    },
    Progress {
        stream: usize,
    },
    Read {
        stream: usize,
        times: usize,
    },
    Compact {
        back: i64,
        announced: bool,
    },
    Drop {
        stream: usize,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let stream = 0..STREAMS;
    let change = (0..8_u8, prop::option::weighted(0.8, 0..120_u8));
    let back = prop_oneof![3 => -3..30_i64, 1 => Just(i64::MAX)];
    let create = (stream.clone(), (0..8_u8, 0..12_u8), back, any::<u8>());
    prop_oneof![
        8 => prop::collection::vec(change, 1..4).prop_map(Step::Write),
        6 => Just(Step::Publish),
        4 => Just(Step::HubRuns),
        3 => create.prop_map(|(stream, keys, back, flags)| {
            Step::Create { stream, keys, back, flags }
        }),
        1 => (stream.clone(), 0..8_usize).prop_map(|(stream, nth)| Step::Cancel { stream, nth }),
        1 => (stream.clone(), 0..8_usize).prop_map(|(stream, nth)| Step::Resume { stream, nth }),
        2 => stream.clone().prop_map(|stream| Step::Progress { stream }),
        6 => (stream.clone(), 1..12_usize).prop_map(|(stream, times)| Step::Read { stream, times }),
        1 => (0..20_i64, any::<bool>())
            .prop_map(|(back, announced)| Step::Compact { back, announced }),
        1 => stream.prop_map(|stream| Step::Drop { stream }),
    ]
}

const STREAMS: usize = 3;

/// One watcher, and what it was given.
#[derive(Debug)]
struct Follower {
    create: Create,
    /// The first revision it must be given.
    start: Revision,
    delivered: usize,
    /// Of the newest event or progress.
    newest: Revision,
    /// In the middle of fragments.
    open: bool,
    /// Ended by compaction; its cancellation is still to be answered.
    ended: bool,
}

impl Follower {
    fn new(create: Create) -> Self {
        let start = create.start_revision;
        Self { create, start, delivered: 0, newest: Revision(0), open: false, ended: false }
    }

    fn wanted<'a>(&'a self, log: &'a [Written]) -> impl Iterator<Item = &'a Written> {
        log.iter().filter(|written| {
            let filtered =
                if written.value.is_some() { self.create.no_put } else { self.create.no_delete };
            written.revision >= self.start && self.create.range.contains(&written.key) && !filtered
        })
    }

    fn take(&mut self, response: &Response, store: &Store) {
        let Follower { delivered, .. } = *self;
        let mut wanted = self.wanted(&store.log).skip(delivered);
        for event in &response.events {
            let written = wanted.next().expect("unique: nothing beyond what was written");
            assert_eq!(event.kv.key, written.key, "ordered and reliable: the next of its events");
            assert_eq!(event.kv.mod_revision, written.revision, "ordered and reliable");
            let value = (event.kind == EventKind::Put).then(|| event.kv.value.to_vec());
            assert_eq!(value, written.value, "reliable: what was written");
            self.check_previous(event, written, store);
        }
        let last = response.events.last().expect("events").kv.mod_revision;
        assert!(response.revision >= last, "the header covers the events");
        if !response.fragment {
            let next = wanted.next().map(|written| written.revision);
            assert_ne!(next, Some(last), "atomic: a revision is not split");
        }
        drop(wanted);
        assert!(!response.fragment || self.create.fragment, "cut without leave");
        self.open = response.fragment;
        self.delivered += response.events.len();
        self.newest = last;
    }

    fn check_previous(&self, event: &Event, written: &Written, store: &Store) {
        let previous = event.prev_kv.as_ref().map(|kv| kv.value.to_vec());
        if !self.create.prev_kv {
            assert_eq!(previous, None, "not asked for");
        } else if previous.is_none() {
            let gone = Revision(written.revision.0 - 1) < store.compact_revision();
            assert!(gone || written.previous.is_none(), "a previous value is missing");
        } else {
            assert_eq!(previous, written.previous);
        }
    }

    fn check_bookmark(&mut self, revision: Revision, log: &[Written]) {
        let due = self.wanted(log).filter(|written| written.revision <= revision).count();
        assert_eq!(self.delivered, due, "bookmarkable: all up to {revision} was delivered before");
        assert!(revision.next() >= self.start, "no progress before the start");
        assert!(revision >= self.newest, "progress does not go back");
        self.newest = revision;
    }
}

/// One stream, its watchers, and the creates that are not answered.
struct Client {
    stream: Stream,
    followers: HashMap<i64, Follower>,
    asked: VecDeque<Follower>,
    /// Whose fragments must come next.
    open: Option<i64>,
}

impl Client {
    fn new(store: &Store) -> Self {
        let stream = store.hub.stream();
        Self { stream, followers: HashMap::new(), asked: VecDeque::new(), open: None }
    }

    fn create(&mut self, create: Create) {
        self.stream.create(create.clone());
        self.asked.push_back(Follower::new(create));
    }

    /// The id of one of its watchers, if it has any.
    fn some_id(&self, nth: usize) -> Option<i64> {
        let mut ids: Vec<i64> = self.followers.keys().copied().collect();
        ids.sort_unstable();
        ids.get(nth % ids.len().max(1)).copied()
    }

    fn take(&mut self, response: &Response, store: &Store) {
        if let Some(open) = self.open {
            assert_eq!(response.watch_id, open, "fragments are contiguous");
        }
        self.open = response.fragment.then_some(response.watch_id);
        if response.created {
            let mut follower = self.asked.pop_front().expect("created once for each create");
            if !response.canceled {
                if follower.start == Revision(0) {
                    follower.start = response.revision.next();
                }
                follower.newest = Revision(follower.start.0 - 1);
                let before = self.followers.insert(response.watch_id, follower);
                assert!(before.is_none(), "an id in use was given again");
            }
        } else if response.canceled {
            let mut follower =
                self.followers.remove(&response.watch_id).expect("a watcher ends once");
            if response.compact_revision != Revision(0) {
                assert_eq!(response.revision, Revision(0));
                assert!(follower.start < response.compact_revision);
                assert!(response.compact_revision <= store.compact_revision());
                assert!(!follower.ended);
                follower.ended = true;
                self.stream.cancel(response.watch_id);
                self.followers.insert(response.watch_id, follower);
            }
        } else if !response.events.is_empty() {
            let follower = self.followers.get_mut(&response.watch_id);
            let follower = follower.expect("events come between created and cancelled");
            assert!(!follower.ended, "nothing comes after the end");
            follower.take(response, store);
        } else {
            assert_eq!(response.watch_id, -1, "nobody asked for periodic progress");
            let mut live =
                self.followers.values_mut().filter(|follower| !follower.ended).peekable();
            assert!(live.peek().is_some(), "progress of nothing");
            for follower in live {
                follower.check_bookmark(response.revision, &store.log);
            }
        }
    }
}

struct World {
    store: Store,
    clients: Vec<Client>,
}

impl World {
    fn start() -> Self {
        let store = Store::start(Options {
            max_response_bytes: 300,
            max_queued_responses: 4,
            max_queued_bytes: 2000,
            ..Options::default()
        });
        let clients = (0..STREAMS).map(|_| Client::new(&store)).collect();
        Self { store, clients }
    }

    async fn run(&mut self, step: Step) {
        match step {
            Step::Write(changes) => self.write(&changes),
            Step::Publish => self.store.publish(),
            Step::HubRuns => self.store.settle().await,
            Step::Create { stream, keys, back, flags } => self.create(stream, keys, back, flags),
            Step::Cancel { stream, nth } => {
                let client = &mut self.clients[stream];
                client.some_id(nth).into_iter().for_each(|id| client.stream.cancel(id));
            }
            Step::Resume { stream, nth } => self.resume(stream, nth),
            Step::Progress { stream } => self.clients[stream].stream.progress(),
            Step::Read { stream, times } => {
                for _ in 0..times {
                    let client = &mut self.clients[stream];
                    if let Some(response) = client.stream.next().now_or_never() {
                        client.take(&response.expect("a running engine"), &self.store);
                    }
                }
            }
            Step::Compact { back, announced } => self.compact(back, announced),
            Step::Drop { stream } => self.clients[stream] = Client::new(&self.store),
        }
    }

    fn write(&mut self, changes: &[(u8, Option<u8>)]) {
        let mut changes = changes.to_vec();
        changes.sort_by_key(|(key, _)| *key);
        changes.dedup_by_key(|(key, _)| *key);
        let changes: Vec<([u8; 1], Option<Vec<u8>>)> = changes
            .into_iter()
            .map(|(key, length)| ([b'a' + key], length.map(|l| vec![l; usize::from(l)])))
            .collect();
        let changes: Vec<(&[u8], Option<&[u8]>)> =
            changes.iter().map(|(key, value)| (&key[..], value.as_deref())).collect();
        self.store.write(&changes);
    }

    fn create(&mut self, stream: usize, keys: (u8, u8), back: i64, flags: u8) {
        let key = char::from(b'a' + keys.0).to_string();
        let end = match keys.1 {
            0..4 => String::new(),
            4..6 => "\0".to_owned(),
            other => char::from(b'a' + keys.0 + other - 5).to_string(),
        };
        let start = if back == i64::MAX { 0 } else { (self.store.revision().0 - back).max(0) };
        self.clients[stream].create(Create {
            range: range(&key, &end),
            start_revision: Revision(start),
            prev_kv: flags & 1 != 0,
            fragment: flags & 2 != 0,
            no_put: flags & 0b1100 == 0b0100,
            no_delete: flags & 0b1100 == 0b1000,
            ..Create::default()
        });
    }

    /// Resumable: a new watcher from where an old one was left has all that the old one would have
    /// had.
    fn resume(&mut self, stream: usize, nth: usize) {
        let client = &mut self.clients[stream];
        let Some(follower) = client.some_id(nth).and_then(|id| {
            client.stream.cancel(id);
            client.followers.get(&id)
        }) else {
            return;
        };
        if !follower.open && follower.newest.next() > follower.start {
            let start_revision = follower.newest.next();
            let create = Create { start_revision, ..follower.create.clone() };
            let delivered = follower.delivered;
            let mut again = Follower::new(create.clone());
            again.start = start_revision;
            let before = follower.wanted(&self.store.log).count();
            let after = again.wanted(&self.store.log).count();
            assert_eq!(before, delivered + after, "resumable");
            client.create(create);
        }
    }

    fn compact(&mut self, back: i64, announced: bool) {
        let revision = Revision(self.store.revision().0 - back);
        if revision <= self.store.compact_revision() || revision < Revision(1) {
            return;
        }
        if announced {
            self.store.compact(revision);
        } else {
            self.store.compact_unannounced(revision);
        }
    }

    /// Reads every stream to its end: whoever still watches has everything.
    async fn finish(mut self) {
        self.store.publish();
        self.store.settle().await;
        for client in &mut self.clients {
            let pause = Duration::from_millis(1);
            while let Ok(next) = tokio::time::timeout(pause, client.stream.next()).await {
                client.take(&next.expect("a running engine"), &self.store);
            }
            assert!(client.asked.is_empty(), "every create is answered");
            for follower in client.followers.values() {
                let wanted = follower.wanted(&self.store.log).count();
                assert_eq!(follower.delivered, wanted, "reliable: no gap at the end");
            }
            let revision = self.store.revision();
            let started = client.followers.values().all(|f| f.create.start_revision <= revision);
            client.stream.progress();
            let progress = client.stream.next().now_or_never().flatten();
            let expected = (started && !client.followers.is_empty()).then_some(revision);
            assert_eq!(progress.as_ref().map(|p| p.revision), expected, "bookmarkable");
            progress.iter().for_each(|progress| client.take(progress, &self.store));
        }
        assert_eq!(self.store.hub.counts().slow_watchers, 0);
        self.clients.clear();
        let counts = self.store.hub.counts();
        assert_eq!((counts.streams, counts.watchers, counts.pending), (0, 0, 0));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]
    #[test]
    fn watch_guarantees_hold(
        steps in prop::collection::vec(step(), 1..200)
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = { runtime }.enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let mut world = World::start();
            for step in steps {
                world.run(step).await;
            }
            world.finish().await;
        });
    }
}

/// The same with real threads: readers of different speeds, one writer that never waits.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn readers_on_other_threads_miss_nothing() {
    const REVISIONS: i64 = 4000;
    let options =
        Options { max_queued_responses: 64, max_response_bytes: 4096, ..Options::default() };
    let mut store = Store::start(options);
    let mut readers = Vec::new();
    for reader in 0..8_u64 {
        let mut stream = store.hub.stream();
        let ranges: [KeyRange; 3] = [range("a", ""), range("a", "c"), range("", "\0")];
        for range in ranges {
            stream.create(Create { range, ..Create::default() });
        }
        readers.push(tokio::spawn(async move { read_until(stream, reader, REVISIONS).await }));
    }
    // Paced, so that readers fall behind and come up again.
    for revision in 2..=REVISIONS {
        let key = if revision % 2 == 0 { "a" } else { "b" };
        store.put(key, "value");
        if revision % 16 == 0 {
            tokio::task::yield_now().await;
        }
        if revision % 500 == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    store.put("a", "end");
    store.put("b", "end");
    for reader in readers {
        reader.await.expect("a reader that saw every event in order");
    }
}

/// Three watchers of one stream, each checked to see every revision of its keys up to the end.
async fn read_until(mut stream: Stream, reader: u64, revisions: i64) {
    let mut next = [2, 2, 2];
    while next.iter().any(|next| *next <= revisions) {
        let response = stream.next().await.expect("a running engine");
        let watcher = usize::try_from(response.watch_id).expect("a watcher's");
        for event in &response.events {
            let revision = event.kv.mod_revision.0;
            if next[watcher] <= revisions {
                assert_eq!(revision, next[watcher], "reader {reader}, watcher {watcher}");
            }
            next[watcher] = revision + if watcher == 0 { 2 } else { 1 };
        }
        if reader % 4 == 3 && response.revision.0 % 64 == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}
