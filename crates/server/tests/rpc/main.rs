//! The whole server in one process, asked by a real gRPC client over a real socket: what each
//! service answers, and every refusal to the byte.

mod caller;
mod collector;
mod gone;
mod kv;
mod lease;
mod maintenance;
mod metrics;
mod pages;
mod pings;
mod pitfalls;
mod profiles;
mod slow;
mod spans;
mod stream;
mod support;
mod transport;
mod watch;
