//! What other tests of this crate have.
#![allow(dead_code, reason = "shared with other tests")]

#[path = "../process/running.rs"]
pub(crate) mod running;
#[path = "../rpc/support.rs"]
pub(crate) mod support;
