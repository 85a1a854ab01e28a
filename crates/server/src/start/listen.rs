//! From the URLs of a [`Config`] to bound sockets, each with what it serves and through what.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::sync::Arc;

use tokio::net::TcpSocket;

use super::StartError;
use crate::config::{Config, Listen, ListenAddress};
use crate::security::Credentials;
use crate::serve::{Listener, Secrecy, Socket, Traffic, UnixSocket};

/// Connections that may wait to be accepted.
const BACKLOG: u32 = 4096;

/// One address, and all that was asked of it.
pub(super) struct Asked<'a> {
    listen: &'a Listen,
    traffic: Traffic,
    plaintext: bool,
    tls: bool,
}

/// A socket, and all that was asked of it.
pub(super) struct Bound<'a> {
    asked: Asked<'a>,
    socket: Socket,
}

/// Binds every listener, in the order in which they were named.
pub(super) fn bind_all(config: &Config) -> Result<Vec<Bound<'_>>, StartError> {
    let bind = asked(config)?.into_iter().map(|asked| {
        let socket = bind(config, asked.listen)?;
        Ok(Bound { asked, socket })
    });
    bind.collect()
}

/// Gives each what its connections go through.
pub(super) fn furnish(
    config: &Config,
    bound: Vec<Bound<'_>>,
    peer_credentials: Option<&Arc<Credentials>>,
) -> Result<Vec<Listener>, StartError> {
    let credentials = config.tls.as_ref().map(Credentials::open).transpose();
    let credentials = credentials.map_err(|error| StartError(error.to_string()))?.map(Arc::new);
    let furnish = |Bound { asked, socket }: Bound<'_>| {
        let peers = asked.traffic == Traffic::Peers;
        let credentials = if peers { peer_credentials } else { credentials.as_ref() };
        let secrecy = secrecy(&asked, credentials)?;
        told(&asked);
        Ok(Listener { socket, traffic: asked.traffic, secrecy })
    };
    bound.into_iter().map(furnish).collect()
}

/// All addresses, each once: http and https may share one, calls and pages may not.
fn asked(config: &Config) -> Result<Vec<Asked<'_>>, StartError> {
    let split = !config.listen_client_http_urls.is_empty();
    let client = if split { Traffic::Grpc } else { Traffic::All };
    let mut all: Vec<Asked<'_>> = Vec::new();
    let peers = if config.journal.is_shared() { &config.listen_peer_urls[..] } else { &[] };
    for (listens, traffic) in [
        (peers, Traffic::Peers),
        (&config.listen_client_urls[..], client),
        (&config.listen_client_http_urls[..], Traffic::Http),
        (&config.listen_metrics_urls[..], Traffic::Metrics),
    ] {
        for listen in listens {
            let tls = listen.url.scheme().is_secure();
            let known = all.iter_mut().find(|asked| same(&asked.listen.address, &listen.address));
            match known {
                Some(asked) if asked.traffic == traffic => {
                    asked.tls |= tls;
                    asked.plaintext |= !tls;
                }
                Some(_) => return Err(shared(listen, traffic)),
                None => all.push(Asked { listen, traffic, plaintext: !tls, tls }),
            }
        }
    }
    Ok(all)
}

/// Any free port is a different one each time.
fn same(one: &ListenAddress, other: &ListenAddress) -> bool {
    one == other && !matches!(one, ListenAddress::Tcp(address) if address.port() == 0)
}

fn shared(listen: &Listen, traffic: Traffic) -> StartError {
    let flag = match traffic {
        Traffic::Http => "both --listen-client-urls and --listen-client-http-urls",
        Traffic::Metrics => "--listen-metrics-urls and a listener for clients",
        _ => "both --listen-peer-urls and --listen-client-urls",
    };
    StartError(format!("cannot bind {flag} on the same url {}", listen.url.as_str()))
}

fn secrecy(
    asked: &Asked<'_>,
    credentials: Option<&Arc<Credentials>>,
) -> Result<Secrecy, StartError> {
    match (asked.tls, asked.plaintext, credentials) {
        (false, _, _) => Ok(Secrecy::Plaintext),
        (true, false, Some(credentials)) => Ok(Secrecy::Tls(Arc::clone(credentials))),
        (true, true, Some(credentials)) => Ok(Secrecy::Either(Arc::clone(credentials))),
        (true, _, None) => Err(StartError(format!(
            "TLS key/cert (--cert-file, --key-file) must be provided for client url {} with HTTPS \
             scheme",
            asked.listen.url.as_str()
        ))),
    }
}

/// In etcd's words.
fn told(asked: &Asked<'_>) {
    let address = asked.listen.url.as_str();
    let traffic = match asked.traffic {
        Traffic::All => "grpc+http",
        Traffic::Grpc => "grpc",
        Traffic::Http => "http",
        Traffic::Metrics => {
            tracing::info!(address, "serving metrics");
            return;
        }
        Traffic::Peers => {
            tracing::info!(address, "serving peer traffic");
            return;
        }
    };
    if asked.plaintext {
        tracing::info!(
            traffic,
            address,
            "serving client traffic insecurely; this is strongly discouraged!"
        );
    }
    if asked.tls {
        tracing::info!(traffic, address, "serving client traffic securely");
    }
}

fn bind(config: &Config, listen: &Listen) -> Result<Socket, StartError> {
    let bound = match &listen.address {
        ListenAddress::Tcp(address) => bind_tcp(config, *address),
        ListenAddress::Unix(path) => bind_unix(path),
    };
    bound.map_err(|error| {
        StartError(format!(
            "cannot listen on {}: {error}; stop what listens there, or choose another address",
            listen.url.as_str()
        ))
    })
}

fn bind_tcp(config: &Config, address: SocketAddr) -> io::Result<Socket> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // Go's listeners, and so etcd's, always reuse an address whose connections linger.
    socket.set_reuseaddr(true)?;
    socket.set_reuseport(config.socket_reuse_port)?;
    socket.bind(address)?;
    socket.listen(BACKLOG).map(Socket::Tcp)
}

/// A socket file that nobody answers on is left over from a process that died. Any other file is
/// left alone.
fn bind_unix(path: &Path) -> io::Result<Socket> {
    let is_socket = fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket());
    if is_socket && std::os::unix::net::UnixStream::connect(path).is_err() {
        fs::remove_file(path)?;
    }
    UnixSocket::bind(path).map(Socket::Unix)
}
