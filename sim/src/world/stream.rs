//! Ends of connections as processes have them, and how they come by them.

use std::fmt;
use std::io;
use std::net::Ipv4Addr;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::FutureExt;
use futures::future::{BoxFuture, poll_fn};
use server::peers::Network;
use server::serve::{Arrival, Arrivals, ByteStream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::Site;
use super::net::{End, Net, Read};

/// One end of a connection; closed with this.
pub(crate) struct Stream {
    net: Net,
    end: End,
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Stream").field(&self.end).finish()
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.net.0.lock().close(self.end);
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = self.net.0.lock().read(self.end, out.remaining(), cx.waker());
        match read {
            Read::Bytes(bytes) => {
                out.put_slice(&bytes);
                Poll::Ready(Ok(()))
            }
            Read::End => Poll::Ready(Ok(())),
            Read::Pending => Poll::Pending,
            Read::Reset => Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.net.0.lock().write(self.end, bytes, cx.waker()) {
            Some(Some(written)) => Poll::Ready(Ok(written)),
            Some(None) => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            None => Poll::Pending,
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.net.0.lock().finish(self.end);
        Poll::Ready(Ok(()))
    }
}

/// A port of a site that is listened on.
pub(crate) struct Port {
    net: Net,
    site: Site,
    port: u16,
}

impl Port {
    pub(crate) fn listen(net: &Net, site: Site, port: u16) -> Self {
        net.0.lock().listen(site, port);
        Self { net: net.clone(), site, port }
    }
}

impl fmt::Debug for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.site, self.port)
    }
}

impl Arrivals for Port {
    fn next(&self) -> BoxFuture<'_, io::Result<Arrival>> {
        poll_fn(|cx| {
            let accepted = self.net.0.lock().accept(self.site, self.port, cx.waker());
            let Some((end, from)) = accepted else { return Poll::Pending };
            let stream: Box<dyn ByteStream> = Box::new(Stream { net: self.net.clone(), end });
            Poll::Ready(Ok((stream, Some((Ipv4Addr::new(10, 0, 0, from.0), 1).into()))))
        })
        .boxed()
    }
}

/// The network as one site sees it.
#[derive(Clone, Debug)]
pub(crate) struct Outlet {
    pub(crate) net: Net,
    pub(crate) site: Site,
}

impl Outlet {
    pub(crate) fn call(&self, host: &str, port: u16) -> BoxFuture<'static, io::Result<Stream>> {
        let Some(to) = Site::named(host) else {
            return futures::future::ready(Err(io::ErrorKind::NotFound.into())).boxed();
        };
        let (end, answer) = self.net.0.lock().call(self.site, to, port);
        let stream = Stream { net: self.net.clone(), end };
        async move {
            match answer.await {
                Ok(true) => Ok(stream),
                _ => Err(io::ErrorKind::ConnectionRefused.into()),
            }
        }
        .boxed()
    }
}

impl Network for Outlet {
    fn connect(
        &self,
        host: &str,
        port: u16,
    ) -> BoxFuture<'static, io::Result<Box<dyn ByteStream>>> {
        let called = self.call(host, port);
        async move {
            let stream: Box<dyn ByteStream> = Box::new(called.await?);
            Ok(stream)
        }
        .boxed()
    }
}
