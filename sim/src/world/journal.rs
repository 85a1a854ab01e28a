//! The journal that the replicas share, and the objects beside it: what the contract promises and nothing
//! more. Requests may be lost, doubled, late by seconds, or answered to nobody; while one is out of reach of
//! the journal, others may not be.

use std::cell::Cell;
use std::sync::Arc;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::{BoxFuture, ready};
use journal::{
    Append, Body, Journal, JournalError, MemoryJournal, MemoryObjects, Nonce, Object, Objects,
    Pieces, Record, Slot, Successor,
};
use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::net::{Event, Net, State};
use super::{JOURNAL, MILLISECOND, Nanos, SECOND, Site};

/// After so long without an answer a replica calls the outcome unknown.
const GIVE_UP: std::time::Duration = std::time::Duration::from_millis(2500);
/// A request that comes so late has been given up.
const LATEST: Nanos = 20 * SECOND;

thread_local! {
    /// Whether what runs is beside all loops, and cannot wait for the world.
    static ASIDE: Cell<bool> = const { Cell::new(false) };
}

/// Does what must not wait for the world: there is nobody who would move it on.
pub(crate) fn aside(work: impl FnOnce()) {
    ASIDE.set(true);
    work();
    ASIDE.set(false);
}

/// How many of a thousand requests meet with what.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Odds {
    /// Never get there.
    pub(crate) lost: u64,
    /// Get there, and nobody is told.
    pub(crate) unanswered: u64,
    /// Get there seconds later.
    pub(crate) late: u64,
    /// Get there twice.
    pub(crate) doubled: u64,
    /// Are refused for want of room, for certain.
    pub(crate) refused: u64,
    /// Reads that lag, and other requests that fail.
    pub(crate) other: u64,
}

/// What is asked of the journal, or what it answers, on its way.
pub(crate) enum Errand {
    /// To the journal.
    Request { from: Site, work: Work, tries: u32 },
    /// From it.
    Answer { to: Site, give: Box<dyn FnOnce() + Send>, tries: u32 },
}

type Reply<T> = Option<oneshot::Sender<T>>;

/// What is asked.
pub(crate) enum Work {
    Append { slot: Slot, nonce: Nonce, body: Body, again: bool, reply: Reply<Append> },
    Read { from: Slot, limit: usize, reply: Reply<Result<Vec<Record>, JournalError>> },
    Tail { reply: Reply<Result<Slot, JournalError>> },
    Trim { before: Slot, reply: Reply<Result<(), JournalError>> },
}

/// An append that waits for the slot before its own.
struct Waiting {
    from: Site,
    record: Record,
    outcome: BoxFuture<'static, Append>,
    reply: Reply<Append>,
}

/// The engine behind the journal.
#[derive(Default)]
pub(crate) struct Depot {
    log: Arc<MemoryJournal>,
    pub(crate) objects: Arc<MemoryObjects>,
    pub(crate) odds: Odds,
    /// Whether it answers nobody.
    pub(crate) is_down: bool,
    /// Every record that ever was, trimmed or not.
    pub(crate) ever: Vec<Record>,
    /// Whether all it does is to remember what a server's own journal holds.
    pub(crate) is_single: bool,
    waiting: Vec<Waiting>,
    /// Of requests that are never answered.
    forgotten: Vec<Box<dyn std::any::Any + Send>>,
}

impl Depot {
    /// A request or an answer arrives, or is lost.
    pub(crate) fn arrive(&mut self, errand: Errand, net: &mut State) {
        match errand {
            Errand::Request { from, work, tries } => self.request(from, work, tries, net),
            Errand::Answer { to, give, tries } => {
                if net.is_cut(JOURNAL, to) {
                    if tries < 4 {
                        let pause = net.again(tries);
                        let again = Errand::Answer { to, give, tries: tries + 1 };
                        net.after(pause, Event::Journal(again));
                    } else {
                        self.forgotten.push(Box::new(give));
                    }
                } else {
                    give();
                }
            }
        }
    }

