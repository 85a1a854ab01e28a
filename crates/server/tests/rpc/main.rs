//! The whole server in one process, asked by a real gRPC client over a real socket: what each
//! service answers, and every refusal to the byte.

mod caller;
mod gone;
mod kv;
mod lease;
mod maintenance;
mod metrics;
mod pages;
mod pitfalls;
mod snapshot;
mod stream;
#[allow(dead_code, reason = "shared with other tests")]
mod support;
mod transport;
mod watch;
