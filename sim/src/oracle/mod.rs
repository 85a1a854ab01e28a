//! Judges what a simulation recorded. Pure: a history goes in, findings come out.

pub mod history;
