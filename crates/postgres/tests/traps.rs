//! The traps of PostgreSQL, sprung on a real one: waits for standbys that are cut short, answers
//! that are lost, statements that land late, connections that are killed. One after the other:
//! some of them change the server's settings.

mod proxy;
#[allow(dead_code)]
mod server;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::executor::block_on;
use futures::future::join_all;
use journal::{Append, Journal, JournalError, Nonce, Slot};
use parking_lot::{Mutex, MutexGuard};
use postgres_journal::{Kind, Level, Options, PostgresJournal};
use tokio_postgres::NoTls;

use crate::proxy::{Proxy, Wire};
use crate::server::{address, name, open, open_at, run, runtime, url};

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// The server to oneself; `None` where there is none.
fn alone() -> Option<MutexGuard<'static, ()>> {
    address()?;
    Some(ONE_AT_A_TIME.lock())
}

fn options() -> Options {
    Options { log: name(), deadline: Duration::from_secs(3), ..Options::default() }
}

fn set(setting: &str) {
    run(&format!("ALTER SYSTEM {setting}"));
    run("SELECT pg_reload_conf()");
    // The reload is a signal; the postmaster passes it on.
    std::thread::sleep(Duration::from_millis(300));
}

/// Puts a setting back, however the test ends.
struct Reset(&'static str);

impl Drop for Reset {
    fn drop(&mut self) {
        set(&format!("RESET {}", self.0));
    }
}

fn count(question: &str) -> i64 {
    let url = url().expect("looked at before");
    runtime().block_on(async {
        let (client, connection) = tokio_postgres::connect(&url, NoTls).await.expect("connect");
        tokio::spawn(connection);
        client.query_one(question, &[]).await.expect(question).get(0)
    })
}

fn rows(log: &str) -> i64 {
    count(&format!("SELECT count(*) FROM meridian_journal WHERE slot > 0 AND log = '{log}'"))
}

fn append(journal: &PostgresJournal, slot: u64, nonce: u128) -> Append {
    block_on(journal.append(Slot(slot), Nonce(nonce), Bytes::from_static(b"body")))
}

/// Offers again and again until the slot is decided.
fn settle(journal: &PostgresJournal, slot: u64, nonce: u128) -> bool {
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(20) {
        match append(journal, slot, nonce) {
            Append::Won => return true,
            Append::Lost => return false,
            Append::Unknown(_) => std::thread::sleep(Duration::from_millis(20)),
            refused @ Append::Refused(_) => panic!("slot {slot}: {refused:?}"),
        }
    }
    panic!("slot {slot} was not settled in time");
}

#[test]
fn a_wait_for_the_standbys_that_is_cut_short_is_unknown_and_not_shown() {
    let Some(_alone) = alone() else { return };
    let options = options();
    let (journal, reader) = (open(options.clone()).expect("open"), open(options.clone()));
    let reader = reader.expect("open");
    assert!(matches!(append(&journal, 1, 1), Append::Won));
    set("SET synchronous_standby_names = 'nobody'");
    let reset = Reset("synchronous_standby_names");

    let offered = journal.append(Slot(2), Nonce(2), Bytes::from_static(b"body"));
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(rows(&options.log), 1, "the row is shown before its standby has it");
    let cancelled = count(
        "SELECT count(*) FROM (SELECT pg_cancel_backend(pid) FROM pg_stat_activity \
         WHERE query LIKE 'INSERT INTO meridian_journal%' AND wait_event = 'SyncRep') AS c",
    );
    assert_eq!(cancelled, 1, "nobody waits for a standby");
    let outcome = block_on(offered);
    assert!(matches!(outcome, Append::Unknown(_)), "its standby never had it: {outcome:?}");
    assert_eq!(rows(&options.log), 2, "the trap: now the row is there for all to see");
    let again = append(&journal, 2, 2);
    assert!(matches!(again, Append::Unknown(_)), "finding it proves nothing: {again:?}");
    for seen in [block_on(reader.tail()).err(), block_on(reader.read(Slot(1), 1000)).err()] {
        assert!(matches!(seen, Some(JournalError::Unavailable(_))), "it was shown: {seen:?}");
    }

    drop(reset);
    assert!(settle(&journal, 2, 2), "it is ours");
    assert_eq!(block_on(reader.tail()), Ok(Slot(3)));
    assert_eq!(block_on(reader.read(Slot(1), 1000)).expect("read").len(), 2);
    assert!(journal.stats().doubts() >= 1 && journal.stats().unknown_outcomes() >= 2);
}

#[test]
fn a_server_that_hangs_is_given_up_soon_and_the_append_settled() {
    let Some(_alone) = alone() else { return };
    let to = runtime().block_on(async {
        let hosts = url().expect("looked at before");
        let host = hosts.split('@').nth(1).and_then(|rest| rest.split('/').next()).expect("a host");
        host.parse().expect("an address")
    });
    let proxy = runtime().block_on(Proxy::start(to));
    let through = url()
        .expect("looked at before")
        .replace(&to.to_string(), &format!("127.0.0.1:{}", proxy.port));
    // As it is for people: nothing but the log's name is said.
    let options = Options { log: name(), ..Options::default() };
    let journal = open_at(&through, options.clone()).expect("open");
    assert!(matches!(append(&journal, 1, 1), Append::Won));
    proxy.set(Wire::QuestionsHeld);
    let began = Instant::now();
    assert!(settle(&journal, 2, 2), "it is ours, whichever of the two that were sent landed");
    assert!(began.elapsed() < Duration::from_millis(2500), "{:?}", began.elapsed());
    // Those who read had a connection of their own, and are told when it is given up.
    let tail = std::iter::repeat_with(|| block_on(journal.tail())).take(3).find_map(Result::ok);
    assert_eq!(tail, Some(Slot(3)));
    assert!(began.elapsed() < Duration::from_millis(4500), "{:?}", began.elapsed());
    // What was held back arrives in the end, and changes nothing.
    proxy.set(Wire::Open);
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(rows(&options.log), 2);
    assert!(matches!(append(&journal, 3, 3), Append::Won));
}

#[test]
fn a_server_that_takes_no_writes_any_more_decides_nothing() {
    let Some(_alone) = alone() else { return };
    let options = Options { deadline: Duration::from_secs(1), ..options() };
    let journal = open(options.clone()).expect("open");
    assert!(matches!(append(&journal, 1, 1), Append::Won));
    set("SET default_transaction_read_only = on");
    let reset = Reset("default_transaction_read_only");
    for _ in 0..3 {
        let outcome = append(&journal, 2, 2);
        assert!(matches!(outcome, Append::Unknown(_)), "{outcome:?}");
    }
    drop(reset);
    assert!(settle(&journal, 2, 2), "it was never Lost");
    assert_eq!(rows(&options.log), 2);
}

#[test]
fn settings_that_change_are_seen_without_a_new_connection() {
    let Some(_alone) = alone() else { return };
    let options = Options { look_every: Duration::from_millis(200), ..options() };
    let journal = open(options).expect("open");
    assert!(matches!(append(&journal, 1, 1), Append::Won));
    assert_eq!(journal.guarantee().level, Level::OneMachine);
    let reconnects = journal.stats().reconnects();
    set("SET synchronous_standby_names = 'nobody'");
    let reset = Reset("synchronous_standby_names");
    std::thread::sleep(Duration::from_millis(600));
    assert_eq!(journal.guarantee().level, Level::Replicated);
    drop(reset);
    std::thread::sleep(Duration::from_millis(600));
    assert_eq!(journal.guarantee().level, Level::OneMachine);
    assert_eq!(journal.stats().reconnects(), reconnects);
    // One that loses what it acknowledges is not written to any more.
    set("SET fsync = off");
    let reset = Reset("fsync");
    std::thread::sleep(Duration::from_millis(600));
    assert_eq!(journal.guarantee().level, Level::Nothing);
    let outcome = append(&journal, 2, 2);
    assert!(matches!(outcome, Append::Unknown(_)), "{outcome:?}");
    drop(reset);
    assert!(settle(&journal, 2, 2), "it is ours");
}

#[test]
fn a_slow_standby_holds_up_tails_and_they_share_what_they_wait_for() {
    let Some(_alone) = alone() else { return };
    let journal = open(options()).expect("open");
    set("SET synchronous_standby_names = 'nobody'");
    let reset = Reset("synchronous_standby_names");
    let before = journal.stats().barrier.count();
    let tails = (0..50).map(|_| journal.tail()).collect::<Vec<_>>();
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(journal.stats().barrier.count(), before, "a barrier came back without a standby");
    drop(reset);
    for tail in block_on(join_all(tails)) {
        assert_eq!(tail, Ok(Slot(1)));
    }
    let rounds = journal.stats().barrier.count() - before;
    assert!((1..=3).contains(&rounds), "{rounds} rounds for 50 callers");
}

#[test]
fn connections_that_are_killed_lose_nothing_and_double_nothing() {
    let Some(_alone) = alone() else { return };
    let options = options();
    let journal = Arc::new(open(options.clone()).expect("open"));
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(150));
                run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                     WHERE application_name = 'meridian'");
            }
        });
        let began = Instant::now();
        let mut slot = 1;
        while began.elapsed() < Duration::from_secs(4) {
            let slots: Vec<u64> = (slot..slot + 8).collect();
            slot += 8;
            std::thread::scope(|scope| {
                for slot in slots {
                    let journal = Arc::clone(&journal);
                    scope.spawn(move || assert!(settle(&journal, slot, slot.into())));
                }
            });
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        assert_eq!(rows(&options.log), slot as i64 - 1);
    });
    assert!(journal.stats().reconnects() > 5, "nothing was killed");
}

