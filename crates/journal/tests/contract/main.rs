//! What "implements [`journal::Journal`]" and [`journal::Objects`] means: a suite each, run over every backend
//! and wrapper.

mod archives;
mod backends;
mod objects;
mod suite;
