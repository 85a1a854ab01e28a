//! The journal itself: what the contract asks, handed to the connections' tasks.

use std::sync::Arc;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::{BoxFuture, ready};
use journal::{Append, Body, Journal, JournalError, Nonce, Record, Slot, Successor};
use rand::Rng;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep};

use crate::address::Address;
use crate::appending::{Appender, MAX_WAITING, Offer};
use crate::database::{Database, MAX_BODY, Options, inline_limit, unavailable};
use crate::failure::{Failure, Kind};
use crate::guarantee::{Dialect, Guarantee};
use crate::keeping::Keeper;
use crate::link::Link;
use crate::parts;
use crate::reading::{self, Question, State};
use crate::schema::{self, kind};
use crate::stats::Stats;

/// Questions that may wait.
const MAX_QUESTIONS: usize = 1024;

/// Attempts to end a log while others append to it.
const SEAL_ATTEMPTS: usize = 1000;

/// The pause between two attempts to reach the server at the start.
const PAUSE: std::time::Duration = std::time::Duration::from_secs(1);

/// A journal in a PostgreSQL database. Its connections live on the runtime it was opened on, the one
/// that appends where the options say, and end when it is dropped; its futures may be awaited anywhere.
pub struct PostgresJournal {
    database: Arc<Database>,
    keeper: Arc<Keeper>,
    offers: mpsc::Sender<Offer>,
    questions: mpsc::Sender<Question>,
    inline: usize,
}

impl std::fmt::Debug for PostgresJournal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PostgresJournal")
            .field("address", &self.database.address.to_string())
            .field("log", &self.database.log)
            .finish_non_exhaustive()
    }
}

impl PostgresJournal {
    /// Opens a log, and makes it if it is not there. Waits for a server that cannot be reached, or
    /// takes no writes, as long as the options' patience.
    ///
    /// # Errors
    /// When that does not help, or somebody has to do something first; says what.
    pub async fn open(address: Address, options: Options) -> Result<Self, Failure> {
        let database = Arc::new(Database::new(address, options)?);
        let link = reach(&database).await?;
        let (log, cluster) = (&database.options.log, &database.options.cluster);
        schema::prepare(&link.client(), link.dialect, log, cluster).await?;
        let dialect = link.dialect;
        let (questions, asked) = mpsc::channel(MAX_QUESTIONS);
        let (offers, offered) = mpsc::channel(MAX_WAITING);
        tokio::spawn(reading::run(Arc::clone(&database), link, asked));
        let near = database.options.appends_from.as_ref().unwrap_or(&database.runtime);
        near.spawn(Appender::new(Arc::clone(&database), questions.clone()).run(offered));
        let keeper = Arc::new(Keeper::new(Arc::clone(&database)));
        let opened = Self { database, keeper, offers, questions, inline: inline_limit(dialect) };
        opened.state().await.map_err(|error| {
            let limit = Dialect::Postgres == dialect;
            let hint = if limit { ": are its synchronous standbys there?" } else { "" };
            Failure::new(Kind::Unreachable, format!("the log cannot be read: {error}{hint}"))
        })?;
        Ok(opened)
    }

    /// What the server's settings guarantee, as seen at the last connection.
    #[must_use]
    pub fn guarantee(&self) -> Guarantee {
        self.database.guarantee()
    }

    /// Counts for `/metrics`.
    #[must_use]
    pub fn stats(&self) -> Arc<Stats> {
        Arc::clone(&self.database.stats)
    }

    pub(crate) fn database(&self) -> &Arc<Database> {
        &self.database
    }

    pub(crate) fn keeper(&self) -> Arc<Keeper> {
        Arc::clone(&self.keeper)
    }

    fn state(&self) -> BoxFuture<'static, Result<State, JournalError>> {
        let (reply, answer) = oneshot::channel();
        self.ask(Question::State(reply), answer)
    }

    /// Hands a question over; fails at once when too many wait.
    fn ask<T: Send + 'static>(
        &self,
        question: Question,
        answer: oneshot::Receiver<Result<T, JournalError>>,
    ) -> BoxFuture<'static, Result<T, JournalError>> {
        if self.questions.try_send(question).is_err() {
            return ready(Err(unavailable("too many reads are waiting"))).boxed();
        }
        answer.map(|answer| answer.unwrap_or_else(|_| Err(stopped()))).boxed()
    }

    /// Hands an offer over; the answer comes though nobody may wait for it.
    fn offer(&self, slot: u64, nonce: Nonce, kind: i64, body: Bytes) -> BoxFuture<'static, Append> {
        let (reply, answer) = oneshot::channel();
        let length = if kind == kind::END { 0 } else { body.len() };
        let offer = Offer { slot, nonce, kind, length, body, since: Instant::now(), reply };
        if length <= self.inline {
            if self.offers.try_send(offer).is_err() {
                let why = unavailable("too many appends are waiting");
                return ready(Append::Unknown(why)).boxed();
            }
        } else {
            let (keeper, offers) = (self.keeper(), self.offers.clone());
            self.database.runtime.spawn(long(keeper, offers, offer));
        }
        answer.map(|answer| answer.unwrap_or_else(|_| Append::Unknown(stopped()))).boxed()
    }
}

