//! Everything that knows a network, settings or a person.

pub mod config;
pub mod ctl;
pub mod grpc;
pub mod http;
pub mod observe;
pub mod peers;
pub mod probe;
pub mod rpc;
pub mod security;
pub mod serve;
pub mod start;
pub mod wire;
