//! gRPC over HTTP/2, thin: messages in and out, trailers, deadlines. What the methods do is behind
//! [`Service`], which knows nothing of HTTP, so that another transport can carry it. See ADR 0001.

mod body;
mod call;
mod connection;
mod deadline;
mod frame;
mod frames;
mod hangup;
mod io;
mod pings;
mod receive;
mod status;

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use futures::Stream;
use http::HeaderMap;

pub use body::{Growing, ReplyBody};
pub(crate) use connection::looks_like_tls;
pub use connection::{Afterwards, Broken, Settings, Web, serve_connection};
pub(crate) use frame::put_prefix;
pub use frame::{Decoder, PREFIX, frame, frame_with};
pub(crate) use io::Rewound;
pub use status::{Code, Status};

pub(crate) use deadline::{EXCEEDED, bound};

use crate::observe::metrics::Meter;
use crate::observe::spans::CallSpan;
use crate::security::Caller;

/// Messages on their way to the client, each with its five-byte prefix.
pub type Messages = Pin<Box<dyn Stream<Item = Result<Bytes, Status>> + Send>>;

/// Messages of the client, without prefix. Ends when the client has half-closed.
pub type Requests = Pin<Box<dyn Stream<Item = Result<Bytes, Status>> + Send>>;

/// The message that answers a unary call, with its prefix.
pub enum Payload {
    /// In one piece.
    Whole(Bytes),
    /// Made while it is sent, since it is too large to be held. The prefix is part of the first.
    Pieces(Box<dyn Iterator<Item = Bytes> + Send>),
}

/// The other end of a connection.
#[derive(Clone, Debug, Default)]
pub struct Peer {
    /// Where it is; a unix socket has no address.
    pub address: Option<SocketAddr>,
    /// Who it is, as far as the connection proves it.
    pub caller: Caller,
}

/// What is known of a call besides its message.
#[derive(Clone, Debug, Default)]
pub struct Context {
    /// gRPC calls its headers metadata.
    pub metadata: HeaderMap,
    /// Who calls.
    pub peer: Peer,
}

/// The shape of a method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One message each way.
    Unary,
    /// One message in, many out.
    ServerStream,
    /// Many each way.
    Bidirectional,
}

/// What answers the calls. A call that the client gives up drops its future or its stream; whatever
/// waited on its behalf must end with that.
pub trait Service: Clone + Send + Sync + 'static {
    /// Names a method.
    type Method: Copy + Send + Sync + 'static;

    /// Which method a path such as `/etcdserverpb.KV/Put` means.
    ///
    /// # Errors
    /// UNIMPLEMENTED, with what the caller is told.
    fn route(&self, path: &str) -> Result<(Self::Method, Kind), Status>;

    /// Counts a call; what it came to is noted when the meter is dropped.
    fn meter(&self, method: Self::Method) -> Meter;

    /// Follows a call with these headers for a trace, if it is one of those that are.
    fn follow(&self, _: Self::Method, _: &HeaderMap) -> Option<Arc<CallSpan>> {
        None
    }

    /// Answers a unary call.
    fn unary(
        &self,
        method: Self::Method,
        context: Context,
        message: Bytes,
    ) -> impl Future<Output = Result<Payload, Status>> + Send;

    /// Answers a call with a stream.
    fn server_stream(
        &self,
        method: Self::Method,
        context: Context,
        message: Bytes,
    ) -> impl Future<Output = Result<Messages, Status>> + Send;

    /// Takes part in a conversation.
    ///
    /// # Errors
    /// What ends it before it began.
    fn bidirectional(
        &self,
        method: Self::Method,
        context: Context,
        requests: Requests,
    ) -> Result<Messages, Status>;
}
