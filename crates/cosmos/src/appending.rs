//! The one who appends. Owns every offer until it is answered, and has one create on its way at a time: the
//! service orders nothing between two items, so slot n+1 is sent when slot n is known to be occupied.
//!
//! What a create leaves open is settled by who holds the slot. Where nothing can be learnt the offer is of
//! unknown outcome, the slot stays where it was, and the same body has to be offered again.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};
use journal::{Append, JournalError, Slot};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use crate::failure::{Failure, Kind};
use crate::log::{Answer, Log, SOON, THROTTLED, unavailable};
use crate::offer::{Offer, Outcome, fly, settle};

/// Offers that may wait, the one on its way included.
pub(crate) const MAX_WAITING: usize = 8192;

/// Offers whose outcome was unknown that are remembered; beyond that, none is refused.
const MAX_DOUBTFUL: usize = 1 << 16;

/// Slots that are looked at at once.
const MAX_SETTLING: usize = 32;

/// Pauses between looks at how far others have come, and after a failure.
const FIRST_PAUSE: Duration = Duration::from_millis(2);
const LONGEST_PAUSE: Duration = Duration::from_millis(250);

type Settling = BoxFuture<'static, (Offer, Outcome)>;

/// See the module.
pub(crate) struct Appender {
    log: Arc<Log>,
    /// By slot; not on their way.
    parked: BTreeMap<u64, VecDeque<Offer>>,
    waiting: usize,
    flying: Option<Settling>,
    /// Offers of slots that are occupied.
    settling: FuturesUnordered<Settling>,
    peeking: Option<BoxFuture<'static, Answer<u64>>>,
    /// Nothing is sent before.
    hold: Option<Instant>,
    /// When to see how far others have come.
    peek: Option<Instant>,
    pause: Duration,
    /// How long a create is waited for: not long, and each time that none answered twice as long.
    patience: Duration,
    doubtful: BTreeSet<(u64, u128)>,
    forgotten: bool,
    /// The slot that was refused last, until it is offered again.
    refused: Option<(u64, Failure)>,
    /// What the log was told last.
    said: String,
}

enum Event {
    Offered(Option<Offer>),
    Flown(Box<(Offer, Outcome)>),
    Settled(Box<(Offer, Outcome)>),
    Peeked(Answer<u64>),
    Go,
    Peek,
}

impl Appender {
    pub(crate) fn new(log: Arc<Log>) -> Self {
        Self {
            patience: SOON.min(log.options.deadline),
            log,
            parked: BTreeMap::new(),
            waiting: 0,
            flying: None,
            settling: FuturesUnordered::new(),
            peeking: None,
            hold: None,
            peek: None,
            pause: FIRST_PAUSE,
            doubtful: BTreeSet::new(),
            forgotten: false,
            refused: None,
            said: String::new(),
        }
    }

    /// Runs until nobody can offer any more, and what is on its way is answered.
    pub(crate) async fn run(mut self, mut offers: mpsc::Receiver<Offer>) {
        let mut open = true;
        while open || self.flying.is_some() || !self.settling.is_empty() {
            match self.next(&mut offers, open).await {
                Event::Offered(Some(offer)) => {
                    self.admit(offer);
                    while let Ok(offer) = offers.try_recv() {
                        self.admit(offer);
                    }
                }
                Event::Offered(None) => open = false,
                Event::Flown(flown) => {
                    let (offer, outcome) = *flown;
                    self.flown(offer, outcome);
                }
                Event::Settled(settled) => {
                    let (offer, outcome) = *settled;
                    self.settled(offer, outcome);
                }
                Event::Peeked(tail) => self.peeked(tail),
                Event::Go => self.hold = None,
                Event::Peek => self.look_on(),
            }
            self.send();
        }
    }

    async fn next(&mut self, offers: &mut mpsc::Receiver<Offer>, open: bool) -> Event {
        tokio::select! {
            biased;
            flown = some(&mut self.flying) => Event::Flown(Box::new(flown)),
            Some(settled) = self.settling.next() => Event::Settled(Box::new(settled)),
            tail = some(&mut self.peeking) => Event::Peeked(tail),
            offer = offers.recv(), if open => Event::Offered(offer),
            () = until(self.hold) => Event::Go,
            () = until(self.peek) => Event::Peek,
        }
    }

    fn admit(&mut self, offer: Offer) {
        self.refused.take_if(|(slot, _)| offer.slot <= *slot);
        if let Some((end, _)) = self.log.end()
            && offer.slot >= end
        {
            return self.ended(offer);
        }
        if self.waiting >= MAX_WAITING {
            return self.refuse(offer, unavailable("too many appends are waiting"));
        }
        let behind = self.refused.as_ref().filter(|(slot, _)| self.log.tail() <= *slot);
        if let Some(failure) = behind.map(|(_, failure)| failure.clone()) {
            return self.refuse(offer, failure.into_journal());
        }
        self.pause = FIRST_PAUSE;
        self.park(offer);
    }

    fn park(&mut self, offer: Offer) {
        self.waiting += 1;
        self.parked.entry(offer.slot).or_default().push_back(offer);
    }

    fn take(&mut self) -> Option<Offer> {
        let mut entry = self.parked.first_entry()?;
        let offer = entry.get_mut().pop_front();
        if entry.get().is_empty() {
            entry.remove();
        }
        self.waiting -= 1;
        offer
    }