    fn request(&mut self, from: Site, work: Work, tries: u32, net: &mut State) {
        if net.is_cut(from, JOURNAL) || self.is_down {
            if tries < 4 && !net.dice.chance(200) {
                let pause = net.again(tries);
                let again = Errand::Request { from, work, tries: tries + 1 };
                net.after(pause, Event::Journal(again));
            } else {
                self.forgotten.push(Box::new(work));
            }
            return;
        }
        match work {
            Work::Append { slot, nonce, body, again, reply } => {
                self.append(from, Record { slot, nonce, body }, again, reply, net);
            }
            Work::Read { from: first, limit, reply } => {
                let found = self.read(first, limit, net);
                answer(from, reply, found, net);
            }
            Work::Tail { reply } => {
                let tail = self.log.tail().now_or_never().unwrap_or_else(|| Err(failed()));
                let tail = if net.dice.chance(self.odds.other) { Err(failed()) } else { tail };
                answer(from, reply, tail, net);
            }
            Work::Trim { before, reply } => {
                net.trace.say(from, format_args!("trims before slot {before}"));
                let done = self.log.trim(before).now_or_never().unwrap_or_else(|| Err(failed()));
                answer(from, reply, done, net);
            }
        }
    }

    fn read(
        &self,
        first: Slot,
        limit: usize,
        net: &mut State,
    ) -> Result<Vec<Record>, JournalError> {
        let mut found =
            self.log.read(first, limit).now_or_never().unwrap_or_else(|| Err(failed()))?;
        if net.dice.chance(self.odds.other) {
            if net.dice.chance(500) {
                return Err(failed());
            }
            // An answer from a little while ago.
            net.counts.journal_lagged += 1;
            found.truncate(net.dice.below(found.len() as u64 + 1) as usize);
        }
        Ok(found)
    }

    fn append(
        &mut self,
        from: Site,
        record: Record,
        again: bool,
        reply: Reply<Append>,
        net: &mut State,
    ) {
        let (odds, slot) = (self.odds, record.slot);
        if !again && net.dice.chance(odds.refused) {
            net.counts.journal_refused += 1;
            net.trace.say(from, format_args!("slot {slot} is refused"));
            return answer(from, reply, Append::Refused(JournalError::Full("no room".into())), net);
        }
        if net.dice.chance(odds.lost) {
            net.counts.journal_lost += 1;
            net.trace.say(from, format_args!("slot {slot} is lost on the way"));
            self.forgotten.push(Box::new(reply));
            return;
        }
        if reply.is_some() && net.dice.chance(odds.late) {
            net.counts.journal_late += 1;
            let delay = net.dice.between(SECOND, LATEST);
            net.trace.say(from, format_args!("slot {slot} comes {} ms late", delay / MILLISECOND));
            self.forgotten.push(Box::new(reply));
            return self.later(from, record, delay, net);
        }
        if reply.is_some() && net.dice.chance(odds.doubled) {
            net.counts.journal_doubled += 1;
            let delay = net.dice.below(3 * SECOND);
            self.later(from, record.clone(), delay, net);
        }
        self.offer(from, record, reply, net);
    }

    /// Nobody waits for what comes of it.
    fn later(&self, from: Site, record: Record, delay: Nanos, net: &mut State) {
        let Record { slot, nonce, body } = record;
        let work = Work::Append { slot, nonce, body, again: true, reply: None };
        net.after(delay, Event::Journal(Errand::Request { from, work, tries: 0 }));
    }

    fn offer(&mut self, from: Site, record: Record, reply: Reply<Append>, net: &mut State) {
        let Record { slot, nonce, body } = record.clone();
        let log = Arc::clone(&self.log);
        let outcome = async move { log.append(slot, nonce, body).await }.boxed();
        self.waiting.push(Waiting { from, record, outcome, reply });
        self.settle(net);
    }

