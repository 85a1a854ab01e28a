//! `check` against directories of a real engine: what is whole, and what was spoiled in every way.

mod entries;
mod flips;
mod places;
mod support;
mod whole;
