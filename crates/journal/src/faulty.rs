//! A journal that fails as real engines do: what happened × what was reported.
//!
//! It wraps another one and never lies: Won, Lost and Refused stay true, Unknown may mean anything,
//! a read may lag. Whatever runs correctly over a `Faulty` treats the three outcomes as three.

use std::collections::{HashSet, VecDeque};
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::FutureExt;
use futures::future::{BoxFuture, ready};
use parking_lot::Mutex;

use crate::{Append, Body, Journal, JournalError, Nonce, Record, Slot, Successor};

/// What became of an offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happens {
    /// It reached the engine.
    Written,
    /// It never did.
    NotWritten,
    /// It reaches the engine after so many more calls, as a packet that was held up.
    WrittenLater {
        /// Calls of any method of this journal.
        after: u32,
    },
}

/// What the caller was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reported {
    /// What the engine said; only with [`Happens::Written`].
    Truth,
    /// Unknown.
    Unknown,
    /// Refused, for want of room; only with [`Happens::NotWritten`].
    Refused,
}

/// What is to happen to one append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fate {
    /// What became of the offer.
    pub happens: Happens,
    /// What the caller is told.
    pub reported: Reported,
    /// How often the future is pending before it says anything.
    pub stall: u32,
}

impl Fate {
    /// Nothing out of the ordinary.
    pub const HONEST: Self =
        Self { happens: Happens::Written, reported: Reported::Truth, stall: 0 };

    /// Whether the report would be true.
    #[must_use]
    pub const fn is_true(&self) -> bool {
        match self.reported {
            Reported::Unknown => true,
            Reported::Truth => matches!(self.happens, Happens::Written),
            Reported::Refused => matches!(self.happens, Happens::NotWritten),
        }
    }
}

/// How many of a thousand calls go wrong in a seeded [`Faulty`].
#[derive(Clone, Copy, Debug)]
pub struct Odds {
    /// Appends that do not simply succeed.
    pub append: u32,
    /// Reads that fail or lag, and other calls that fail.
    pub other: u32,
    /// The most a future stalls.
    pub stall: u32,
}

impl Default for Odds {
    fn default() -> Self {
        Self { append: 400, other: 200, stall: 3 }
    }
}

/// The most offers that are remembered; after that no more are refused.
const MAX_OFFERED: usize = 1 << 16;

/// A journal with faults. See the module's words.
pub struct Faulty<J> {
    inner: J,
    plan: Mutex<Plan>,
}

struct Plan {
    script: VecDeque<Fate>,
    odds: Option<Odds>,
    random: Random,
    late: Vec<Late>,
    /// Offers that may have got through, which therefore cannot be refused any more.
    offered: HashSet<(Slot, Nonce)>,
}

struct Late {
    calls: u32,
    slot: Slot,
    nonce: Nonce,
    body: Body,
}

