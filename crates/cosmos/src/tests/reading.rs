//! What reading finds, what it costs, and what damage is.

use std::time::Duration;

use futures::future::join_all;
use journal::{Append, Journal, JournalError, Nonce, Slot};
use tokio::time::sleep;

use super::{body, fill, offer, open, open_with, options};
use crate::fake::Container;
use crate::item::Item;
use crate::layout::{Layout, kind};
use crate::{CosmosJournal, Kind, Options, Purpose};

fn layout() -> Layout {
    Layout::new(&options().log).expect("a log")
}

fn damage<T: std::fmt::Debug>(answer: Result<T, JournalError>, words: &str) {
    let Err(JournalError::Damaged(why)) = answer else { panic!("{words}: {answer:?}") };
    assert!(why.contains(words), "{words}: {why}");
}

/// What each of some calls asks of the service.
async fn cost<F: Future>(journal: &CosmosJournal, purpose: Purpose, calls: F) -> (F::Output, u64) {
    let before = journal.stats().requests(purpose);
    let answer = calls.await;
    (answer, journal.stats().requests(purpose) - before)
}

#[tokio::test(start_paused = true)]
async fn an_idle_follower_costs_one_request_each() {
    let container = Container::new(1);
    let (writer, follower) = (open(&container).await, open(&container).await);
    fill(&writer, 5).await;
    follower.tail().await.expect("tail");
    let reads = async {
        for _ in 0..10 {
            assert_eq!(follower.read(Slot(6), 1000).await, Ok(Vec::new()));
        }
    };
    assert_eq!(cost(&follower, Purpose::Read, reads).await.1, 10);
    let tails = async {
        for _ in 0..10 {
            assert_eq!(follower.tail().await, Ok(Slot(6)));
        }
    };
    assert_eq!(cost(&follower, Purpose::Tail, tails).await.1, 10);
    let all = [Purpose::Append, Purpose::Objects].map(|of| follower.stats().requests(of));
    assert_eq!(all, [0, 0]);
}

#[tokio::test(start_paused = true)]
async fn who_asks_for_the_tail_at_the_same_time_shares_a_round() {
    let container = Container::new(1);
    let journal = open(&container).await;
    fill(&journal, 3).await;
    let tails = join_all((0..100).map(|_| journal.tail()));
    let (tails, requests) = cost(&journal, Purpose::Tail, tails).await;
    assert!(tails.iter().all(|tail| *tail == Ok(Slot(4))));
    assert!(requests <= 2, "{requests}");
}

#[tokio::test(start_paused = true)]
async fn a_long_log_is_measured_in_few_requests() {
    let container = Container::new(1);
    let writer = open(&container).await;
    fill(&writer, 3000).await;
    let other = open(&container).await;
    let requests = other.stats().requests(Purpose::Tail);
    assert!(requests <= 2 * 12 + 2, "{requests}");
    assert_eq!(other.tail().await, Ok(Slot(3001)));
}

#[tokio::test(start_paused = true)]
async fn who_is_behind_reads_in_portions_across_segments() {
    let container = Container::new(1);
    let (writer, follower) = (open(&container).await, open(&container).await);
    fill(&writer, 4200).await;
    let tail = follower.tail().await.expect("tail").0;
    assert_eq!(tail, 4201);
    let read = follower.read(Slot(4000), 1 << 20).await.expect("read");
    assert!(read.iter().map(|record| record.slot.0).eq(4000..4201));
    let whole = async {
        let mut next = 1;
        while next < tail {
            for record in follower.read(Slot(next), 1 << 20).await.expect("read") {
                assert_eq!((record.slot.0, record.nonce), (next, Nonce(next.into())));
                next += 1;
            }
        }
    };
    let requests = cost(&follower, Purpose::Read, whole).await.1;
    assert!(requests < 20, "{requests}");
    let some = follower.read(Slot(10), 25).await.expect("read");
    assert!(some.len() < 4, "a limit is a limit: {}", some.len());
}

#[tokio::test(start_paused = true)]
async fn who_never_asks_for_the_tail_catches_up_all_the_same() {
    let container = Container::new(1);
    let (writer, follower) = (open(&container).await, open(&container).await);
    fill(&writer, 1000).await;
    let whole = async {
        let mut next = 1;
        loop {
            let read = follower.read(Slot(next), 1 << 20).await.expect("read");
            if read.is_empty() {
                return next;
            }
            next += read.len() as u64;
        }
    };
    let (next, requests) = cost(&follower, Purpose::Read, whole).await;
    assert_eq!(next, 1001);
    assert!(requests < 10, "{requests}");
}

#[tokio::test(start_paused = true)]
async fn what_is_missing_or_changed_is_damage() {
    let container = Container::new(1);
    let journal = open(&container).await;
    fill(&journal, 9).await;
    let long = vec![7; 2 << 20].into();
    assert!(matches!(journal.append(Slot(10), Nonce(10), long).await, Append::Won));
    let layout = layout();

    container.remove(&layout.slot(5));
    let read = journal.read(Slot(1), 1 << 20).await.expect("up to the gap");
    assert_eq!(read.len(), 4);
    damage(journal.read(Slot(5), 1 << 20).await, "slot 5");
    assert_eq!(journal.read(Slot(6), 1 << 20).await.expect("beyond it").len(), 4);

    container.tamper(&layout.slot(7), |item| item.kind = 99);
    damage(journal.read(Slot(7), 1000).await, "kind 99");
    container.tamper(&layout.slot(8), |item| item.slot = 9);
    damage(journal.read(Slot(8), 1000).await, "another slot");

    let part = layout.part(10, Nonce(10), 1);
    container.tamper(&part, |item| item.body = vec![8; item.body.len()].into());
    damage(journal.read(Slot(10), 1000).await, "has not the body");
    container.remove(&part);
    damage(journal.read(Slot(10), 1000).await, "misses a part");
    container.tamper(&layout.slot(10), |item| item.body = body("no pointer"));
    damage(journal.read(Slot(10), 1000).await, "does not say");
}

