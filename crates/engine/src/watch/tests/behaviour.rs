//! One example for each thing etcd does.

use std::time::Duration;

use state::{KeyValue, Revision};

use super::store::{Store, assert_quiet, created, on, soon, what};
use crate::watch::{Create, Options, Response};

fn put(key: &str, value: &str) -> (String, Option<String>) {
    (key.into(), Some(value.into()))
}

fn deleted(key: &str) -> (String, Option<String>) {
    (key.into(), None)
}

#[tokio::test(start_paused = true)]
async fn a_new_watcher_gets_what_comes_after() {
    let mut store = Store::start(Options::default());
    store.put("a", "0");
    let mut stream = store.hub.stream();
    stream.create(on("a", ""));
    let first = soon(&mut stream).await;
    let expected = Response { created: true, revision: Revision(2), ..Response::default() };
    assert_eq!(first, expected);
    store.put("b", "other");
    let revision = store.put("a", "1");
    let response = soon(&mut stream).await;
    assert_eq!((response.revision, what(&response)), (revision, vec![put("a", "1")]));
    let revision = store.delete("a");
    let response = soon(&mut stream).await;
    assert_eq!(what(&response), [deleted("a")]);
    let kv = &response.events[0].kv;
    let bare = KeyValue { key: "a".into(), mod_revision: revision, ..KeyValue::default() };
    assert_eq!(*kv, bare);
    assert_quiet(&mut stream).await;
}

#[tokio::test(start_paused = true)]
async fn a_write_that_was_seen_is_not_an_event_of_a_later_watcher() {
    let mut store = Store::start(Options::default());
    // The hub has had no chance to run since.
    store.put("a", "0");
    let mut stream = store.hub.stream();
    stream.create(on("a", ""));
    assert_eq!(soon(&mut stream).await.revision, Revision(2));
    assert_quiet(&mut stream).await;
}

#[tokio::test(start_paused = true)]
async fn one_revision_is_one_response() {
    let mut store = Store::start(Options::default());
    let mut stream = store.hub.stream();
    created(&mut stream, on("a", "c")).await;
    store.write(&[(b"a", Some(b"1")), (b"b", Some(b"2")), (b"c", Some(b"3"))]);
    store.write(&[(b"a", None)]);
    store.publish();
    let response = soon(&mut stream).await;
    assert_eq!(
        (response.revision, what(&response)),
        (Revision(2), vec![put("a", "1"), put("b", "2")])
    );
    let response = soon(&mut stream).await;
    assert_eq!((response.revision, what(&response)), (Revision(3), vec![deleted("a")]));
}