    /// Answers every append that is decided by now.
    fn settle(&mut self, net: &mut State) {
        loop {
            let mut decided = Vec::new();
            let mut at = 0;
            while at < self.waiting.len() {
                match (&mut self.waiting[at].outcome).now_or_never() {
                    Some(outcome) => decided.push((self.waiting.remove(at), outcome)),
                    None => at += 1,
                }
            }
            if decided.is_empty() {
                return;
            }
            for (Waiting { from, record, reply, .. }, outcome) in decided {
                self.decided(from, record, reply, outcome, net);
            }
        }
    }

    fn decided(
        &mut self,
        from: Site,
        record: Record,
        reply: Reply<Append>,
        outcome: Append,
        net: &mut State,
    ) {
        let Record { slot, nonce, ref body } = record;
        let bytes = body.len();
        let how = match &outcome {
            Append::Won => "won",
            Append::Lost => "lost",
            Append::Unknown(_) => "unknown",
            Append::Refused(_) => "refused",
        };
        net.trace
            .say(from, format_args!("slot {slot} {how} by {:04x}, {bytes} bytes", nonce.0 as u16));
        if matches!(outcome, Append::Won) {
            self.ever.push(record);
            self.ever.sort_by_key(|record| record.slot);
            self.ever.dedup_by_key(|record| record.slot);
        }
        if reply.is_some() && net.dice.chance(self.odds.unanswered) {
            net.counts.journal_unanswered += 1;
            net.trace.say(from, format_args!("and nobody is told of slot {slot}"));
            self.forgotten.push(Box::new(reply));
        } else {
            answer(from, reply, outcome, net);
        }
    }

    /// The first free slot.
    pub(crate) fn tail(&self) -> Slot {
        if self.is_single {
            return Slot(self.ever.len() as u64 + 1);
        }
        self.log.tail().now_or_never().and_then(Result::ok).unwrap_or_default()
    }
}

fn answer<T: Send + 'static>(to: Site, reply: Reply<T>, with: T, net: &mut State) {
    let Some(reply) = reply else { return };
    let delay = net.way(JOURNAL, to);
    // Who asked may be gone.
    let give = Box::new(move || drop(reply.send(with)));
    net.after(delay, Event::Journal(Errand::Answer { to, give, tries: 0 }));
}

fn failed() -> JournalError {
    JournalError::Unavailable("the journal does not answer".into())
}

/// A replica's way to the journal.
pub(crate) struct SimJournal {
    pub(crate) site: Site,
    pub(crate) net: Net,
    pub(crate) depot: Arc<Mutex<Depot>>,
    /// What was offered before: of that nothing is certain any more.
    offered: Mutex<std::collections::BTreeSet<(Slot, u128)>>,
}

impl SimJournal {
    pub(crate) fn new(site: Site, net: &Net, depot: &Arc<Mutex<Depot>>) -> Self {
        Self { site, net: net.clone(), depot: Arc::clone(depot), offered: Mutex::default() }
    }

    fn ask(&self, work: Work) {
        let mut net = self.net.0.lock();
        if net.effect(self.site) {
            let delay = net.way(self.site, JOURNAL);
            let request = Errand::Request { from: self.site, work, tries: 0 };
            net.after(delay, Event::Journal(request));
        }
    }

    /// Asks, and waits for as long as a replica does.
    fn wait<T: Send + 'static>(
        &self,
        work: impl FnOnce(Reply<T>) -> Work,
    ) -> BoxFuture<'static, Option<T>> {
        let (reply, answer) = oneshot::channel();
        self.ask(work(Some(reply)));
        async move { timeout(GIVE_UP, answer).await.ok().and_then(Result::ok) }.boxed()
    }
}

