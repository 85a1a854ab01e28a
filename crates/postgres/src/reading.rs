//! One connection for all reads. Whoever waits at the same time shares a round: the questions go
//! out in one piece, the barrier behind them, and nothing that was seen is used before the barrier
//! came back without a doubt.
//!
//! The barrier stands behind the reads, not before them: what it proves (this server was the
//! primary, and everything committed so far is on its standbys) then holds for every row that was
//! seen, also for one whose wait for the standbys somebody cut short.

use std::sync::Arc;
use std::time::Duration;

use futures::future::{BoxFuture, try_join_all};
use journal::{JournalError, Nonce, Record, Slot, Successor};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};
use tokio_postgres::{Row, Statement};

use crate::database::{
    Database, Patience, Value, ask, checksum, column, nonce_of, slot_of, unavailable,
};
use crate::failure::{Failure, Kind};
use crate::guarantee::Dialect;
use crate::link::{Answer, Link};
use crate::parts;
use crate::schema::kind;
use crate::statements::{self as sql, prepare};

/// Questions in one round.
const MAX_ROUND: usize = 32;

/// Slots that one read looks at.
const MAX_SLOTS: u64 = 4096;

/// Pauses between attempts to connect.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

type Reply<T> = oneshot::Sender<Result<T, JournalError>>;

/// What is asked.
pub(crate) enum Question {
    /// Where the log reaches.
    State(Reply<State>),
    /// Records.
    Read { from: u64, limit: usize, reply: Reply<Vec<Record>> },
    /// What is in a slot.
    Look { slot: u64, reply: Reply<(State, Option<(Nonce, i64)>)> },
}

/// The log as a whole, at one instant.
#[derive(Clone, Debug)]
pub(crate) struct State {
    /// The first slot that can be read.
    pub(crate) first: u64,
    /// The first free slot.
    pub(crate) tail: u64,
    /// Where the log goes on, if it has ended.
    pub(crate) successor: Option<Successor>,
}

/// The connection with its statements.
struct Desk {
    link: Link,
    read: Statement,
    held: Statement,
    end: Statement,
    trimmed: Statement,
    part: Statement,
    barrier: Option<Statement>,
}

impl Desk {
    async fn open(database: &Database) -> Answer<Self> {
        Self::on(database.connect().await?).await
    }

    async fn on(link: Link) -> Answer<Self> {
        let client = link.client();
        let barrier = match link.dialect {
            Dialect::Portable => None,
            Dialect::Postgres => match prepare(&client, sql::BARRIER).await {
                Ok(statement) => Some(statement),
                Err(failure) if failure.kind == Kind::Unsupported => {
                    tracing::warn!("the database knows no barrier; its plain reads are relied on");
                    None
                }
                Err(failure) => return Err(failure),
            },
        };
        Ok(Self {
            read: prepare(&client, sql::READ).await?,
            held: prepare(&client, sql::HELD).await?,
            end: prepare(&client, sql::END).await?,
            trimmed: prepare(&client, sql::TRIMMED).await?,
            part: prepare(&client, sql::PART_OF).await?,
            barrier,
            link,
        })
    }
}

/// What each question of a round saw.
enum Seen {
    Nothing,
    Rows(Vec<Row>),
}

/// Runs until nobody can ask any more.
pub(crate) async fn run(
    database: Arc<Database>,
    first: Link,
    mut questions: mpsc::Receiver<Question>,
) {
    let mut desk = Desk::on(first).await.ok();
    let mut pause = FIRST_PAUSE;
    let mut patience = Patience::new(database.options.deadline);
    let mut round = Vec::with_capacity(MAX_ROUND);
    let mut look_again = interval(database.options.look_every);
    look_again.set_missed_tick_behavior(MissedTickBehavior::Delay);
    look_again.reset();
    loop {
        let asked = tokio::select! {
            asked = questions.recv_many(&mut round, MAX_ROUND) => asked,
            _ = look_again.tick() => {
                look(&database, &mut desk, &patience).await;
                continue;
            }
        };
        if asked == 0 {
            return;
        }
        if desk.as_ref().is_some_and(|desk| is_over(&database, desk)) {
            desk = None;
        }
        if desk.is_none() {
            match reopen(&database, &mut pause).await {
                Ok(opened) => desk = Some(opened),
                Err(failure) => {
                    fail(round.drain(..), &failure);
                    continue;
                }
            }
        }
        let Some(open) = &desk else { continue };
        let began = Instant::now();
        match answer(&database, open, &round, patience.get()).await {
            Ok((state, seen)) => {
                patience.answered(began.elapsed());
                deliver(&database, open, &state, round.drain(..).zip(seen)).await;
            }
            Err(failure) => {
                if began.elapsed() >= patience.get() {
                    patience.exhausted();
                }
                tracing::warn!(error = %failure, "reading the journal failed");
                fail(round.drain(..), &failure);
                desk = None;
            }
        }
    }
}

