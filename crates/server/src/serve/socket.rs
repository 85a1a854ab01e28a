//! Sockets: bound ones that connections come from, and what a connection is written to and read
//! from, whatever it goes through.

use std::fmt;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::BoxFuture;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio_rustls::server::TlsStream;

use crate::grpc::Rewound;

/// A peer that is gone without a word is noticed after this silence, and nine unanswered probes. The
/// silence is that of etcd's listeners.
const KEEPALIVE_AFTER: Duration = Duration::from_secs(30);
const KEEPALIVE_EVERY: Duration = Duration::from_secs(15);

/// A bound socket.
#[derive(Debug)]
pub enum Socket {
    /// An address and port.
    Tcp(TcpListener),
    /// A file.
    Unix(UnixSocket),
    /// Whatever brings streams that are no sockets of this system.
    Other(Box<dyn Arrivals>),
}

/// A stream, and the address of its other end.
pub type Arrival = (Box<dyn ByteStream>, Option<SocketAddr>);

/// Where streams come from that are no sockets of this system, as in a simulation.
pub trait Arrivals: fmt::Debug + Send + Sync {
    /// The next.
    fn next(&self) -> BoxFuture<'_, io::Result<Arrival>>;
}

/// A stream that is no socket of this system.
pub trait ByteStream: AsyncRead + AsyncWrite + fmt::Debug + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + fmt::Debug + Send + Unpin> ByteStream for T {}

/// A unix socket; its file is removed with this, if it is still the same.
#[derive(Debug)]
pub struct UnixSocket {
    listener: UnixListener,
    path: PathBuf,
    file: (u64, u64),
}

impl UnixSocket {
    /// Listens on a path that is not there yet.
    ///
    /// # Errors
    /// What the system says.
    pub fn bind(path: &Path) -> io::Result<Self> {
        let listener = UnixListener::bind(path)?;
        Ok(Self { listener, path: path.to_owned(), file: identity(path)? })
    }
}

impl Drop for UnixSocket {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|file| file == self.file) {
            drop(std::fs::remove_file(&self.path));
        }
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let found = std::fs::symlink_metadata(path)?;
    Ok((found.dev(), found.ino()))
}

impl Socket {
    /// The next connection, and where it comes from; a unix socket has no address.
    pub(super) async fn accept(&self) -> io::Result<(Wire, Option<SocketAddr>)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                if let Err(error) = prepare(&stream) {
                    tracing::debug!(%peer, %error, "cannot set options of a connection");
                }
                Ok((Wire::Tcp(stream), Some(peer)))
            }
            Self::Unix(socket) => Ok((Wire::Unix(socket.listener.accept().await?.0), None)),
            Self::Other(arrivals) => {
                let (stream, peer) = arrivals.next().await?;
                Ok((Wire::Other { stream, peer }, peer))
            }
        }
    }
}

fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE_AFTER).with_interval(KEEPALIVE_EVERY);
    SockRef::from(stream).set_tcp_keepalive(&keepalive)
}

/// An accepted socket.
#[derive(Debug)]
pub(super) enum Wire {
    Tcp(TcpStream),
    Unix(UnixStream),
    Other { stream: Box<dyn ByteStream>, peer: Option<SocketAddr> },
}

impl Wire {
    /// Where the other end is; a unix socket has no address.
    pub(super) fn peer(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(stream) => stream.peer_addr().ok(),
            Self::Unix(_) => None,
            Self::Other { peer, .. } => *peer,
        }
    }

    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.try_write(bytes),
            Self::Unix(stream) => stream.try_write(bytes),
            Self::Other { .. } => Err(io::ErrorKind::WouldBlock.into()),
        }
    }
}

/// A connection, once what it goes through is settled.
#[derive(Debug)]
pub(super) enum Stream {
    Plain(Rewound<Wire>),
    Tls(Box<Farewell>),
}

impl Stream {
    pub(super) fn tls(stream: TlsStream<Rewound<Wire>>) -> Self {
        Self::Tls(Box::new(Farewell(stream)))
    }
}

/// A TLS stream that says goodbye even if it is cut off, so that the other side can tell the end of
/// the server from an attack on the connection.
#[derive(Debug)]
pub(super) struct Farewell(TlsStream<Rewound<Wire>>);

impl Drop for Farewell {
    fn drop(&mut self) {
        let (wire, session) = self.0.get_mut();
        session.send_close_notify();
        let mut now = Now(wire.inner());
        // As far as it can be done without waiting: nobody is left who would wait.
        while session.wants_write() && session.write_tls(&mut now).is_ok_and(|count| count > 0) {}
    }
}

/// Writes what can be written at once.
struct Now<'a>(&'a Wire);

impl Write for Now<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Passes on what a stream is asked to do to what it is at present.
macro_rules! either {
    ($name:ident: $($kind:pat => $inner:expr),+ $(,)?) => {
        impl AsyncRead for $name {
            fn poll_read(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                out: &mut ReadBuf<'_>,
            ) -> Poll<io::Result<()>> {
                match self.get_mut() {
                    $($kind => Pin::new($inner).poll_read(cx, out),)+
                }
            }
        }

        impl AsyncWrite for $name {
            fn poll_write(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                bytes: &[u8],
            ) -> Poll<io::Result<usize>> {
                match self.get_mut() {
                    $($kind => Pin::new($inner).poll_write(cx, bytes),)+
                }
            }

            fn poll_write_vectored(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                pieces: &[io::IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                match self.get_mut() {
                    $($kind => Pin::new($inner).poll_write_vectored(cx, pieces),)+
                }
            }

            fn is_write_vectored(&self) -> bool {
                true
            }

            fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                match self.get_mut() {
                    $($kind => Pin::new($inner).poll_flush(cx),)+
                }
            }

            fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                match self.get_mut() {
                    $($kind => Pin::new($inner).poll_shutdown(cx),)+
                }
            }
        }
    };
}

either!(
    Wire: Wire::Tcp(tcp) => tcp,
    Wire::Unix(unix) => unix,
    Wire::Other { stream, .. } => stream,
);
either!(Stream: Stream::Plain(plain) => plain, Stream::Tls(tls) => &mut tls.0);

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn accepted_connections_are_watched_by_tcp_as_etcds_are() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let socket = Socket::Tcp(listener);
        let (accepted, dialed) = tokio::join!(socket.accept(), TcpStream::connect(address));
        let (Wire::Tcp(accepted), peer) = accepted.unwrap() else { panic!("TCP") };
        assert_eq!(peer.unwrap(), dialed.unwrap().local_addr().unwrap());
        let options = SockRef::from(&accepted);
        assert!(accepted.nodelay().unwrap() && options.keepalive().unwrap());
        assert_eq!(options.tcp_keepalive_time().unwrap(), KEEPALIVE_AFTER);
        assert_eq!(options.tcp_keepalive_interval().unwrap(), KEEPALIVE_EVERY);
    }
}
