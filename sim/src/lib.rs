//! The whole server under simulation.

pub mod oracle;