#[tokio::test(start_paused = true)]
async fn ids_are_given_from_zero_and_skip_those_in_use() {
    let store = Store::start(Options::default());
    let mut stream = store.hub.stream();
    assert_eq!(created(&mut stream, on("a", "")).await, 0);
    assert_eq!(created(&mut stream, Create { watch_id: 1, ..on("a", "") }).await, 1);
    assert_eq!(created(&mut stream, Create { watch_id: -7, ..on("a", "") }).await, -7);
    assert_eq!(created(&mut stream, on("a", "")).await, 2);
    stream.create(Create { watch_id: 1, ..on("b", "") });
    let refused = soon(&mut stream).await;
    assert!(refused.created && refused.canceled);
    assert_eq!(refused.watch_id, -1);
    assert_eq!(refused.cancel_reason, "mvcc: duplicate watch ID provided on the WatchStream");
    stream.cancel(1);
    assert!(soon(&mut stream).await.canceled);
    assert_eq!(created(&mut stream, Create { watch_id: 1, ..on("b", "") }).await, 1);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_watched_is_refused_and_the_stream_goes_on() {
    let store = Store::start(Options { max_watchers_per_stream: 1, ..Options::default() });
    let mut stream = store.hub.stream();
    for (create, reason) in [
        (on("b", "b"), "mvcc: watcher range is empty"),
        (on("b", "a"), "mvcc: watcher range is empty"),
        (on("", "\0\0\0").start(-1), "etcdserver: mvcc: required revision has been compacted"),
        (on("b", "a").start(-1), "etcdserver: mvcc: required revision has been compacted"),
    ] {
        stream.create(create);
        let expected = Response {
            watch_id: -1,
            revision: Revision(1),
            created: true,
            canceled: true,
            cancel_reason: reason.into(),
            ..Response::default()
        };
        assert_eq!(soon(&mut stream).await, expected);
    }
    assert_eq!(created(&mut stream, on("a", "")).await, 0);
    stream.create(on("a", ""));
    assert_eq!(soon(&mut stream).await.cancel_reason, "meridian: too many watchers on this stream");
}

#[tokio::test(start_paused = true)]
async fn everything_and_open_ranges() {
    let mut store = Store::start(Options::default());
    let mut stream = store.hub.stream();
    let all = created(&mut stream, on("", "\0")).await;
    let from_b = created(&mut stream, on("b", "\0")).await;
    let smallest = created(&mut stream, on("", "")).await;
    store.put("a", "1");
    assert_eq!(soon(&mut stream).await.watch_id, all);
    store.put("\0", "1");
    let mut ids = [soon(&mut stream).await.watch_id, soon(&mut stream).await.watch_id];
    ids.sort_unstable();
    assert_eq!(ids, [all, smallest]);
    store.put("zz", "1");
    let mut ids = [soon(&mut stream).await.watch_id, soon(&mut stream).await.watch_id];
    ids.sort_unstable();
    assert_eq!(ids, [all, from_b]);
}

#[tokio::test(start_paused = true)]
async fn the_past_comes_in_one_piece_and_the_present_after_it() {
    let mut store = Store::start(Options::default());
    for value in ["1", "2", "3"] {
        store.put("a", value);
    }
    let mut stream = store.hub.stream();
    created(&mut stream, on("a", "").start(3)).await;
    let response = soon(&mut stream).await;
    assert_eq!(
        (response.revision, what(&response)),
        (Revision(4), vec![put("a", "2"), put("a", "3")])
    );
    store.put("a", "4");
    assert_eq!(what(&soon(&mut stream).await), [put("a", "4")]);
    assert_eq!(store.hub.counts().slow_watchers, 0);
}

/// The hub goes on while a stream reads history: what it read up to is not where the hub is any
/// more.
#[tokio::test(start_paused = true)]
async fn a_watcher_overtaken_while_it_catches_up_misses_nothing() {
    let mut store = Store::start(Options::default());
    store.put("a", "1");
    let mut stream = store.hub.stream();
    stream.create(on("a", "").start(2));
    let earlier = store.view();
    store.put("a", "2");
    store.settle().await;
    stream.read_history(&earlier);
    assert_eq!(store.hub.counts().slow_watchers, 1);
    assert!(soon(&mut stream).await.created);
    assert_eq!(what(&soon(&mut stream).await), [put("a", "1")]);
    assert_eq!(what(&soon(&mut stream).await), [put("a", "2")]);
    assert_eq!(store.hub.counts().slow_watchers, 0);
    store.put("a", "3");
    assert_eq!(what(&soon(&mut stream).await), [put("a", "3")]);
}

#[tokio::test(start_paused = true)]
async fn filters_drop_whole_responses_in_silence() {
    let mut store = Store::start(Options::default());
    let mut stream = store.hub.stream();
    let puts = created(&mut stream, Create { no_delete: true, ..on("a", "b") }).await;
    let deletes = created(&mut stream, Create { no_put: true, ..on("a", "b") }).await;
    created(&mut stream, Create { no_put: true, no_delete: true, ..on("a", "b") }).await;
    store.put("a", "1");
    let response = soon(&mut stream).await;
    assert_eq!((response.watch_id, what(&response)), (puts, vec![put("a", "1")]));
    store.delete("a");
    let response = soon(&mut stream).await;
    assert_eq!((response.watch_id, what(&response)), (deletes, vec![deleted("a")]));
    assert_quiet(&mut stream).await;
    let mut late = store.hub.stream();
    created(&mut late, Create { no_put: true, ..on("a", "b").start(1) }).await;
    assert_eq!(what(&soon(&mut late).await), [deleted("a")]);
    assert_quiet(&mut late).await;
}

#[tokio::test(start_paused = true)]
async fn previous_values_for_those_who_ask() {
    let mut store = Store::start(Options::default());
    let mut stream = store.hub.stream();
    created(&mut stream, Create { watch_id: 1, prev_kv: true, ..on("a", "") }).await;
    created(&mut stream, Create { watch_id: 2, ..on("a", "") }).await;
    store.put("a", "1");
    store.put("a", "2");
    store.delete("a");
    let mut previous = Vec::new();
    for _ in 0..6 {
        let response = soon(&mut stream).await;
        let kv = response.events[0].prev_kv.clone();
        if response.watch_id == 1 {
            previous.push(kv.map(|kv| (kv.value, kv.mod_revision.0, kv.version)));
        } else {
            assert_eq!(kv, None);
        }
    }
    assert_eq!(previous, [None, Some(("1".into(), 2, 1)), Some(("2".into(), 3, 2))]);
}

#[tokio::test(start_paused = true)]
async fn a_start_before_the_compaction_is_created_then_cancelled() {
    let mut store = Store::start(Options::default());
    for value in ["1", "2", "3"] {
        store.put("a", value);
    }
    store.compact(Revision(3));
    let mut stream = store.hub.stream();
    let id = created(&mut stream, on("a", "").start(2)).await;
    let compacted = Response {
        watch_id: id,
        canceled: true,
        compact_revision: Revision(3),
        ..Response::default()
    };
    assert_eq!(soon(&mut stream).await, compacted);
    assert_eq!(store.hub.counts().watchers, 0);
    // Its id stays taken until the client cancels it.
    stream.create(Create { watch_id: 9, ..on("a", "").start(1) });
    assert!(soon(&mut stream).await.created);
    assert_eq!(soon(&mut stream).await.compact_revision, Revision(3));
    stream.create(Create { watch_id: 9, ..on("a", "") });
    assert_eq!(soon(&mut stream).await.watch_id, -1);
    stream.cancel(9);
    assert!(soon(&mut stream).await.canceled);
    assert_eq!(created(&mut stream, Create { watch_id: 9, ..on("a", "") }).await, 9);
}

/// Pitfall m.
#[tokio::test(start_paused = true)]
async fn a_tombstone_at_the_compacted_revision_is_seen() {
    let mut store = Store::start(Options::default());
    store.put("a", "1");
    let tombstone = store.delete("a");
    store.put("b", "1");
    store.compact(tombstone);
    let mut stream = store.hub.stream();
    created(&mut stream, on("", "\0").start(tombstone.0)).await;
    assert_eq!(what(&soon(&mut stream).await), [deleted("a"), put("b", "1")]);
}

/// Pitfall n.
#[tokio::test(start_paused = true)]
async fn a_future_start_gets_neither_older_events_nor_progress() {
    let interval = Duration::from_millis(100);
    let mut store = Store::start(Options { progress_interval: interval, ..Options::default() });
    let mut stream = store.hub.stream();
    let create = Create { progress_notify: true, ..on("a", "").start(4) };
    stream.create(create);
    assert_eq!(soon(&mut stream).await.revision, Revision(1));
    store.put("a", "2");
    store.put("a", "3");
    stream.progress();
    let waited = tokio::time::timeout(interval * 5, stream.next()).await;
    assert!(waited.is_err(), "{waited:?}");
    store.put("a", "4");
    assert_eq!(what(&soon(&mut stream).await), [put("a", "4")]);
    stream.progress();
    let progress = Response { watch_id: -1, revision: Revision(4), ..Response::default() };
    assert_eq!(soon(&mut stream).await, progress);
    let progress = Response { watch_id: 0, revision: Revision(4), ..Response::default() };
    assert_eq!(soon(&mut stream).await, progress);
}

/// Pitfall b.
#[tokio::test(start_paused = true)]
async fn progress_on_request_stands_behind_every_event_it_covers() {
    let mut store = Store::start(Options::default());
    let mut stream = store.hub.stream();
    stream.progress();
    assert_quiet(&mut stream).await;
    created(&mut stream, on("a", "")).await;
    created(&mut stream, on("b", "")).await;
    // Asked for before the hub has handed this out: the answer waits for it.
    let revision = store.put("a", "1");
    stream.progress();
    assert_eq!(what(&soon(&mut stream).await), [put("a", "1")]);
    let progress = Response { watch_id: -1, revision, ..Response::default() };
    assert_eq!(soon(&mut stream).await, progress);
    stream.progress();
    stream.progress();
    assert_eq!(soon(&mut stream).await, progress);
    assert_eq!(soon(&mut stream).await, progress);
    assert_quiet(&mut stream).await;
}

/// Pitfall b: with one watcher still behind, silence.
#[tokio::test(start_paused = true)]
async fn progress_is_not_told_while_a_watcher_is_behind() {
    let mut store = Store::start(Options::default());
    store.put("a", "1");
    let mut stream = store.hub.stream();
    created(&mut stream, on("b", "")).await;
    stream.create(on("a", "").start(1));
    store.settle().await;
    stream.progress();
    assert!(soon(&mut stream).await.created);
    assert_eq!(what(&soon(&mut stream).await), [put("a", "1")]);
    assert_quiet(&mut stream).await;
    stream.progress();
    assert_eq!(soon(&mut stream).await.watch_id, -1);
}

#[tokio::test(start_paused = true)]
async fn quiet_watchers_that_asked_are_told_now_and_then() {
    let interval = Duration::from_secs(1);
    let mut store = Store::start(Options { progress_interval: interval, ..Options::default() });
    let mut stream = store.hub.stream();
    let busy = created(&mut stream, Create { progress_notify: true, ..on("a", "") }).await;
    let quiet = created(&mut stream, Create { progress_notify: true, ..on("b", "") }).await;
    created(&mut stream, on("c", "")).await;
    let begun = tokio::time::Instant::now();
    let revision = store.put("a", "1");
    assert_eq!(soon(&mut stream).await.watch_id, busy);
    let progress = Response { watch_id: quiet, revision, ..Response::default() };
    assert_eq!(soon(&mut stream).await, progress);
    let first = begun.elapsed();
    assert!(first >= interval && first <= interval * 11 / 10 + Duration::from_millis(2));
    let mut told = [soon(&mut stream).await.watch_id, soon(&mut stream).await.watch_id];
    told.sort_unstable();
    assert_eq!(told, [busy, quiet]);
}

#[tokio::test(start_paused = true)]
async fn cancelling() {
    let mut store = Store::start(Options::default());
    let mut stream = store.hub.stream();
    created(&mut stream, on("a", "")).await;
    created(&mut stream, on("a", "")).await;
    stream.cancel(77);
    assert_quiet(&mut stream).await;
    stream.cancel(0);
    let response = Response { revision: Revision(1), canceled: true, ..Response::default() };
    assert_eq!(soon(&mut stream).await, response);
    store.put("a", "1");
    assert_eq!(soon(&mut stream).await.watch_id, 1);
    assert_quiet(&mut stream).await;
    // While it is behind.
    stream.create(on("a", "").start(1));
    stream.cancel(2);
    assert!(soon(&mut stream).await.created);
    assert!(soon(&mut stream).await.canceled);
    assert_quiet(&mut stream).await;
    assert_eq!(store.hub.counts().watchers, 1);
}

#[tokio::test(start_paused = true)]
async fn fragments_follow_each_other_and_the_last_is_marked() {
    let mut store = Store::start(Options { max_response_bytes: 1000, ..Options::default() });
    let mut stream = store.hub.stream();
    created(&mut stream, Create { fragment: true, ..on("a", "z") }).await;
    created(&mut stream, on("a", "z")).await;
    let value = [b'v'; 400];
    let huge = [b'v'; 1400];
    store.write(&[
        (b"a", Some(&value)),
        (b"b", Some(&value)),
        (b"c", Some(&value)),
        (b"d", Some(&huge)),
        (b"e", Some(b"")),
    ]);
    store.publish();
    let mut pieces = Vec::new();
    for _ in 0..5 {
        let response = soon(&mut stream).await;
        let keys: String = what(&response).into_iter().map(|(key, _)| key).collect();
        pieces.push((response.watch_id, keys, response.fragment));
    }
    let mut plain = pieces.iter().filter(|piece| piece.0 == 1);
    assert_eq!(plain.next(), Some(&(1, "abcde".into(), false)));
    let cut: Vec<_> = pieces.iter().filter(|piece| piece.0 == 0).collect();
    let expected: Vec<(i64, String, bool)> = [("ab", true), ("c", true), ("d", true), ("e", false)]
        .map(|(k, f)| (0, k.into(), f))
        .into();
    assert_eq!(cut, expected.iter().collect::<Vec<_>>());
    let first = pieces.iter().position(|piece| piece.0 == 0).unwrap();
    assert!(pieces[first..first + 4].iter().all(|piece| piece.0 == 0), "{pieces:?}");
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_engine_is_the_end_of_its_streams() {
    let mut store = Store::start(Options::default());
    let mut stream = store.hub.stream();
    created(&mut stream, on("a", "")).await;
    store.put("a", "1");
    let hub = store.hub.clone();
    drop(store);
    assert_eq!(what(&soon(&mut stream).await), [put("a", "1")]);
    assert_eq!(stream.next().await, None);
    assert_eq!(hub.stream().next().await, None);
}

#[tokio::test(start_paused = true)]
async fn a_compaction_right_behind_a_write_does_not_take_it_from_who_was_up_to_date() {
    let mut store = Store::start(Options::default());
    let mut stream = store.hub.stream();
    created(&mut stream, Create { prev_kv: true, ..on("a", "") }).await;
    // All before the hub runs once.
    for value in ["1", "2", "3"] {
        store.put("a", value);
    }
    store.compact(Revision(4));
    store.put("a", "4");
    for value in ["1", "2", "3", "4"] {
        assert_eq!(what(&soon(&mut stream).await), [put("a", value)]);
    }
    // Who does not tell the hub beforehand gets the watcher told, rather than a gap.
    store.put("a", "5");
    store.put("a", "6");
    let revision = store.revision();
    store.compact_unannounced(revision);
    assert_eq!(soon(&mut stream).await.compact_revision, revision);
}

trait Start {
    fn start(self, revision: i64) -> Self;
}

impl Start for Create {
    fn start(self, revision: i64) -> Self {
        Self { start_revision: Revision(revision), ..self }
    }
}
