//! The journal itself: what the contract asks, handed to its tasks.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::{BoxFuture, ready};
use journal::{Append, Body, Journal, JournalError, Nonce, Record, Slot, Successor};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use crate::appending::{Appender, MAX_WAITING};
use crate::failure::Failure;
use crate::item;
use crate::items::Items;
use crate::keeping::Keeper;
use crate::layout::kind;
use crate::log::{Log, stopped, unavailable};
use crate::offer::Offer;
use crate::parts;
use crate::reading::{Reader, Waiter, tell_tail};
use crate::stats::Stats;

/// Longest body. The service would take more, in parts; a body is sent, kept and read as a whole.
pub const MAX_BODY: usize = 60 << 20;

/// The service's numbers are exact up to here.
const MAX_SLOT: u64 = 1 << 53;

/// Questions that may wait.
const MAX_QUESTIONS: usize = 1024;

/// Attempts to end a log while others append to it.
const SEAL_ATTEMPTS: usize = 1000;

/// What the journal is told beside its address.
#[derive(Clone, Debug)]
pub struct Options {
    /// The log's name; many logs share one container. The cluster's token.
    pub log: String,
    /// Whose log it is, in any words; another cluster's log is not opened.
    pub cluster: String,
    /// How long an answer is waited for, and what may be asked again is asked again.
    pub deadline: Duration,
    /// Where the one who appends runs: best beside whoever appends, for then no thread has to be woken on the
    /// way there and back. `None` is where the journal is opened.
    pub appends_from: Option<Handle>,
    /// How long what was seen of the log's mark is relied on.
    #[doc(hidden)]
    pub known_for: Duration,
    /// How long forgotten slots are kept. All that another replica may still rely on, and any request that is
    /// still on its way, is younger: see `docs/invariants.md`.
    #[doc(hidden)]
    pub removed_after: Duration,
    /// How often the mark is looked at, and what is due is removed.
    #[doc(hidden)]
    pub keep_every: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            log: "etcd-cluster".into(),
            cluster: String::new(),
            deadline: Duration::from_secs(10),
            appends_from: None,
            known_for: Duration::from_secs(5 * 60),
            removed_after: Duration::from_secs(40 * 60),
            keep_every: Duration::from_secs(2 * 60),
        }
    }
}

/// A journal in a container of Azure Cosmos DB. Its tasks live on the runtime it was opened on, the one that
/// appends where the options say, and end when it is dropped; its futures may be awaited anywhere.
pub struct CosmosJournal {
    log: Arc<Log>,
    keeper: Arc<Keeper>,
    reader: Arc<Reader>,
    offers: mpsc::Sender<Offer>,
    waiters: mpsc::Sender<Waiter>,
    keeping: AbortHandle,
}

impl std::fmt::Debug for CosmosJournal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CosmosJournal").field("log", &self.log.options.log).finish_non_exhaustive()
    }
}

impl Drop for CosmosJournal {
    fn drop(&mut self) {
        self.keeping.abort();
    }
}

impl CosmosJournal {
    /// Opens a log in a container, and makes it if it is not there.
    ///
    /// # Errors
    /// When the container does not answer in time, or somebody has to do something first; says what.
    pub(crate) async fn over(
        items: Arc<dyn Items>,
        stats: Arc<Stats>,
        options: Options,
    ) -> Result<Self, Failure> {
        let log = Arc::new(Log::open(items, stats, options).await?);
        let (offers, offered) = mpsc::channel(MAX_WAITING);
        let (waiters, waiting) = mpsc::channel(MAX_QUESTIONS);
        let near = log.options.appends_from.as_ref().unwrap_or(&log.runtime);
        near.spawn(Appender::new(Arc::clone(&log)).run(offered));
        log.runtime.spawn(tell_tail(Arc::clone(&log), waiting));
        let keeper = Arc::new(Keeper::new(Arc::clone(&log)));
        let keeping = log.runtime.spawn(Arc::clone(&keeper).run()).abort_handle();
        let reader = Arc::new(Reader::new(Arc::clone(&log)));
        Ok(Self { log, keeper, reader, offers, waiters, keeping })
    }

    /// Counts for `/metrics`.
    #[must_use]
    pub fn stats(&self) -> Arc<Stats> {
        Arc::clone(&self.log.stats)
    }

    pub(crate) fn log(&self) -> Arc<Log> {
        Arc::clone(&self.log)
    }

