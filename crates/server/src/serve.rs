//! Serving: from listeners to connections, and the way out.
//!
//! Everything that touches the world is an argument: `serve(parts, listeners, shutdown)` runs as well
//! in a test, and many times in one process.

mod door;
mod handshake;
mod refusals;
mod site;
mod socket;

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use crate::grpc;
use crate::http::Access;
use crate::observe::process;
use crate::peers::Attendant;
use crate::rpc::Services;
use crate::security::Credentials;
use door::{Door, House};
pub use socket::{Arrival, Arrivals, ByteStream, Socket, UnixSocket};

/// Descriptors that connections leave to files, as in etcd.
const RESERVED_DESCRIPTORS: u64 = 150;
/// Connections there may be in any case, and where nothing is known of descriptors.
const FEWEST_CONNECTIONS: u64 = 16;
const MOST_CONNECTIONS: u64 = 1 << 20;

/// What is served, and how.
pub struct Parts {
    /// The services of one member.
    pub services: Services,
    /// What answers other replicas, if there may be any.
    pub peers: Option<Attendant>,
    /// Limits of a connection.
    pub settings: grpc::Settings,
    /// Who may ask for pages.
    pub access: Access,
    /// Whether there is the JSON gateway.
    pub gateway: bool,
    /// How long calls under way may go on once shutdown has begun; streams end with it.
    pub drain: Duration,
}

/// Where connections come from.
pub struct Listener {
    /// Bound already.
    pub socket: Socket,
    /// What is answered here.
    pub traffic: Traffic,
    /// What connections go through.
    pub secrecy: Secrecy,
}

/// What a listener answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Traffic {
    /// gRPC, and pages.
    All,
    /// gRPC alone.
    Grpc,
    /// Pages alone.
    Http,
    /// The pages for metrics and health alone.
    Metrics,
    /// Other replicas.
    Peers,
}

/// What connections of a listener go through.
#[derive(Clone)]
pub enum Secrecy {
    /// Nothing.
    Plaintext,
    /// TLS.
    Tls(Arc<Credentials>),
    /// What the client begins with: etcd has this where http and https share an address.
    Either(Arc<Credentials>),
}

/// Serves every listener until `shutdown` is ready, then lets calls under way finish.
///
/// # Errors
/// None at present: an accept that fails is logged and tried again.
pub async fn serve(
    parts: Parts,
    listeners: Vec<Listener>,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let (stop, stopping) = watch::channel(false);
    let drain = parts.drain;
    let sweeper = tokio::spawn(parts.services.clone().sweep_tokens());
    let house = Arc::new(House {
        services: parts.services,
        peers: parts.peers,
        settings: parts.settings,
        access: Arc::new(parts.access),
        gateway: parts.gateway,
        stopping,
        handshakes: Arc::default(),
        refusals: refusals::Refusals::default(),
        connections: Arc::new(Semaphore::new(most_connections())),
    });
    let mut doors = JoinSet::new();
    for listener in listeners {
        let Listener { socket, traffic, secrecy } = listener;
        let door = Arc::new(Door { house: Arc::clone(&house), traffic, secrecy });
        doors.spawn(door.accept(socket, drain));
    }
    drop(house);
    shutdown.await;
    stop.send_replace(true);
    while doors.join_next().await.is_some() {}
    sweeper.abort();
    Ok(())
}

fn most_connections() -> usize {
    let descriptors = process::descriptor_limit().unwrap_or(MOST_CONNECTIONS);
    let most = descriptors.saturating_sub(RESERVED_DESCRIPTORS);
    usize::try_from(most.clamp(FEWEST_CONNECTIONS, MOST_CONNECTIONS)).unwrap_or(usize::MAX)
}
