//! What the server tells of itself: metrics, logs, and its supervisor how far it is.

pub mod exposition;
pub mod histogram;
pub mod journal;
mod journald;
pub mod logs;
pub mod metrics;
pub mod peers;
pub mod process;
pub mod profile;
pub mod request;
mod rotation;
pub mod spans;
pub mod store;
pub mod supervisor;