impl Journal for SimJournal {
    fn append(&self, slot: Slot, nonce: Nonce, body: Body) -> BoxFuture<'_, Append> {
        let again = !self.offered.lock().insert((slot, nonce.0));
        let answered = self.wait(|reply| Work::Append { slot, nonce, body, again, reply });
        async move { answered.await.unwrap_or_else(|| Append::Unknown(failed())) }.boxed()
    }

    fn read(&self, from: Slot, limit: usize) -> BoxFuture<'_, Result<Vec<Record>, JournalError>> {
        let answered = self.wait(|reply| Work::Read { from, limit, reply });
        async move { answered.await.unwrap_or_else(|| Err(failed())) }.boxed()
    }

    fn tail(&self) -> BoxFuture<'_, Result<Slot, JournalError>> {
        let answered = self.wait(|reply| Work::Tail { reply });
        async move { answered.await.unwrap_or_else(|| Err(failed())) }.boxed()
    }

    fn trim(&self, before: Slot) -> BoxFuture<'_, Result<(), JournalError>> {
        if !ASIDE.get() {
            let answered = self.wait(|reply| Work::Trim { before, reply });
            return async move { answered.await.unwrap_or_else(|| Err(failed())) }.boxed();
        }
        let mut net = self.net.0.lock();
        let mut depot = self.depot.lock();
        if depot.is_down || net.is_cut(self.site, JOURNAL) || !net.effect(self.site) {
            return ready(Err(failed())).boxed();
        }
        depot.request(self.site, Work::Trim { before, reply: None }, 0, &mut net);
        ready(Ok(())).boxed()
    }

    fn seal(&self, _: Successor) -> BoxFuture<'_, Result<Slot, JournalError>> {
        ready(Err(failed())).boxed()
    }

    fn successor(&self) -> BoxFuture<'_, Result<Option<Successor>, JournalError>> {
        ready(Ok(None)).boxed()
    }
}

/// A replica's way to the objects.
pub(crate) struct SimObjects {
    pub(crate) site: Site,
    pub(crate) net: Net,
    pub(crate) depot: Arc<Mutex<Depot>>,
}

impl SimObjects {
    /// The objects, once they are reached, if they are.
    fn reach(&self) -> BoxFuture<'static, Result<Arc<MemoryObjects>, JournalError>> {
        let (site, net, depot) = (self.site, self.net.clone(), Arc::clone(&self.depot));
        async move {
            let way = net.0.lock().way(site, JOURNAL);
            if !ASIDE.get() {
                tokio::time::sleep(std::time::Duration::from_nanos(2 * way)).await;
            }
            let mut net = net.0.lock();
            let depot = depot.lock();
            let cut = net.is_cut(site, JOURNAL) || net.is_cut(JOURNAL, site);
            let fails = net.dice.chance(depot.odds.other);
            if cut || fails || depot.is_down || !net.effect(site) {
                return Err(failed());
            }
            Ok(Arc::clone(&depot.objects))
        }
        .boxed()
    }
}

impl Objects for SimObjects {
    fn put(&self, name: &str, pieces: Pieces) -> BoxFuture<'_, Result<(), JournalError>> {
        let name = name.to_owned();
        async move {
            let objects = self.reach().await?;
            self.net.0.lock().trace.say(self.site, format_args!("keeps object {name}"));
            objects.put(&name, pieces).await
        }
        .boxed()
    }

    fn get(&self, name: &str) -> BoxFuture<'_, Result<Option<Pieces>, JournalError>> {
        let name = name.to_owned();
        async move { self.reach().await?.get(&name).await }.boxed()
    }

    fn list(&self) -> BoxFuture<'_, Result<Vec<Object>, JournalError>> {
        async move { self.reach().await?.list().await }.boxed()
    }

    fn delete(&self, name: &str) -> BoxFuture<'_, Result<(), JournalError>> {
        let name = name.to_owned();
        async move { self.reach().await?.delete(&name).await }.boxed()
    }
}

/// What the journal was told, for a look at the bytes.
pub(crate) fn bodies(depot: &Mutex<Depot>) -> Vec<(Slot, Bytes)> {
    depot.lock().ever.iter().map(|record| (record.slot, record.body.clone())).collect()
}
