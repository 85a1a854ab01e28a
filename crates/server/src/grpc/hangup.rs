//! The end of what an HTTP/1 client sends, which may mean that it has gone away or only that it has
//! no more to ask. A page is given to it all the same; an answer without end must end with it.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Decides it for one connection, from request to request.
#[derive(Clone, Debug, Default)]
pub(super) struct Hangup(Arc<AtomicBool>);

impl Hangup {
    /// From now on the end is (or is not) to be overlooked.
    pub(super) fn overlook(&self, overlooked: bool) {
        self.0.store(overlooked, Relaxed);
    }
}

/// A stream whose end is not seen while it is overlooked. Whoever stops to overlook it reads again:
/// it is the task that answers and reads in turn.
pub(super) struct Attentive<IO> {
    io: IO,
    hangup: Hangup,
    ended: bool,
}

impl<IO> Attentive<IO> {
    pub(super) fn new(io: IO, hangup: Hangup) -> Self {
        Self { io, hangup, ended: false }
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for Attentive<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.ended {
            let before = out.remaining();
            ready!(Pin::new(&mut self.io).poll_read(cx, out))?;
            self.ended = before > 0 && out.remaining() == before;
        }
        if self.ended && self.hangup.0.load(Relaxed) { Poll::Pending } else { Poll::Ready(Ok(())) }
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Attentive<IO> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
