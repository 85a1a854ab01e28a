//! One connection for all appends. Statements go out in the order of their slots, several at once,
//! and the server runs them in that order; each one creates its slot only if the slot before is
//! there. So a slot that was won has all its predecessors before it in the server's own log.
//!
//! An answer that is not plain is settled by looking behind the barrier. A connection that does
//! not answer in time is dropped, never cancelled: what was on it is of unknown outcome.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::{FuturesOrdered, FuturesUnordered, StreamExt};
use journal::{Append, JournalError, Nonce, Slot};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_postgres::Statement;

use crate::database::{
    Database, Patience, Value, ask, change, checksum, column, slot_of, unavailable,
};
use crate::failure::{Failure, Kind};
use crate::guarantee::Dialect;
use crate::link::{Answer, Link};
use crate::reading::{Question, State};
use crate::schema::kind;
use crate::statements::{self as sql, prepare};

/// Offers that may wait, those on the wire included.
pub(crate) const MAX_WAITING: usize = 8192;

/// Offers whose outcome was unknown that are remembered; beyond that, none is refused.
const MAX_DOUBTFUL: usize = 1 << 16;

/// An append that took longer is looked at again: the slot may have been trimmed meanwhile.
const PROMPT: Duration = Duration::from_secs(1);

/// Pauses between looks at how far others have come, and between attempts to connect.
const FIRST_PAUSE: Duration = Duration::from_millis(2);
const LONGEST_PAUSE: Duration = Duration::from_millis(250);

/// A body, or a pointer to its parts, on its way into a slot.
pub(crate) struct Offer {
    pub(crate) slot: u64,
    pub(crate) nonce: Nonce,
    pub(crate) kind: i64,
    /// Of the body, wherever it stands.
    pub(crate) length: usize,
    /// What stands in the row.
    pub(crate) body: Bytes,
    pub(crate) since: Instant,
    pub(crate) reply: oneshot::Sender<Append>,
}

impl Offer {
    fn answer(self, outcome: Append) {
        // Whoever asked may have gone away: a dropped future withdraws nothing.
        drop(self.reply.send(outcome));
    }
}

/// An offer on the wire.
struct Flight {
    offer: Offer,
    sent: Instant,
    doubts: u64,
}

struct Desk {
    link: Link,
    append: Statement,
    end: Statement,
}

impl Desk {
    async fn open(database: Arc<Database>) -> Answer<Self> {
        let link = database.connect().await?;
        let client = link.client();
        let append = prepare(&client, sql::APPEND).await?;
        let end = prepare(&client, sql::END).await?;
        Ok(Self { link, append, end })
    }
}

type Looked = (Offer, Result<(State, Option<(Nonce, i64)>), JournalError>);

/// The one who appends. Owns every offer until it is answered.
pub(crate) struct Appender {
    database: Arc<Database>,
    questions: mpsc::Sender<Question>,
    /// By slot; not on the wire.
    parked: BTreeMap<u64, VecDeque<Offer>>,
    flying: VecDeque<Flight>,
    answers: FuturesOrdered<BoxFuture<'static, Answer<u64>>>,
    looking: FuturesUnordered<BoxFuture<'static, Looked>>,
    peeking: Option<BoxFuture<'static, Answer<Vec<tokio_postgres::Row>>>>,
    desk: Option<Desk>,
    connecting: Option<BoxFuture<'static, Answer<Desk>>>,
    connected: bool,
    doubtful: BTreeSet<(u64, u128)>,
    forgotten: bool,
    pause: Duration,
    patience: Patience,
    /// No slot below is free, as seen behind the barrier.
    firm: u64,
    /// The slot that was refused last, until it is offered again.
    refused: Option<(u64, Failure)>,
    /// What the log was told last of connecting.
    said: String,
}

enum Event {
    Offered(Option<Offer>),
    Answered(Answer<u64>),
    Looked(Box<Looked>),
    Connected(Answer<Desk>),
    Peeked(Answer<Vec<tokio_postgres::Row>>),
    Overdue,
    Wake,
}

