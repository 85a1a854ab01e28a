//! Every check finds what is planted for it, and names it.

use super::script::{call, keys, put, right};
use super::store::deletion;
use super::told;
use crate::oracle::history::{
    Event, EventKind, History, Kv, LeaseId, Op, Outcome, Refusal, Reply, Revision, Time, Truth,
    Watch, WatchResponse,
};
use crate::oracle::{invariant, judge};

#[test]
fn the_script_is_right() {
    let (history, truth) = right();
    let findings = judge(&history, &truth);
    assert!(findings.is_empty(), "{}", told(&findings));
}

/// Plants something; a finding must name the promise and have the words.
fn planted(promise: &str, words: &str, plant: impl FnOnce(&mut History, &mut Truth)) {
    let (mut history, mut truth) = right();
    plant(&mut history, &mut truth);
    let findings = judge(&history, &truth);
    let named =
        findings.iter().any(|finding| finding.invariant == promise && finding.text.contains(words));
    assert!(named, "[{promise}] {words}: not found in\n{}", told(&findings));
}

fn done(history: &mut History, place: usize) -> (&mut Revision, &mut Reply) {
    match &mut history.calls[place].outcome {
        Some(Outcome::Done { revision, reply }) => (revision, reply),
        other => panic!("{other:?} is not done"),
    }
}

fn page(history: &mut History, place: usize) -> (&mut Vec<Kv>, &mut i64, &mut bool) {
    match done(history, place).1 {
        Reply::Range { kvs, count, more } => (kvs, count, more),
        other => panic!("{other:?} is no page"),
    }
}

fn refuse(history: &mut History, place: usize, refusal: Refusal) {
    history.calls[place].outcome = Some(Outcome::Refused(refusal));
}

fn answer(history: &mut History, place: usize, revision: i64, reply: Reply) {
    let revision = Revision(revision);
    history.calls[place].outcome = Some(Outcome::Done { revision, reply });
}

/// One more revision, at every member.
fn also(truth: &mut Truth, key: &str, value: &str, created: i64, version: i64) {
    let (key, value) = (key.as_bytes().to_vec(), value.as_bytes().to_vec());
    for log in &mut truth.logs {
        log.to.0 += 1;
        let (mod_revision, create_revision) = (log.to, Revision(created));
        let (key, value, lease) = (key.clone(), value.clone(), LeaseId(0));
        let kv = Kv { key, value, create_revision, mod_revision, version, lease };
        log.events.push(Event { kind: EventKind::Put, kv, prev: None });
    }
}

fn cut(truth: &mut Truth, to: i64) {
    for log in &mut truth.logs {
        log.to = Revision(to);
        log.events.retain(|event| event.kv.mod_revision.0 <= to);
    }
}

#[test]
fn revisions() {
    planted(invariant::REVISIONS, "revision 6 was given to", |history, _| {
        done(history, call::PUT_D).0.0 = 6;
    });
    planted(invariant::REVISIONS, "no event for revisions 7 to 7", |_, truth| {
        for log in &mut truth.logs {
            log.events.retain(|event| event.kv.mod_revision.0 != 7);
        }
    });
    planted(invariant::KEPT, "revision 12 was shown", |_, truth| cut(truth, 11));
    planted(invariant::RECORD, "no events of revision 9", |_, truth| {
        truth.logs.remove(1);
        let mut behind = truth.logs[0].clone();
        cut(truth, 8);
        behind.from = Revision(10);
        behind.events.retain(|event| event.kv.mod_revision.0 > 9);
        truth.logs.push(behind);
    });
}

