//! One listener's loop, and the way of one connection: in, through its handshake, to what answers it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;

use super::handshake::{Handshakes, Place, greet};
use super::refusals::{Refusals, Refused};
use super::site::Site;
use super::socket::{Socket, Stream, Wire};
use super::{Secrecy, Traffic};
use crate::grpc::{self, Broken, Peer, Rewound, serve_connection};
use crate::http::{Access, Pages};
use crate::peers::Attendant;
use crate::rpc::Services;
use crate::security::Caller;

/// After an accept failed (too many open files, mostly), the next is tried after this long.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What all doors share.
pub(super) struct House {
    pub(super) services: Services,
    pub(super) peers: Option<Attendant>,
    pub(super) settings: grpc::Settings,
    pub(super) access: Arc<Access>,
    pub(super) gateway: bool,
    pub(super) stopping: watch::Receiver<bool>,
    pub(super) handshakes: Arc<Handshakes>,
    pub(super) refusals: Refusals,
    /// What may still come in: where it is used up, the next waits in the system's queue.
    pub(super) connections: Arc<Semaphore>,
}

/// One listener's side of it.
pub(super) struct Door {
    pub(super) house: Arc<House>,
    pub(super) traffic: Traffic,
    pub(super) secrecy: Secrecy,
}

/// A connection that was let in so far, with what it takes up.
struct Guest {
    wire: Wire,
    address: Option<SocketAddr>,
    place: Option<Place>,
    permit: OwnedSemaphorePermit,
}

impl Door {
    /// Accepts until told to stop, then waits for the connections, but no longer than `drain`.
    pub(super) async fn accept(self: Arc<Self>, socket: Socket, drain: Duration) {
        let mut connections = JoinSet::new();
        let mut stopping = self.house.stopping.clone();
        loop {
            tokio::select! {
                guest = self.next(&socket) => {
                    connections.spawn(Arc::clone(&self).connection(guest));
                }
                Some(_) = connections.join_next() => {}
                _ = stopping.changed() => break,
            }
        }
        drop(socket);
        let ended = async { while connections.join_next().await.is_some() {} };
        // Dropping the set ends what is left: watches do not end by themselves.
        drop(tokio::time::timeout(drain, ended).await);
    }

    /// The next that comes in, once there is room for it.
    async fn next(&self, socket: &Socket) -> Guest {
        loop {
            let permit = Arc::clone(&self.house.connections).acquire_owned().await;
            let Ok(permit) = permit else { return std::future::pending().await };
            let shakes_hands = !matches!(self.secrecy, Secrecy::Plaintext);
            if shakes_hands {
                self.house.handshakes.room().await;
            }
            match socket.accept().await {
                Ok((wire, address)) => {
                    let place = shakes_hands.then(|| self.house.handshakes.begin());
                    return Guest { wire, address, place, permit };
                }
                Err(error) => {
                    if self.house.refusals.admit(&error.to_string(), Instant::now()).is_some() {
                        tracing::warn!(%error, "cannot accept a connection, trying again");
                    }
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    async fn connection(self: Arc<Self>, guest: Guest) {
        let Guest { wire, address, place, permit } = guest;
        let mut stopping = self.house.stopping.clone();
        let open = tokio::select! {
            open = self.open(wire, place) => open,
            _ = stopping.wait_for(|stop| *stop) => return,
        };
        let ended = match open {
            Ok((stream, caller)) => {
                let shutdown = async move { drop(stopping.wait_for(|stop| *stop).await) };
                self.answer(stream, Peer { address, caller }, shutdown).await
            }
            Err(refused) => Err(refused),
        };
        if let Err(refused) = ended {
            self.house.refusals.tell(self.traffic, address, &refused);
        }
        drop(permit);
    }

    async fn open(&self, wire: Wire, place: Option<Place>) -> Result<(Stream, Caller), Refused> {
        let either = matches!(self.secrecy, Secrecy::Either(_));
        match (&self.secrecy, place) {
            (Secrecy::Tls(credentials) | Secrecy::Either(credentials), Some(place)) => {
                greet(wire, credentials, either, place).await
            }
            _ => Ok((Stream::Plain(Rewound::new(bytes::Bytes::new(), wire)), Caller::default())),
        }
    }

    async fn answer(
        &self,
        stream: Stream,
        peer: Peer,
        shutdown: impl Future<Output = ()>,
    ) -> Result<(), Refused> {
        if self.traffic == Traffic::Peers {
            return self.answer_peer(stream, peer, shutdown).await;
        }
        let services = self.house.services.clone();
        let secure = matches!(stream, Stream::Tls(_));
        let pages = Pages::new(services.clone())
            .guarded(Arc::clone(&self.house.access), secure)
            .of_peer(peer.clone(), self.house.gateway);
        let site = Site::new(self.traffic, pages);
        let mut settings = self.house.settings;
        settings.grpc = matches!(self.traffic, Traffic::All | Traffic::Grpc);
        settings.http1 = self.traffic != Traffic::Grpc;
        // Without TLS, pages are for HTTP/1 alone: etcd tells gRPC from them by the version.
        settings.http2 = settings.grpc || secure;
        // Where calls share TLS with pages, etcd's pings are answered by a server that counts none.
        settings.pings_apart = settings.pings_apart.filter(|_| !secure || !settings.http1);
        let address = peer.address;
        let ended = serve_connection(stream, peer, services, site, settings, shutdown).await;
        ended.or_else(|broken| self.broken_off(address, &broken))
    }

    async fn answer_peer(
        &self,
        stream: Stream,
        peer: Peer,
        shutdown: impl Future<Output = ()>,
    ) -> Result<(), Refused> {
        let Some(attendant) = self.house.peers.clone() else { return Ok(()) };
        let pages = Pages::new(self.house.services.clone()).of_peer(peer.clone(), false);
        let site = Site::new(self.traffic, pages);
        let address = peer.address;
        let settings = Attendant::settings();
        let ended = serve_connection(stream, peer, attendant, site, settings, shutdown).await;
        ended.or_else(|broken| self.broken_off(address, &broken))
    }

    fn broken_off(&self, address: Option<SocketAddr>, broken: &Broken) -> Result<(), Refused> {
        match self.judge(broken) {
            Some(refused) => Err(refused),
            None => {
                tracing::debug!(?address, error = %broken, "connection broke off");
                Ok(())
            }
        }
    }

    /// What of it an operator should know.
    fn judge(&self, broken: &Broken) -> Option<Refused> {
        match broken {
            Broken::Tls if self.traffic == Traffic::Peers => Some(Refused::new(
                "TLS on a plaintext port",
                "the replica is to be advertised as http:// (see --initial-advertise-peer-urls), or to \
                 listen on https:// (see --listen-peer-urls)",
            )),
            Broken::Tls => Some(Refused::new(
                "TLS on a plaintext port",
                "the client is to use http:// for this endpoint, or the server to listen on \
                 https:// (see --listen-client-urls)",
            )),
            Broken::Version if self.traffic == Traffic::Grpc => Some(Refused::new(
                "HTTP/1 on a port for gRPC alone",
                "pages are served at --listen-client-http-urls",
            )),
            Broken::Version => Some(Refused::new(
                "HTTP/2 on a plaintext port for pages alone",
                "gRPC is served at --listen-client-urls",
            )),
            Broken::Silent | Broken::Other(_) => None,
        }
    }
}
