//! What is forgotten, and when it goes: late enough that no request that was held up is believed.

use std::iter::repeat_n;
use std::time::Duration;

use futures::future::join_all;
use journal::{Append, Journal, JournalError, Nonce, Slot};
use tokio::time::{Instant, sleep};

use super::{body, fill, offer, open, open_with, options};
use crate::fake::{Container, Fate, Odds};
use crate::layout::{Layout, Mark};
use crate::{Options, Purpose, Throughput};

fn mark(container: &Container) -> Mark {
    let layout = Layout::new(&options().log).expect("a log");
    Mark::read(&container.item(&layout.mark()).expect("a mark"), "").expect("ours")
}

/// How many items there are of slots, and of parts.
fn held(container: &Container) -> (usize, usize) {
    let names = container.names();
    let parts = names.iter().filter(|name| name.partition.contains("/part/")).count();
    (names.len() - parts - 1, parts)
}

fn is_trimmed(outcome: &Append) -> bool {
    matches!(outcome, Append::Unknown(JournalError::Trimmed { .. }))
}

/// One who is not in the background told of marks.
fn forgetful() -> Options {
    Options { keep_every: Duration::from_secs(1_000_000), ..options() }
}

#[tokio::test(start_paused = true)]
async fn a_create_that_lands_after_its_slot_was_removed_is_never_called_won() {
    let container = Container::new(1);
    let held_up = open_with(&container, forgetful()).await.expect("open");
    let [reader, teller] = [forgetful(), forgetful()].map(|options| open_with(&container, options));
    let (reader, teller) = (reader.await.expect("open"), teller.await.expect("open"));
    container.script([Fate::Late(1_000_000), Fate::Late(1_000_000)]);
    assert!(matches!(offer(&held_up, 1, 7).await, Append::Unknown(_)));
    let other = open(&container).await;
    assert!(matches!(offer(&other, 1, 8).await, Append::Unknown(_)));
    fill(&other, 4).await;
    other.trim(Slot(4)).await.expect("trim");
    sleep(options().removed_after * 2).await;
    assert_eq!(held(&container), (1, 0), "all but slot 4 is gone");
    container.deliver();
    assert_eq!(held(&container), (2, 0), "slot 1 was made anew by the first one");
    let read = reader.read(Slot(1), 1000).await;
    assert_eq!(read, Err(JournalError::Trimmed { first: Slot(4) }), "it is not who won slot 1");
    assert_eq!(teller.tail().await, Ok(Slot(5)));
    for (journal, nonce) in [(&held_up, 7), (&other, 7), (&held_up, 8), (&held_up, 10)] {
        let outcome = offer(journal, 1, nonce).await;
        assert!(is_trimmed(&outcome), "{nonce}: {outcome:?}");
    }
    let fresh = open(&container).await;
    assert!(is_trimmed(&offer(&fresh, 1, 7).await));
    assert_eq!(fresh.tail().await, Ok(Slot(5)));
    for journal in [&held_up, &other, &fresh] {
        let read = journal.read(Slot(1), 1000).await;
        assert_eq!(read, Err(JournalError::Trimmed { first: Slot(4) }));
    }
}