#[test]
fn real_time() {
    planted(invariant::REAL_TIME, "it took effect at 4, but before it began, 5", |history, _| {
        let (kvs, ..) = page(history, call::RANGE_ALL);
        kvs[0] =
            Kv { value: b"1".to_vec(), mod_revision: Revision(2), version: 1, ..kvs[0].clone() };
        done(history, call::RANGE_ALL).0.0 = 4;
    });
    planted(invariant::REAL_TIME, "it took effect at 2, but before it began, 6", |history, _| {
        let (begin, end) = (history.calls[call::PAGE].begin, history.calls[call::PAGE].end);
        (history.calls[call::PUT_A].begin, history.calls[call::PUT_A].end) = (begin, end);
        history.calls[call::PUT_D].end = end;
    });
    planted(invariant::REAL_TIME, "which began after that was seen", |history, _| {
        let seen = history.calls[call::RANGE_G].end.unwrap();
        history.calls[call::UNKNOWN].begin = Time(seen.0 + 1);
    });
    planted(invariant::REAL_TIME, "which began after that was seen", |history, _| {
        // A watch saw it first.
        history.calls[call::RANGE_G].outcome = None;
        let seen = history.watches[0].responses.last().unwrap().time;
        history.calls[call::UNKNOWN].begin = Time(seen.0 + 1);
    });
}

#[test]
fn replies() {
    let exact = |words: &str, plant: fn(&mut History)| {
        planted(invariant::EXACT, words, |history, _| plant(history));
    };
    exact("(a=wrong v2", |history| page(history, call::RANGE_ALL).0[0].value = b"wrong".to_vec());
    exact("v3 created 2", |history| page(history, call::RANGE_ALL).0[0].version = 3);
    exact("created 1 ", |history| page(history, call::RANGE_ALL).0[0].create_revision.0 = 1);
    exact("written 4) is not", |history| page(history, call::RANGE_ALL).0[0].mod_revision.0 = 4);
    exact("lease 7) is missing", |history| page(history, call::RANGE_ALL).0[1].lease.0 = 8);
    exact("the order must be", |history| page(history, call::RANGE_ALL).0.reverse());
    exact("(c=3", |history| drop(page(history, call::RANGE_ALL).0.pop()));
    exact("count must be 3, is 2", |history| *page(history, call::PAGE).1 = 2);
    exact("more must be true", |history| *page(history, call::PAGE).2 = false);
    exact("is not so", |history| {
        let more = page(history, call::PAGE).0[0].clone();
        page(history, call::PAGE).0.push(more);
        page(history, call::PAGE).0[1].key = b"x".to_vec();
    });
    exact("at 5", |history| page(history, call::SERIALIZABLE).0[0].value = b"old".to_vec());
    exact("deleted 0", |history| {
        answer(history, call::DELETE_NONE, 5, Reply::Delete { deleted: 1, prev: vec![] });
    });
    exact("operation 0: count must be 1, is 0", |history| {
        let replies = vec![Reply::Range { kvs: vec![], count: 0, more: false }];
        answer(history, call::CAS_LOST, 5, Reply::Txn { succeeded: false, replies });
    });
    exact("no store has this revision", |history| done(history, call::CAS_LOST).0.0 = 0);
}

#[test]
fn a_lost_swap_that_says_it_won() {
    let won = |history: &mut History, _: &mut Truth| {
        let replies = vec![Reply::Put { prev: None }];
        answer(history, call::CAS_LOST, 5, Reply::Txn { succeeded: true, replies });
    };
    planted(invariant::REVISIONS, "revision 5 was given to", won);
    planted(invariant::ONCE, "but revision 5 holds", won);
}

#[test]
fn once() {
    let once = |words: &str, plant: fn(&mut History, &mut Truth)| {
        planted(invariant::ONCE, words, plant);
    };
    once("which took effect at another revision already", |_, truth| also(truth, "g", "9", 12, 2));
    once("which was told another revision", |_, truth| also(truth, "d", "6", 7, 2));
    once("which was refused", |history, _| {
        refuse(history, call::UNKNOWN, Refusal::Other("no space".to_owned()));
    });
    once("nobody asked for that", |_, truth| also(truth, "z", "11", 13, 1));
    once("which does not come to that", |history, _| {
        let success = vec![put("g", "9", 0), put("i", "12", 0)];
        let op = Op::Txn { compares: vec![], success, failure: vec![] };
        history.calls[call::UNKNOWN].op = op;
    });
    once("but revision 7 holds", |history, _| {
        history.calls[call::PUT_D].op = put("d", "other", 0);
    });
    once("nobody asked for that", |_, truth| {
        for log in &mut truth.logs {
            log.to.0 += 1;
            log.events.push(deletion(b"d", log.to));
        }
    });
}

