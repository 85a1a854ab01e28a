//! A loaded store against one whose index was made key by key.

use proptest::prelude::*;

use super::*;
use crate::ids::LeaseId;
use crate::mvcc::index::Entry;
use crate::range::KeyRange;

#[derive(Clone, Debug)]
enum Step {
    Put(Vec<u8>, usize),
    Delete(Vec<u8>),
    Commit,
    Compact(i64),
    Maintain,
}

fn keys() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => (0..400u32).prop_map(|n| format!("/registry/pods/ns-{}/pod-{n}", n % 7).into_bytes()),
        1 => prop::collection::vec(prop_oneof![Just(0u8), Just(1), Just(255)], 1..12),
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        8 => (keys(), 0..40usize).prop_map(|(key, value)| Step::Put(key, value)),
        3 => keys().prop_map(Step::Delete),
        6 => Just(Step::Commit),
        1 => (0..200i64).prop_map(Step::Compact),
        1 => Just(Step::Maintain),
    ];
    prop::collection::vec(step, 0..1200)
}

fn run(mvcc: &mut Mvcc, steps: &[Step]) {
    for step in steps {
        match step {
            Step::Put(key, len) => drop(mvcc.put(key, &vec![7; *len], LeaseId(*len as i64 % 3))),
            Step::Delete(key) => drop(mvcc.delete(key)),
            Step::Commit => drop(mvcc.commit()),
            Step::Compact(back) => {
                mvcc.commit();
                // Refused if it is not above the last one.
                mvcc.compact(Revision(mvcc.revision().0 - back)).unwrap_or_default();
            }
            Step::Maintain => drop(mvcc.maintain(50)),
        }
    }
    mvcc.commit();
}

fn by_single_sets(view: &View) -> Mvcc {
    let mut made = Mvcc::new();
    made.revision = view.revision();
    made.compaction = Compaction::done(view.compact_revision());
    for record in view.records() {
        let entry = Entry { at: record.at(), tombstone: record.tombstone };
        let old = made.index.set(record.key, entry, made.history.segments());
        if let Some(live) = old.filter(|old| !old.tombstone) {
            let live = made.history.segments().named(live.at);
            made.live_bytes -= weight(live.key, live.value);
        }
        if !record.tombstone {
            made.live_bytes += weight(record.key, record.value);
        }
        made.history.append(&KvRef { previous: old.map(|old| old.at), ..record });
    }
    made
}

fn load(view: &View, hash: fn(&[u8]) -> u64) -> Mvcc {
    let mut loader = Loader::with_hash(view.revision(), view.compact_revision(), Box::new(hash));
    let records: Vec<_> = view.records().collect();
    for some in records.chunks(23) {
        loader.push(some).expect("the records of a store");
    }
    loader.finish()
}

fn assert_same(one: &Mvcc, other: &Mvcc) {
    assert_eq!(one.sizes(), other.sizes());
    let (index, history) = (&one.index, one.history.segments());
    index.check(history);
    assert_eq!(index.counts(), other.index.counts());
    let entries: Vec<Entry> = index.seek(b"", history).collect();
    let others: Vec<Entry> = other.index.seek(b"", other.history.segments()).collect();
    assert_eq!(entries, others);
    for entry in &entries {
        let key = history.named(entry.at).key;
        assert_eq!(index.get(key, history), Some(*entry));
    }
    let (view, other) = (one.view(), other.view());
    assert!(
        crate::mvcc::Events::new(&view, Revision(0))
            .eq(crate::mvcc::Events::new(&other, Revision(0)))
    );
    assert_eq!(view.hash(Revision(0)), other.hash(Revision(0)));
    let all = KeyRange::everything();
    for revision in view.compact_revision().0.max(1)..=view.revision().0 {
        let revision = Revision(revision);
        assert_eq!(view.handles(&all, revision, None), other.handles(&all, revision, None));
    }
}

/// Keys of one length are not told apart.
fn weak(key: &[u8]) -> u64 {
    key.len() as u64
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 16 } else { 500 }))]

    #[test]
    fn is_the_store_made_key_by_key(before in steps(), after in steps()) {
        let mut mvcc = Mvcc::new();
        run(&mut mvcc, &before);
        let view = mvcc.view();
        let mut expected = by_single_sets(&view);
        let mut loaded = [
            Mvcc::load(view.records(), view.revision(), view.compact_revision()).expect("sound"),
            load(&view, weak),
            load(&view, |_| 0),
        ];
        run(&mut expected, &[]);
        for loaded in &loaded {
            assert_same(loaded, &expected);
        }
        // What comes later finds it as the other: versions, deletions, compaction.
        run(&mut expected, &after);
        while expected.maintain(100) {}
        for loaded in &mut loaded {
            run(loaded, &after);
            while loaded.maintain(100) {}
            assert_same(loaded, &expected);
        }
    }
}

#[test]
fn a_weak_hash_collides_and_nothing_is_lost() {
    let mut mvcc = Mvcc::new();
    for round in 0..3 {
        for n in 0..500 {
            let key = format!("key-{n:04}");
            if round == 1 && n % 3 == 0 {
                mvcc.delete(key.as_bytes());
            } else {
                mvcc.put(key.as_bytes(), b"value", LeaseId::NONE);
            }
            mvcc.commit();
        }
    }
    let view = mvcc.view();
    assert_same(&load(&view, weak), &by_single_sets(&view));
}

#[test]
fn nothing_loaded_is_an_empty_store() {
    let loaded = load(&Mvcc::new().view(), weak);
    assert!(loaded.is_empty());
    assert_same(&loaded, &Mvcc::new());
}
