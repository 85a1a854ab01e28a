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
mod power;
mod replicas;
mod rights;
mod rivals;
mod steady;
mod support;
mod unknown;

#[path = "../../../journal/tests/crash/disk.rs"]
#[allow(dead_code, reason = "shared with the tests of the journal")]
mod disk;
