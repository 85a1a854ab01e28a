//! Introduction: a joiner that is not at work yet hands what it says of itself to the writer, over a line like
//! any follower's, and finds it in the journal. By itself it would not get a slot: a busy writer is always one
//! round trip ahead.

use std::time::Duration;

use journal::{Journal, JournalError, Slot};
use state::{Command, Entry, Level, MemberId, Origin, Position, Refusal, State, Timestamp};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::{Hello, Line, News, Order, Replicas};
use crate::entries::decode;
use crate::fault::OpenError;

/// Bytes of entries read at a time, and the pause before a journal with nothing new is asked again.
const READ_BYTES: usize = 8 << 20;
const PAUSE: Duration = Duration::from_millis(5);
/// So many times the patience is waited for what was handed over; then it is appended all the same, which
/// does no harm if it is there already.
const WAIT: u32 = 5;

/// What commands came to that were handed over: all of them carried out, or the first that was not.
type Came = Result<(), Refusal>;

/// Hands the commands of `me` to the writer and applies the journal up to where they stand. What they came to;
/// nothing, if they were not found there in time.
pub(super) async fn introduce(
    state: &mut State,
    journal: &dyn Journal,
    (replicas, own): (&Replicas, Level),
    (me, commands): (MemberId, &[Command]),
) -> Result<Option<Came>, OpenError> {
    let session = rand::random();
    let Some(mut line) = call(state, replicas, (me, session)).await else { return Ok(None) };
    let (epoch, clock) = (state.epoch(), Timestamp::default());
    let entry = Entry { epoch, clock, commands: commands.to_vec(), origins: Vec::new() };
    let order = Order::Commands { epoch, first: 1, body: entry.encode() };
    if line.orders.send(order).await.is_err() {
        return Ok(None);
    }
    let until = Instant::now() + replicas.patience * WAIT;
    while Instant::now() < until && state.epoch() == epoch {
        let came = catch_up(state, journal, own, Some((me, session))).await?;
        if came.is_some() {
            return Ok(came);
        }
        // What comes over the line tells that there is something to read, and nothing that is not there.
        match timeout_at(until, line.news.recv()).await {
            Ok(Some(News::Refused { fault, .. })) => {
                return Err(OpenError::Entry(format!("this replica cannot join: {fault}")));
            }
            Ok(Some(_)) => {}
            _ => return Ok(None),
        }
        sleep(PAUSE).await;
    }
    Ok(None)
}

/// A line to the writer, if there is one and it is not we.
async fn call(state: &State, replicas: &Replicas, who: (MemberId, u64)) -> Option<Line> {
    let (member, session) = who;
    let writer = state.cluster().writer().filter(|writer| *writer != member)?;
    let urls = state.cluster().peer_urls(writer)?.to_vec();
    let hello = Hello { member, session, epoch: state.epoch(), applied: state.position() };
    let call = replicas.peers.call(writer, urls, hello);
    match timeout(replicas.patience, call).await {
        Ok(Ok(line)) => Some(line),
        Ok(Err(error)) => {
            tracing::info!(%error, "the writer cannot be told of this replica, appending beside it");
            None
        }
        Err(_) => None,
    }
}

/// Applies what the journal holds, up to commands from this start of a member if there are any; what came of those.
pub(super) async fn catch_up(
    state: &mut State,
    journal: &dyn Journal,
    own: Level,
    of: Option<(MemberId, u64)>,
) -> Result<Option<Came>, OpenError> {
    let mut came: Option<Came> = None;
    loop {
        let next = Slot(state.position().0).next();
        let records = match journal.read(next, READ_BYTES).await {
            Ok(records) => records,
            Err(JournalError::Unavailable(_)) => return Ok(came),
            Err(error) => return Err(error.into()),
        };
        if records.is_empty() {
            return Ok(came);
        }
        for record in records {
            let entry = decode(record.slot, &record.body, own)?;
            let void = entry.epoch != state.epoch();
            let outcomes = state.apply(Position(record.slot.0), &entry);
            let ours = |origin: &&Origin| !void && Some((origin.member, origin.session)) == of;
            for origin in entry.origins.iter().filter(ours) {
                let count = usize::try_from(origin.count).unwrap_or(usize::MAX);
                let mut run = outcomes.iter().skip(origin.at).take(count);
                let run = run.try_for_each(|outcome| outcome.result.clone().map(drop));
                came = Some(came.unwrap_or(Ok(())).and(run));
            }
        }
        // Beside a busy writer there is always more; the rest is read like any follower's.
        if came.is_some() {
            return Ok(came);
        }
    }
}
