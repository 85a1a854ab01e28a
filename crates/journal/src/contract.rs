//! The contract every engine fulfils: what is durable when, and what a caller may assume.

use std::fmt;

use bytes::Bytes;
use futures::future::BoxFuture;

/// The number of a slot. The first slot of a chain is 1, so that 0 can mean "nothing yet".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(pub u64);

impl Slot {
    /// The slot after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Tells one offer from another: an append that finds its own nonce in the slot has won.
/// Drawn at random by the sender, never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Nonce(pub u128);

/// What a slot holds. Opaque to the journal.
pub type Body = Bytes;

/// One occupied slot, as read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Where it stands.
    pub slot: Slot,
    /// Who offered it.
    pub nonce: Nonce,
    /// The bytes as they were offered.
    pub body: Body,
}

/// How an append ended. Three outcomes, and a caller must treat them as three.
#[derive(Debug)]
pub enum Append {
    /// Our body is in the slot, durable, for ever.
    Won,
    /// Somebody else's body is in the slot. Read it, apply it, try the next slot.
    Lost,
    /// It may be there, may land later, or never. Offer the *same* body under the *same* nonce to
    /// the *same* slot again until it is Won or Lost; an absent slot proves nothing.
    Unknown(JournalError),
    /// Nothing was written and nothing of it can land later, for a reason the engine knows for
    /// certain (no room left, the journal is sealed). The slot is as free as before.
    Refused(JournalError),
}

/// Where the log goes on after [`Journal::seal`]: the next engine's address, in its own notation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Successor(pub String);

/// Why a journal could not do what was asked. Split where the caller acts differently.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JournalError {
    /// There is no room for the body. Nothing was written; reads go on.
    Full(String),
    /// The log was ended; it goes on at the successor.
    Sealed(Successor),
    /// The slot lies before what [`Journal::trim`] has removed.
    Trimmed {
        /// The first slot that can still be read.
        first: Slot,
    },
    /// What is stored is damaged. Names the place and what to do; never repaired silently.
    Damaged(String),
    /// Somebody else has the journal, or it is not ours to open. Says who and the way out.
    Occupied(String),
    /// The engine did not answer as expected; the text is for the log.
    Unavailable(String),
}

impl fmt::Display for JournalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full(what) => write!(f, "journal full: {what}"),
            Self::Sealed(to) => write!(f, "journal sealed, goes on at {}", to.0),
            Self::Trimmed { first } => write!(f, "journal trimmed, begins at slot {first}"),
            Self::Damaged(what) => write!(f, "journal damaged: {what}"),
            Self::Occupied(what) => write!(f, "journal occupied: {what}"),
            Self::Unavailable(what) => write!(f, "journal unavailable: {what}"),
        }
    }
}

impl std::error::Error for JournalError {}

/// Write-once slots of opaque bytes, in one gap-free sequence from slot 1.
///
/// Dropping a future of [`append`](Journal::append) does not withdraw the offer: its outcome is
/// then Unknown. All methods may be called from any thread, and appends may overlap: slot n+1 may
/// be offered while n is on its way, and no reader is ever shown n+1 before n.
pub trait Journal: Send + Sync + 'static {
    /// Creates `slot` with `body` if it is absent.
    ///
    /// [`Append::Won`] is said only when the body, and every slot before it, is durable. An offer
    /// of the same nonce to a slot that holds it already is Won, not Lost. An offer beyond the
    /// first free slot waits for its predecessor, as long as that takes; when that one is Refused,
    /// those that wait behind it may be as well, or go on waiting. To a slot that was trimmed, an
    /// offer whose fate is forgotten is Unknown with [`JournalError::Trimmed`], for ever.
    fn append(&self, slot: Slot, nonce: Nonce, body: Body) -> BoxFuture<'_, Append>;

    /// The occupied slots from `from` on, contiguous, in order, at most about `limit` bytes of
    /// bodies (but at least one record if `from` is occupied). Empty when `from` is free. May lag
    /// behind [`tail`](Journal::tail): a slot never changes, so a late answer is never wrong.
    fn read(&self, from: Slot, limit: usize) -> BoxFuture<'_, Result<Vec<Record>, JournalError>>;

    /// The first free slot. Linearizable: nothing acknowledged before the call lies at or beyond
    /// it.
    fn tail(&self) -> BoxFuture<'_, Result<Slot, JournalError>>;

    /// Forgets the slots before `before`. Called only below a durable checkpoint; a backend may
    /// keep more than asked, also after an error, which only delays the room that is won. Never
    /// moves the tail. Reading a forgotten slot is [`JournalError::Trimmed`].
    fn trim(&self, before: Slot) -> BoxFuture<'_, Result<(), JournalError>>;

    /// Ends the log at its tail, which it answers, and records where it goes on. Durable when it
    /// returns. Idempotent for the same successor; for another one it is [`JournalError::Sealed`].
    /// Offers beyond the end are then Refused with [`JournalError::Sealed`]; reads go on.
    fn seal(&self, successor: Successor) -> BoxFuture<'_, Result<Slot, JournalError>>;

    /// Where the log goes on, if it was sealed.
    fn successor(&self) -> BoxFuture<'_, Result<Option<Successor>, JournalError>>;
}
