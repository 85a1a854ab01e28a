//! Why a file could not be read as a bolt database: which page, and what is wrong with it.

use std::fmt;
use std::io;

/// See the module.
#[derive(Debug)]
pub enum Error {
    /// The system could not read the file.
    Io {
        /// The page that was wanted.
        page: u64,
        /// What the system said.
        source: io::Error,
    },
    /// No meta page is sound: another kind of file, or both are damaged.
    NotBolt(String),
    /// The file ends before the pages it says it has.
    CutOff {
        /// What the pages take, in bytes.
        needed: u64,
        /// What there is.
        length: u64,
    },
    /// A page is not what it should be.
    Damaged {
        /// Its number.
        page: u64,
        /// What is wrong.
        what: String,
    },
}

impl Error {
    pub(crate) fn damaged(page: u64, what: impl Into<String>) -> Self {
        Self::Damaged { page, what: what.into() }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { page, source } => write!(f, "cannot read page {page}: {source}"),
            Self::NotBolt(what) => write!(f, "not a bolt database: {what}"),
            Self::CutOff { needed, length } => {
                write!(f, "cut off: its pages take {needed} bytes, and it has {length}")
            }
            Self::Damaged { page, what } => write!(f, "page {page} is damaged: {what}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}
