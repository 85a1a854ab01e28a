//! Many watchers, slow readers, clients that come and go: nothing starves, nothing grows.

use std::time::Duration;

use state::Revision;

use super::store::{Store, assert_quiet, created, on, soon};
use crate::watch::{Counts, Create, Options, Stream};

/// Takes responses until there are none, and counts the events of each watcher.
async fn drain(stream: &mut Stream, events: &mut [usize]) {
    while let Ok(next) = tokio::time::timeout(Duration::from_millis(20), stream.next()).await {
        let response = next.expect("a running engine");
        let watcher = usize::try_from(response.watch_id).expect("a watcher's response");
        events[watcher] += response.events.len();
    }
}

/// Pitfall p.
#[tokio::test(start_paused = true)]
async fn watchers_that_are_behind_share_one_reading_of_history() {
    let mut store = Store::start(Options::default());
    for revision in 0..3000 {
        store.put(&format!("key{}", revision % 10), "value");
    }
    let mut stream = store.hub.stream();
    for watcher in 0..300 {
        let (key, end) = if watcher % 2 == 0 { ("key3", "") } else { ("key3", "key4") };
        // Not all from one place: they meet on the way.
        let start_revision = Revision(2 + 7 * (watcher % 10));
        stream.create(Create { start_revision, prev_kv: true, ..on(key, end) });
    }
    let mut events = [0; 300];
    drain(&mut stream, &mut events).await;
    for (watcher, events) in events.iter().enumerate() {
        let missed = (7 * (watcher % 10) + 6) / 10;
        assert_eq!(*events, 300 - missed, "watcher {watcher}");
    }
    let read = stream.history_read();
    assert!(read <= 2 * 3000, "{read} records read for 300 watchers of 3000 records");
}

/// Pitfall p: one that cannot keep up reads each record about once, not all of them again each
/// time.
#[tokio::test(start_paused = true)]
async fn a_slow_reader_goes_through_history_once() {
    let options = Options { max_queued_responses: 10, ..Options::default() };
    let mut store = Store::start(options);
    let mut stream = store.hub.stream();
    for _ in 0..10 {
        created(&mut stream, on("a", "z")).await;
    }
    let mut seen = 0;
    for _ in 0..500 {
        for _ in 0..20 {
            store.put("key", "value");
        }
        store.settle().await;
        seen += soon(&mut stream).await.events.len();
    }
    let mut events = [0; 10];
    drain(&mut stream, &mut events).await;
    assert_eq!(seen + events.iter().sum::<usize>(), 10 * 10_000);
    // Ten watchers fall behind at slightly different places: a few times the history, not hundreds.
    let read = stream.history_read();
    assert!(read <= 4 * 10_000, "{read} records read of 10,000");
}

#[tokio::test(start_paused = true)]
async fn who_does_not_read_holds_a_bounded_queue_and_no_one_up() {
    let options = Options { max_queued_bytes: 100_000, ..Options::default() };
    let mut store = Store::start(options);
    let mut idle = store.hub.stream();
    let mut brisk = store.hub.stream();
    for _ in 0..10 {
        created(&mut idle, on("a", "z")).await;
    }
    created(&mut brisk, on("a", "z")).await;
    let value = "v".repeat(1000);
    for _ in 0..2000 {
        let revision = store.put("key", &value);
        assert_eq!(soon(&mut brisk).await.revision, revision);
    }
    let counts = store.hub.counts();
    assert_eq!(counts.slow_watchers, 10);
    assert!(counts.pending <= 100, "{counts:?}");
    let mut events = [0; 10];
    drain(&mut idle, &mut events).await;
    assert_eq!(events, [2000; 10]);
    assert_eq!((store.hub.counts().slow_watchers, store.hub.counts().pending), (0, 0));
}

/// History does not wait for a pause in what is new.
#[tokio::test(start_paused = true)]
async fn a_watcher_that_is_behind_gets_its_turn_under_live_traffic() {
    let mut store = Store::start(Options::default());
    for _ in 0..100 {
        store.put("old", "value");
    }
    let mut stream = store.hub.stream();
    created(&mut stream, on("new", "")).await;
    for _ in 0..10 {
        store.put("new", "value");
    }
    store.settle().await;
    stream.create(Create { start_revision: Revision(2), ..on("old", "") });
    let mut waited = 0;
    loop {
        let response = soon(&mut stream).await;
        if response.watch_id == 1 && !response.created {
            assert_eq!(response.events.len(), 100);
            break;
        }
        // Never an empty queue.
        store.put("new", "value");
        store.put("new", "value");
        store.settle().await;
        waited += 1;
        assert!(waited < 200, "it starves");
    }
}

/// Who lacks little need not wait for who lacks much.
#[tokio::test(start_paused = true)]
async fn the_nearest_does_not_wait_for_the_furthest() {
    let mut store = Store::start(Options::default());
    let mut revision = Revision(0);
    for _ in 0..5000 {
        revision = store.put("key", "value");
    }
    let mut stream = store.hub.stream();
    stream.create(Create { start_revision: Revision(2), ..on("key", "") });
    stream.create(Create { start_revision: revision, ..on("key", "") });
    let mut furthest = 0;
    loop {
        let response = soon(&mut stream).await;
        if response.watch_id == 0 {
            furthest += response.events.len();
        } else if !response.created {
            break;
        }
    }
    assert!(furthest <= 1000, "{furthest} events came before the one");
}

/// Pitfall ab.
#[tokio::test(start_paused = true)]
async fn a_dropped_stream_leaves_nothing() {
    let mut store = Store::start(Options { max_queued_responses: 5, ..Options::default() });
    for round in 0..20 {
        let mut streams = Vec::new();
        for _ in 0..20 {
            let mut stream = store.hub.stream();
            stream.create(on("a", ""));
            stream.create(on("a", "z"));
            stream.create(on("a", "\0"));
            stream.create(Create { start_revision: Revision(1), ..on("b", "y") });
            stream.create(Create { start_revision: Revision(1_000_000), ..on("c", "") });
            assert!(soon(&mut stream).await.created);
            stream.progress();
            streams.push(stream);
        }
        for _ in 0..10 {
            store.put("a", "value");
        }
        streams.iter_mut().for_each(Stream::progress);
        if round % 2 == 0 {
            store.settle().await;
            assert_eq!(store.hub.counts().watchers, 100);
            assert!(store.hub.counts().pending > 0);
        }
        drop(streams);
        let sent = store.hub.counts().events_sent;
        assert_eq!(store.hub.counts(), Counts { events_sent: sent, ..Counts::default() });
    }
}

#[tokio::test(start_paused = true)]
async fn a_dropped_future_loses_nothing() {
    let mut store = Store::start(Options::default());
    let mut stream = store.hub.stream();
    created(&mut stream, on("a", "")).await;
    for _ in 0..50 {
        assert_quiet(&mut stream).await;
        let revision = store.put("a", "value");
        assert_eq!(soon(&mut stream).await.revision, revision);
    }
}

#[tokio::test(start_paused = true)]
async fn answers_that_nobody_takes_are_announced() {
    let store = Store::start(Options::default());
    let mut stream = store.hub.stream();
    let mut taken = 0;
    while stream.has_room() {
        stream.create(on("b", "a"));
        taken += 1;
        assert!(taken < 10_000);
    }
    soon(&mut stream).await;
    assert!(stream.has_room());
}
