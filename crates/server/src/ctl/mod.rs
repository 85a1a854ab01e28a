//! What the binary does for a person besides serving.

pub mod check;
pub mod cosmos;
pub mod restore;
pub mod status;
