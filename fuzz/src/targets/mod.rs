//! One function for each kind of bytes that a stranger or a disk hands us. Each must return: no panic, no
//! memory without bound, and an error that says something. Each has seeds: small, valid, of every form.

mod disk;
mod network;
mod settings;

pub use disk::{checkpoint, database, entry, image, segment};
pub use network::{framing, peer, request};
pub use settings::{arguments, config};

/// A target: its name, what runs it, and what its mutations begin with.
pub struct Target {
    pub name: &'static str,
    pub run: fn(&[u8]),
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// All of them.
pub const ALL: [Target; 10] = [
    Target { name: "entry", run: entry, seeds: disk::entries },
    Target { name: "image", run: image, seeds: disk::images },
    Target { name: "checkpoint", run: checkpoint, seeds: disk::checkpoints },
    Target { name: "segment", run: segment, seeds: disk::segments },
    Target { name: "database", run: database, seeds: disk::databases },
    Target { name: "request", run: request, seeds: network::requests },
    Target { name: "framing", run: framing, seeds: network::frames },
    Target { name: "peer", run: peer, seeds: network::peers },
    Target { name: "config", run: config, seeds: settings::files },
    Target { name: "arguments", run: arguments, seeds: settings::lines },
];

/// An error says something.
fn says(error: &impl ToString) {
    assert!(error.to_string().len() > 3, "an error without words");
}
