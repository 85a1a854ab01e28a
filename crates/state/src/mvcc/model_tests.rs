//! The real store against the naive one: every version of every key in a map, everything by looking
//! at all of it.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::outcome::KeyValue;
use crate::range::{Sort, SortOrder, SortTarget};

/// A version; a tombstone has version 0.
#[derive(Clone, Debug, PartialEq)]
struct Version {
    at: ModRevision,
    kv: KeyValue,
}

impl Version {
    fn is_live(&self) -> bool {
        self.kv.version > 0
    }
}

#[derive(Clone, Default)]
struct Model {
    versions: BTreeMap<Vec<u8>, Vec<Version>>,
    revision: i64,
    compacted: i64,
    sub: u32,
}

impl Model {
    fn new() -> Self {
        Self { revision: 1, compacted: -1, ..Self::default() }
    }

    fn write(&mut self, key: &[u8], value: Option<(&[u8], LeaseId)>) {
        let main = Revision(self.revision + 1);
        let versions = self.versions.entry(key.to_vec()).or_default();
        let live = versions.last().filter(|old| old.is_live()).map(|old| &old.kv);
        let mut kv =
            KeyValue { key: key.to_vec().into(), mod_revision: main, ..Default::default() };
        if let Some((value, lease)) = value {
            kv.create_revision = live.map_or(main, |live| live.create_revision);
            kv.version = live.map_or(0, |live| live.version) + 1;
            (kv.value, kv.lease) = (value.to_vec().into(), lease);
        } else if live.is_none() {
            return;
        }
        versions.push(Version { at: ModRevision { main, sub: self.sub }, kv });
        self.sub += 1;
    }

    fn commit(&mut self) {
        self.revision += i64::from(self.sub > 0);
        self.sub = 0;
    }

    fn visible(&self, key: &[u8], at: i64) -> Option<&KeyValue> {
        let newest = self.versions.get(key)?.iter().rfind(|version| version.at.main.0 <= at)?;
        newest.is_live().then_some(&newest.kv)
    }

    fn all_at(&self, range: &KeyRange, at: i64) -> Vec<KeyValue> {
        let keys = self.versions.keys().filter(|key| range.contains(key));
        keys.filter_map(|key| self.visible(key, at)).cloned().collect()
    }

    fn range(&self, query: &RangeQuery) -> Result<(Vec<KeyValue>, bool, i64), Refusal> {
        let asked = query.revision.0;
        if asked > self.revision {
            return Err(Refusal::FutureRevision);
        }
        if asked > 0 && asked < self.compacted {
            return Err(Refusal::Compacted);
        }
        let mut kvs = self.all_at(&query.range, if asked <= 0 { self.revision } else { asked });
        let count = kvs.len() as i64;
        if query.count_only {
            return Ok((Vec::new(), false, count));
        }
        let bounds = |it: Revision, min: Revision, max: Revision| {
            (min.0 == 0 || it.0 >= min.0) && (max.0 == 0 || it.0 <= max.0)
        };
        kvs.retain(|kv| {
            bounds(kv.mod_revision, query.min_mod_revision, query.max_mod_revision)
                && bounds(kv.create_revision, query.min_create_revision, query.max_create_revision)
        });
        let filtered = [query.min_mod_revision, query.max_mod_revision].iter().any(|r| r.0 != 0)
            || [query.min_create_revision, query.max_create_revision].iter().any(|r| r.0 != 0);
        let limit = if query.limit > 0 { query.limit as usize } else { usize::MAX };
        if query.sort.order == SortOrder::None && !filtered {
            kvs.truncate(limit.saturating_add(1));
        }
        kvs.sort_by(|a, b| compare(query.sort, a, b));
        let more = kvs.len() > limit;
        kvs.truncate(limit);
        if query.keys_only {
            kvs.iter_mut().for_each(|kv| kv.value = Default::default());
        }
        Ok((kvs, more, count))
    }

    fn events(&self, from: i64) -> Vec<Version> {
        let mut events = Vec::new();
        for versions in self.versions.values() {
            for (nth, version) in versions.iter().enumerate() {
                let main = version.at.main.0;
                let superseded = versions.get(nth + 1).is_some_and(|next| next.at.main.0 == main);
                if main >= from && !(superseded && main == self.compacted) {
                    events.push(version.clone());
                }
            }
        }
        events.sort_by_key(|version| version.at);
        events
    }
}

fn compare(sort: Sort, a: &KeyValue, b: &KeyValue) -> std::cmp::Ordering {
    let order = match sort.target {
        SortTarget::Key => a.key.cmp(&b.key),
        SortTarget::Version => a.version.cmp(&b.version),
        SortTarget::Create => a.create_revision.cmp(&b.create_revision),
        SortTarget::Mod => a.mod_revision.cmp(&b.mod_revision),
        SortTarget::Value => a.value.cmp(&b.value),
    };
    if sort.order == SortOrder::Descend { order.reverse() } else { order }
}

