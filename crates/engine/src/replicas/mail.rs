//! What reaches the loop of a replica from outside: from its own reads of the journal, from the writer,
//! from its followers, and from the handles.

use std::time::Duration;

use journal::{JournalError, Record};
use state::{Command, Digest, Epoch, MemberId, Position};
use tokio::sync::oneshot;

use super::{Answer, Ask, Line, News};
use crate::fault::Fault;

/// So much waits at most for the loop; who sends more waits.
pub(crate) const WAITING: usize = 1_024;

/// See the module.
pub(crate) enum Mail {
    /// What the journal holds after what was applied.
    Fetched(Result<Vec<Record>, JournalError>),
    /// Somebody reads and needs everything up to here.
    Wanted(Position),
    /// A call to the writer of an epoch has come to an end.
    Called(Epoch, Result<Line, String>),
    /// From the writer, over the line of this number.
    News(u64, News),
    /// The line of this number is at its end.
    LineEnded(u64),
    /// A follower has a line to us, or has none any more.
    Follower(MemberId, bool),
    /// A follower ends, as it was told to.
    Leaving(MemberId),
    /// A follower's commands.
    Forwarded(Forwarded),
    /// Only the writer knows.
    Ask(Question),
    /// What our own state came to at a place.
    Digested(Position, Digest),
    /// Our state is not the others': why we end.
    Diverged(String),
    /// Let another be the writer.
    HandOver(Option<MemberId>, oneshot::Sender<Result<MemberId, Fault>>),
}

/// Commands of a follower.
pub(crate) struct Forwarded {
    pub(crate) member: MemberId,
    pub(crate) session: u64,
    pub(crate) epoch: Epoch,
    /// The number of the first; the others follow.
    pub(crate) first: u64,
    pub(crate) commands: Vec<Command>,
}

/// Something that only the writer knows.
pub(crate) struct Question {
    pub(crate) ask: Ask,
    pub(crate) reply: oneshot::Sender<Answer>,
    /// When it was asked.
    pub(crate) since: Duration,
}
