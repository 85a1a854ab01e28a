//! Serving: from listeners to connections, and the way out.
//!
//! Everything that touches the world is an argument: `serve(parts, listeners, shutdown)` runs as well
//! in a test, and many times in one process.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpListener, UnixListener};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::grpc::{self, Peer, serve_connection};
use crate::http::Pages;
use crate::rpc::Services;
use crate::security::Caller;
use crate::webonly::WebOnly;

/// After an accept failed (too many open files, mostly), the next is tried after this long.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What is served, and how.
pub struct Parts {
    /// The services of one member.
    pub services: Services,
    /// Limits of a connection.
    pub settings: grpc::Settings,
    /// How long calls under way may go on once shutdown has begun; streams end with it.
    pub drain: Duration,
}

/// Where connections come from.
pub struct Listener {
    /// Bound already.
    pub socket: Socket,
    /// Whether gRPC is served here, or the pages alone.
    pub grpc: bool,
}

/// A bound socket.
pub enum Socket {
    /// An address and port.
    Tcp(TcpListener),
    /// A file.
    Unix(UnixListener),
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
    let mut doors = JoinSet::new();
    for listener in listeners {
        let door = Door {
            services: parts.services.clone(),
            settings: parts.settings,
            stopping: stopping.clone(),
            grpc: listener.grpc,
        };
        doors.spawn(door.accept(listener.socket, drain));
    }
    drop(stopping);
    shutdown.await;
    stop.send_replace(true);
    while doors.join_next().await.is_some() {}
    Ok(())
}

/// One listener's side of it.
struct Door {
    services: Services,
    settings: grpc::Settings,
    stopping: watch::Receiver<bool>,
    grpc: bool,
}

impl Door {
    /// Accepts until told to stop, then waits for the connections, but no longer than `drain`.
    async fn accept(self, socket: Socket, drain: Duration) {
        let mut connections = JoinSet::new();
        let mut stopping = self.stopping.clone();
        loop {
            tokio::select! {
                accepted = socket.accept() => match accepted {
                    Ok(Accepted::Tcp(stream, peer)) => {
                        if let Err(error) = stream.set_nodelay(true) {
                            tracing::debug!(%peer, %error, "cannot set TCP_NODELAY");
                        }
                        let peer = Peer { address: Some(peer), caller: Caller::default() };
                        connections.spawn(self.connection(stream, peer));
                    }
                    Ok(Accepted::Unix(stream)) => {
                        connections.spawn(self.connection(stream, Peer::default()));
                    }
                    Err(error) => {
                        tracing::warn!(%error, "cannot accept a connection, trying again");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                },
                Some(_) = connections.join_next() => {}
                _ = stopping.changed() => break,
            }
        }
        drop(socket);
        let ended = async { while connections.join_next().await.is_some() {} };
        // Dropping the set ends what is left: watches do not end by themselves.
        drop(tokio::time::timeout(drain, ended).await);
    }

    fn connection<IO>(&self, io: IO, peer: Peer) -> impl Future<Output = ()> + Send + 'static
    where
        IO: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    {
        let services = self.services.clone();
        let settings = self.settings;
        let mut stopping = self.stopping.clone();
        let grpc = self.grpc;
        async move {
            let shutdown = async move { drop(stopping.wait_for(|stop| *stop).await) };
            let pages = Pages::new(services.clone());
            let address = peer.address;
            let ended = if grpc {
                serve_connection(io, peer, services, pages, settings, shutdown).await
            } else {
                serve_connection(io, peer, WebOnly(services), pages, settings, shutdown).await
            };
            if let Err(error) = ended {
                tracing::debug!(?address, %error, "connection broke off");
            }
        }
    }
}

enum Accepted {
    Tcp(tokio::net::TcpStream, SocketAddr),
    Unix(tokio::net::UnixStream),
}

impl Socket {
    async fn accept(&self) -> io::Result<Accepted> {
        match self {
            Self::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                Ok(Accepted::Tcp(stream, peer))
            }
            Self::Unix(listener) => Ok(Accepted::Unix(listener.accept().await?.0)),
        }
    }
}
