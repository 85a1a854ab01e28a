//! The one writer: order, journal, apply, publish, reply. Watches, leases and checkpoints around it.
//!
//! Knows no network: gRPC is an adapter of this crate's [`Engine`].

mod archive;
mod backlog;
pub mod check;
mod clock;
mod compactor;
mod course;
mod engine;
mod entries;
mod errands;
pub mod etcd;
mod fault;
mod inbox;
mod lease;
mod observer;
mod offer;
mod options;
mod quota;
mod recover;
pub mod replicas;
pub mod restore;
mod setback;
mod shared;
mod vitals;
pub mod watch;
mod writer;

pub use clock::{Clock, SystemClock};
pub use course::Course;
pub use engine::{Engine, LeaseStatus, Tasks, run};
pub use errands::{Errands, Threads};
pub use fault::{Fault, OpenError};
pub use observer::{Applied, Checkpointed, Observer};
pub use options::{AutoCompaction, Options, Parts};
pub use vitals::{Ending, Status};
