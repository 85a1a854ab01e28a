//! What becomes of an offer when the service does not say plainly that it was created.

use std::iter::repeat_n;
use std::time::Duration;

use futures::FutureExt;
use futures::future::join_all;
use journal::{Append, Journal, JournalError, Nonce, Slot, Successor};
use tokio::time::{Instant, sleep};

use super::{body, fill, offer, open, open_with, options};
use crate::Options;
use crate::fake::{Container, Fate};

#[tokio::test(start_paused = true)]
async fn too_much_asked_is_nobodys_error_and_keeps_the_order() {
    let container = Container::new(1);
    let journal = open(&container).await;
    container.script(repeat_n(Fate::Throttled, 20));
    // Backwards, so that every one but the last waits for its predecessor.
    let offers = (1..=10).rev().map(|slot| offer(&journal, slot, slot.into()));
    for outcome in join_all(offers).await {
        assert!(matches!(outcome, Append::Won), "{outcome:?}");
    }
    assert_eq!(journal.stats().throttles(), 20);
    assert_eq!(journal.stats().unknown_outcomes(), 0);
    let read = journal.read(Slot(1), 1 << 20).await.expect("read");
    assert!(read.iter().map(|record| record.nonce.0).eq(1..=10), "{read:?}");
    assert_eq!(container.holes(), Vec::<u64>::new());
}

#[tokio::test(start_paused = true)]
async fn too_much_asked_for_too_long_is_unknown_at_the_deadline() {
    let container = Container::new(1);
    let journal = open(&container).await;
    container.script(repeat_n(Fate::Throttled, 10_000));
    let began = Instant::now();
    let outcome = offer(&journal, 1, 1).await;
    assert!(matches!(outcome, Append::Unknown(_)), "{outcome:?}");
    assert!(began.elapsed().abs_diff(options().deadline) < Duration::from_millis(50));
}