/// A journal whose wire we hold.
fn behind_proxy(options: Options) -> (Proxy, PostgresJournal) {
    let url = url().expect("looked at before");
    let to = url.split(['@', '/']).find(|part| part.starts_with("127.0.0.1:"));
    let to = to.expect("MERIDIAN_TEST_POSTGRES names 127.0.0.1:PORT");
    let proxy = runtime().block_on(Proxy::start(to.parse().expect("an address")));
    let journal = open_at(&url.replace(to, &format!("127.0.0.1:{}", proxy.port)), options);
    (proxy, journal.expect("open"))
}

#[test]
fn an_answer_that_is_lost_after_the_commit_is_found_by_its_nonce() {
    let Some(_alone) = alone() else { return };
    let options = options();
    let (proxy, journal) = behind_proxy(options.clone());
    assert!(settle(&journal, 1, 1));
    proxy.set(Wire::AnswersLost);
    let lost = append(&journal, 2, 2);
    assert!(matches!(lost, Append::Unknown(_)), "{lost:?}");
    assert_eq!(rows(&options.log), 2, "it was written all the same");
    proxy.set(Wire::Open);
    assert!(settle(&journal, 2, 2), "our own row is no loss");
    assert!(!settle(&journal, 2, 3), "another's is");
    assert_eq!(block_on(journal.tail()), Ok(Slot(3)));
}

