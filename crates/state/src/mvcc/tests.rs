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
