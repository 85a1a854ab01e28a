//! The suite. A test is handed a [`Log`]: one log, which it may open as often as the backend
//! allows. Backends in crates of their own include this file.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::Bytes;
use futures::executor::block_on;
use futures::future::{BoxFuture, join_all};
use journal::{Append, Journal, JournalError, Nonce, Slot, Successor};

/// The suite over one kind of log; `$make` gives a fresh one.
macro_rules! contract {
    ($name:ident, $make:expr) => {
        mod $name {
            use super::*;
            contract!(@ $make, first_slot_is_one, a_slot_is_written_once,
                the_same_nonce_wins_again, racing_writers_have_one_winner, readers_see_no_gap,
                the_tail_is_linearizable, overlapping_appends_land_in_order,
                a_dropped_future_withdraws_nothing_and_corrupts_nothing, trim_forgets_a_prefix,
                seal_ends_the_log, bodies_of_any_size, what_was_acknowledged_outlives_a_restart);
        }
    };
    (@ $make:expr, $($test:ident),*) => {
        $(#[test]
        fn $test() {
            $crate::suite::$test(&mut $make);
        })*
    };
}
pub(crate) use contract;

/// One log under test.
pub(crate) trait Log {
    /// Openers of the same log, as two replicas would be. A backend that only one may open gives
    /// the same one twice.
    fn openers(&self) -> [Arc<dyn Journal>; 2];

    /// Closes every opener and opens the log anew; `None` if nothing of it outlives its openers.
    fn reopen(&mut self) -> Option<()>;

    /// How many slots a trim may keep although it was asked to forget them.
    fn trim_grain(&self) -> u64;
}

static NONCES: AtomicU64 = AtomicU64::new(1);

pub(crate) fn nonce() -> Nonce {
    Nonce(u128::from(NONCES.fetch_add(1, Ordering::Relaxed)) << 64 | 0xfeed)
}

fn body(of: impl std::fmt::Display) -> Bytes {
    Bytes::from(format!("body {of}"))
}

/// Offers until the outcome is one that offering again would not change.
async fn insist(journal: &dyn Journal, slot: Slot, nonce: Nonce, body: &Bytes) -> Append {
    use JournalError::{Full, Trimmed, Unavailable};
    for _ in 0..1000 {
        match journal.append(slot, nonce, body.clone()).await {
            Append::Unknown(Trimmed { first }) => return Append::Unknown(Trimmed { first }),
            Append::Unknown(_) | Append::Refused(Unavailable(_) | Full(_)) => {}
            outcome => return outcome,
        }
    }
    panic!("slot {slot} was not settled in a thousand offers");
}

type Offer = (Slot, Nonce, Bytes);

/// Offers these all at once and in this order, each until its outcome is known; all must win.
fn overlap<'a>(journal: &dyn Journal, offers: impl Iterator<Item = &'a Offer>) {
    let insist = |(slot, nonce, body): &'a Offer| insist(journal, *slot, *nonce, body);
    for outcome in block_on(join_all(offers.map(insist))) {
        assert!(matches!(outcome, Append::Won), "nobody else offered anything: {outcome:?}");
    }
}

/// Whether the offer wins, once that is known.
fn settle(journal: &dyn Journal, slot: Slot, nonce: Nonce, body: &Bytes) -> bool {
    match block_on(insist(journal, slot, nonce, body)) {
        Append::Won => true,
        Append::Lost => false,
        outcome => panic!("slot {slot}: {outcome:?}"),
    }
}

/// Asks until there is an answer.
fn ask<'a, T>(
    mut question: impl FnMut() -> BoxFuture<'a, Result<T, JournalError>>,
) -> Result<T, JournalError> {
    for _ in 0..1000 {
        match block_on(question()) {
            Err(JournalError::Unavailable(_)) => {}
            answer => return answer,
        }
    }
    panic!("no answer in a thousand calls");
}

/// Appends `count` records from the tail on and returns their nonces.
fn fill(journal: &dyn Journal, count: u64) -> Vec<Nonce> {
    let start = tail(journal).0;
    (start..start + count)
        .map(|slot| {
            let nonce = nonce();
            assert!(settle(journal, Slot(slot), nonce, &body(slot)), "slot {slot}");
            nonce
        })
        .collect()
}

fn tail(journal: &dyn Journal) -> Slot {
    ask(|| journal.tail()).expect("tail")
}

/// Reads `from..tail` to the end, however the backend portions it or lags.
pub(crate) fn read_to_tail(journal: &dyn Journal, from: Slot) -> Vec<journal::Record> {
    let end = tail(journal);
    let mut records: Vec<journal::Record> = Vec::new();
    let mut next = from;
    for _ in 0..100_000 {
        if next >= end {
            return records;
        }
        let found = ask(|| journal.read(next, 300)).expect("read");
        for record in &found {
            assert_eq!(record.slot, next, "a gap");
            next = next.next();
        }
        records.extend(found);
    }
    panic!("the tail {end} was not reached");
}