#[test]
fn compaction() {
    let found = |words: &str, plant: fn(&mut History)| {
        planted(invariant::COMPACTION, words, |history, _| plant(history));
    };
    found("3 had been compacted before", |history| {
        let (kvs, count, more) = (vec![], 0, false);
        answer(history, call::READ_BELOW, 6, Reply::Range { kvs, count, more });
    });
    found("only 3 can have been", |history| refuse(history, call::READ_PAST, Refusal::Compacted));
    found("no revision of the past", |history| refuse(history, call::PAGE, Refusal::Compacted));
    found("but 6 had been seen", |history| refuse(history, call::READ_PAST, Refusal::Future));
    found("3 was compacted already", |history| {
        let again = history.calls[call::COMPACT].clone();
        history.calls[call::PAGE].op = again.op;
        answer(history, call::PAGE, 7, Reply::Compact);
    });
    found("only 0 can have been", |history| refuse(history, call::COMPACT, Refusal::Compacted));
}

#[test]
fn leases() {
    let found = |words: &str, plant: fn(&mut History, &mut Truth)| {
        planted(invariant::LEASES, words, plant);
    };
    found("the end of lease 7, which was early", |history, _| {
        let call = &mut history.calls[call::KEEP_ALIVE];
        (call.begin, call.end) = (Time(5_000_000_000), Some(Time(5_001_000_000)));
    });
    found("lease 7 has the keys", |_, truth| {
        for log in &mut truth.logs {
            log.events.retain(|event| event.kv.mod_revision.0 != 8 || event.kv.key != b"c");
        }
    });
    found("it had ended at 8", |_, truth| {
        for log in &mut truth.logs {
            let event = log.events.iter_mut().find(|event| event.kv.key == b"e").unwrap();
            event.kv.lease = LeaseId(7);
        }
    });
    found("nobody had granted it", |history, _| {
        history.calls[call::GRANT_8].op = Op::Other("defragment".to_owned());
    });
    found("at 10 its keys are left", |history, _| done(history, call::REVOKE).0.0 = 10);
    found("still there at 5.900000000s", |history, _| {
        history.limits.late = Some(100_000_000);
        let call = &mut history.calls[call::PAGE];
        (call.begin, call.end) = (Time(5_900_000_000), Some(Time(5_901_000_000)));
    });
    found("it lives until", |history, _| {
        answer(history, call::KEEP_ALIVE, 6, Reply::KeepAlive { ttl: 0 });
    });
    found("it lives until", |history, _| refuse(history, call::PUT_C, Refusal::LeaseNotFound));
    found("gives it longer", |history, _| {
        history.calls[call::DELETE_NONE].op = Op::TimeToLive { id: LeaseId(7) };
        answer(history, call::DELETE_NONE, 5, Reply::TimeToLive { ttl: 2, granted: 5 });
    });
    found("it was granted for {5}s", |history, _| {
        answer(history, call::KEEP_ALIVE, 6, Reply::KeepAlive { ttl: 9 });
    });
    found("it had ended at 8, as was seen", |history, _| {
        history.calls[call::TIME_TO_LIVE].op = Op::KeepAlive { id: LeaseId(7) };
        answer(history, call::TIME_TO_LIVE, 8, Reply::KeepAlive { ttl: 5 });
    });
    found("it must live for 5s", |history, _| {
        answer(history, call::GRANT_7, 2, Reply::Grant { id: LeaseId(7), ttl: 4 });
    });
    found("should be gone", |history, truth| {
        cut(truth, 7);
        truth.read_at = Time(60_000_000_000);
        history.watches.clear();
    });
}

