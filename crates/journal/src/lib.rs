//! A journal: write-once slots of opaque bytes.
//!
//! The one primitive is "create slot n if it is absent"; all of Meridian's safety rests on it.
//! A backend knows nothing of what the bytes mean. [`Journal`] is the contract, and the suite in
//! `tests/contract` is what "implements" means.

mod archive;
mod contract;
pub mod faulty;
pub mod file;
mod folder;
mod latency;
mod memory;
mod objects;

pub use archive::Archive;
pub use contract::{Append, Body, Journal, JournalError, Nonce, Record, Slot, Successor};
pub use faulty::Faulty;
pub use file::{FileJournal, FileOptions, Flush, Opening};
pub use folder::FolderObjects;
pub use latency::{BUCKETS, Latency};
pub use memory::MemoryJournal;
pub use objects::{MemoryObjects, Object, Objects, Pieces};