impl<J: std::fmt::Debug> std::fmt::Debug for Faulty<J> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Faulty").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl<J: Journal> Faulty<J> {
    /// Faults drawn from a seed: the same calls in the same order meet the same faults.
    pub fn seeded(inner: J, seed: u64, odds: Odds) -> Self {
        Self::new(inner, VecDeque::new(), Some(odds), seed)
    }

    /// The appends meet these fates in turn; after the last one nothing goes wrong any more.
    ///
    /// # Panics
    /// If a fate would make the journal lie.
    pub fn scripted(inner: J, script: impl IntoIterator<Item = Fate>) -> Self {
        let script: VecDeque<_> = script.into_iter().collect();
        assert!(script.iter().all(Fate::is_true), "a journal never lies");
        Self::new(inner, script, None, 0)
    }

    fn new(inner: J, script: VecDeque<Fate>, odds: Option<Odds>, seed: u64) -> Self {
        let random = Random(seed);
        let plan = Plan { script, odds, random, late: Vec::new(), offered: HashSet::new() };
        Self { inner, plan: Mutex::new(plan) }
    }

    /// The journal behind the faults.
    pub fn inner(&self) -> &J {
        &self.inner
    }

    /// From now on nothing goes wrong; what was held up is delivered with the next call.
    pub fn heal(&self) {
        let mut plan = self.plan.lock();
        plan.script.clear();
        plan.odds = None;
        plan.late.iter_mut().for_each(|late| late.calls = 0);
    }

    /// Counts a call, and delivers what was held up until now.
    fn call(&self) {
        let due: Vec<_> = {
            let mut plan = self.plan.lock();
            plan.late.iter_mut().for_each(|late| late.calls = late.calls.saturating_sub(1));
            plan.late.extract_if(.., |late| late.calls == 0).collect()
        };
        for late in due {
            // Nobody waits for the answer any more.
            drop(self.inner.append(late.slot, late.nonce, late.body).now_or_never());
        }
    }

    /// Whether a call other than an append fails: before it does anything, or after.
    fn misfortune(&self) -> (Option<When>, u32) {
        let mut plan = self.plan.lock();
        let Some(odds) = plan.odds else { return (None, 0) };
        let stall = plan.random.below(odds.stall + 1);
        if plan.random.below(1000) >= odds.other {
            return (None, stall);
        }
        let when = if plan.random.below(2) == 0 { When::Before } else { When::After };
        (Some(when), stall)
    }

    async fn other<T>(
        &self,
        run: impl Future<Output = Result<T, JournalError>> + Send,
    ) -> Result<T, JournalError> {
        self.call();
        let (fails, stall) = self.misfortune();
        Stall(stall).await;
        if fails == Some(When::Before) {
            return Err(injected());
        }
        let answer = run.await;
        if fails == Some(When::After) { Err(injected()) } else { answer }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum When {
    Before,
    After,
}

impl Plan {
    fn fate(&mut self, slot: Slot, nonce: Nonce) -> Fate {
        let mut fate = self.script.pop_front().unwrap_or_else(|| self.draw());
        if fate.reported == Reported::Refused
            && (self.offered.contains(&(slot, nonce)) || self.offered.len() >= MAX_OFFERED)
        {
            fate.reported = Reported::Unknown;
        }
        if fate.reported != Reported::Refused && self.offered.len() < MAX_OFFERED {
            self.offered.insert((slot, nonce));
        }
        fate
    }

    fn draw(&mut self) -> Fate {
        let Some(odds) = self.odds else { return Fate::HONEST };
        let stall = self.random.below(odds.stall + 1);
        if self.random.below(1000) >= odds.append {
            return Fate { stall, ..Fate::HONEST };
        }
        let (happens, reported) = match self.random.below(4) {
            0 => (Happens::Written, Reported::Unknown),
            1 => (Happens::NotWritten, Reported::Unknown),
            2 => (Happens::NotWritten, Reported::Refused),
            _ => (Happens::WrittenLater { after: 1 + self.random.below(10) }, Reported::Unknown),
        };
        Fate { happens, reported, stall }
    }
}

impl<J: Journal> Journal for Faulty<J> {
    fn append(&self, slot: Slot, nonce: Nonce, body: Body) -> BoxFuture<'_, Append> {
        self.call();
        let fate = self.plan.lock().fate(slot, nonce);
        let answer = match fate.happens {
            Happens::Written => self.inner.append(slot, nonce, body),
            Happens::NotWritten => ready(Append::Unknown(injected())).boxed(),
            Happens::WrittenLater { after } => {
                let late = Late { calls: after, slot, nonce, body };
                self.plan.lock().late.push(late);
                ready(Append::Unknown(injected())).boxed()
            }
        };
        async move {
            Stall(fate.stall).await;
            match fate.reported {
                Reported::Truth => answer.await,
                Reported::Refused => Append::Refused(JournalError::Full("injected".into())),
                Reported::Unknown => Append::Unknown(injected()),
            }
        }
        .boxed()
    }

    fn read(&self, from: Slot, limit: usize) -> BoxFuture<'_, Result<Vec<Record>, JournalError>> {
        async move {
            self.call();
            let (fails, stall) = self.misfortune();
            Stall(stall).await;
            if fails == Some(When::Before) {
                return Err(injected());
            }
            let mut records = self.inner.read(from, limit).await?;
            if fails == Some(When::After) {
                // An answer from a little while ago.
                let kept = self.plan.lock().random.below(records.len() as u32 + 1);
                records.truncate(kept as usize);
            }
            Ok(records)
        }
        .boxed()
    }

    fn tail(&self) -> BoxFuture<'_, Result<Slot, JournalError>> {
        self.other(async move { self.inner.tail().await }).boxed()
    }

    fn trim(&self, before: Slot) -> BoxFuture<'_, Result<(), JournalError>> {
        self.other(async move { self.inner.trim(before).await }).boxed()
    }

    fn seal(&self, successor: Successor) -> BoxFuture<'_, Result<Slot, JournalError>> {
        self.other(async move { self.inner.seal(successor).await }).boxed()
    }

    fn successor(&self) -> BoxFuture<'_, Result<Option<Successor>, JournalError>> {
        self.other(async move { self.inner.successor().await }).boxed()
    }
}

fn injected() -> JournalError {
    JournalError::Unavailable("injected".into())
}

/// Pending so often, then ready.
struct Stall(u32);

impl Future for Stall {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.0 == 0 {
            return Poll::Ready(());
        }
        self.0 -= 1;
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

/// A small generator (splitmix64); good enough to choose faults.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u32) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % u64::from(end.max(1))) as u32
    }
}
