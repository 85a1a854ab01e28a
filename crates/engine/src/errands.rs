//! Errands: work that takes its time and must not hold up the loop, as digests and checkpoints. Who runs it
//! where is an argument, so that a simulation can decide when it is done.

use std::io;
use std::thread;

/// Who does what takes its time.
pub trait Errands: Send + Sync + 'static {
    /// Has the work done beside the caller, once. It may block, and may be dropped undone.
    ///
    /// # Errors
    /// If nobody can be had for it; it was dropped then.
    fn run(&self, name: &'static str, work: Box<dyn FnOnce() + Send>) -> io::Result<()>;
}

/// A thread for each.
#[derive(Clone, Copy, Debug)]
pub struct Threads;

impl Errands for Threads {
    fn run(&self, name: &'static str, work: Box<dyn FnOnce() + Send>) -> io::Result<()> {
        thread::Builder::new().name(name.to_owned()).spawn(work).map(drop)
    }
}
