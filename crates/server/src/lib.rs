//! Everything that knows a network, settings or a person.

pub mod config;
pub mod observe;