pub(crate) fn first_slot_is_one(log: &mut impl Log) {
    let [journal, _] = log.openers();
    assert_eq!(tail(&*journal), Slot(1));
    assert_eq!(ask(|| journal.read(Slot(1), 1000)), Ok(vec![]));
    assert!(settle(&*journal, Slot(1), nonce(), &body(1)));
    assert_eq!(tail(&*journal), Slot(2));
    let refused = block_on(journal.append(Slot(0), nonce(), body(0)));
    assert!(!matches!(refused, Append::Won | Append::Lost), "there is no slot 0: {refused:?}");
}

pub(crate) fn a_slot_is_written_once(log: &mut impl Log) {
    let [journal, other] = log.openers();
    let winner = nonce();
    assert!(settle(&*journal, Slot(1), winner, &body("first")));
    assert!(!settle(&*other, Slot(1), nonce(), &body("second")));
    let records = read_to_tail(&*other, Slot(1));
    assert_eq!(records.len(), 1);
    assert_eq!((records[0].nonce, &records[0].body), (winner, &body("first")));
}

pub(crate) fn the_same_nonce_wins_again(log: &mut impl Log) {
    let [journal, other] = log.openers();
    let nonces = fill(&*journal, 5);
    for (at, nonce) in nonces.iter().enumerate() {
        assert!(settle(&*other, Slot(at as u64 + 1), *nonce, &body("again")));
    }
    assert_eq!(tail(&*journal), Slot(6));
    assert_eq!(read_to_tail(&*journal, Slot(3))[0].body, body(3));
}

pub(crate) fn racing_writers_have_one_winner(log: &mut impl Log) {
    const SLOTS: u64 = 60;
    let openers = log.openers();
    let wins = std::thread::scope(|scope| {
        let race = |writer: usize| {
            let journal = Arc::clone(&openers[writer % 2]);
            scope.spawn(move || {
                let mut won = Vec::new();
                for slot in 1..=SLOTS {
                    let nonce = nonce();
                    if settle(&*journal, Slot(slot), nonce, &body(writer)) {
                        won.push((slot, nonce));
                    }
                }
                won
            })
        };
        let threads: Vec<_> = (0..4).map(race).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("writer")).collect::<Vec<_>>()
    });
    let mut wins = wins;
    wins.sort_unstable_by_key(|(slot, _)| *slot);
    assert_eq!(wins.iter().map(|(slot, _)| *slot).collect::<Vec<_>>(), Vec::from_iter(1..=SLOTS));
    let records = read_to_tail(&*openers[0], Slot(1));
    let held: Vec<_> = records.iter().map(|record| (record.slot.0, record.nonce)).collect();
    assert_eq!(held, wins);
}

pub(crate) fn readers_see_no_gap(log: &mut impl Log) {
    let openers = log.openers();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for journal in &openers {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    let before = tail(&**journal);
                    let seen = read_to_tail(&**journal, Slot(1));
                    assert!(seen.len() as u64 >= before.0 - 1, "less than the tail said");
                    assert!(tail(&**journal) >= before, "the tail went back");
                    std::thread::yield_now();
                }
            });
        }
        let writer = &openers[0];
        for round in 0..10u64 {
            let slots = round * 8 + 1..=round * 8 + 8;
            let offers: Vec<_> = slots.map(|slot| (Slot(slot), nonce(), body(slot))).collect();
            // Backwards, so that every one but the last must wait for its predecessor.
            overlap(&**writer, offers.iter().rev());
        }
        done.store(true, Ordering::Relaxed);
    });
    assert_eq!(tail(&*openers[0]), Slot(81));
}

pub(crate) fn the_tail_is_linearizable(log: &mut impl Log) {
    let [journal, other] = log.openers();
    for slot in 1..=50 {
        assert!(settle(&*journal, Slot(slot), nonce(), &body(slot)));
        assert!(tail(&*other) > Slot(slot), "the tail lags behind an acknowledged slot");
    }
}

pub(crate) fn overlapping_appends_land_in_order(log: &mut impl Log) {
    let [journal, _] = log.openers();
    let offers: Vec<_> = (1..=100).map(|slot| (Slot(slot), nonce(), body(slot))).collect();
    overlap(&*journal, offers.iter());
    let records = read_to_tail(&*journal, Slot(1));
    assert_eq!(records.len(), 100);
    assert!(records.iter().zip(&offers).all(|(record, offer)| record.nonce == offer.1));
}

pub(crate) fn a_dropped_future_withdraws_nothing_and_corrupts_nothing(log: &mut impl Log) {
    let [journal, _] = log.openers();
    let offered: Vec<_> = (1..=40).map(|slot| (Slot(slot), nonce(), body(slot))).collect();
    for (slot, nonce, body) in &offered {
        let mut future = journal.append(*slot, *nonce, body.clone());
        if slot.0 % 2 == 0 {
            drop(futures::FutureExt::now_or_never(&mut future));
        }
        drop(future);
    }
    for (slot, nonce, body) in &offered {
        assert!(settle(&*journal, *slot, *nonce, body), "our own offer cannot be lost");
    }
    let records = read_to_tail(&*journal, Slot(1));
    assert_eq!(records.len(), offered.len());
    let nonces: HashSet<_> = records.iter().map(|record| record.nonce).collect();
    assert_eq!(nonces.len(), offered.len());
}

