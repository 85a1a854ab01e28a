//! What other tests of this crate have.
#![allow(dead_code, reason = "shared with other tests")]

#[path = "../rpc/support.rs"]
pub(crate) mod support;