#[derive(Clone, Debug)]
enum Step {
    Put { key: u8, value: u16, lease: i64 },
    Delete { key: u8 },
    DeleteRange { from: u8, to: u8 },
    Commit,
    Compact { back: u8 },
    Maintain { budget: usize },
    Pin,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        10 => (0..40u8, 0..2000u16, 0..3i64).prop_map(|(key, value, lease)| Step::Put { key, value, lease }),
        3 => (0..40u8).prop_map(|key| Step::Delete { key }),
        1 => (0..40u8, 0..8u8).prop_map(|(from, n)| Step::DeleteRange { from, to: from + n }),
        8 => Just(Step::Commit),
        1 => (0..12u8).prop_map(|back| Step::Compact { back }),
        3 => (1..20usize).prop_map(|budget| Step::Maintain { budget }),
        1 => Just(Step::Pin),
    ];
    prop::collection::vec(step, 1..400)
}

fn queries() -> impl Strategy<Value = Vec<RangeQuery>> {
    let order =
        prop_oneof![Just(SortOrder::None), Just(SortOrder::Ascend), Just(SortOrder::Descend)];
    let target = prop_oneof![
        3 => Just(SortTarget::Key),
        1 => Just(SortTarget::Version),
        1 => Just(SortTarget::Create),
        1 => Just(SortTarget::Mod),
        1 => Just(SortTarget::Value),
    ];
    let bound = || prop_oneof![4 => Just(0i64), 1 => 1..60i64];
    let query = (
        (0..42u8, 0..44u8, prop_oneof![Just(0i64), -2..80i64], -1..12i64),
        (order, target, any::<bool>(), prop::bool::weighted(0.1)),
        (bound(), bound(), bound(), bound()),
    );
    let query = query.prop_map(|((from, to, revision, limit), sort, bounds)| RangeQuery {
        range: KeyRange { key: key(from).into(), range_end: range_end(to) },
        revision: Revision(revision),
        limit,
        sort: Sort { order: sort.0, target: sort.1 },
        keys_only: sort.2,
        count_only: sort.3,
        min_mod_revision: Revision(bounds.0),
        max_mod_revision: Revision(bounds.1),
        min_create_revision: Revision(bounds.2),
        max_create_revision: Revision(bounds.3),
    });
    prop::collection::vec(query, 30)
}

/// Keys that are prefixes of one another, hold zeros, and share more than a head.
fn key(n: u8) -> Vec<u8> {
    match n {
        0..8 => vec![b'a'; usize::from(n) + 1],
        8..12 => [b"a".as_slice(), &vec![0; usize::from(n) - 7]].concat(),
        _ => format!("registry/things/{n:02}").into_bytes(),
    }
}

fn range_end(n: u8) -> bytes::Bytes {
    match n {
        42 => bytes::Bytes::new(),
        43 => "\0".into(),
        n => key(n).into(),
    }
}

/// One pinned view, the model as it was then, and what it hashed to.
struct Pinned(View, Model, KeyspaceHash);

fn run(steps: &[Step], mvcc: &mut Mvcc, model: &mut Model) -> Vec<Pinned> {
    let mut pinned = Vec::new();
    for step in steps {
        match step {
            Step::Put { key: k, value, lease } => {
                commit_if_touched(&key(*k), mvcc, model);
                let value = vec![*value as u8; usize::from(*value)];
                mvcc.put(&key(*k), &value, LeaseId(*lease));
                model.write(&key(*k), Some((&value, LeaseId(*lease))));
            }
            Step::Delete { key: k } => {
                let there = model.versions.get(&key(*k)).and_then(|v| v.last());
                assert_eq!(mvcc.delete(&key(*k)), there.is_some_and(Version::is_live));
                model.write(&key(*k), None);
            }
            Step::DeleteRange { from, to } => delete_range(*from, *to, mvcc, model),
            Step::Commit => commit(mvcc, model),
            Step::Compact { back } => {
                commit(mvcc, model);
                let to = model.revision - i64::from(*back);
                let expected = if to <= model.compacted { Err(Refusal::Compacted) } else { Ok(()) };
                assert_eq!(mvcc.compact(Revision(to)), expected);
                model.compacted = model.compacted.max(to);
            }
            Step::Maintain { budget } => maintain(*budget, mvcc, model),
            Step::Pin => {
                commit(mvcc, model);
                let hash = mvcc.view().hash(Revision(0)).expect("the newest is readable");
                pinned.push(Pinned(mvcc.view(), model.clone(), hash));
            }
        }
    }
    commit(mvcc, model);
    pinned
}

fn commit(mvcc: &mut Mvcc, model: &mut Model) {
    model.commit();
    assert_eq!(mvcc.commit(), Revision(model.revision));
}

