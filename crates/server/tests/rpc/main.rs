//! The whole server in one process, asked by a real gRPC client over a real socket: what each
//! service answers, and every refusal to the byte.

mod caller;
mod cluster;
mod collector;
mod election;
mod gone;
mod kv;
mod leader;
mod lease;
mod lock;
mod maintenance;
mod members;
mod metrics;
mod pages;
mod pings;
mod pitfalls;
mod profiles;
mod replicas;
#[path = "../../../engine/tests/promises/replicas/sleeper.rs"]
mod sleeper;
mod slow;
mod snapshot;
mod spans;
mod stream;
#[allow(dead_code, reason = "shared with other tests")]
mod support;
mod transport;
mod watch;
