//! What went wrong, split where somebody acts differently.

use std::fmt;
use std::time::Duration;

use journal::JournalError;

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It may have happened, or still happen: no answer, or one that does not say.
    Ambiguous,
    /// The service takes no more at the moment (429). Nothing happened.
    Throttled,
    /// The partition has no room (20 GB). Nothing happened.
    Full,
    /// Who asks may not, or is not known. Nothing happened.
    Denied,
    /// The database or the container is not there.
    Missing,
    /// The account's or container's settings cannot be relied on.
    Unsafe,
    /// The address or a file it names is wrong.
    Address,
    /// What is stored is damaged.
    Damaged,
    /// The service refuses the request itself: a mistake of ours. Nothing happened.
    Rejected,
}

/// A failure, in words that say what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What kind.
    pub kind: Kind,
    /// For the log and the operator. Holds no secret.
    pub text: String,
    /// When to ask again, where the service said so.
    pub after: Option<Duration>,
}

impl Failure {
    pub(crate) fn new(kind: Kind, text: impl Into<String>) -> Self {
        Self { kind, text: text.into(), after: None }
    }

    /// As the journal's contract has it.
    pub(crate) fn into_journal(self) -> JournalError {
        match self.kind {
            Kind::Full => JournalError::Full(self.text),
            Kind::Damaged => JournalError::Damaged(self.text),
            _ => JournalError::Unavailable(self.text),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Failure {}
