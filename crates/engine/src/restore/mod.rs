//! What becomes of other stores here: an etcd's database and its write-ahead log, or a checkpoint or
//! data directory of our own, read into a [`State`](state::State) and written as a new directory.
//!
//! Sources are read only, checked as they are read, and refused with the place that is wrong.

mod database;
mod destination;
mod member;
mod own;
pub mod wal;

use std::fmt;
use std::io;
use std::path::Path;

pub use database::{Database, Loaded, Transcribed};
pub use destination::{Destination, RESTORING};
pub use member::{Member, Translate};
pub use own::{checkpoint, directory, is_directory_of_ours};

/// Hears how many bytes are done, and of how many.
pub type Progress<'a> = &'a mut dyn FnMut(u64, u64);

/// Why a store cannot be taken over: what is wrong, where, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unusable(pub String);

impl Unusable {
    pub(crate) fn io(path: &Path, error: &io::Error) -> Self {
        Self(format!("cannot use {}: {error}", path.display()))
    }
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unusable {}

impl From<crate::OpenError> for Unusable {
    fn from(error: crate::OpenError) -> Self {
        Self(error.to_string())
    }
}
