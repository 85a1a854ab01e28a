//! The journal over a container in memory, see [`crate::fake`].

pub(crate) mod account;
mod appending;
mod contract;
mod keeping;
mod model;
mod objects;
#[path = "../../../journal/tests/contract/objects.rs"]
mod objects_suite;
mod reading;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use journal::{Append, Journal, Nonce, Slot};

use crate::fake::Container;
use crate::{CosmosJournal, Failure, Options, Stats};

/// Small times, so that a test on a stopped clock need not wait for hours of events.
fn options() -> Options {
    Options {
        deadline: Duration::from_secs(2),
        known_for: Duration::from_secs(5),
        removed_after: Duration::from_secs(40),
        keep_every: Duration::from_secs(2),
        ..Options::default()
    }
}

async fn open(container: &Container) -> CosmosJournal {
    open_with(container, options()).await.expect("open")
}

async fn open_with(container: &Container, options: Options) -> Result<CosmosJournal, Failure> {
    let stats = Arc::new(Stats::default());
    CosmosJournal::over(container.way(&stats), stats, options).await
}

fn body(of: impl std::fmt::Display) -> Bytes {
    Bytes::from(format!("body {of}"))
}

async fn offer(journal: &CosmosJournal, slot: u64, nonce: u128) -> Append {
    journal.append(Slot(slot), Nonce(nonce), body(nonce)).await
}

/// Appends `count` records from the tail on; the nonce is the slot.
async fn fill(journal: &CosmosJournal, count: u64) {
    let tail = journal.tail().await.expect("tail").0;
    for slot in tail..tail + count {
        let outcome = offer(journal, slot, slot.into()).await;
        assert!(matches!(outcome, Append::Won), "slot {slot}: {outcome:?}");
    }
}