#[tokio::test(start_paused = true)]
async fn a_lost_reply_is_settled_by_its_nonce() {
    let container = Container::new(1);
    let journal = open(&container).await;
    container.script([Fate::LostReply, Fate::Honest, Fate::LostRequest]);
    let outcome = offer(&journal, 1, 7).await;
    assert!(matches!(outcome, Append::Unknown(JournalError::Unavailable(_))), "{outcome:?}");
    let outcome = offer(&journal, 1, 7).await;
    assert!(matches!(outcome, Append::Won), "{outcome:?}");
    let outcome = offer(&journal, 1, 8).await;
    assert!(matches!(outcome, Append::Lost), "{outcome:?}");
    let outcome = offer(&journal, 2, 9).await;
    assert!(matches!(outcome, Append::Unknown(_)), "{outcome:?}");
    let outcome = offer(&journal, 2, 9).await;
    assert!(matches!(outcome, Append::Won), "{outcome:?}");
    assert_eq!(journal.stats().unknown_outcomes(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_create_that_was_held_up_loses_to_whoever_came_first() {
    let container = Container::new(1);
    let (journal, other) = (open(&container).await, open(&container).await);
    container.script([Fate::Late(1000)]);
    assert!(matches!(offer(&journal, 1, 7).await, Append::Unknown(_)));
    assert!(matches!(offer(&other, 1, 8).await, Append::Won));
    container.deliver();
    assert!(matches!(offer(&journal, 1, 7).await, Append::Lost));
    container.script([Fate::Late(1000)]);
    assert!(matches!(offer(&journal, 2, 9).await, Append::Unknown(_)));
    container.deliver();
    assert!(matches!(offer(&other, 2, 10).await, Append::Lost));
    assert!(matches!(offer(&journal, 2, 9).await, Append::Won));
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_never_comes_is_given_up_soon_and_later_each_time() {
    let container = Container::new(1);
    let journal = open_with(&container, Options::default()).await.expect("open");
    container.script(repeat_n(Fate::Silence, 5));
    for seconds in [1.5, 3.0, 6.0, 10.0, 10.0] {
        let began = Instant::now();
        let outcome = offer(&journal, 1, 1).await;
        assert!(matches!(outcome, Append::Unknown(_)), "{outcome:?}");
        let late = began.elapsed().as_secs_f64() - seconds;
        assert!(late.abs() < 0.3, "{late} after {seconds}");
    }
    assert!(matches!(offer(&journal, 1, 1).await, Append::Won));
    container.script([Fate::Silence]);
    let began = Instant::now();
    assert!(matches!(offer(&journal, 2, 2).await, Append::Unknown(_)));
    assert!(began.elapsed() < Duration::from_secs(2));
}

#[tokio::test(start_paused = true)]
async fn no_room_is_refused_unless_it_may_have_landed() {
    let container = Container::new(1);
    let journal = open(&container).await;
    container.script([Fate::Full]);
    let (first, second) = futures::join!(offer(&journal, 1, 1), offer(&journal, 2, 2));
    for outcome in [first, second, offer(&journal, 3, 3).await] {
        assert!(matches!(outcome, Append::Refused(JournalError::Full(_))), "{outcome:?}");
    }
    container.script([Fate::Late(1000), Fate::Full]);
    for _ in 0..2 {
        let outcome = offer(&journal, 1, 4).await;
        assert!(matches!(outcome, Append::Unknown(_)), "{outcome:?}");
    }
    container.deliver();
    assert!(matches!(offer(&journal, 1, 4).await, Append::Won));
}

#[tokio::test(start_paused = true)]
async fn what_is_not_allowed_is_unknown_and_says_why() {
    let container = Container::new(1);
    let journal = open(&container).await;
    container.script([Fate::Denied]);
    let Append::Unknown(why) = offer(&journal, 1, 1).await else { panic!("denied") };
    assert!(why.to_string().contains("403"), "{why}");
    assert!(matches!(offer(&journal, 1, 1).await, Append::Won));
}

#[tokio::test(start_paused = true)]
async fn an_offer_waits_for_what_another_replica_appends() {
    let container = Container::new(1);
    let (journal, other) = (open(&container).await, open(&container).await);
    let mut waiting = offer(&journal, 3, 3).boxed();
    assert!(futures::poll!(&mut waiting).is_pending());
    sleep(Duration::from_secs(60)).await;
    assert!(futures::poll!(&mut waiting).is_pending());
    let looks = journal.stats().requests(crate::Purpose::Tail);
    assert!(looks < 300, "{looks} looks in a minute");
    fill(&other, 2).await;
    assert!(matches!(waiting.await, Append::Won));
    assert_eq!(container.holes(), Vec::<u64>::new());
}

#[tokio::test(start_paused = true)]
async fn an_end_whose_reply_was_lost_is_the_end() {
    let container = Container::new(1);
    let (journal, other) = (open(&container).await, open(&container).await);
    fill(&journal, 2).await;
    container.script([Fate::LostReply]);
    let next = Successor("the next one".into());
    journal.seal(next.clone()).await.expect_err("nobody knows");
    let outcome = offer(&other, 3, 3).await;
    let Append::Refused(JournalError::Sealed(to)) = outcome else { panic!("{outcome:?}") };
    assert_eq!(to, next);
    assert_eq!(journal.seal(next).await, Ok(Slot(3)));
    let waiting = [4, 5].map(|slot| offer(&journal, slot, slot.into()));
    for outcome in join_all(waiting).await {
        assert!(matches!(outcome, Append::Refused(JournalError::Sealed(_))), "{outcome:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_end_reaches_those_that_wait_behind_it() {
    let container = Container::new(1);
    let (journal, other) = (open(&container).await, open(&container).await);
    let waiting = offer(&journal, 9, 9);
    let sealing = async {
        sleep(Duration::from_millis(50)).await;
        other.seal(Successor("the next one".into())).await
    };
    let (outcome, sealed) = futures::join!(waiting, sealing);
    assert_eq!(sealed, Ok(Slot(1)));
    assert!(matches!(outcome, Append::Refused(JournalError::Sealed(_))), "{outcome:?}");
}

#[tokio::test(start_paused = true)]
async fn a_long_body_stands_in_parts_and_leaves_none_when_it_loses() {
    let container = Container::new(1);
    let (journal, other) = (open(&container).await, open(&container).await);
    let long: bytes::Bytes = (0..5 << 20).map(|at| (at >> 8) as u8).collect::<Vec<_>>().into();
    let parts =
        || container.names().iter().filter(|name| name.partition.contains("/part/")).count();
    container.script([Fate::Throttled, Fate::LostReply]);
    let mut won = false;
    for _ in 0..10 {
        won |= matches!(journal.append(Slot(1), Nonce(1), long.clone()).await, Append::Won);
    }
    assert!(won);
    assert_eq!(parts(), 15);
    let read = other.read(Slot(1), 1).await.expect("read");
    assert!(read[0].body == long, "it came back changed");
    // Both race, so that the one who loses has written its parts.
    let (one, two) = futures::join!(
        journal.append(Slot(2), Nonce(2), long.clone()),
        other.append(Slot(2), Nonce(3), long.clone())
    );
    assert!(matches!((&one, &two), (Append::Won, Append::Lost) | (Append::Lost, Append::Won)));
    sleep(Duration::from_secs(60)).await;
    assert_eq!(parts(), 30);
    let too_long = vec![0; crate::MAX_BODY + 1].into();
    let outcome = journal.append(Slot(3), Nonce(4), too_long).await;
    assert!(matches!(outcome, Append::Refused(_)), "{outcome:?}");
    assert!(matches!(journal.append(Slot(3), Nonce(5), body(3)).await, Append::Won));
}
