//! The numbers here are those that etcd 3.7.1 gave after the same requests.

use super::*;

struct Store(Mvcc);

impl Store {
    fn put(&mut self, key: &str, value: &str) {
        self.0.put(key.as_bytes(), value.as_bytes(), LeaseId::NONE);
        self.0.commit();
    }

    fn delete(&mut self, key: &str) {
        assert!(self.0.delete(key.as_bytes()));
        self.0.commit();
    }

    fn compact(&mut self, revision: i64) {
        let before = self.0.view();
        self.0.compact(Revision(revision)).expect("the revision is there");
        let at_once = self.0.view().hash(Revision(0));
        while self.0.maintain(1) {}
        assert_eq!(self.0.view().hash(Revision(0)), at_once);
        assert_eq!(before.hash(Revision(0)), before.clone().hash(Revision(0)));
    }

    #[track_caller]
    fn expect(&self, asked: i64, hash: u32, compact_revision: i64, revision: i64) {
        let (compact_revision, revision) = (Revision(compact_revision), Revision(revision));
        let expected = KeyspaceHash { hash, compact_revision, revision };
        assert_eq!(self.0.view().hash(Revision(asked)), Ok(expected));
    }
}

#[test]
fn is_etcds_while_nothing_is_compacted() {
    let mut store = Store(Mvcc::new());
    store.expect(0, 1_084_519_789, -1, 1);
    store.put("a", "1");
    store.expect(0, 2_587_454_935, -1, 2);
    store.put("b", "2");
    store.put("a", "3");
    store.expect(0, 2_069_675_932, -1, 4);
    store.0.put(b"leased", b"v", LeaseId(524_284_553_436_569_350));
    store.0.commit();
    store.expect(0, 941_095_517, -1, 5);
    store.put("empty", "");
    store.expect(0, 395_033_936, -1, 6);
    store.delete("a");
    store.expect(0, 3_010_557_991, -1, 7);
    store.expect(4, 2_069_675_932, -1, 4);
    store.expect(6, 395_033_936, -1, 6);
    assert_eq!(store.0.view().hash(Revision(8)), Err(Refusal::FutureRevision));
}

#[test]
fn is_etcds_after_compactions() {
    let mut store = Store(Mvcc::new());
    for (key, value) in [("a", "1"), ("b", "2"), ("a", "3")] {
        store.put(key, value);
    }
    store.0.put(b"leased", b"v", LeaseId(524_284_553_436_569_350));
    store.0.commit();
    store.put("empty", "");
    store.delete("a");
    store.0.put(b"x", b"1", LeaseId::NONE);
    store.0.put(b"y", b"2", LeaseId::NONE);
    store.0.commit();
    store.expect(0, 4_095_696_329, -1, 8);
    store.delete("x");
    store.expect(0, 1_040_545_824, -1, 9);
    store.put("b", "9");
    store.expect(0, 4_144_197_941, -1, 10);
    store.compact(7);
    store.expect(0, 1_286_256_794, 7, 10);
    store.expect(8, 2_016_396_963, 7, 8);
    assert_eq!(store.0.view().hash(Revision(6)), Err(Refusal::Compacted));
    store.compact(9);
    store.expect(0, 1_227_100_985, 9, 10);
    store.put("z", &"z".repeat(300));
    store.expect(0, 2_792_211_273, 9, 11);
    store.0.delete_range(&KeyRange::everything());
    store.0.commit();
    store.expect(0, 464_297_204, 9, 12);
    store.compact(11);
    store.expect(0, 43_507_831, 11, 12);
    store.compact(12);
    store.expect(0, 1_084_519_789, 12, 12);
    store.put("n", "1");
    store.expect(0, 2_202_504_083, 12, 13);
    store.compact(13);
    store.expect(0, 2_202_504_083, 13, 13);
}

#[test]
fn is_etcds_around_a_tombstone_exactly_at_the_compacted_revision() {
    let mut store = Store(Mvcc::new());
    for key in ["a", "b", "c"] {
        store.put(key, "1");
    }
    store.delete("b");
    store.put("a", "2");
    store.delete("c");
    store.put("d", "1");
    store.expect(0, 278_053_140, -1, 8);
    store.compact(5);
    store.expect(0, 1_162_916_812, 5, 8);
    store.expect(5, 1_501_386_451, 5, 5);
    store.expect(6, 1_888_586_017, 5, 6);
    store.expect(7, 3_436_800_890, 5, 7);
    store.delete("d");
    store.delete("a");
    store.compact(9);
    store.expect(0, 2_281_057_008, 9, 10);
    store.put("q", "1");
    store.delete("q");
    store.expect(0, 251_552_450, 9, 12);
    store.compact(10);
    store.expect(0, 3_016_009_748, 10, 12);
    store.expect(10, 1_084_519_789, 10, 10);
}