#[test]
fn an_append_that_lands_late_loses_to_who_came_before_and_wins_if_nobody_did() {
    let Some(_alone) = alone() else { return };
    let options = options();
    let (proxy, journal) = behind_proxy(options.clone());
    let rival = open(options.clone()).expect("open");
    assert!(settle(&journal, 1, 1));
    proxy.set(Wire::QuestionsHeld);
    let began = Instant::now();
    let held = append(&journal, 2, 2);
    assert!(matches!(held, Append::Unknown(_)), "{held:?}");
    assert!(began.elapsed() < Duration::from_secs(6), "the deadline did not hold");
    assert_eq!(block_on(rival.tail()), Ok(Slot(2)), "absent, which proves nothing");
    assert!(settle(&rival, 2, 22));
    proxy.set(Wire::Open);
    assert!(!settle(&journal, 2, 2), "the rival has it");

    proxy.set(Wire::QuestionsHeld);
    assert!(matches!(append(&journal, 3, 3), Append::Unknown(_)));
    proxy.set(Wire::Open);
    assert!(settle(&journal, 3, 3));
    assert!(!settle(&rival, 3, 33));
    assert_eq!(rows(&options.log), 3);
}

#[test]
fn the_guarantee_is_what_the_settings_say() {
    let Some(_alone) = alone() else { return };
    let options = options();
    let alone = open(options.clone()).expect("open").guarantee();
    assert_eq!(alone.level, Level::OneMachine, "{alone}");
    set("SET fsync = off");
    let reset = Reset("fsync");
    let refused = open(options.clone()).expect_err("it loses what it acknowledged");
    assert_eq!(refused.kind, Kind::Unsafe);
    let anyway = Options { unsafe_no_fsync: true, ..options.clone() };
    assert_eq!(open(anyway).expect("asked for").guarantee().level, Level::Nothing);
    drop(reset);
    let weak = format!("{}&options=-c%20synchronous_commit%3Doff", url().expect("there"));
    let journal = open_at(&weak, options).expect("open");
    assert!(settle(&journal, 1, 1));
}

