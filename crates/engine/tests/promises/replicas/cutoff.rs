//! A writer that the others reach and that does not reach the journal.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use engine::replicas::Role;
use futures::FutureExt;
use futures::future::BoxFuture;
use journal::{Append, Body, Journal, JournalError, MemoryJournal, Nonce, Record, Slot, Successor};
use state::MemberId;
use tokio::time::Instant;

use super::cluster::{Cluster, Replica, agree};
use crate::support::put;

/// One replica's way to the journal.
struct Reached {
    journal: MemoryJournal,
    away: AtomicBool,
}

impl Reached {
    fn new(journal: &MemoryJournal) -> Arc<Self> {
        Arc::new(Self { journal: journal.clone(), away: AtomicBool::new(false) })
    }

    fn set_away(&self, away: bool) {
        self.away.store(away, Ordering::Relaxed);
    }

    /// Asks, unless the journal is out of reach: then that is known after a while.
    fn ask<'a, T: Send + 'a>(
        &'a self,
        what: impl Future<Output = Result<T, JournalError>> + Send + 'a,
    ) -> BoxFuture<'a, Result<T, JournalError>> {
        async move {
            if self.away.load(Ordering::Relaxed) {
                tokio::time::sleep(Duration::from_millis(50)).await;
                return Err(JournalError::Unavailable("cut off".to_owned()));
            }
            what.await
        }
        .boxed()
    }
}

impl Journal for Reached {
    fn append(&self, slot: Slot, nonce: Nonce, body: Body) -> BoxFuture<'_, Append> {
        let appended = async move { Ok(self.journal.append(slot, nonce, body).await) };
        self.ask(appended).map(|appended| appended.unwrap_or_else(Append::Unknown)).boxed()
    }

    fn read(&self, from: Slot, limit: usize) -> BoxFuture<'_, Result<Vec<Record>, JournalError>> {
        self.ask(async move { self.journal.read(from, limit).await })
    }

    fn tail(&self) -> BoxFuture<'_, Result<Slot, JournalError>> {
        self.ask(async move { self.journal.tail().await })
    }

    fn trim(&self, before: Slot) -> BoxFuture<'_, Result<(), JournalError>> {
        self.ask(async move { self.journal.trim(before).await })
    }

    fn seal(&self, successor: Successor) -> BoxFuture<'_, Result<Slot, JournalError>> {
        self.ask(async move { self.journal.seal(successor).await })
    }

    fn successor(&self) -> BoxFuture<'_, Result<Option<Successor>, JournalError>> {
        self.ask(async move { self.journal.successor().await })
    }
}

/// Three, each with a way of its own.
async fn three() -> (Cluster, [Arc<Reached>; 3], [Replica; 3]) {
    let journal = MemoryJournal::default();
    let ways = [(); 3].map(|()| Reached::new(&journal));
    let cluster = Cluster::new(Arc::new(journal));
    let mut all = Vec::new();
    for (n, way) in (1..).zip(&ways) {
        all.push(cluster.try_start_on(Arc::<Reached>::clone(way), n).await.expect("starts"));
    }
    let all: [Replica; 3] = all.try_into().ok().expect("three");
    for one in &all {
        one.engine.commit(put("started", "")).await.unwrap();
    }
    (cluster, ways, all)
}

#[tokio::test(start_paused = true)]
async fn a_writer_that_is_cut_off_from_the_journal_is_replaced() {
    let (_cluster, ways, [first, second, third]) = three().await;
    assert_eq!(first.engine.role(), Role::Writer);
    ways[0].set_away(true);
    let began = Instant::now();
    second.engine.commit(put("meanwhile", "")).await.unwrap();
    third.engine.commit(put("meanwhile", "")).await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    assert_ne!(second.engine.status().leader, MemberId(1));
    ways[0].set_away(false);
    first.engine.commit(put("back", "")).await.unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(first.engine.role(), Role::Follower);
    agree(&[&first, &second, &third]).await;
}

#[tokio::test(start_paused = true)]
async fn nobody_takes_over_when_all_are_cut_off_from_the_journal() {
    let (_cluster, ways, [first, second, third]) = three().await;
    let epoch = first.engine.epoch();
    ways.iter().for_each(|way| way.set_away(true));
    let engine = second.engine.clone();
    let waits = tokio::spawn(async move { engine.commit(put("meanwhile", "")).await });
    tokio::time::sleep(Duration::from_secs(6)).await;
    ways.iter().for_each(|way| way.set_away(false));
    waits.await.unwrap().unwrap();
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!(second.engine.epoch(), epoch, "the writer is as good as before");
    agree(&[&first, &second, &third]).await;
}
