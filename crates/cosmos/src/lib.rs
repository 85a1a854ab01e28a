//! The journal in a container of Azure Cosmos DB (its API for NoSQL): one item is one slot.
//!
//! A slot is created by creating an item whose name nobody has. The service orders nothing between two
//! items, so one offer is on its way at a time: slot n+1 is only sent when slot n is known to be there.
//! Whatever of the service is used stands in `items`; Microsoft's crates are known to `wire` alone.

mod account;
mod address;
mod appending;
mod failure;
mod guarantee;
mod init;
mod item;
mod items;
mod journal;
mod keeping;
mod known;
mod layout;
mod log;
mod objects;
mod offer;
mod open;
mod pace;
mod parts;
mod reading;
mod stats;
mod throughput;
mod wire;

pub use address::{Address, AddressError, Credential};
pub use failure::{Failure, Kind};
pub use guarantee::Guarantee;
pub use init::Plan;
pub use journal::{CosmosJournal, MAX_BODY, Options};
pub use stats::{Purpose, Stats};
pub use throughput::Throughput;

#[cfg(test)]
mod fake;
#[cfg(test)]
#[path = "../../journal/tests/contract/suite.rs"]
mod suite;
#[cfg(test)]
mod tests;