    /// Looks at slots that are occupied, and sends the one that is next.
    fn send(&mut self) {
        if let Err(failure) = self.log.check() {
            self.give_up(&failure);
        }
        let end = self.log.end().map_or(u64::MAX, |(end, _)| end);
        while let Some(slot) = self.parked.keys().next().copied() {
            let tail = self.log.tail();
            if slot >= end {
                self.refuse_all_from(end);
                break;
            }
            let held = self.flying.is_some() || self.hold.is_some();
            if slot < tail && self.settling.len() >= MAX_SETTLING || slot == tail && held {
                break;
            }
            if slot > tail {
                break;
            }
            let Some(offer) = self.take() else { break };
            let log = Arc::clone(&self.log);
            if slot < tail {
                self.settling.push(Box::pin(settle(log, offer)));
            } else {
                self.flying = Some(Box::pin(fly(log, offer, self.patience)));
            }
        }
        let waits = !self.parked.is_empty() && self.flying.is_none() && self.hold.is_none();
        let peeks = waits && self.peeking.is_none();
        self.peek = if peeks { self.peek.or(Some(Instant::now() + self.pause)) } else { None };
    }

    fn flown(&mut self, offer: Offer, outcome: Outcome) {
        if let Outcome::Nothing(failure) = &outcome
            && failure.kind == Kind::Throttled
        {
            let wait = failure.after.unwrap_or(THROTTLED);
            if offer.since.elapsed() + wait < self.log.options.deadline {
                self.hold = Some(Instant::now() + wait);
                self.waiting += 1;
                return self.parked.entry(offer.slot).or_default().push_front(offer);
            }
        }
        if matches!(outcome, Outcome::Nothing(_) | Outcome::Unknown(_)) {
            self.hold = Some(Instant::now() + self.pause);
            self.pause = (self.pause * 2).min(LONGEST_PAUSE);
            self.patience = (self.patience * 2).min(self.log.options.deadline);
        } else {
            self.pause = FIRST_PAUSE;
            self.patience = SOON.min(self.log.options.deadline);
            self.said.clear();
        }
        self.settled(offer, outcome);
    }

    fn settled(&mut self, offer: Offer, outcome: Outcome) {
        match outcome {
            Outcome::Won => {
                self.doubtful.remove(&(offer.slot, offer.nonce.0));
                self.log.stats.won(offer.length);
                offer.answer(Append::Won);
            }
            Outcome::Lost => {
                self.doubtful.remove(&(offer.slot, offer.nonce.0));
                offer.answer(Append::Lost);
            }
            Outcome::Ended => self.ended(offer),
            Outcome::Trimmed(first) => {
                let first = Slot(first);
                self.unknown(offer, JournalError::Trimmed { first });
            }
            Outcome::Nothing(failure) if failure.kind == Kind::Full => {
                self.say(&failure);
                let (slot, why) = (offer.slot, failure.clone().into_journal());
                self.refuse(offer, why.clone());
                for behind in self.parked.split_off(&(slot + 1)).into_values().flatten() {
                    self.waiting -= 1;
                    self.refuse(behind, why.clone());
                }
                self.refused = Some((slot, failure));
            }
            Outcome::Nothing(failure) | Outcome::Unknown(failure) => {
                self.say(&failure);
                self.unknown(offer, failure.into_journal());
            }
        }
    }

    /// Tells the log why appends fail, once.
    fn say(&mut self, failure: &Failure) {
        if failure.text != self.said {
            tracing::warn!(error = %failure, "appends to the journal fail");
            self.said.clone_from(&failure.text);
        }
    }

    /// Nothing of an offer behind the end can land: the end holds its slot, or that before it.
    fn ended(&mut self, offer: Offer) {
        match self.log.end() {
            Some((_, successor)) => offer.answer(Append::Refused(JournalError::Sealed(successor))),
            None => self.unknown(offer, unavailable("the log's end was not understood")),
        }
    }

    fn refuse_all_from(&mut self, end: u64) {
        for offer in self.parked.split_off(&end).into_values().flatten() {
            self.waiting -= 1;
            self.ended(offer);
        }
    }

    /// Answers all that wait, of whom nothing is sent any more.
    fn give_up(&mut self, failure: &Failure) {
        self.waiting = 0;
        for offer in std::mem::take(&mut self.parked).into_values().flatten() {
            self.unknown(offer, failure.clone().into_journal());
        }
    }

    /// Says Refused, unless an earlier offer of the same may still land.
    fn refuse(&mut self, offer: Offer, why: JournalError) {
        if self.forgotten || self.doubtful.contains(&(offer.slot, offer.nonce.0)) {
            return self.unknown(offer, why);
        }
        offer.answer(Append::Refused(why));
    }

    fn unknown(&mut self, offer: Offer, why: JournalError) {
        self.log.stats.unknown();
        self.doubtful = self.doubtful.split_off(&(self.log.tail(), 0));
        if self.doubtful.len() < MAX_DOUBTFUL {
            self.doubtful.insert((offer.slot, offer.nonce.0));
        } else {
            self.forgotten = true;
        }
        offer.answer(Append::Unknown(why));
    }

    /// Nothing is on its way, and somebody waits for a slot that others may have taken.
    fn look_on(&mut self) {
        self.peek = None;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        let log = Arc::clone(&self.log);
        self.peeking = Some(Box::pin(async move { log.find_tail().await }));
    }

    fn peeked(&mut self, tail: Answer<u64>) {
        if let Err(failure) = tail {
            self.say(&failure);
        }
    }
}

/// The answer of a future that may not be there, taken out when it comes.
async fn some<T>(future: &mut Option<BoxFuture<'static, T>>) -> T {
    let Some(waiting) = future else { return pending().await };
    let answer = waiting.await;
    *future = None;
    answer
}

async fn until(when: Option<Instant>) {
    match when {
        Some(when) => sleep_until(when).await,
        None => pending().await,
    }
}
