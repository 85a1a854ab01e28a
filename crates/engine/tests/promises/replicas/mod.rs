//! Replicas over one journal: whoever is asked, each command takes effect once, everybody agrees, and a
//! writer that goes, falls silent or is cut off costs a pause and nothing else.

mod cluster;
mod cutoff;
mod digests;
mod distant;
mod leases;
mod levels;
mod lying;
mod members;
mod reads;
mod sleeper;
mod upgrades;
mod writers;
