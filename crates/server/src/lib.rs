//! Everything that knows a network, settings or a person.

pub mod wire;
pub mod grpc;
pub mod observe;
