//! A connection to another replica: to a URL of its, through TLS where that says so, proved as this replica
//! is configured to prove itself.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;

use crate::config::{Scheme, Url};
use crate::security::Credentials;
use crate::serve::ByteStream;

/// A peer that is gone without a word is noticed by pings; this is for what stands between.
const KEEPALIVE: Duration = Duration::from_secs(5);

/// Opens connections to other replicas.
#[derive(Clone, Debug, Default)]
pub struct Dialer {
    credentials: Option<Arc<Credentials>>,
    network: Option<Arc<dyn Network>>,
}

/// Where members are reached that are not on the network of this system, as in a simulation.
pub trait Network: fmt::Debug + Send + Sync {
    /// A connection to a host and port.
    fn connect(&self, host: &str, port: u16)
    -> BoxFuture<'static, io::Result<Box<dyn ByteStream>>>;
}

/// Whatever a line goes through.
pub(super) trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

impl Dialer {
    /// With `--peer-*` credentials, if there are any.
    #[must_use]
    pub fn new(credentials: Option<Arc<Credentials>>) -> Self {
        Self { credentials, network: None }
    }

    /// Without credentials, on another network.
    #[must_use]
    pub fn on(network: Arc<dyn Network>) -> Self {
        Self { credentials: None, network: Some(network) }
    }

    pub(super) async fn dial(&self, url: &Url) -> Result<Box<dyn Wire>, String> {
        match url.scheme() {
            Scheme::Http if let Some(network) = &self.network => {
                let stream = network.connect(url.host(), url.port()).await;
                Ok(Box::new(stream.map_err(|error| error.to_string())?))
            }
            Scheme::Http => Ok(Box::new(tcp(url).await.map_err(|e| e.to_string())?)),
            Scheme::Https => {
                let config = self.config()?;
                let wire = tcp(url).await.map_err(|e| e.to_string())?;
                secure(config, url.host(), wire).await
            }
            Scheme::Unix => Ok(Box::new(unix(url).await.map_err(|e| e.to_string())?)),
            Scheme::Unixs => {
                let config = self.config()?;
                let wire = unix(url).await.map_err(|e| e.to_string())?;
                secure(config, "localhost", wire).await
            }
        }
    }

    fn config(&self) -> Result<Arc<ClientConfig>, String> {
        let credentials = self.credentials.as_ref().ok_or(
            "it is reached by https, and this replica has no peer TLS: set --peer-cert-file, \
             --peer-key-file and --peer-trusted-ca-file",
        )?;
        credentials.dialing()
    }
}

async fn secure<IO: Wire + 'static>(
    config: Arc<ClientConfig>,
    host: &str,
    wire: IO,
) -> Result<Box<dyn Wire>, String> {
    let name = ServerName::try_from(host.to_owned()).map_err(|error| error.to_string())?;
    let stream = TlsConnector::from(config).connect(name, wire).await;
    Ok(Box::new(stream.map_err(|error| format!("TLS: {error}"))?))
}

async fn tcp(url: &Url) -> io::Result<TcpStream> {
    let stream = TcpStream::connect((url.host(), url.port())).await?;
    stream.set_nodelay(true)?;
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE);
    SockRef::from(&stream).set_tcp_keepalive(&keepalive)?;
    Ok(stream)
}

async fn unix(url: &Url) -> io::Result<UnixStream> {
    UnixStream::connect(url.host()).await
}
