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

/// What replicas tell each other.
#[allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic)]
pub mod peer {
    include!(concat!(env!("OUT_DIR"), "/meridian.peer.v1.rs"));
}

mod secret;

/// Users and rights.
#[allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic)]
pub mod authpb {
    include!(concat!(env!("OUT_DIR"), "/authpb.rs"));
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

/// What an etcd writes into its log.
#[allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic)]
pub mod raftpb {
    include!(concat!(env!("OUT_DIR"), "/raftpb.rs"));
}

/// The Lock service.
#[allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic)]
pub mod v3lockpb {
    include!(concat!(env!("OUT_DIR"), "/v3lockpb.rs"));
}

/// The Election service.
#[allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic)]
pub mod v3electionpb {
    include!(concat!(env!("OUT_DIR"), "/v3electionpb.rs"));
}