    /// Runs on, whatever becomes of the caller.
    pub(crate) fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, JournalError>> + Send + 'static,
    ) -> BoxFuture<'static, Result<T, JournalError>> {
        let task = self.log.runtime.spawn(work);
        task.map(|done| done.unwrap_or_else(|_| Err(stopped()))).boxed()
    }

    /// Hands an offer over; the answer comes though nobody may wait for it.
    fn offer(&self, slot: u64, nonce: Nonce, kind: u32, body: Bytes) -> BoxFuture<'static, Append> {
        let (reply, answer) = oneshot::channel();
        let length = if kind == kind::END { 0 } else { body.len() };
        let offer = Offer { slot, nonce, kind, length, body, since: Instant::now(), reply };
        if length <= item::MAX_BODY {
            if self.offers.try_send(offer).is_err() {
                let why = unavailable("too many appends are waiting");
                return ready(Append::Unknown(why)).boxed();
            }
        } else {
            self.log.runtime.spawn(long(self.log(), self.offers.clone(), offer));
        }
        answer.map(|answer| answer.unwrap_or_else(|_| Append::Unknown(stopped()))).boxed()
    }
}

/// Writes the parts of a long body, then offers the item that points to them.
async fn long(log: Arc<Log>, offers: mpsc::Sender<Offer>, mut offer: Offer) {
    let (slot, nonce, length) = (offer.slot, offer.nonce, offer.length);
    // A slot that is occupied is only looked at.
    if slot >= log.tail()
        && let Err(failure) = log.store(slot, nonce, &offer.body).await
    {
        // Of this offer nothing can land; of an earlier one of the same, who knows.
        let why = Append::Unknown(failure.into_journal());
        return drop(offer.reply.send(why));
    }
    offer.kind = kind::PARTS;
    offer.body = parts::pointer(&offer.body);
    offer.since = Instant::now();
    let (reply, answer) = oneshot::channel();
    let caller = std::mem::replace(&mut offer.reply, reply);
    if offers.send(offer).await.is_err() {
        return drop(caller.send(Append::Unknown(stopped())));
    }
    let outcome = answer.await.unwrap_or_else(|_| Append::Unknown(stopped()));
    let lost = matches!(outcome, Append::Lost);
    drop(caller.send(outcome));
    if lost {
        log.drop_parts(slot, nonce, length).await;
    }
}

impl Journal for CosmosJournal {
    fn append(&self, slot: Slot, nonce: Nonce, body: Body) -> BoxFuture<'_, Append> {
        let refused = if slot.0 == 0 {
            Some("there is no slot 0".into())
        } else if slot.0 >= MAX_SLOT {
            Some("slots do not go that far".into())
        } else if body.len() > MAX_BODY {
            Some(format!("a body of {} bytes; {MAX_BODY} is the most", body.len()))
        } else {
            None
        };
        if let Some(why) = refused {
            return ready(Append::Refused(unavailable(why))).boxed();
        }
        self.offer(slot.0, nonce, kind::BODY, body)
    }

    fn read(&self, from: Slot, limit: usize) -> BoxFuture<'_, Result<Vec<Record>, JournalError>> {
        let reader = Arc::clone(&self.reader);
        self.run(async move { reader.read(from.0, limit).await })
    }

    fn tail(&self) -> BoxFuture<'_, Result<Slot, JournalError>> {
        let (waiter, answer) = oneshot::channel();
        if self.waiters.try_send(waiter).is_err() {
            return ready(Err(unavailable("too many reads are waiting"))).boxed();
        }
        answer.map(|answer| answer.unwrap_or_else(|_| Err(stopped()))).boxed()
    }

    fn trim(&self, before: Slot) -> BoxFuture<'_, Result<(), JournalError>> {
        let keeper = Arc::clone(&self.keeper);
        self.run(async move { keeper.trim(before.0).await.map_err(Failure::into_journal) })
    }

    fn seal(&self, successor: Successor) -> BoxFuture<'_, Result<Slot, JournalError>> {
        async move {
            for _ in 0..SEAL_ATTEMPTS {
                let tail = self.tail().await?;
                match self.log.end() {
                    Some((_, known)) if known == successor => return Ok(tail),
                    Some((_, known)) => return Err(JournalError::Sealed(known)),
                    None => {}
                }
                let text = Bytes::from(successor.0.clone().into_bytes());
                match self.offer(tail.0, Nonce(rand::random()), kind::END, text).await {
                    Append::Won => return Ok(tail),
                    // Somebody appended or ended it: look again.
                    Append::Lost | Append::Refused(JournalError::Sealed(_)) => {}
                    Append::Unknown(why) | Append::Refused(why) => return Err(why),
                }
            }
            Err(unavailable("others append too fast for the log to be ended"))
        }
        .boxed()
    }

    fn successor(&self) -> BoxFuture<'_, Result<Option<Successor>, JournalError>> {
        async move {
            self.tail().await?;
            Ok(self.log.end().map(|(_, successor)| successor))
        }
        .boxed()
    }
}
