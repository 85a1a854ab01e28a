//! etcd's messages as prost types, generated from `proto/` at build time. They live between the
//! socket and `rpc/translate.rs`, and are never what is persisted. And what is told to others.

/// Traces, for an OpenTelemetry collector.
#[allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic)]
pub mod otlp {
    include!(concat!(env!("OUT_DIR"), "/otlp.rs"));
}

/// Profiles, for pprof.
#[allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic)]
pub mod profile {
    include!(concat!(env!("OUT_DIR"), "/profile.rs"));
}

/// Keys and events.
#[allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic)]
pub mod mvccpb {
    include!(concat!(env!("OUT_DIR"), "/mvccpb.rs"));
}

/// Requests and replies.
#[allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic)]
pub mod etcdserverpb {
    include!(concat!(env!("OUT_DIR"), "/etcdserverpb.rs"));
}

/// The standard health service.
#[allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic)]
pub mod health {
    include!(concat!(env!("OUT_DIR"), "/grpc.health.v1.rs"));
}
