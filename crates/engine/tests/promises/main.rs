//! What the engine promises, one theme a file.

mod alarms;
mod applied;
mod checkpoints;
mod compacting;
mod crash;
mod crowds;
mod ending;
mod full;
mod inbox;
mod leases;
mod replicas;
mod rights;
mod rivals;
mod steady;
mod support;
mod unknown;