/// Looks at the server's settings again, where somebody is connected.
async fn look(database: &Database, desk: &mut Option<Desk>, patience: &Patience) {
    let Some(open) = desk.as_ref().filter(|desk| !is_over(database, desk)) else { return };
    let looked = timeout(patience.get(), database.look_again(&open.link)).await;
    if !matches!(looked, Ok(Ok(()))) {
        *desk = None;
    }
}

fn is_over(database: &Database, desk: &Desk) -> bool {
    desk.link.is_closed() || desk.link.generation != database.generation()
}

async fn reopen(database: &Database, pause: &mut Duration) -> Answer<Desk> {
    match Desk::open(database).await {
        Ok(desk) => {
            database.stats.reconnected();
            *pause = FIRST_PAUSE;
            Ok(desk)
        }
        Err(failure) => {
            tracing::warn!(error = %failure, "cannot connect to read the journal");
            sleep(*pause).await;
            *pause = (*pause * 2).min(LONGEST_PAUSE);
            Err(failure)
        }
    }
}

/// Asks everything at once, the barrier last.
async fn answer(
    database: &Database,
    desk: &Desk,
    round: &[Question],
    deadline: Duration,
) -> Answer<(State, Vec<Seen>)> {
    let began = Instant::now();
    let doubts = desk.link.doubts();
    let client = || desk.link.client();
    let asked: Vec<_> = round.iter().map(|question| send(database, desk, question)).collect();
    let end = ask(client(), &desk.end, [database.text()]);
    // Behind the rows: what was removed before they were read is known by now.
    let trimmed = ask(client(), &desk.trimmed, [database.text()]);
    let barrier = desk.barrier.as_ref().map(|barrier| ask(client(), barrier, []));
    let everything = async move {
        let seen = try_join_all(asked).await?;
        let (end, trimmed) = (end.await?, trimmed.await?);
        if let Some(barrier) = barrier {
            barrier.await?;
        }
        Answer::Ok((seen, end, trimmed))
    };
    let Ok(answers) = timeout(deadline, everything).await else {
        let why = format!(
            "no answer within {deadline:?}; is a synchronous standby missing, or the server cut off?"
        );
        return Err(Failure::new(Kind::Ambiguous, why));
    };
    let (seen, end, trimmed) = answers?;
    if desk.link.doubts() != doubts {
        database.stats.doubted();
        let why = "the server warned that what it showed may not be on its standbys";
        return Err(Failure::new(Kind::Ambiguous, why));
    }
    database.stats.barrier.record(began.elapsed());
    let state = state(&end, &trimmed)?;
    database.reaches(state.tail);
    if let Some(successor) = &state.successor {
        database.ends(state.tail, successor.clone());
    }
    Ok((state, seen))
}

fn send(database: &Database, desk: &Desk, question: &Question) -> BoxFuture<'static, Answer<Seen>> {
    let client = desk.link.client();
    let rows = match question {
        Question::State(_) => return Box::pin(async { Ok(Seen::Nothing) }),
        Question::Read { from, limit, .. } => {
            let end = Value::from(from.saturating_add(MAX_SLOTS));
            let before = Value::from(from.saturating_sub(1));
            let limit = Value::from(*limit as u64);
            let values = [database.text(), (*from).into(), end, limit, before];
            ask(client, &desk.read, values)
        }
        Question::Look { slot, .. } => ask(client, &desk.held, [database.text(), (*slot).into()]),
    };
    Box::pin(async move { Ok(Seen::Rows(rows.await?)) })
}

