//! The one writer: order, journal, apply, publish, reply. Watches and leases around it.

pub mod watch;
