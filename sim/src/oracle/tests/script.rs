//! One right history written by hand, in which everything occurs once; tests spoil it.

use super::store::Store;
use crate::oracle::history::{
    Call, Compare, DigestAt, Event, HashAt, History, KeyRange, LeaseId, Limits, Log, Op, Outcome,
    Positions, Put, Range, Relation, Revision, Target, Time, Truth, Watch, WatchResponse,
};

const MILLISECOND: u64 = 1_000_000;

/// The calls, by what they are.
pub(super) mod call {
    pub(in crate::oracle) const PUT_A: usize = 0;
    pub(in crate::oracle) const GRANT_7: usize = 1;
    pub(in crate::oracle) const PUT_C: usize = 3;
    pub(in crate::oracle) const CAS_LOST: usize = 5;
    pub(in crate::oracle) const RANGE_ALL: usize = 6;
    pub(in crate::oracle) const DELETE_NONE: usize = 7;
    pub(in crate::oracle) const KEEP_ALIVE: usize = 9;
    pub(in crate::oracle) const COMPACT: usize = 10;
    pub(in crate::oracle) const READ_BELOW: usize = 11;
    pub(in crate::oracle) const READ_PAST: usize = 12;
    pub(in crate::oracle) const PUT_D: usize = 13;
    pub(in crate::oracle) const PAGE: usize = 14;
    pub(in crate::oracle) const TIME_TO_LIVE: usize = 16;
    pub(in crate::oracle) const SERIALIZABLE: usize = 17;
    pub(in crate::oracle) const GRANT_8: usize = 18;
    pub(in crate::oracle) const REVOKE: usize = 21;
    pub(in crate::oracle) const UNKNOWN: usize = 22;
    pub(in crate::oracle) const RANGE_G: usize = 23;
}

struct Script {
    store: Store,
    history: History,
    now: u64,
}

impl Script {
    fn call(&mut self, op: Op) {
        let outcome = match &op {
            Op::Range(range) if range.serializable => self.store.read_at(range, 5),
            Op::Range(range) => self.store.read_at(range, self.store.revision()),
            op => self.store.apply(op, self.now),
        };
        self.record(op, Some(outcome));
    }

    fn record(&mut self, op: Op, outcome: Option<Outcome>) {
        let (begin, end) = (Time(self.now), Some(Time(self.now + MILLISECOND)));
        let id = self.history.calls.len() as u64;
        self.history.calls.push(Call { client: 1, id, begin, end, endpoint: 0, op, outcome });
        self.now += 10 * MILLISECOND;
    }
}

pub(super) fn put(key: &str, value: &str, lease: i64) -> Op {
    let (key, value) = (key.as_bytes().to_vec(), value.as_bytes().to_vec());
    Op::Put(Put { key, value, lease: LeaseId(lease), prev_kv: false })
}

pub(super) fn keys(key: &str, end: &str) -> KeyRange {
    KeyRange { key: key.as_bytes().to_vec(), end: end.as_bytes().to_vec() }
}

fn range(key: &str, end: &str, revision: i64) -> Range {
    Range { range: keys(key, end), revision: Revision(revision), ..Range::default() }
}

fn swap(value: &str) -> Op {
    let target = Target::Mod(Revision(2));
    let compare = Compare { key: b"a".to_vec(), relation: Relation::Equal, target };
    let failure = vec![Op::Range(range("a", "", 0))];
    Op::Txn { compares: vec![compare], success: vec![put("a", value, 0)], failure }
}

fn calls(script: &mut Script) {
    script.call(put("a", "1", 0));
    script.call(Op::Grant { id: LeaseId(7), ttl: 5 });
    script.call(put("b", "2", 7));
    script.call(put("c", "3", 7));
    script.call(swap("4"));
    script.call(swap("5"));
    script.call(Op::Range(range("a", "z", 0)));
    script.call(Op::Delete { range: keys("d", ""), prev_kv: false });
    script.call(Op::Delete { range: keys("a", ""), prev_kv: true });
    script.call(Op::KeepAlive { id: LeaseId(7) });
    script.call(Op::Compact { revision: Revision(3) });
    script.call(Op::Range(range("a", "", 2)));
    script.call(Op::Range(range("a", "", 5)));
    script.call(put("d", "6", 0));
    script.call(Op::Range(Range { limit: 1, ..range("a", "z", 0) }));
    script.now += 6000 * MILLISECOND;
    script.store.leases.remove(&LeaseId(7));
    script.store.end(LeaseId(7));
    script.call(Op::Range(range("a", "z", 0)));
    script.call(Op::TimeToLive { id: LeaseId(7) });
    script.call(Op::Range(Range { serializable: true, ..range("a", "z", 0) }));
    script.call(Op::Grant { id: LeaseId(8), ttl: 60 });
    script.call(put("e", "7", 8));
    script.call(put("f", "8", 8));
    script.call(Op::Revoke { id: LeaseId(8) });
    script.store.apply(&put("g", "9", 0), script.now);
    script.record(put("g", "9", 0), None);
    script.call(Op::Range(range("g", "", 0)));
    script.record(put("h", "10", 0), None);
}

/// A watch that sees everything, one response a revision, a notice at the end; one that was
/// compacted away.
fn watches(script: &mut Script) {
    let mut all =
        Watch { range: keys("a", "z"), start: Revision(2), prev_kv: true, ..Watch::default() };
    let created =
        WatchResponse { revision: Revision(1), created: true, ..WatchResponse::default() };
    all.responses.push(created.clone());
    let end = script.store.revision();
    for revision in 2..=end {
        let before = &script.store.states[revision as usize - 1];
        let made = script.store.events.iter().filter(|event| event.kv.mod_revision.0 == revision);
        let shown =
            |event: &Event| Event { prev: before.get(&event.kv.key).cloned(), ..event.clone() };
        let events = made.map(shown).collect();
        let (time, revision) = (Time(script.now), Revision(revision));
        all.responses.push(WatchResponse { time, revision, events, ..WatchResponse::default() });
    }
    let (time, revision) = (Time(script.now), Revision(end));
    all.responses.push(WatchResponse { time, revision, ..WatchResponse::default() });
    all.settled = Some(revision);
    let begin = Time(script.now);
    let mut gone = Watch { id: 1, begin, settled: None, responses: vec![], ..all.clone() };
    let created = WatchResponse { time, revision, ..created };
    let canceled = WatchResponse { time, canceled: true, ..WatchResponse::default() };
    let compact_revision = Revision(3);
    gone.responses = vec![created, WatchResponse { compact_revision, ..canceled }];
    script.history.watches = vec![all, gone];
}

/// The history and its truth.
pub(super) fn right() -> (History, Truth) {
    let history =
        History { limits: Limits { early: 0, late: Some(2_000_000_000) }, ..History::default() };
    let mut script = Script { store: Store::new(), history, now: 10 * MILLISECOND };
    calls(&mut script);
    watches(&mut script);
    let (time, to) = (Time(script.now), Revision(script.store.revision()));
    let mut truth = Truth { read_at: time, ..Truth::default() };
    for member in 0..2 {
        let (applied, durable, tail) = (5, 6, 7);
        script.history.positions.push(Positions { member, time, applied, durable, tail });
        script.history.digests.push(DigestAt { member, time, position: 5, digest: 1 });
        let events = script.store.events.clone();
        truth.logs.push(Log { member, from: Revision(1), to, events });
        let compact_revision = Revision(script.store.compacted);
        truth.hashes.push(HashAt { member, revision: to, compact_revision, hash: 2 });
    }
    (script.history, truth)
}