#[tokio::test(start_paused = true)]
async fn a_log_without_its_mark_or_of_another_cluster_is_not_opened() {
    let container = Container::new(1);
    let journal = open(&container).await;
    fill(&journal, 3).await;
    let theirs = Options { cluster: "another".into(), ..options() };
    let refused = open_with(&container, theirs).await.expect_err("not ours");
    assert!(refused.kind == Kind::Address && refused.text.contains("another"), "{refused}");
    container.tamper(&layout().mark(), |item| {
        item.body =
            String::from_utf8_lossy(&item.body).replace("\"version\":1", "\"version\":2").into();
    });
    let refused = open_with(&container, options()).await.expect_err("newer");
    assert!(refused.text.contains("newer"), "{refused}");
    container.remove(&layout().mark());
    let refused = open_with(&container, options()).await.expect_err("no mark");
    assert!(refused.kind == Kind::Damaged && refused.text.contains("no mark"), "{refused}");
    damage(journal.trim(Slot(2)).await, "the mark");
}

#[tokio::test(start_paused = true)]
async fn an_item_of_a_newer_version_is_not_taken_for_a_body() {
    let container = Container::new(1);
    let journal = open(&container).await;
    fill(&journal, 1).await;
    container.tamper(&layout().slot(1), |item| item.kind = kind::PIECE);
    damage(journal.read(Slot(1), 1).await, "kind 7");
}

#[tokio::test(start_paused = true)]
async fn what_a_lost_region_took_along_is_missed() {
    let container = Container::new(1);
    container.may_lose();
    let (writer, follower) = (open(&container).await, open(&container).await);
    fill(&writer, 5).await;
    assert_eq!(follower.tail().await, Ok(Slot(6)));
    assert_eq!(follower.read(Slot(1), 1000).await.expect("read").len(), 5);
    assert_eq!(writer.tail().await, Ok(Slot(6)));
    container.lose(2);
    damage(writer.tail().await, "was acknowledged and is gone");
    // What was lost is written anew by one who knows nothing of it; who knows of it serves no more.
    let fresh = open(&container).await;
    assert_eq!(fresh.tail().await, Ok(Slot(4)));
    for slot in 4..=7 {
        assert!(matches!(offer(&fresh, slot, 100 + u128::from(slot)).await, Append::Won));
    }
    damage(follower.read(Slot(6), 1000).await, "was acknowledged and is gone");
    for lost in [&writer, &follower] {
        damage(lost.tail().await, "is gone");
        damage(lost.read(Slot(1), 1000).await, "is gone");
        damage(lost.trim(Slot(2)).await, "is gone");
        let outcome = offer(lost, 8, 8).await;
        assert!(matches!(outcome, Append::Unknown(JournalError::Damaged(_))), "{outcome:?}");
    }
    assert_eq!(open(&container).await.tail().await, Ok(Slot(8)), "whoever starts anew goes on");
}

#[tokio::test(start_paused = true)]
async fn one_who_only_appends_misses_what_was_lost_with_the_next_append() {
    for lost in 1..=3 {
        for pause in 0..40 {
            let container = Container::new(pause);
            container.may_lose();
            let writer = open(&container).await;
            fill(&writer, 5).await;
            container.delay(Duration::from_millis(10));
            let appends = async {
                let mut won = 5;
                for slot in 6..20 {
                    match offer(&writer, slot, slot.into()).await {
                        Append::Won => won = slot,
                        Append::Unknown(JournalError::Damaged(_)) => break,
                        outcome => panic!("{outcome:?}"),
                    }
                }
                won
            };
            let losing = async {
                sleep(Duration::from_millis(pause)).await;
                let last =
                    container.names().iter().filter(|name| name.id.starts_with("00")).count();
                container.lose(lost);
                last as u64
            };
            let (won, last) = futures::join!(appends, losing);
            assert!(won <= last + 1, "{lost} lost behind {last}, and {won} was won");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_lost_while_the_tail_was_asked_for_is_missed_then_or_the_next_time() {
    for pause in 0..40 {
        let container = Container::new(pause);
        container.may_lose();
        let writer = open(&container).await;
        fill(&writer, 5).await;
        container.delay(Duration::from_millis(10));
        let losing = async {
            sleep(Duration::from_millis(pause)).await;
            let written = container.item(&layout().slot(5)).expect("an item");
            container.lose(2);
            for slot in 4..=8 {
                let (name, nonce) = (layout().slot(slot), Nonce(100));
                container.put(Item { name, slot, nonce, ..written.clone() });
            }
        };
        let (tail, ()) = futures::join!(writer.tail(), losing);
        if tail.is_ok() {
            damage(writer.tail().await, "is gone");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn replicas_that_begin_a_log_together_do_not_take_it_for_damaged() {
    let begun = Container::new(1);
    fill(&open(&begun).await, 2).await;
    for pause in 0..60 {
        let container = Container::new(pause);
        container.delay(Duration::from_millis(10));
        let other = async {
            sleep(Duration::from_millis(pause)).await;
            for name in begun.names() {
                container.put(begun.item(&name).expect("an item"));
            }
        };
        let (journal, ()) = futures::join!(open(&container), other);
        assert_eq!(journal.tail().await, Ok(Slot(3)), "{pause}");
    }
}
