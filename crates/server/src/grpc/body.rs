//! Bodies of replies: messages as they become ready, then the status in the trailers.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use futures::Stream;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};

use super::deadline::EXCEEDED;
use super::pings::OpenCall;
use super::status::Status;
use super::{Messages, Payload};
use crate::observe::metrics::Meter;

/// Messages of a stream that are ready together leave together, up to this many bytes.
const TOGETHER: usize = 64 << 10;

/// Parts of a body that is not gRPC, as they become ready. Dropped when its client goes away.
pub type Growing = Pin<Box<dyn Stream<Item = Bytes> + Send>>;

/// See the module.
pub struct ReplyBody(State);

enum State {
    /// Nothing (more).
    Done,
    /// A body that is not gRPC.
    Plain(Bytes),
    /// One that is not gRPC and grows while it is sent.
    Growing(Growing),
    /// The answer, then trailers.
    Message(Bytes),
    /// The answer in pieces, then trailers.
    Pieces(Box<dyn Iterator<Item = Bytes> + Send>, Meter),
    /// As many messages as there are, then trailers.
    Stream(Box<Streaming>),
    /// The end.
    Trailers(HeaderMap),
}

struct Streaming {
    messages: Messages,
    deadline: Option<Pin<Box<Sleep>>>,
    meter: Meter,
    _open: OpenCall,
    /// How the stream ended, if that became known while messages before it were still to be sent.
    ended: Option<Status>,
}

impl ReplyBody {
    /// No body at all: the status is in the headers.
    pub(super) const fn none() -> Self {
        Self(State::Done)
    }

    /// A body that is not gRPC.
    #[must_use]
    pub fn plain(bytes: Bytes) -> Self {
        if bytes.is_empty() { Self::none() } else { Self(State::Plain(bytes)) }
    }

    /// A body that is not gRPC and of which only the beginning is there, if that.
    #[must_use]
    pub fn growing(parts: Growing) -> Self {
        Self(State::Growing(parts))
    }

    /// The answer to a unary call that went well.
    pub(super) fn answer(payload: Payload, mut meter: Meter) -> Self {
        match payload {
            Payload::Whole(message) => {
                meter.sent(message.len());
                meter.ended(&Status::OK);
                Self(State::Message(message))
            }
            Payload::Pieces(pieces) => Self(State::Pieces(pieces, meter)),
        }
    }

    /// A stream of answers.
    pub(super) fn stream(
        messages: Messages,
        deadline: Option<Instant>,
        meter: Meter,
        open: OpenCall,
    ) -> Self {
        let deadline = deadline.map(|at| Box::pin(sleep_until(at)));
        let streaming = Streaming { messages, deadline, meter, _open: open, ended: None };
        Self(State::Stream(Box::new(streaming)))
    }
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let (frame, next) = match std::mem::replace(&mut self.0, State::Done) {
            State::Done => return Poll::Ready(None),
            State::Plain(bytes) => (Frame::data(bytes), State::Done),
            State::Growing(mut parts) => match parts.as_mut().poll_next(cx) {
                Poll::Ready(Some(part)) => (Frame::data(part), State::Growing(parts)),
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending => {
                    self.0 = State::Growing(parts);
                    return Poll::Pending;
                }
            },
            State::Message(bytes) => (Frame::data(bytes), State::Trailers(Status::OK.trailers())),
            State::Trailers(trailers) => (Frame::trailers(trailers), State::Done),
            State::Pieces(mut pieces, mut meter) => match pieces.next() {
                Some(piece) => {
                    meter.sent_bytes(piece.len());
                    (Frame::data(piece), State::Pieces(pieces, meter))
                }
                None => {
                    meter.sent(0);
                    meter.ended(&Status::OK);
                    (Frame::trailers(Status::OK.trailers()), State::Done)
                }
            },
            State::Stream(mut streaming) => match streaming.poll(cx) {
                Poll::Ready(Ok(messages)) => (Frame::data(messages), State::Stream(streaming)),
                Poll::Ready(Err(status)) => {
                    streaming.meter.ended(&status);
                    (Frame::trailers(status.trailers()), State::Done)
                }
                Poll::Pending => {
                    self.0 = State::Stream(streaming);
                    return Poll::Pending;
                }
            },
        };
        self.0 = next;
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.0, State::Done)
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            State::Plain(bytes) => SizeHint::with_exact(bytes.len() as u64),
            State::Done => SizeHint::with_exact(0),
            _ => SizeHint::default(),
        }
    }
}

impl Streaming {
    /// The next messages that are ready, or how the stream ended.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Bytes, Status>> {
        if let Some(status) = self.ended.take() {
            return Poll::Ready(Err(status));
        }
        if let Some(deadline) = &mut self.deadline
            && deadline.as_mut().poll(cx).is_ready()
        {
            return Poll::Ready(Err(EXCEEDED));
        }
        let first = match self.poll_one(cx) {
            Poll::Ready(Ok(message)) => message,
            other => return other,
        };
        if first.len() >= TOGETHER {
            return Poll::Ready(Ok(first));
        }
        Poll::Ready(Ok(self.gather(first, cx)))
    }

    /// Adds to `first` what is ready as well.
    fn gather(&mut self, first: Bytes, cx: &mut Context<'_>) -> Bytes {
        let mut together = BytesMut::new();
        loop {
            let next = match self.poll_one(cx) {
                Poll::Ready(Ok(message)) => message,
                Poll::Ready(Err(status)) => {
                    self.ended = Some(status);
                    break;
                }
                Poll::Pending => break,
            };
            if together.is_empty() {
                together.reserve(first.len() + next.len());
                together.extend_from_slice(&first);
            }
            together.extend_from_slice(&next);
            if together.len() >= TOGETHER {
                break;
            }
        }
        if together.is_empty() { first } else { together.freeze() }
    }

    fn poll_one(&mut self, cx: &mut Context<'_>) -> Poll<Result<Bytes, Status>> {
        self.messages.as_mut().poll_next(cx).map(|next| match next {
            Some(Ok(message)) => {
                self.meter.sent(message.len());
                Ok(message)
            }
            Some(Err(status)) => Err(status),
            None => Err(Status::OK),
        })
    }
}