#[tokio::test(start_paused = true)]
async fn one_who_was_away_for_long_looks_at_the_mark_before_anything_is_sent() {
    let container = Container::new(1);
    let away = open_with(&container, forgetful()).await.expect("open");
    let other = open(&container).await;
    fill(&other, 4).await;
    other.trim(Slot(4)).await.expect("trim");
    sleep(options().removed_after * 2).await;
    // Slot 1 is the next free one, as far as it knows, and indeed nothing is there.
    assert!(is_trimmed(&offer(&away, 1, 7).await));
    assert_eq!(away.read(Slot(2), 1000).await, Err(JournalError::Trimmed { first: Slot(4) }));
    assert_eq!(away.tail().await, Ok(Slot(5)));
    assert_eq!(held(&container), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_took_longer_than_the_mark_is_known_for_is_looked_at_again() {
    let container = Container::new(1);
    let patient = Options { deadline: Duration::from_secs(1000), ..forgetful() };
    let slow = open_with(&container, patient).await.expect("open");
    let other = open(&container).await;
    // Whoever waits for it so long has waited in vain before.
    container.script(repeat_n(Fate::Silence, 8).chain([Fate::Slow(options().removed_after * 3)]));
    for _ in 0..8 {
        assert!(matches!(offer(&slow, 1, 7).await, Append::Unknown(_)));
    }
    let others = async {
        sleep(Duration::from_millis(100)).await;
        fill(&other, 4).await;
        other.trim(Slot(4)).await.expect("trim");
    };
    let (outcome, ()) = futures::join!(offer(&slow, 1, 7), others);
    assert_eq!(held(&container), (2, 0), "it landed where slot 1 had been");
    assert!(is_trimmed(&outcome), "{outcome:?}");
}

#[tokio::test(start_paused = true)]
async fn forgotten_slots_wait_and_then_go_with_their_parts() {
    let container = Container::new(1);
    let journal = open(&container).await;
    fill(&journal, 600).await;
    let long = vec![1; 2 << 20].into();
    assert!(matches!(journal.append(Slot(601), Nonce(601), long).await, Append::Won));
    let began = Instant::now();
    journal.trim(Slot(500)).await.expect("trim");
    journal.trim(Slot(602)).await.expect("trim");
    assert_eq!((mark(&container).first, mark(&container).removed), (602, 1));
    sleep(options().removed_after - began.elapsed()).await;
    assert_eq!(held(&container), (601, 6), "nothing goes before its time");
    sleep(Duration::from_secs(20)).await;
    assert_eq!(held(&container), (0, 0));
    assert_eq!(mark(&container).removed, 602);
    let spent = journal.stats().charge(Purpose::Trim);
    assert!(spent < 700.0, "{spent}");
    assert!(matches!(journal.append(Slot(602), Nonce(602), body(602)).await, Append::Won));
}

#[tokio::test(start_paused = true)]
async fn a_removal_that_was_broken_off_is_taken_up_by_the_next_one() {
    let container = Container::new(1);
    container.spends(Throughput::Unknown);
    let journal = open(&container).await;
    fill(&journal, 3000).await;
    journal.trim(Slot(2901)).await.expect("trim");
    sleep(options().removed_after + Duration::from_secs(7)).await;
    drop(journal);
    let (left, removed) = (held(&container).0, mark(&container).removed);
    assert!(left > 1000 && left < 2700 && removed > 1, "{left} {removed}");
    sleep(Duration::from_secs(60)).await;
    assert_eq!(held(&container).0, left, "nobody is there any more");
    let next = open(&container).await;
    sleep(options().removed_after * 2).await;
    assert_eq!(held(&container).0, 100);
    assert_eq!(mark(&container).removed, 2901);
    drop(next);
}

#[tokio::test(start_paused = true)]
async fn of_many_replicas_one_removes() {
    let mut spent = 0.0;
    for seed in 0..5 {
        let container = Container::new(seed);
        // A chunk takes five seconds.
        container.spends(Throughput::Manual(200));
        let rare = || Options { keep_every: Duration::from_secs(10), ..options() };
        let journals = join_all((0..3).map(|_| open_with(&container, rare()))).await;
        let journals: Vec<_> = journals.into_iter().map(|opened| opened.expect("open")).collect();
        fill(&journals[0], 1000).await;
        journals[1].trim(Slot(1001)).await.expect("trim");
        sleep(options().removed_after + Duration::from_secs(100)).await;
        assert_eq!((mark(&container).removed, held(&container).0), (1001, 0));
        spent += journals.iter().map(|one| one.stats().charge(Purpose::Trim)).sum::<f64>();
    }
    // Who begins at the same time does one chunk for nothing, and looks at the mark now and then.
    assert!(spent < 5.0 * (1000.0 + 2.0 * 260.0 + 3.0 * 30.0), "{spent}");
}

#[tokio::test(start_paused = true)]
async fn trims_that_cross_leave_the_farthest() {
    for seed in 0..50 {
        let container = Container::new(seed);
        let journals = join_all((0..3).map(|_| open(&container))).await;
        fill(&journals[0], 30).await;
        container.delay(Duration::from_millis(20));
        container.odds(Odds { creates: 0, others: 200 });
        let trims = [10, 30, 20].iter().zip(&journals);
        let trims = join_all(trims.map(|(before, journal)| journal.trim(Slot(*before)))).await;
        let farthest = if trims[1].is_ok() { 30 } else { 1 };
        assert!(mark(&container).first >= farthest, "{seed}: {trims:?}");
        assert!(trims.iter().any(Result::is_ok), "{seed}: {trims:?}");
    }
}
