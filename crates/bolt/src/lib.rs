//! bbolt's file format (etcd's database), read and written. Imports nothing of ours; knows nothing of etcd.
//!
//! The [`Reader`] trusts nothing: a damaged file is an [`Error`] that names the page. The [`Writer`]
//! produces a database in file order: a [`Planner`] that saw only sizes has told it the pages before.
//! `docs/bolt.md` draws the bytes.

mod cursor;
mod error;
mod layout;
mod meta;
mod page;
mod reader;
mod shape;
mod writer;

pub use cursor::{Cursor, Entry};
pub use error::Error;
pub use reader::{Bucket, Reader};
pub use writer::{MAX_KEY, MAX_VALUE, PAGE_SIZE, Plan, Planner, Writer};