impl Appender {
    pub(crate) fn new(database: Arc<Database>, questions: mpsc::Sender<Question>) -> Self {
        let patience = Patience::new(database.options.deadline);
        Self {
            database,
            patience,
            questions,
            parked: BTreeMap::new(),
            flying: VecDeque::new(),
            answers: FuturesOrdered::new(),
            looking: FuturesUnordered::new(),
            peeking: None,
            desk: None,
            connecting: None,
            connected: false,
            doubtful: BTreeSet::new(),
            forgotten: false,
            pause: FIRST_PAUSE,
            firm: 1,
            refused: None,
            said: String::new(),
        }
    }

    /// Runs until nobody can offer any more, and what was offered is answered.
    pub(crate) async fn run(mut self, mut offers: mpsc::Receiver<Offer>) {
        let mut open = true;
        while open || !self.flying.is_empty() || !self.looking.is_empty() {
            match self.next(&mut offers, open).await {
                Event::Offered(Some(offer)) => {
                    self.admit(offer);
                    while let Ok(offer) = offers.try_recv() {
                        self.admit(offer);
                    }
                }
                Event::Offered(None) => open = false,
                Event::Answered(answer) => self.answered(answer),
                Event::Looked(looked) => self.looked(*looked),
                Event::Connected(desk) => self.connected(desk).await,
                Event::Peeked(rows) => self.peeked(rows),
                Event::Overdue => {
                    let why = format!("no answer within {:?}", self.patience.get());
                    self.patience.exhausted();
                    self.disconnect(&why);
                }
                Event::Wake => self.wake(),
            }
            self.send();
        }
    }

    async fn next(&mut self, offers: &mut mpsc::Receiver<Offer>, open: bool) -> Event {
        let overdue = self.flying.front().map(|flight| flight.sent + self.patience.get());
        let idle = self.flying.is_empty() && self.looking.is_empty() && self.peeking.is_none();
        let wake = (idle && !self.parked.is_empty() && self.connecting.is_none())
            .then(|| Instant::now() + self.pause);
        let room = self.parked.len() < MAX_WAITING;
        tokio::select! {
            biased;
            Some(answer) = self.answers.next() => Event::Answered(answer),
            Some(looked) = self.looking.next() => Event::Looked(Box::new(looked)),
            desk = some(&mut self.connecting) => Event::Connected(desk),
            rows = some(&mut self.peeking) => Event::Peeked(rows),
            offer = offers.recv(), if open && room => Event::Offered(offer),
            () = until(overdue) => Event::Overdue,
            () = until(wake) => Event::Wake,
        }
    }

    fn admit(&mut self, offer: Offer) {
        self.pause = FIRST_PAUSE;
        self.refused.take_if(|(slot, _)| offer.slot <= *slot);
        if let Some((end, successor)) = self.database.end()
            && offer.slot >= end
            && offer.kind != kind::END
        {
            return offer.answer(Append::Refused(JournalError::Sealed(successor)));
        }
        let waiting: usize = self.parked.len() + self.flying.len() + self.looking.len();
        if waiting >= MAX_WAITING {
            let why = unavailable("too many appends are waiting");
            return self.refuse(offer, why);
        }
        self.parked.entry(offer.slot).or_default().push_back(offer);
    }

    /// Puts on the wire whatever may go: slots that are taken or next, and those behind them.
    fn send(&mut self) {
        if self.parked.is_empty() {
            return;
        }
        let closed = self.desk.as_ref().is_some_and(|desk| desk.link.is_closed());
        if closed && self.flying.is_empty() {
            self.disconnect("the connection was closed");
        }
        let generation = self.database.generation();
        let outdated = self.desk.as_ref().is_some_and(|desk| desk.link.generation != generation);
        if outdated {
            self.disconnect("the server may not be relied on any more");
        }
        let Some(desk) = &self.desk else {
            if self.connecting.is_none() {
                self.connecting = Some(Box::pin(Desk::open(Arc::clone(&self.database))));
            }
            return;
        };
        while self.flying.len() < self.database.options.pipeline.max(1) {
            let tail = self.database.tail();
            let next = self.flying.iter().map(|flight| flight.offer.slot + 1).max().unwrap_or(0);
            let Some(mut entry) = self.parked.first_entry() else { return };
            if *entry.key() > tail.max(next) {
                return;
            }
            let offer = entry.get_mut().pop_front();
            if entry.get().is_empty() {
                entry.remove();
            }
            let Some(offer) = offer else { continue };
            let values = [
                self.database.text(),
                offer.slot.into(),
                offer.nonce.into(),
                Value::Int(offer.kind),
                Value::from(offer.length as u64),
                Value::Int(checksum(offer.slot, offer.nonce, offer.kind, &offer.body).into()),
                Value::Bytes(offer.body.clone()),
                Value::from(offer.slot - 1),
            ];
            let doubts = desk.link.doubts();
            self.answers.push_back(change(desk.link.client(), &desk.append, values));
            self.flying.push_back(Flight { offer, sent: Instant::now(), doubts });
        }
    }

