//! Everything that knows a network, settings or a person.

pub mod grpc;
pub mod http;
pub mod observe;
pub mod rpc;
pub mod wire;