fn state(end: &[Row], trimmed: &[Row]) -> Answer<State> {
    let lost = || Failure::new(Kind::Schema, "the log is no longer in the database");
    let last = end.first().ok_or_else(lost)?;
    let first = slot_of(trimmed.first().ok_or_else(lost)?, 0)?;
    let slot = slot_of(last, 0)?;
    if column::<i64>(last, 1)? != kind::END {
        return Ok(State { first, tail: slot + 1, successor: None });
    }
    let successor = String::from_utf8_lossy(column::<&[u8]>(last, 2)?).into_owned();
    Ok(State { first, tail: slot, successor: Some(Successor(successor)) })
}

fn fail(round: impl Iterator<Item = Question>, failure: &Failure) {
    for question in round {
        let error = failure.clone().into_journal();
        // Who asked may have gone away.
        match question {
            Question::State(reply) => drop(reply.send(Err(error))),
            Question::Read { reply, .. } => drop(reply.send(Err(error))),
            Question::Look { reply, .. } => drop(reply.send(Err(error))),
        }
    }
}

async fn deliver(
    database: &Database,
    desk: &Desk,
    state: &State,
    round: impl Iterator<Item = (Question, Seen)>,
) {
    for (question, seen) in round {
        let rows = match seen {
            Seen::Rows(rows) => rows,
            Seen::Nothing => Vec::new(),
        };
        match question {
            Question::State(reply) => drop(reply.send(Ok(state.clone()))),
            Question::Read { from, reply, .. } => {
                drop(reply.send(records(database, desk, state, from, rows).await));
            }
            Question::Look { reply, .. } => {
                let held = rows.first().map(|row| Ok((nonce_of(row, 0)?, column(row, 1)?)));
                let held = held.transpose().map_err(Failure::into_journal);
                drop(reply.send(held.map(|held| (state.clone(), held))));
            }
        }
    }
}

/// The rows as records, checked to be contiguous from `from`.
async fn records(
    database: &Database,
    desk: &Desk,
    state: &State,
    from: u64,
    rows: Vec<Row>,
) -> Result<Vec<Record>, JournalError> {
    if from < state.first {
        return Err(JournalError::Trimmed { first: Slot(state.first) });
    }
    let mut records = Vec::with_capacity(rows.len());
    for (row, expected) in rows.iter().zip(from..) {
        let record = record(database, desk, row).await?;
        if record.slot.0 != expected {
            let (log, found) = (&database.log, record.slot);
            return Err(JournalError::Damaged(format!(
                "log {log:?} in the database has slot {found} where {expected} should be: rows \
                 were removed by hand; restore the database"
            )));
        }
        records.push(record);
    }
    Ok(records)
}

async fn record(database: &Database, desk: &Desk, row: &Row) -> Result<Record, JournalError> {
    let fields = || -> Answer<_> {
        let (slot, nonce, kind) = (slot_of(row, 0)?, nonce_of(row, 1)?, column::<i64>(row, 2)?);
        Ok((slot, nonce, kind, column::<i64>(row, 3)?, column::<&[u8]>(row, 4)?))
    };
    let (slot, nonce, kind, sum, body) = fields().map_err(Failure::into_journal)?;
    if sum != i64::from(checksum(slot, nonce, kind, body)) {
        let log = &database.log;
        return Err(JournalError::Damaged(format!(
            "log {log:?} in the database: the checksum of slot {slot} is wrong; restore the database"
        )));
    }
    let body = match kind {
        kind::BODY => bytes::Bytes::copy_from_slice(body),
        kind::PARTS => {
            let fetch = parts::fetch(database, &desk.link, &desk.part, slot, nonce, body);
            timeout(database.options.deadline, fetch)
                .await
                .map_err(|_| unavailable("the parts of a body did not come in time"))??
        }
        other => {
            let log = &database.log;
            return Err(JournalError::Damaged(format!(
                "log {log:?} in the database has a row of kind {other} in slot {slot}: written by \
                 a newer version, or damaged"
            )));
        }
    };
    Ok(Record { slot: Slot(slot), nonce, body })
}