    fn answered(&mut self, answer: Answer<u64>) {
        let Some(Flight { offer, sent, doubts }) = self.flying.pop_front() else { return };
        let doubted = self.desk.as_ref().is_none_or(|desk| desk.link.doubts() != doubts);
        let took = sent.elapsed();
        match answer {
            _ if doubted => {
                self.database.stats.doubted();
                let why = "the server warned that a write may not be on its standbys";
                self.unknown(offer, unavailable(why));
                self.disconnect(why);
            }
            Ok(1) => {
                self.database.stats.append.record(took);
                self.patience.answered(took);
                self.firm = self.firm.max(offer.slot + 1);
                self.database.reaches(offer.slot + 1);
                if took > PROMPT { self.look(offer) } else { self.won(offer) }
            }
            Ok(_) => self.look(offer),
            Err(failure) if failure.kind == Kind::Duplicate => {
                self.database.reaches(offer.slot + 1);
                self.look(offer);
            }
            Err(failure) if failure.kind == Kind::Full && self.is_postgres() => {
                let slot = offer.slot;
                self.refuse(offer, failure.clone().into_journal());
                self.refuse_behind(slot, &failure);
                self.refused = Some((slot, failure));
            }
            Err(failure) => {
                tracing::warn!(slot = offer.slot, error = %failure, "append of unknown outcome");
                let keeps = failure.kind == Kind::Failed;
                self.unknown(offer, failure.clone().into_journal());
                if !keeps {
                    self.disconnect(&failure.text);
                }
            }
        }
    }

    /// Elsewhere a full disk does not mean for certain that nothing was written.
    fn is_postgres(&self) -> bool {
        self.desk.as_ref().is_some_and(|desk| desk.link.dialect == Dialect::Postgres)
    }

    fn won(&mut self, offer: Offer) {
        self.doubtful.remove(&(offer.slot, offer.nonce.0));
        self.database.stats.won(offer.length);
        offer.answer(Append::Won);
    }

    /// Says Refused, unless an earlier offer of the same may still land.
    fn refuse(&mut self, offer: Offer, why: JournalError) {
        if self.forgotten || self.doubtful.contains(&(offer.slot, offer.nonce.0)) {
            return self.unknown(offer, why);
        }
        offer.answer(Append::Refused(why));
    }

    /// Those that wait for a slot that was refused are refused with it.
    fn refuse_behind(&mut self, slot: u64, failure: &Failure) {
        let behind = self.parked.split_off(&(slot + 1));
        for offer in behind.into_values().flatten() {
            self.refuse(offer, failure.clone().into_journal());
        }
    }

    fn unknown(&mut self, offer: Offer, why: JournalError) {
        self.database.stats.unknown(1);
        self.doubtful = self.doubtful.split_off(&(self.firm, 0));
        if self.doubtful.len() < MAX_DOUBTFUL {
            self.doubtful.insert((offer.slot, offer.nonce.0));
        } else {
            self.forgotten = true;
        }
        offer.answer(Append::Unknown(why));
    }

    /// Drops the connection. What is on it may have happened, or still happen.
    fn disconnect(&mut self, why: &str) {
        let Some(desk) = self.desk.take() else { return };
        tracing::warn!(host = desk.link.host, why, "the journal's connection is dropped");
        self.answers = FuturesOrdered::new();
        self.peeking = None;
        for flight in std::mem::take(&mut self.flying) {
            self.unknown(flight.offer, unavailable(why));
        }
    }