#[test]
fn a_row_that_was_changed_or_taken_away_is_damage() {
    let Some(_alone) = alone() else { return };
    let options = options();
    let journal = open(options.clone()).expect("open");
    let long = Bytes::from(vec![9; 3 << 20]);
    assert!(matches!(block_on(journal.append(Slot(1), Nonce(1), long)), Append::Won));
    for slot in 2..=4 {
        assert!(settle(&journal, slot, slot.into()));
    }
    let log = &options.log;
    let damaged = |statement: String, from: u64, word: &str| {
        run(&statement);
        match block_on(journal.read(Slot(from), 1000)) {
            Err(JournalError::Damaged(why)) => assert!(why.contains(word), "{why}"),
            other => panic!("{statement}: {other:?}"),
        }
    };
    let row = format!("meridian_journal WHERE log = '{log}' AND slot = 3");
    damaged(format!("DELETE FROM {row}"), 2, "slot 4 where 3 should be");
    let row = format!("meridian_journal SET body = 'other' WHERE log = '{log}' AND slot = 4");
    damaged(format!("UPDATE {row}"), 4, "checksum of slot 4");
    let part = format!("meridian_part WHERE log = '{log}' AND part = 2");
    damaged(format!("DELETE FROM {part}"), 1, "a part is missing");
}

/// The server raises this SQLSTATE for every row of a log.
fn raise(log: &str, state: &str) {
    run(&format!(
        "CREATE OR REPLACE FUNCTION meridian_raise() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
         RAISE EXCEPTION 'raised by a test' USING ERRCODE = '{state}'; END $$; \
         CREATE OR REPLACE TRIGGER meridian_raise BEFORE INSERT ON meridian_journal \
         FOR EACH ROW WHEN (NEW.log = '{log}') EXECUTE FUNCTION meridian_raise()"
    ));
}

#[test]
fn only_a_full_disk_is_refused_and_only_what_cannot_land() {
    let Some(_alone) = alone() else { return };
    let options = options();
    let journal = open(options.clone()).expect("open");
    assert!(settle(&journal, 1, 1));
    for state in ["40001", "40003", "XX000", "57014"] {
        raise(&options.log, state);
        let outcome = append(&journal, 2, 2);
        assert!(matches!(outcome, Append::Unknown(_)), "{state}: {outcome:?}");
    }
    raise(&options.log, "53100");
    let doubtful = append(&journal, 2, 2);
    assert!(matches!(doubtful, Append::Unknown(_)), "it may have landed before: {doubtful:?}");
    let offers = [(2, 22), (3, 33)];
    let offers = offers.map(|(slot, nonce)| journal.append(Slot(slot), Nonce(nonce), Bytes::new()));
    for outcome in block_on(join_all(offers)) {
        let full = matches!(outcome, Append::Refused(JournalError::Full(_)));
        assert!(full, "{outcome:?}");
    }
    run("DROP TRIGGER meridian_raise ON meridian_journal");
    assert!(settle(&journal, 2, 2) && settle(&journal, 3, 33));
    assert_eq!(rows(&options.log), 3);
}
