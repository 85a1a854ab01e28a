//! The log as all parts of one journal know it: how it is asked, what is known of it, how far it reaches.
//!
//! The mark is what makes an answer mean something. A slot below it may have been removed, and a request
//! that was held up on its way may then create it again. So nothing that is seen of a slot is believed
//! unless the mark was seen lately not to have passed it: see [`Log::look`] and docs/invariants.md.

use std::sync::Arc;
use std::time::Duration;

use futures::future::{BoxFuture, join_all};
use journal::{JournalError, Nonce, Successor};
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep, timeout};

use crate::failure::{Failure, Kind};
use crate::item::{Item, Name};
use crate::items::{Created, Items, Range};
use crate::journal::Options;
use crate::known::{Known, Moment};
use crate::layout::{Layout, Mark, kind, segment_end};
use crate::pace::Pace;
use crate::stats::{Purpose, Stats};

/// The first pause before something is tried again, and the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// How long the first attempt is waited for.
pub(crate) const SOON: Duration = Duration::from_millis(1500);

/// The pause where the service takes no more and does not say for how long.
pub(crate) const THROTTLED: Duration = Duration::from_millis(100);

pub(crate) type Answer<T> = Result<T, Failure>;

/// What is in a slot.
#[derive(Debug)]
pub(crate) enum Held {
    /// This, and it is its first winner's.
    Item(Item),
    /// Nothing, and nothing ever was.
    Free,
    /// It lies below the first slot.
    Trimmed(u64),
}

/// See the module.
pub(crate) struct Log {
    pub(crate) items: Arc<dyn Items>,
    pub(crate) stats: Arc<Stats>,
    pub(crate) options: Options,
    pub(crate) layout: Layout,
    pub(crate) runtime: Handle,
    pub(crate) pace: Arc<Pace>,
    known: Mutex<Known>,
}

impl Log {
    /// Reads the log's mark, and makes it if it is not there.
    pub(crate) async fn open(
        items: Arc<dyn Items>,
        stats: Arc<Stats>,
        options: Options,
    ) -> Answer<Self> {
        let log = Self {
            layout: Layout::new(&options.log)?,
            pace: Arc::new(Pace::new(Arc::clone(&stats))),
            known: Mutex::new(Known::new(1, Moment::now())),
            runtime: Handle::current(),
            items,
            stats,
            options,
        };
        log.pace.follow(log.items.throughput());
        let asked = Moment::now();
        let first = match log.find_mark(Purpose::Tail).await? {
            Some((mark, _)) => mark.first,
            None => log.begin().await?,
        };
        *log.known.lock() = Known::new(first, asked);
        log.find_tail().await?;
        Ok(log)
    }

    /// Makes the mark of a log that has none. One that has slots or objects had a mark.
    async fn begin(&self) -> Answer<u64> {
        let partitions = [self.layout.segment(1), self.layout.objects()];
        for partition in partitions {
            let range = Range { partition, from: 0, to: segment_end(0), most: 1, bytes: 1 };
            let held = self.insist(|| self.items.range(Purpose::Tail, range.clone())).await?;
            // Another replica may have begun the log, and gone on, in between.
            if !held.is_empty() && self.find_mark(Purpose::Tail).await?.is_none() {
                let log = &self.options.log;
                let why = format!("log {log:?} has items and no mark; restore the container");
                return Err(Failure::new(Kind::Damaged, why));
            }
        }
        let mark = self.mark_item(&Mark::new(&self.options.cluster), None);
        self.create(Purpose::Tail, mark).await?;
        Ok(self.mark(Purpose::Tail).await?.0.first)
    }

    pub(crate) fn mark_item(&self, mark: &Mark, tag: Option<String>) -> Item {
        let body = serde_json::to_vec(mark).unwrap_or_default().into();
        let nonce = Nonce(rand::random());
        Item { name: self.layout.mark(), slot: 0, nonce, kind: kind::MARK, body, tag }
    }