fn stopped() -> JournalError {
    unavailable("the journal has stopped")
}

/// Writes the parts of a long body, then offers the row that points to them.
async fn long(keeper: Arc<Keeper>, offers: mpsc::Sender<Offer>, mut offer: Offer) {
    let (slot, nonce) = (offer.slot, offer.nonce);
    if let Err(failure) = keeper.store(slot, nonce, &offer.body).await {
        // Of this offer nothing can land; of an earlier one of the same, who knows.
        let why = Append::Unknown(failure.into_journal());
        return drop(offer.reply.send(why));
    }
    offer.kind = kind::PARTS;
    offer.body = parts::pointer(&offer.body);
    let (reply, answer) = oneshot::channel();
    let caller = std::mem::replace(&mut offer.reply, reply);
    if offers.send(offer).await.is_err() {
        return drop(caller.send(Append::Unknown(stopped())));
    }
    let outcome = answer.await.unwrap_or_else(|_| Append::Unknown(stopped()));
    let lost = matches!(outcome, Append::Lost);
    drop(caller.send(outcome));
    if lost {
        keeper.drop_parts(slot, nonce).await;
    }
}

/// The first connection, as soon as the server can be reached.
async fn reach(database: &Arc<Database>) -> Result<Link, Failure> {
    let began = Instant::now();
    let mut said = String::new();
    loop {
        let failure = match database.connect().await {
            Ok(link) => return Ok(link),
            Err(failure) => failure,
        };
        if !failure.passes() || began.elapsed() + PAUSE > database.options.patience {
            return Err(failure);
        }
        if failure.text != said {
            let address = &database.address;
            tracing::warn!(%address, why = %failure, "waiting for the journal's database");
            said.clone_from(&failure.text);
        }
        sleep(PAUSE).await;
    }
}

impl Journal for PostgresJournal {
    fn append(&self, slot: Slot, nonce: Nonce, body: Body) -> BoxFuture<'_, Append> {
        let refused = if slot.0 == 0 {
            Some("there is no slot 0".into())
        } else if i64::try_from(slot.0).is_err() {
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
        let (reply, answer) = oneshot::channel();
        self.ask(Question::Read { from: from.0, limit, reply }, answer)
    }

    fn tail(&self) -> BoxFuture<'_, Result<Slot, JournalError>> {
        self.state().map(|state| Ok(Slot(state?.tail))).boxed()
    }

    fn trim(&self, before: Slot) -> BoxFuture<'_, Result<(), JournalError>> {
        let (state, keeper) = (self.state(), self.keeper());
        let task =
            self.database.runtime.spawn(async move { keeper.trim(before.0, &state.await?).await });
        task.map(|done| done.unwrap_or_else(|_| Err(stopped()))).boxed()
    }

    fn seal(&self, successor: Successor) -> BoxFuture<'_, Result<Slot, JournalError>> {
        async move {
            for _ in 0..SEAL_ATTEMPTS {
                let state = self.state().await?;
                if let Some(known) = state.successor {
                    let same = known == successor;
                    return if same {
                        Ok(Slot(state.tail))
                    } else {
                        Err(JournalError::Sealed(known))
                    };
                }
                let nonce = Nonce(rand::rng().random());
                let text = Bytes::from(successor.0.clone().into_bytes());
                match self.offer(state.tail, nonce, kind::END, text).await {
                    Append::Won => return Ok(Slot(state.tail)),
                    // Somebody appended or ended it, or nobody knows: look again.
                    Append::Lost | Append::Refused(JournalError::Sealed(_)) => {}
                    Append::Unknown(why) | Append::Refused(why) => return Err(why),
                }
            }
            Err(unavailable("others append too fast for the log to be ended"))
        }
        .boxed()
    }

    fn successor(&self) -> BoxFuture<'_, Result<Option<Successor>, JournalError>> {
        self.state().map(|state| Ok(state?.successor)).boxed()
    }
}
