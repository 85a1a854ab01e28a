//! The targets of `cargo fuzz`. `crates/server/tests/hostile` runs the same ones on stable.

pub mod targets;
