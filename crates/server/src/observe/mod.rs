//! What the server tells of itself: metrics and logs.

pub mod exposition;
pub mod logs;
pub mod metrics;
pub mod process;
