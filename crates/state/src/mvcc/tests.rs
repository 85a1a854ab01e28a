//! Versions, tombstones, pages and events, one behaviour a test.

use super::*;

fn put(mvcc: &mut Mvcc, key: &str, value: &str) -> Revision {
    mvcc.put(key.as_bytes(), value.as_bytes(), LeaseId::NONE);
    mvcc.commit()
}

#[test]
fn a_key_is_made_written_deleted_and_made_again() {
    let mut mvcc = Mvcc::new();
    assert_eq!(put(&mut mvcc, "a", "1"), Revision(2));
    assert_eq!(put(&mut mvcc, "a", "2"), Revision(3));
    let view = mvcc.view();
    let kv = view.get(b"a").expect("it was put");
    assert_eq!((kv.version, kv.create_revision, kv.mod_revision), (2, Revision(2), Revision(3)));
    assert!(mvcc.delete(b"a") && !mvcc.delete(b"a"));
    assert_eq!(mvcc.commit(), Revision(4));
    assert_eq!(put(&mut mvcc, "a", "3"), Revision(5));
    let kv = mvcc.get(b"a").expect("it was put");
    assert_eq!((kv.version, kv.create_revision, kv.mod_revision), (1, Revision(5), Revision(5)));
    assert_eq!(view.get(b"a").expect("the view is pinned").value, b"2");
    let now = mvcc.view();
    let values: Vec<_> = (1..=5)
        .map(|at| now.get_at(b"a", Revision(at)).expect("readable").map(|kv| kv.value.to_vec()))
        .collect();
    let expected = [None, Some("1"), Some("2"), None, Some("3")];
    assert_eq!(values, expected.map(|value| value.map(Vec::from)));
}

#[test]
fn a_commit_without_changes_is_no_revision() {
    let mut mvcc = Mvcc::new();
    assert_eq!(mvcc.commit(), Revision(1));
    assert!(!mvcc.delete(b"nothing"));
    assert_eq!(mvcc.delete_range(&KeyRange::everything()), []);
    assert_eq!(mvcc.commit(), Revision(1));
}

#[test]
fn a_transaction_sees_its_own_writes_but_not_its_own_revision() {
    let mut mvcc = Mvcc::new();
    put(&mut mvcc, "a", "1");
    mvcc.put(b"b", b"2", LeaseId::NONE);
    mvcc.delete(b"a");
    let at =
        |revision| RangeQuery { range: KeyRange::everything(), revision, ..RangeQuery::default() };
    let keys = |page: RangePage| page.iter().map(|kv| kv.key.to_vec()).collect::<Vec<_>>();
    assert_eq!(mvcc.range(&at(Revision(0))).map(keys), Ok(vec![b"b".to_vec()]));
    assert_eq!(mvcc.range(&at(Revision(-1))).map(keys), Ok(vec![b"b".to_vec()]));
    assert_eq!(mvcc.range(&at(Revision(2))).map(keys), Ok(vec![b"a".to_vec()]));
    assert_eq!(mvcc.range(&at(Revision(3))).map(keys), Err(Refusal::FutureRevision));
    assert_eq!(mvcc.range(&at(Revision(-2))).map(keys), Err(Refusal::Compacted));
    mvcc.commit();
    mvcc.compact(Revision(2)).expect("the revision is there");
    assert_eq!(mvcc.range(&at(Revision(-1))).map(keys), Err(Refusal::Compacted));
    assert_eq!(mvcc.range(&at(Revision(2))).map(keys), Ok(vec![b"a".to_vec()]));
}

#[test]
fn a_fresh_store_compacts_at_zero_once() {
    let mut mvcc = Mvcc::new();
    assert_eq!(mvcc.compact_revision(), Revision::NEVER_COMPACTED);
    assert_eq!(mvcc.compact(Revision(2)), Err(Refusal::FutureRevision));
    assert_eq!(mvcc.compact(Revision(-1)), Err(Refusal::Compacted));
    assert_eq!(mvcc.compact(Revision(0)), Ok(()));
    assert_eq!(mvcc.compact(Revision(0)), Err(Refusal::Compacted));
}

#[test]
fn a_tombstone_exactly_at_the_compacted_revision_is_kept_until_the_next() {
    let mut mvcc = Mvcc::new();
    put(&mut mvcc, "a", "1");
    mvcc.delete(b"a");
    mvcc.commit();
    put(&mut mvcc, "b", "1");
    mvcc.compact(Revision(3)).expect("the revision is there");
    while mvcc.maintain(1) {}
    let view = mvcc.view();
    let events: Vec<_> = view.events(Revision(3)).expect("readable").map(|kv| kv.at()).collect();
    assert_eq!(events.iter().map(|at| at.main.0).collect::<Vec<_>>(), [3, 4]);
    assert_eq!(mvcc.index.counts().entries, 2);
    mvcc.compact(Revision(4)).expect("the revision is there");
    while mvcc.maintain(1) {}
    assert_eq!(mvcc.index.counts().entries, 1);
    assert_eq!(view.events(Revision(3)).expect("readable").count(), 2, "the view is pinned");
}