    async fn connected(&mut self, desk: Answer<Desk>) {
        match desk {
            Ok(desk) => {
                if std::mem::replace(&mut self.connected, true) {
                    self.database.stats.reconnected();
                }
                self.pause = FIRST_PAUSE;
                self.said.clear();
                self.desk = Some(desk);
            }
            Err(failure) => {
                if failure.text != self.said {
                    tracing::warn!(error = %failure, "cannot connect to append to the journal");
                    self.said.clone_from(&failure.text);
                }
                self.expire(&failure);
                sleep(self.pause).await;
                self.pause = (self.pause * 2).min(LONGEST_PAUSE);
            }
        }
    }

    /// Answers those that have waited for a connection too long.
    fn expire(&mut self, failure: &Failure) {
        let deadline = self.database.options.deadline;
        for offer in std::mem::take(&mut self.parked).into_values().flatten() {
            if offer.since.elapsed() > deadline {
                self.unknown(offer, failure.clone().into_journal());
            } else {
                self.parked.entry(offer.slot).or_default().push_back(offer);
            }
        }
    }

    /// Learns behind the barrier what is in the offer's slot.
    fn look(&mut self, offer: Offer) {
        let questions = self.questions.clone();
        self.looking.push(Box::pin(async move {
            let (reply, answer) = oneshot::channel();
            let gone = || unavailable("the journal has stopped");
            if questions.send(Question::Look { slot: offer.slot, reply }).await.is_err() {
                return (offer, Err(gone()));
            }
            let answer = answer.await.unwrap_or_else(|_| Err(gone()));
            (offer, answer)
        }));
    }

    fn looked(&mut self, (offer, answer): Looked) {
        let (state, held) = match answer {
            Ok(found) => found,
            Err(why) => return self.unknown(offer, why),
        };
        self.firm = self.firm.max(state.tail);
        match held {
            _ if offer.slot < state.first => {
                let first = Slot(state.first);
                self.unknown(offer, JournalError::Trimmed { first });
            }
            Some((nonce, _)) if nonce == offer.nonce => self.won(offer),
            Some((_, held)) if held != kind::END => {
                self.doubtful.remove(&(offer.slot, offer.nonce.0));
                offer.answer(Append::Lost);
            }
            _ => match state.successor {
                Some(successor) if offer.slot >= state.tail => {
                    offer.answer(Append::Refused(JournalError::Sealed(successor)));
                }
                // Its predecessor is not there, whatever an earlier hint said.
                _ => {
                    self.database.reached(state.tail);
                    self.wait(offer);
                }
            },
        }
    }

    /// Lets an offer wait for its predecessor, unless that one was refused meanwhile.
    fn wait(&mut self, offer: Offer) {
        let firm = self.firm;
        let behind = |slot: u64| offer.slot > slot && slot >= firm;
        let refused = self.refused.as_ref().filter(|(slot, _)| behind(*slot));
        match refused.map(|(_, failure)| failure.clone()) {
            Some(failure) => self.refuse(offer, failure.into_journal()),
            None => self.parked.entry(offer.slot).or_default().push_back(offer),
        }
    }

    /// Nothing is on the wire, and somebody waits for a slot that others may have taken.
    fn wake(&mut self) {
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        if let Some(desk) = &self.desk {
            let values = [self.database.text()];
            self.peeking = Some(ask(desk.link.client(), &desk.end, values));
        }
    }

    /// A hint, for it was no barrier behind it: the append itself finds out.
    fn peeked(&mut self, rows: Answer<Vec<tokio_postgres::Row>>) {
        let last = rows.and_then(|rows| {
            rows.first().map(|row| Ok((slot_of(row, 0)?, column::<i64>(row, 1)?))).transpose()
        });
        match last {
            Ok(Some((slot, kind::END))) => {
                let ended = self.parked.split_off(&slot);
                for offer in ended.into_values().flatten() {
                    self.look(offer);
                }
            }
            Ok(Some((slot, _))) => self.database.reaches(slot + 1),
            Ok(None) => {}
            Err(failure) => self.disconnect(&failure.text),
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
