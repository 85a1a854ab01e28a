//! The whole server under simulation: replicas, network, clock and journal on one thread, all from one seed,
//! and an oracle that judges what clients saw of it.

pub mod oracle;
pub mod world;