pub(crate) fn trim_forgets_a_prefix(log: &mut impl Log) {
    let [journal, other] = log.openers();
    let nonces = fill(&*journal, 200);
    ask(|| journal.trim(Slot(150))).expect("trim");
    let records = read_to_tail(&*other, Slot(150));
    assert_eq!(records.len(), 51);
    let kept = 150 - log.trim_grain();
    let Err(JournalError::Trimmed { first }) = ask(|| other.read(Slot(1), 1000)) else {
        panic!("slot 1 is still read");
    };
    assert!(first <= Slot(150) && first.0 >= kept, "trimmed to {first}");
    assert_eq!(read_to_tail(&*other, first).len() as u64, 201 - first.0);
    let late = block_on(insist(&*journal, Slot(1), nonces[0], &body(1)));
    assert!(matches!(late, Append::Unknown(_) | Append::Won), "slot 1 was ours: {late:?}");
    assert!(settle(&*journal, Slot(201), nonce(), &body(201)));
    ask(|| journal.trim(Slot(5000))).expect("trim");
    assert_eq!(tail(&*journal), Slot(202), "a trim never moves the tail");
    assert!(settle(&*journal, Slot(202), nonce(), &body(202)));
    drop((journal, other));
    if log.reopen().is_some() {
        let [journal, _] = log.openers();
        let forgotten = ask(|| journal.read(Slot(1), 10));
        assert!(matches!(forgotten, Err(JournalError::Trimmed { .. })), "{forgotten:?}");
        assert_eq!(tail(&*journal), Slot(203));
    }
}

pub(crate) fn seal_ends_the_log(log: &mut impl Log) {
    let [journal, other] = log.openers();
    let nonces = fill(&*journal, 3);
    assert_eq!(ask(|| journal.successor()), Ok(None));
    let next = Successor("file:the next one".into());
    let sealed = |journal: &dyn Journal, to: &Successor| ask(|| journal.seal(to.clone()));
    assert_eq!(sealed(&*journal, &next), Ok(Slot(4)));
    assert_eq!(sealed(&*other, &next), Ok(Slot(4)), "idempotent");
    let elsewhere = Successor("elsewhere".into());
    assert_eq!(sealed(&*other, &elsewhere), Err(JournalError::Sealed(next.clone())));
    let after_the_end = |journal: &dyn Journal| {
        for slot in [4, 5, 9] {
            let refused = block_on(insist(journal, Slot(slot), nonce(), &body(slot)));
            let Append::Refused(JournalError::Sealed(to)) = refused else {
                panic!("slot {slot}: {refused:?}");
            };
            assert_eq!(to, next);
        }
        assert!(settle(journal, Slot(2), nonces[1], &body(2)));
        assert!(!settle(journal, Slot(2), nonce(), &body(2)));
        assert_eq!(tail(journal), Slot(4));
        assert_eq!(ask(|| journal.successor()), Ok(Some(next.clone())));
        assert_eq!(read_to_tail(journal, Slot(1)).len(), 3);
    };
    after_the_end(&*other);
    drop((journal, other));
    if log.reopen().is_some() {
        after_the_end(&*log.openers()[0]);
    }
}

pub(crate) fn bodies_of_any_size(log: &mut impl Log) {
    let [journal, other] = log.openers();
    let large = |byte: u8| Bytes::from(vec![byte; 2 << 20]);
    let bodies = [Bytes::new(), large(0xff), large(0), Bytes::new(), body("small")];
    for (at, body) in bodies.iter().enumerate() {
        assert!(settle(&*journal, Slot(at as u64 + 1), nonce(), body));
    }
    let check = |journal: &dyn Journal| {
        let read: Vec<_> = read_to_tail(journal, Slot(1)).into_iter().map(|r| r.body).collect();
        assert!(read == bodies, "the bodies came back changed");
        let found = ask(|| journal.read(Slot(2), 1)).expect("read");
        assert!(found.len() <= 1, "a limit is a limit");
    };
    check(&*other);
    drop((journal, other));
    if log.reopen().is_some() {
        check(&*log.openers()[0]);
    }
}

pub(crate) fn what_was_acknowledged_outlives_a_restart(log: &mut impl Log) {
    let mut nonces = Vec::new();
    for round in 1..=4 {
        let [journal, _] = log.openers();
        let records = read_to_tail(&*journal, Slot(1));
        assert!(records.iter().map(|record| record.nonce).eq(nonces.iter().copied()));
        nonces.extend(fill(&*journal, 30 * round));
        drop(journal);
        if log.reopen().is_none() {
            return;
        }
    }
    let [journal, _] = log.openers();
    assert_eq!(read_to_tail(&*journal, Slot(1)).len(), nonces.len());
    assert!(settle(&*journal, Slot(17), nonces[16], &body(17)));
    assert!(!settle(&*journal, Slot(17), nonce(), &body(17)));
}
