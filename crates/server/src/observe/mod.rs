//! What an operator sees of a running server: logs.

pub mod logs;