    /// The mark as it is now, and its item's tag.
    pub(crate) async fn mark(&self, purpose: Purpose) -> Answer<(Mark, Option<String>)> {
        let asked = Moment::now();
        let found = self.find_mark(purpose).await?;
        let (mark, tag) = found.ok_or_else(|| {
            let log = &self.options.log;
            let why = format!("the mark of log {log:?} is gone; restore the container");
            Failure::new(Kind::Damaged, why)
        })?;
        self.known.lock().begins(mark.first, asked);
        Ok((mark, tag))
    }

    async fn find_mark(&self, purpose: Purpose) -> Answer<Option<(Mark, Option<String>)>> {
        let item = self.insist(|| self.items.get(purpose, self.layout.mark())).await?;
        let Some(item) = item else { return Ok(None) };
        Ok(Some((Mark::read(&item, &self.options.cluster)?, item.tag)))
    }

    /// Whether what is known of the mark is too old to believe an answer by it.
    pub(crate) fn is_stale(&self) -> bool {
        self.known.lock().marked.age() >= self.options.known_for
    }

    /// Reads the mark again if it is too long since; answers the first slot. Fails where nothing may be
    /// believed any more.
    pub(crate) async fn refresh(&self, purpose: Purpose) -> Answer<u64> {
        self.check()?;
        if self.is_stale() {
            self.mark(purpose).await?;
        }
        Ok(self.first())
    }

    /// What is in a slot, behind every append that was answered before.
    pub(crate) async fn look(&self, purpose: Purpose, slot: u64) -> Answer<Held> {
        let tail = self.tail();
        let name = self.layout.slot(slot);
        let item = self.insist(|| self.items.get(purpose, name.clone())).await?;
        // After the answer: what was removed before it is known by then.
        let missed = item.is_none() && slot < tail;
        let first =
            if missed { self.mark(purpose).await?.0.first } else { self.refresh(purpose).await? };
        match item {
            _ if slot < first => Ok(Held::Trimmed(first)),
            Some(item) if item.slot == slot => Ok(Held::Item(item)),
            Some(item) => Err(crate::layout::damaged(&item, "is of another slot than its name")),
            None if missed => Err(self.missing(slot)),
            None => Ok(Held::Free),
        }
    }

    /// A slot that was there, and lies behind the mark, is not there.
    fn missing(&self, slot: u64) -> Failure {
        if self.items.may_lose() {
            return self.lose(slot);
        }
        let log = &self.options.log;
        let why = format!(
            "slot {slot} of log {log:?} is not there any more: items were removed by hand, or a region \
             was lost; restore the container"
        );
        Failure::new(Kind::Damaged, why)
    }

    /// The first free slot: whatever was acknowledged before the call lies below.
    ///
    /// Occupied slots have no gap, so the end of them is found in steps that double, and then halve.
    pub(crate) async fn find_tail(&self) -> Answer<u64> {
        let (mut low, mut high) = (self.tail(), None);
        if self.end().is_some() {
            return Ok(low);
        }
        let (mut probe, mut step) = (low, 1);
        loop {
            match self.look(Purpose::Tail, probe).await? {
                Held::Free => high = Some(probe),
                Held::Trimmed(first) => low = low.max(first),
                Held::Item(item) => {
                    self.saw(&item);
                    if item.kind == kind::END {
                        return Ok(probe);
                    }
                    low = low.max(probe + 1);
                }
            }
            probe = match high {
                Some(high) if high == low => return Ok(low),
                Some(high) if high > low => low + (high - low) / 2,
                // Nothing is free as far as we looked, or others have come further since.
                _ => {
                    high = None;
                    step *= 2;
                    low + step / 2 - 1
                }
            };
        }
    }

    /// Notes what was seen in a slot.
    pub(crate) fn saw(&self, item: &Item) {
        let mut known = self.known.lock();
        if item.kind == kind::END {
            let successor = String::from_utf8_lossy(&item.body).into_owned();
            known.ends(item.slot, Successor(successor));
        } else {
            known.occupied(item.slot, item.nonce);
        }
    }

    pub(crate) fn first(&self) -> u64 {
        self.known.lock().first
    }

    /// Every slot below was occupied.
    pub(crate) fn tail(&self) -> u64 {
        self.known.lock().tail
    }

    pub(crate) fn end(&self) -> Option<(u64, Successor)> {
        self.known.lock().end.clone()
    }

