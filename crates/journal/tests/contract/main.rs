//! What "implements [`journal::Journal`]" means: one suite, run over every backend and wrapper.

mod backends;
mod suite;