/// As in etcd, no command writes a key that it wrote or deleted already. It may delete what it wrote.
fn commit_if_touched(key: &[u8], mvcc: &mut Mvcc, model: &mut Model) {
    let newest = model.versions.get(key).and_then(|versions| versions.last());
    if newest.is_some_and(|newest| newest.at.main.0 > model.revision) {
        commit(mvcc, model);
    }
}

fn delete_range(from: u8, to: u8, mvcc: &mut Mvcc, model: &mut Model) {
    let range = KeyRange { key: key(from).into(), range_end: key(to).into() };
    let doomed = model.all_at(&range, model.revision + 1);
    let deleted = mvcc.delete_range(&range);
    let record = |at: &ModRevision| mvcc.record(*at).expect("there").to_owned();
    let deleted: Vec<_> = deleted.iter().map(record).collect();
    assert_eq!(deleted, doomed);
    doomed.iter().for_each(|kv| model.write(&kv.key, None));
}

fn maintain(budget: usize, mvcc: &mut Mvcc, model: &mut Model) {
    commit(mvcc, model);
    let before = mvcc.view().hash(Revision(0));
    let records = mvcc.view().records().map(|kv| (kv.at(), kv.to_owned())).collect::<Vec<_>>();
    mvcc.maintain(budget);
    assert_eq!(mvcc.view().hash(Revision(0)), before, "maintenance cannot be seen");
    let after = mvcc.view().records().map(|kv| (kv.at(), kv.to_owned())).collect::<Vec<_>>();
    assert_eq!(after, records);
}

fn check(view: &View, model: &Model, queries: &[RangeQuery]) {
    assert_eq!(view.revision().0, model.revision);
    assert_eq!(view.compact_revision().0, model.compacted);
    for query in queries {
        let page = view.range(query).map(|page| {
            let kvs: Vec<_> = page.iter().map(|kv| kv.to_owned()).collect();
            (kvs, page.more, page.count)
        });
        assert_eq!(page, model.range(query), "{query:?}");
        let count = view.count(&query.range, query.revision);
        assert_eq!(count, model.range(query).map(|(_, _, count)| count));
    }
    for n in 0..40 {
        for at in model.compacted.max(1)..=model.revision {
            let found = view.get_at(&key(n), Revision(at)).expect("readable");
            assert_eq!(found.map(|kv| kv.to_owned()).as_ref(), model.visible(&key(n), at));
        }
        let newest = view.get(&key(n)).map(|kv| kv.to_owned());
        assert_eq!(newest.as_ref(), model.visible(&key(n), model.revision));
    }
    let all = model.all_at(&KeyRange::everything(), model.revision);
    let nth: Vec<_> =
        (0..=all.len()).map_while(|nth| view.nth(nth)).map(|kv| kv.to_owned()).collect();
    assert_eq!(nth, all);
    let live: usize = all.iter().map(|kv| kv.key.len() + kv.value.len() + 32).sum();
    assert_eq!((view.len(), view.sizes().live), (all.len(), live as u64));
    check_events(view, model);
}

fn check_events(view: &View, model: &Model) {
    if model.compacted > 0 {
        assert!(view.events(Revision(model.compacted - 1)).is_err());
    }
    for from in model.compacted.max(0)..=model.revision + 1 {
        let events: Vec<_> = view.events(Revision(from)).expect("readable").collect();
        let expected = model.events(from);
        assert_eq!(events.len(), expected.len());
        for (event, expected) in events.iter().zip(&expected) {
            assert_eq!((event.at(), event.to_owned()), (expected.at, expected.kv.clone()));
            assert_eq!(event.tombstone, !expected.is_live());
            let before = event.mod_revision.0 - 1;
            let previous = (before >= model.compacted).then(|| model.visible(event.key, before));
            let found = view.previous_of(event).map(|kv| kv.to_owned());
            assert_eq!(found.as_ref(), previous.flatten());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 24 } else { 2_000 }))]

    #[test]
    fn is_what_the_naive_store_is(steps in steps(), queries in queries()) {
        let (mut mvcc, mut model) = (Mvcc::new(), Model::new());
        let pinned = run(&steps, &mut mvcc, &mut model);
        check(&mvcc.view(), &model, &queries);
        while mvcc.maintain(7) {}
        check(&mvcc.view(), &model, &queries);
        let view = mvcc.view();
        let loaded = Mvcc::load(view.records(), view.revision(), view.compact_revision())
            .expect("the records of a store");
        check(&loaded.view(), &model, &queries);
        prop_assert_eq!(loaded.view().hash(Revision(0)), view.hash(Revision(0)));
        for Pinned(view, model, hash) in &pinned {
            check(view, model, &queries);
            prop_assert_eq!(view.hash(Revision(0)), Ok(*hash));
        }
    }
}
