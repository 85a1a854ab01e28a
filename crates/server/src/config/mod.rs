//! Flags, environment, file → one [`Config`] that cannot contradict itself.
//!
//! `Flags` holds what was typed; [`Config`] what it comes to; [`Invocation`] what the process is to
//! do about it. Nothing here touches the process: arguments, environment and files are handed in.

mod aliases;
mod archive;
mod auth;
mod compaction;
mod duration;
mod environment;
mod file;
mod flags;
mod gates;
mod help;
pub mod identity;
mod invocation;
mod journal;
mod log;
mod members;
mod node;
mod notice;
mod peers;
mod resolve;
mod rotation;
mod suites;
mod table;
#[cfg(test)]
mod tests;
mod tls;
mod tracing;
mod url;
mod value;

use std::path::PathBuf;
use std::time::Duration;

use state::Level;

pub use archive::ArchivePlace;
pub use auth::{AuthToken, JwtOptions, SignMethod};
pub use compaction::AutoCompaction;
pub(crate) use duration::go_duration;
pub use identity::Identity;
pub use invocation::{Invocation, from_process, this_process};
pub use journal::JournalPlace;
pub use log::{LogFormat, LogLevel, LogOutput, LogSettings};
pub(crate) use members::restored_identity;
pub use members::{Founder, InitialClusterState};
pub use notice::Notice;
pub use rotation::Rotation;
pub use tls::{AllowedClients, SelfSigned, Side, Tls, TlsVersions};
pub use tracing::Tracing;
pub use url::{ListenAddress, Scheme, Url};

/// A number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub u64);

/// A URL to listen on, and what it binds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    /// As configured.
    pub url: Url,
    /// As bound.
    pub address: ListenAddress,
}

/// Pings from the server to a silent client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeepAlive {
    /// Silence before a ping.
    pub interval: Duration,
    /// Time to answer it.
    pub timeout: Duration,
}

/// All settings that a server acts on, resolved. A field has the name of the flag it comes from; a
/// flag that nothing acts on has no field, but a [`Notice`] when it is set.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The member's name.
    pub name: String,
    /// Where checkpoints stand, and the journal too unless it is a shared one.
    pub data_dir: PathBuf,
    /// Where the journal is kept.
    pub journal: JournalPlace,
    /// Where replicas share checkpoints.
    pub archive: ArchivePlace,
    /// Where other replicas are served; nowhere, if the journal is not shared.
    pub listen_peer_urls: Vec<Listen>,
    /// TLS towards other replicas.
    pub peer_tls: Option<Tls>,
    /// Where gRPC is served, and HTTP too while `listen_client_http_urls` is empty.
    pub listen_client_urls: Vec<Listen>,
    /// Where HTTP alone is served.
    pub listen_client_http_urls: Vec<Listen>,
    /// Where metrics and health are served as well.
    pub listen_metrics_urls: Vec<Listen>,
    /// What member lists show to clients.
    pub advertise_client_urls: Vec<Url>,
    /// What member lists show to peers.
    pub initial_advertise_peer_urls: Vec<Url>,
    /// Whether an empty data directory may be started from.
    pub initial_cluster_state: InitialClusterState,
    /// The ids of a new data directory; one that exists keeps its own. With a shared journal, that says
    /// which member this is.
    pub identity: Identity,
    /// The members of a cluster that is to be made, this one among them.
    pub founders: Vec<Founder>,
    /// Which of the clusters that share a database this is.
    pub initial_cluster_token: String,
    /// How often replicas hold their states against one another.
    pub digest_every: Duration,
    /// What this replica says it can apply: less than it could, to hold the others back.
    pub level: Level,
    /// How long nothing is heard of a writer until another one is made.
    pub election_timeout: Duration,
    /// Size of the data at which writes are refused; `None` is no limit.
    pub quota_backend_bytes: Option<ByteSize>,
    /// Largest request.
    pub max_request_bytes: ByteSize,
    /// Most operations in a transaction.
    pub max_txn_ops: u64,
    /// Most learners among members that share a journal.
    pub max_learners: u64,
    /// Most open streams of a connection.
    pub max_concurrent_streams: u32,
    /// Compaction without being asked.
    pub auto_compaction: AutoCompaction,
    /// Between progress notices on a silent watch.
    pub watch_progress_notify_interval: Duration,
    /// The shortest lease that is granted, in seconds.
    pub min_lease_ttl_seconds: i64,
    /// The log.
    pub log: LogSettings,
    /// Pings to silent clients; `None` is none.
    pub grpc_keepalive: Option<KeepAlive>,
    /// Between two pings of a client with calls open; who pings more often is let go.
    pub grpc_keepalive_min_time: Duration,
    /// Names that pages are asked for in, where there is no TLS; `*` is any.
    pub host_whitelist: Vec<String>,
    /// Sites whose scripts may read pages; `*` is any.
    pub cors: Vec<String>,
    /// Whether JSON is answered under `/v3/`.
    pub enable_grpc_gateway: bool,
    /// Profiles are taken for who asks.
    pub enable_pprof: bool,
    /// Calls are followed for traces.
    pub tracing: Option<Tracing>,
    /// All memory is kept from being swapped out.
    pub memory_mlock: bool,
    /// Nothing is synced.
    pub unsafe_no_fsync: bool,
    /// Listen with SO_REUSEPORT.
    pub socket_reuse_port: bool,
    /// `--metrics extensive`: the duration of every call is measured.
    pub metrics_extensive: bool,
    /// Applying and reading that takes longer is logged.
    pub warning_apply_duration: Duration,
    /// Requests that take longer are logged.
    pub warning_unary_request_duration: Duration,
    /// What a caller gets for its password.
    pub auth_token: AuthToken,
    /// How dear a password's hash is: bcrypt's cost.
    pub bcrypt_cost: u32,
    /// TLS towards clients; there, if any listener asks for it.
    pub tls: Option<Tls>,
}
