//! Clients that ping too often are told so (`too_many_pings`) and let go, by grpc-go's rules for
//! `--grpc-keepalive-min-time`. hyper answers pings and shows them to nobody, so they are counted
//! here, where the frames pass: from header to header, never looking into what they carry.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

use super::frames::{DATA, Frame, Frames, HEADERS, PING, too_many_pings};

/// Without open calls a client has no business pinging more often than this.
const IDLE_MIN_TIME: Duration = Duration::from_secs(2 * 3600);
/// How often it may be too early.
const MOST_STRIKES: u8 = 2;
/// How long a client that was told may take to go: closing earlier could destroy what it was told.
const FAREWELL: Duration = Duration::from_secs(1);

/// How many calls of a connection are open.
#[derive(Clone, Debug, Default)]
pub(super) struct OpenCalls(Arc<AtomicUsize>);

/// One of them; it is over when this is dropped.
#[derive(Debug)]
pub(super) struct OpenCall(Arc<AtomicUsize>);

impl OpenCalls {
    pub(super) fn begin(&self) -> OpenCall {
        self.0.fetch_add(1, Relaxed);
        OpenCall(Arc::clone(&self.0))
    }

    fn none(&self) -> bool {
        self.0.load(Relaxed) == 0
    }
}

impl Drop for OpenCall {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

/// What is held against a client.
#[derive(Debug)]
struct Strikes {
    min_time: Duration,
    last: Option<Instant>,
    strikes: u8,
    /// Something was sent since the last ping: then the next one is nobody's fault.
    pardoned: bool,
}

impl Strikes {
    fn new(min_time: Duration) -> Self {
        Self { min_time, last: None, strikes: 0, pardoned: false }
    }

    /// Notes a ping; whether it was one too many.
    fn ping(&mut self, now: Instant, idle: bool) -> bool {
        let last = self.last.replace(now);
        if std::mem::take(&mut self.pardoned) {
            self.strikes = 0;
            return false;
        }
        let apart = if idle { IDLE_MIN_TIME } else { self.min_time };
        if last.is_some_and(|last| now < last + apart) {
            self.strikes += 1;
        }
        self.strikes > MOST_STRIKES
    }
}

/// A stream whose pings are counted.
pub(super) struct Calm<IO> {
    io: IO,
    watched: Option<Watched>,
    leaving: Option<Leaving>,
}

struct Watched {
    strikes: Strikes,
    calls: OpenCalls,
    inbound: Frames,
    outbound: Frames,
    newest_stream: u32,
}

enum Leaving {
    /// So much of this is said.
    Saying(Vec<u8>, usize),
    /// What still arrives is thrown away.
    Waiting(Pin<Box<Sleep>>),
}

impl<IO> Calm<IO> {
    /// Looks on while the client's pings come `min_time` apart; at none of it without one.
    pub(super) fn new(io: IO, min_time: Option<Duration>, calls: OpenCalls) -> Self {
        let watched = min_time.map(|min_time| Watched {
            strikes: Strikes::new(min_time),
            calls,
            inbound: Frames::of_client(),
            outbound: Frames::default(),
            newest_stream: 0,
        });
        Self { io, watched, leaving: None }
    }
}

impl Watched {
    /// Sees what the client sent; whether that was a ping too many.
    fn received(&mut self, bytes: &[u8]) -> bool {
        let Self { strikes, calls, inbound, newest_stream, .. } = self;
        let mut over = false;
        inbound.pass(bytes, |frame| match frame {
            Frame { kind: HEADERS, stream, .. } => *newest_stream = stream.max(*newest_stream),
            Frame { kind: PING, acknowledges: false, .. } => {
                over |= strikes.ping(Instant::now(), calls.none());
            }
            _ => {}
        });
        over
    }

    fn sent(&mut self, bytes: &[u8]) {
        let Self { strikes, outbound, .. } = self;
        outbound.pass(bytes, |frame| strikes.pardoned |= matches!(frame.kind, DATA | HEADERS));
    }

    /// What is said to a client of too many pings; where a frame is half sent, nothing can be.
    fn farewell(&self) -> Leaving {
        let whole = self.outbound.is_between();
        Leaving::Saying(if whole { too_many_pings(self.newest_stream) } else { Vec::new() }, 0)
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> Calm<IO> {
    fn poll_leave(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        loop {
            match self.leaving.as_mut() {
                Some(Leaving::Saying(words, said)) if *said < words.len() => {
                    match ready!(Pin::new(&mut self.io).poll_write(cx, &words[*said..])) {
                        Ok(more) if more > 0 => *said += more,
                        _ => return Poll::Ready(expelled()),
                    }
                }
                Some(Leaving::Saying(..)) => {
                    if ready!(Pin::new(&mut self.io).poll_shutdown(cx)).is_err() {
                        return Poll::Ready(expelled());
                    }
                    self.leaving = Some(Leaving::Waiting(Box::pin(sleep(FAREWELL))));
                }
                Some(Leaving::Waiting(until)) => {
                    if until.as_mut().poll(cx).is_ready() {
                        return Poll::Ready(expelled());
                    }
                    let mut dustbin = [0; 512];
                    let mut dustbin = ReadBuf::new(&mut dustbin);
                    let read = ready!(Pin::new(&mut self.io).poll_read(cx, &mut dustbin));
                    if read.is_err() || dustbin.filled().is_empty() {
                        return Poll::Ready(expelled());
                    }
                }
                None => return Poll::Ready(expelled()),
            }
        }
    }
}

fn expelled() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "too many pings from the client")
}

impl<IO: AsyncRead + AsyncWrite + Unpin> AsyncRead for Calm<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.leaving.is_none() {
            let before = out.filled().len();
            ready!(Pin::new(&mut this.io).poll_read(cx, out))?;
            let Some(watched) = &mut this.watched else { return Poll::Ready(Ok(())) };
            if !watched.received(&out.filled()[before..]) {
                return Poll::Ready(Ok(()));
            }
            out.set_filled(before);
            this.leaving = Some(watched.farewell());
        }
        this.poll_leave(cx).map(Err)
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Calm<IO> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        if this.leaving.is_some() {
            return Poll::Ready(Err(expelled()));
        }
        let written = ready!(Pin::new(&mut this.io).poll_write(cx, bytes))?;
        if let Some(watched) = &mut this.watched {
            watched.sent(&bytes[..written]);
        }
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIN: Duration = Duration::from_secs(5);

    /// After how many pings, each so long after the one before, a client is let go.
    fn endures(apart: Duration, idle: bool) -> Option<usize> {
        let mut strikes = Strikes::new(MIN);
        let mut now = Instant::now();
        (1..100).find(|_| {
            now += apart;
            strikes.ping(now, idle)
        })
    }

    #[test]
    fn three_early_pings_are_too_many() {
        assert_eq!(endures(MIN, false), None);
        assert_eq!(endures(MIN - Duration::from_millis(1), false), Some(4));
        assert_eq!(endures(MIN, true), Some(4), "without a call, two hours lie between");
        assert_eq!(endures(IDLE_MIN_TIME, true), None);
    }

    #[test]
    fn what_was_sent_pardons_the_next_ping_and_those_before() {
        let mut strikes = Strikes::new(MIN);
        let now = Instant::now();
        for _ in 0..10 {
            assert!((0..2).all(|_| !strikes.ping(now, false)));
            strikes.pardoned = true;
            assert!(!strikes.ping(now, false));
        }
        assert!([false, false, true].iter().all(|over| strikes.ping(now, false) == *over));
    }
}
