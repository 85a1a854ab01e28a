//! Faults: why a request could not be carried out at all, as opposed to being refused.

use std::fmt;

/// The engine could not answer. What a command came to is unknown unless said otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The engine is shutting down. Nothing was ordered.
    Stopped,
    /// The queue is full. Nothing was ordered.
    TooManyRequests,
    /// The journal did not answer in time; the command may still take effect.
    Timeout,
    /// The journal has no room. Nothing was written.
    NoSpace,
    /// Some member could not apply it; the text says which. Nothing was ordered.
    HeldBack(String),
    /// The journal cannot be used; the text says why.
    Unavailable(String),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stopped => f.write_str("the engine is stopping"),
            Self::TooManyRequests => f.write_str("too many requests are waiting"),
            Self::Timeout => f.write_str("the journal did not answer in time"),
            Self::HeldBack(why) => f.write_str(why),
            Self::NoSpace => f.write_str("the journal has no room left"),
            Self::Unavailable(why) => write!(f, "the journal cannot be used: {why}"),
        }
    }
}

impl std::error::Error for Fault {}

/// Why an engine could not be opened. The text names the file and what to do.
#[derive(Debug)]
pub enum OpenError {
    /// The journal refused.
    Journal(journal::JournalError),
    /// A checkpoint is damaged.
    Checkpoint(String),
    /// A checkpoint is whole as far as can be told, and of a newer version.
    Newer(String),
    /// An entry of the journal cannot be understood or does not follow.
    Entry(String),
    /// A file could not be read or written.
    Io(String),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Journal(error) => error.fmt(f),
            Self::Checkpoint(what) | Self::Newer(what) | Self::Entry(what) | Self::Io(what) => {
                f.write_str(what)
            }
        }
    }
}

impl std::error::Error for OpenError {}

impl From<journal::JournalError> for OpenError {
    fn from(error: journal::JournalError) -> Self {
        Self::Journal(error)
    }
}
