//! Replicas contend for slots while requests and replies are lost, land late, or are one too many; some die and
//! come back, the log is trimmed, and its items removed. Whatever happens, a slot has one winner, and whoever
//! was told so is in it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use journal::{Append, Journal, JournalError, Nonce, Slot};
use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::time::sleep;

use super::{body, open_with};
use crate::fake::{Container, Odds};
use crate::{CosmosJournal, Options};

/// Records that each replica appends.
const EACH: u32 = 8;

/// What anybody was told of who is in a slot.
#[derive(Default)]
struct Told {
    seed: u64,
    held: Mutex<BTreeMap<u64, Nonce>>,
}

impl Told {
    fn is_in(&self, slot: u64, nonce: Nonce) {
        let before = self.held.lock().insert(slot, nonce);
        assert!(before.is_none_or(|before| before == nonce), "seed {}: slot {slot}", self.seed);
    }

    fn is_not_in(&self, slot: u64, nonce: Nonce) {
        assert_ne!(self.held.lock().get(&slot), Some(&nonce), "seed {}: slot {slot}", self.seed);
    }
}

fn options() -> Options {
    Options {
        deadline: Duration::from_millis(300),
        known_for: Duration::from_millis(100),
        removed_after: Duration::from_millis(500),
        keep_every: Duration::from_millis(60),
        ..Options::default()
    }
}

async fn opened(container: &Container) -> CosmosJournal {
    loop {
        if let Ok(journal) = open_with(container, options()).await {
            return journal;
        }
    }
}

/// Reads on; answers the next slot.
async fn follow(journal: &CosmosJournal, from: u64, told: &Told) -> u64 {
    match journal.read(Slot(from), 200).await {
        Ok(records) => {
            for (record, slot) in records.iter().zip(from..) {
                assert_eq!(record.slot.0, slot, "seed {}: a gap", told.seed);
                assert_eq!(record.body, body(record.nonce.0), "seed {}", told.seed);
                told.is_in(slot, record.nonce);
            }
            from + records.len() as u64
        }
        Err(JournalError::Trimmed { first }) => first.0.max(from),
        Err(JournalError::Unavailable(_)) => from,
        Err(error) => panic!("seed {}: {error}", told.seed),
    }
}

/// Appends as an engine does: the same offer until it is settled, then the next slot.
async fn replica(container: Container, told: Arc<Told>, number: u64) {
    let mut random = StdRng::seed_from_u64(told.seed * 31 + number);
    let mut journal = opened(&container).await;
    let (mut next, mut won) = (1, 0);
    while won < EACH {
        next = follow(&journal, next, &told).await;
        let nonce = Nonce(random.random());
        loop {
            match journal.append(Slot(next), nonce, body(nonce.0)).await {
                Append::Won => {
                    told.is_in(next, nonce);
                    won += 1;
                    break;
                }
                Append::Lost => {
                    told.is_not_in(next, nonce);
                    break;
                }
                Append::Refused(JournalError::Full(_)) => break,
                Append::Unknown(JournalError::Trimmed { first }) => {
                    next = first.0;
                    break;
                }
                Append::Unknown(JournalError::Unavailable(_) | JournalError::Full(_)) => {}
                outcome => panic!("seed {}: {outcome:?}", told.seed),
            }
            if random.random_range(0..20) == 0 {
                journal = opened(&container).await;
            }
        }
        match random.random_range(0..12) {
            0 => drop(journal.trim(Slot(next.saturating_sub(3))).await),
            1 => sleep(Duration::from_millis(random.random_range(0..700))).await,
            2 => drop(journal.tail().await),
            _ => {}
        }
    }
}

async fn run(seed: u64) {
    let container = Container::new(seed);
    let told = Arc::new(Told { seed, ..Told::default() });
    container.delay(Duration::from_millis(5));
    container.odds(Odds { creates: 250, others: 60 });
    let replicas = (0..3).map(|number| replica(container.clone(), Arc::clone(&told), number));
    join_all(replicas).await;
    container.odds(Odds { creates: 0, others: 0 });
    container.deliver();
    assert_eq!(container.holes(), Vec::<u64>::new(), "seed {seed}");
    let journal = opened(&container).await;
    let (mut next, tail) = (1, journal.tail().await.expect("tail").0);
    while next < tail {
        next = follow(&journal, next, &told).await;
    }
    let held = told.held.lock();
    assert!(held.keys().last().is_some_and(|last| *last < tail), "seed {seed}: lost");
    assert!(held.len() >= 3 * EACH as usize, "seed {seed}");
}

#[tokio::test(start_paused = true)]
async fn a_slot_has_one_winner_and_whoever_was_told_so_is_in_it() {
    for seed in 0..250 {
        run(seed).await;
    }
}