#[test]
fn readers_go_on_while_the_writer_writes_and_compacts() {
    const fn is_shared<T: Send + Sync + Clone>() {}
    is_shared::<View>();
    is_shared::<RangePage>();
    let mut mvcc = Mvcc::new();
    for n in 0..2_000 {
        put(&mut mvcc, &format!("key-{n:04}"), "first");
    }
    std::thread::scope(|scope| {
        for _ in 0..2 {
            let view = mvcc.view();
            scope.spawn(move || {
                for _ in 0..10 {
                    let query = RangeQuery { range: KeyRange::everything(), ..Default::default() };
                    let page = view.range(&query).expect("readable");
                    assert_eq!(page.len(), 2_000);
                    assert!(page.iter().all(|kv| kv.value == b"first" && kv.version == 1));
                    assert_eq!(view.events(Revision(2)).expect("readable").count(), 2_000);
                }
            });
        }
        for round in 0..4 {
            for n in (0..2_000).filter(|n| n % 7 != round) {
                put(&mut mvcc, &format!("key-{n:04}"), "later");
            }
            mvcc.compact(mvcc.revision()).expect("the revision is there");
            while mvcc.maintain(100) {}
        }
    });
}

/// Pitfall s: a step of compaction is short, however much there is to do.
#[test]
fn a_step_of_compaction_does_bounded_work() {
    const BUDGET: u64 = 50;
    let segments = (compaction::MERGE_SEGMENTS * history::SEGMENT_BYTES) as u64;
    let mut mvcc = Mvcc::new();
    for n in 0..10_000 {
        put(&mut mvcc, &format!("key-{:03}", n % 200), &"v".repeat(60));
    }
    let record = mvcc.sizes().in_use / 10_000 + 16;
    mvcc.compact(mvcc.revision()).expect("the revision is there");
    let mut steps = 0;
    loop {
        let before = mvcc.sizes();
        let more = mvcc.maintain(BUDGET as usize);
        let after = mvcc.sizes();
        steps += 1;
        let died = before.in_use - after.in_use;
        assert!(died <= BUDGET * record, "step {steps} found {died} dead bytes");
        let freed = before.allocated.saturating_sub(after.allocated);
        assert!(freed <= segments, "step {steps} rewrote {freed} bytes");
        if !more {
            break;
        }
    }
    assert!(steps > 10_000 / BUDGET, "{steps} steps");
    assert!(mvcc.sizes().allocated < 40 * history::SEGMENT_BYTES as u64, "all of it was done");
}

#[test]
fn compaction_gives_the_memory_back() {
    let mut mvcc = Mvcc::new();
    for n in 0..500 {
        put(&mut mvcc, &format!("key-{n}"), &"v".repeat(100));
    }
    let before = mvcc.sizes();
    let names: u64 = 10 * 5 + 90 * 6 + 400 * 7;
    assert_eq!(before.live, names + 500 * (100 + 32));
    for _ in 0..20 {
        for n in 0..500 {
            put(&mut mvcc, &format!("key-{n}"), &"v".repeat(100));
        }
    }
    assert_eq!(mvcc.sizes().live, before.live);
    assert!(mvcc.sizes().in_use > before.in_use * 20);
    mvcc.compact(mvcc.revision()).expect("the revision is there");
    while mvcc.maintain(100) {}
    assert!(mvcc.sizes().in_use < before.in_use * 11 / 10, "versions take a few bytes more");
    assert!(mvcc.sizes().allocated < before.allocated * 3 / 2);
}

#[test]
fn records_out_of_order_are_no_store() {
    let mut mvcc = Mvcc::new();
    put(&mut mvcc, "a", "1");
    put(&mut mvcc, "b", "1");
    let view = mvcc.view();
    let load = |records: Vec<KvRef<'_>>, revision| {
        Mvcc::load(records, Revision(revision), Revision::NEVER_COMPACTED).err()
    };
    let at = |main| ModRevision { main: Revision(main), sub: 0 };
    let records: Vec<_> = view.records().collect();
    assert_eq!(load(records.clone(), 3), None);
    assert_eq!(load(records.clone(), 2), Some(Unloadable::OutOfBounds(at(3))));
    assert_eq!(load(vec![records[1], records[0]], 3), Some(Unloadable::OutOfOrder(at(2))));
}

#[test]
fn a_key_written_and_deleted_by_one_transaction() {
    let mut mvcc = Mvcc::new();
    put(&mut mvcc, "a", "1");
    mvcc.put(b"a", b"2", LeaseId::NONE);
    mvcc.put(b"b", b"1", LeaseId::NONE);
    assert!(mvcc.delete(b"a") && mvcc.delete(b"b"));
    mvcc.commit();
    let before = mvcc.view();
    let events: Vec<_> = before.events(Revision(3)).expect("readable").collect();
    let previous: Vec<_> = events.iter().map(|event| before.previous_of(event)).collect();
    let values: Vec<_> = previous.iter().map(|kv| kv.map(|kv| kv.value)).collect();
    assert_eq!(values, [Some(&b"1"[..]), None, Some(&b"1"[..]), None]);
    mvcc.compact(Revision(3)).expect("the revision is there");
    let subs = |view: &View| {
        view.events(Revision(3)).expect("readable").map(|event| event.sub).collect::<Vec<_>>()
    };
    assert_eq!(subs(&mvcc.view()), [2, 3], "what is visible in the end");
    while mvcc.maintain(100) {}
    assert_eq!(subs(&mvcc.view()), [2, 3]);
    assert_eq!(subs(&before), [0, 1, 2, 3], "the view is pinned");
}
