//! The journal in a PostgreSQL database, or in what speaks its language: one row is one slot.
//!
//! A slot is created by one INSERT that succeeds only if the slot is absent and its predecessor is
//! there. Three connections, each with a task of its own: appends, reads behind a barrier, and
//! whatever has time. Nothing is ever cancelled; a connection that does not answer is dropped.

mod address;
mod appending;
mod database;
mod failure;
mod guarantee;
mod journal;
mod keeping;
mod link;
mod objects;
mod parts;
mod password;
mod reading;
mod schema;
mod statements;
mod stats;
mod tls;

pub use address::{Address, AddressError};
pub use database::{MAX_BODY, Options};
pub use failure::{Failure, Kind};
pub use guarantee::{Guarantee, Level};
pub use journal::PostgresJournal;
pub use stats::Stats;