#[test]
fn watches() {
    let found = |words: &str, plant: fn(&mut Vec<Watch>)| {
        planted(invariant::WATCHES, words, |history, _| plant(&mut history.watches));
    };
    let at = |revision: usize| revision - 1;
    assert_eq!(at(2), 1, "the response of a revision stands behind the one that says created");
    found("expected put b", |watches| drop(watches[0].responses.remove(2)));
    found("again", |watches| {
        let again = watches[0].responses[2].clone();
        watches[0].responses.insert(3, again);
    });
    found("expected", |watches| watches[0].responses.swap(2, 3));
    found("revision 8 is split", |watches| {
        let mut rest = watches[0].responses[7].clone();
        rest.events.remove(0);
        watches[0].responses[7].events.pop();
        watches[0].responses.insert(8, rest);
    });
    found("must show", |watches| watches[0].responses[4].events[0].prev = None);
    found("must show nothing", |watches| {
        watches[0].responses[6].events[0].prev = watches[0].responses[4].events[0].prev.clone();
    });
    found("a notice ahead of", |watches| {
        let notice = WatchResponse { revision: Revision(6), ..WatchResponse::default() };
        watches[0].responses.insert(5, notice);
    });
    found("a notice behind 12", |watches| {
        watches[0].responses.last_mut().unwrap().revision = Revision(11);
    });
    found("needs only 3", |watches| watches[1].start = Revision(3));
    found("nobody had asked for a compaction at 4", |watches| {
        watches[1].responses[1].compact_revision = Revision(4);
    });
    found("was up to date at 2", |watches| {
        (watches[1].wide, watches[1].responses[0].revision) = (true, Revision(1));
    });
    found("expected", |watches| watches[0].no_delete = true);
    found("is before the start, 3", |watches| watches[0].start = Revision(3));
    found("all up to 12 must have come", |watches| watches[0].responses.truncate(8));
    found("which was not asked for", |watches| watches[0].responses[4].fragment = true);
    found("the header is behind", |watches| watches[0].responses[4].revision = Revision(3));
    found("expected put d=6", |watches| {
        watches[0].responses[6].events[0].kv.value = b"7".to_vec();
    });
    found("it was over", |watches| {
        watches[1].responses.push(WatchResponse::default());
    });
    found("says created", |watches| drop(watches[0].responses.remove(0)));
    found("never created", |watches| watches[0].responses.clear());
    found("a notice before the start", |watches| {
        watches[1].start = Revision(20);
        watches[1].responses[1] = WatchResponse { revision: Revision(12), ..Default::default() };
    });
    found("which needs all from 13", |watches| {
        let mut next = Watch { id: 2, resumes: Some(0), ..watches[0].clone() };
        (next.start, next.settled) = (Revision(14), None);
        next.responses.truncate(1);
        next.range = keys("a", "z");
        watches.push(next);
    });
}

#[test]
fn members() {
    planted(invariant::AGREEMENT, "revision 7 is", |_, truth| {
        truth.logs[1]
            .events
            .iter_mut()
            .find(|event| event.kv.key == b"d")
            .unwrap()
            .kv
            .value
            .push(1);
    });
    planted(invariant::AGREEMENT, "HashKV of member 1", |_, truth| truth.hashes[1].hash = 3);
    planted(invariant::DIGESTS, "at position 5", |history, _| history.digests[1].digest = 3);
    planted(invariant::POSITIONS, "applied 7", |history, _| history.positions[1].applied = 7);
    planted(invariant::POSITIONS, "tail 5", |history, _| history.positions[1].tail = 5);
    planted(invariant::EXACT, "version must be 2", |_, truth| {
        for log in &mut truth.logs {
            log.events.iter_mut().find(|event| event.kv.value == b"4").unwrap().kv.version = 1;
        }
    });
}