    pub(crate) fn winner(&self, slot: u64) -> Option<Nonce> {
        self.known.lock().winner(slot)
    }

    /// The last slots that were seen, and who won them.
    pub(crate) fn last(&self) -> Vec<(u64, Nonce)> {
        self.known.lock().last.clone()
    }

    /// Where a region's loss may take acknowledged slots along: whether these are still there.
    ///
    /// An append is sent together with this question. If the loss comes between the two, the next question
    /// finds it, for it asks for the slot before the last one as well.
    pub(crate) async fn verify(&self, purpose: Purpose, last: &[(u64, Nonce)]) -> Answer<()> {
        if !self.items.may_lose() {
            return Ok(());
        }
        self.check()?;
        let held = last.iter().map(|(slot, _)| {
            let name = self.layout.slot(*slot);
            async move { self.insist(|| self.items.get(purpose, name.clone())).await }
        });
        for ((slot, nonce), held) in last.iter().zip(join_all(held).await) {
            if held?.is_some_and(|item| item.nonce == *nonce) {
                continue;
            }
            if *slot >= self.mark(purpose).await?.0.first {
                return Err(self.lose(*slot));
            }
        }
        Ok(())
    }

    /// The service has lost what it had acknowledged. Nothing is served from then on.
    fn lose(&self, slot: u64) -> Failure {
        let log = &self.options.log;
        let why = format!(
            "slot {slot} of log {log:?} was acknowledged and is gone: a region was lost and took the \
             latest writes along, as bounded staleness allows. This replica knows more than the service \
             and serves no more: docs/cosmos.md, \"When a region is lost\", says how to go on"
        );
        let mut known = self.known.lock();
        if known.lost.is_none() {
            tracing::error!(slot, "{why}");
        }
        Failure::new(Kind::Damaged, known.lost.get_or_insert(why).clone())
    }

    /// Whether the log may still be served.
    pub(crate) fn check(&self) -> Answer<()> {
        let lost = self.known.lock().lost.clone();
        lost.map_or(Ok(()), |why| Err(Failure::new(Kind::Damaged, why)))
    }

    /// One attempt.
    pub(crate) async fn once<T>(
        &self,
        patience: Duration,
        asked: BoxFuture<'_, Answer<T>>,
    ) -> Answer<T> {
        timeout(patience, asked).await.unwrap_or_else(|_| {
            Err(Failure::new(Kind::Ambiguous, format!("no answer within {patience:?}")))
        })
    }

    /// Asks what may be asked again, until there is an answer or the deadline is over. What hangs is given up
    /// soon at first, since another connection is likely to do better, and later each time.
    pub(crate) async fn insist<'a, T>(
        &'a self,
        ask: impl Fn() -> BoxFuture<'a, Answer<T>>,
    ) -> Answer<T> {
        let began = Instant::now();
        let deadline = self.options.deadline;
        let (mut pause, mut patience) = (FIRST_PAUSE, SOON);
        loop {
            let left = deadline.saturating_sub(began.elapsed());
            let failure = match self.once(patience.min(left), ask()).await {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            };
            let wait = match failure.kind {
                Kind::Throttled => failure.after.unwrap_or(THROTTLED),
                Kind::Ambiguous => pause,
                _ => return Err(failure),
            };
            if began.elapsed() + wait >= deadline {
                return Err(failure);
            }
            sleep(wait).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
            patience *= 2;
        }
    }

    /// Creates an item, as often as it takes; whoever made it, it is there.
    pub(crate) async fn create(&self, purpose: Purpose, item: Item) -> Answer<Created> {
        self.insist(|| self.items.create(purpose, item.clone())).await
    }

    pub(crate) async fn delete(&self, purpose: Purpose, name: Name) -> Answer<()> {
        self.insist(|| self.items.delete(purpose, name.clone())).await
    }
}

/// A failure that is ours to tell.
pub(crate) fn unavailable(why: impl Into<String>) -> JournalError {
    JournalError::Unavailable(why.into())
}

/// What is said when nobody is there any more to answer.
pub(crate) fn stopped() -> JournalError {
    unavailable("the journal has stopped")
}
