//! The client's messages, from the DATA frames of one request.

use std::future::poll_fn;
use std::pin::Pin;

use bytes::Bytes;
use futures::stream;
use http_body::Body;
use hyper::body::Incoming;

use super::Requests;
use super::frame::Decoder;
use super::status::{Code, Status};
use crate::observe::metrics::Meter;

/// See the module.
pub(super) struct Receiver {
    body: Incoming,
    decoder: Decoder,
    over: bool,
}

impl Receiver {
    pub(super) fn new(body: Incoming, decoder: Decoder) -> Self {
        Self { body, decoder, over: false }
    }

    /// The next message; nothing once the client has half-closed. Cancel-safe.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, Status> {
        loop {
            if let Some(message) = self.decoder.message()? {
                return Ok(Some(message));
            }
            if self.over {
                return self.end();
            }
            match poll_fn(|cx| Pin::new(&mut self.body).poll_frame(cx)).await {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.decoder.push(data);
                    }
                }
                Some(Err(_)) => return Err(Status::fixed(Code::Canceled, "context canceled")),
                None => self.over = true,
            }
        }
    }

    /// The one message of a call that has one.
    pub(super) async fn only(&mut self) -> Result<Bytes, Status> {
        self.next().await?.ok_or_else(|| Status::fixed(Code::Internal, "unexpected EOF"))
    }

    /// As a stream that ends after its first error.
    pub(super) fn into_requests(self, meter: Meter) -> Requests {
        Box::pin(stream::unfold(Some((self, meter)), |state| async move {
            let (mut receiver, meter) = state?;
            match receiver.next().await {
                Ok(Some(message)) => {
                    meter.received(message.len());
                    Some((Ok(message), Some((receiver, meter))))
                }
                Ok(None) => None,
                Err(status) => Some((Err(status), None)),
            }
        }))
    }

    fn end(&self) -> Result<Option<Bytes>, Status> {
        if self.decoder.is_empty() {
            return Ok(None);
        }
        Err(Status::fixed(Code::Internal, "unexpected EOF"))
    }
}
