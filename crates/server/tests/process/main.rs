//! The `meridian` binary as an operator meets it: why it stops, and what memory it takes.

mod checking;
mod ending;
mod flags;
mod frames;
mod memory;
mod misbehaving;
mod running;
mod starting;
mod supervised;

#[path = "../rpc/support.rs"]
#[allow(dead_code, reason = "shared with the tests of the services")]
mod support;

#[path = "../rpc/collector.rs"]
mod collector;
