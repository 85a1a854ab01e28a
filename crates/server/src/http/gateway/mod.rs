//! The JSON gateway: etcd's API as POSTs of JSON under `/v3/`, as grpc-gateway gives it there. It
//! goes through [`crate::grpc::Service`] alone: what a method does is not known here.

mod decode;
mod encode;
mod metadata;
mod number;
mod openapi;
mod pieces;
mod reply;
mod routes;
mod scan;
mod schema;
mod token;
mod values;
mod websocket;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::Duration;

use bytes::Bytes;
use futures::stream;
use http::{HeaderMap, Method as Verb, Request, Response, header};
use hyper::body::Incoming;
use tokio::time::Instant;

use crate::grpc::{
    Code, Context, EXCEEDED, Kind, Peer, ReplyBody, Requests, Service, Status, bound,
};
use crate::observe::metrics::Meter;
use crate::rpc::{Method, Services};
pub use openapi::document;
use schema::SCHEMA;
use values::{Unread, Values};

/// How much longer than its message JSON may be: base64, spaces, escapes.
const JSON_PER_BYTE: usize = 4;

/// How long a client that is refused may go on sending.
const REFUSED_AFTER: Duration = Duration::from_millis(500);

const NOT_FOUND: Status = Status::fixed(Code::NotFound, "Not Found");
const NOT_ALLOWED: Status = Status::fixed(Code::Unimplemented, "Method Not Allowed");

/// A route with the places of its messages in the schema.
#[derive(Clone, Copy)]
struct Target {
    method: Method,
    request: usize,
    reply: usize,
}

static TARGETS: LazyLock<BTreeMap<&'static str, Target>> = LazyLock::new(|| {
    let place = |name| SCHEMA.find(name).unwrap_or(schema::EMPTY);
    let target = |route: &routes::Route| {
        let target = Target {
            method: route.method,
            request: place(route.request),
            reply: place(route.reply),
        };
        (route.path, target)
    };
    routes::ROUTES.iter().map(target).collect()
});

/// The gateway for one client.
#[derive(Clone)]
pub(super) struct Gateway {
    pub(super) services: Services,
    pub(super) peer: Peer,
}

/// A request that was found to be a call.
struct Call {
    target: Target,
    context: Context,
    until: Option<Instant>,
    values: Values,
    /// Whether the client may be sending when the answer is there.
    may_send_on: bool,
}

impl Gateway {
    /// Answers a request whose path is under `/v3/`.
    pub(super) async fn answer(
        &self,
        path: &str,
        request: Request<Incoming>,
    ) -> Response<ReplyBody> {
        if websocket::is_wanted(request.headers()) {
            return websocket::begin(self, path, request);
        }
        let overridden = overridden(&request);
        let target = match target(path) {
            Ok(target) => target,
            Err(status) => return reply::refusal(&status),
        };
        if overridden.as_deref().unwrap_or(request.method().as_str()) != Verb::POST {
            return reply::refusal(&NOT_ALLOWED);
        }
        let (head, body) = request.into_parts();
        let values = Values::of_body(body, self.longest_json());
        let values = if overridden.is_some() { values.unread() } else { values };
        let host = metadata::host(&head.headers, &head.uri);
        match self.call(target, &head.headers, host.as_deref(), values) {
            Ok(call) => self.make(call).await,
            Err(status) => reply::refusal(&status),
        }
    }

    async fn make(&self, call: Call) -> Response<ReplyBody> {
        match call.target.method.name().kind {
            Kind::Unary => self.unary(call).await,
            Kind::ServerStream => self.server_stream(call).await,
            Kind::Bidirectional => self.bidirectional(call).await,
        }
    }

    fn call(
        &self,
        target: Target,
        headers: &HeaderMap,
        host: Option<&str>,
        values: Values,
    ) -> Result<Call, Status> {
        let timeout = metadata::timeout(headers)?;
        let metadata = metadata::metadata(headers, host, &self.peer)?;
        // Who the connection proves to be is not who calls: in etcd the gateway itself calls.
        let peer = Peer { address: self.peer.address, ..Peer::default() };
        let until = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let context = Context { metadata, peer };
        Ok(Call { target, context, until, values, may_send_on: false })
    }

    fn longest_json(&self) -> usize {
        self.max_message().saturating_mul(JSON_PER_BYTE)
    }

    fn max_message(&self) -> usize {
        self.services.limits.max_message()
    }

    /// Reads the call's message, and sees that there is time left for it.
    async fn taken(&self, call: &mut Call) -> Result<Bytes, Status> {
        let message = self.only(call).await?;
        if call.until.is_some_and(|until| until <= Instant::now()) {
            return Err(EXCEEDED);
        }
        Ok(message)
    }

    async fn unary(&self, mut call: Call) -> Response<ReplyBody> {
        let message = match self.taken(&mut call).await {
            Ok(message) => message,
            Err(status) => return reply::refusal(&status),
        };
        let mut meter = self.services.meter(call.target.method);
        let work = async {
            within(self.max_message(), message.len())?;
            meter.received(message.len());
            self.services.unary(call.target.method, call.context, message).await
        };
        match bound(call.until, work).await {
            Ok(payload) => reply::unary(call.target.reply, payload, meter),
            Err(status) => {
                meter.ended(&status);
                reply::refusal(&status)
            }
        }
    }

    async fn server_stream(&self, mut call: Call) -> Response<ReplyBody> {
        let message = match self.taken(&mut call).await {
            Ok(message) => message,
            Err(status) => return reply::refusal(&status),
        };
        let mut meter = self.services.meter(call.target.method);
        let work = async {
            within(self.max_message(), message.len())?;
            meter.received(message.len());
            self.services.server_stream(call.target.method, call.context, message).await
        };
        match bound(call.until, work).await {
            Ok(messages) => reply::streamed(call.target.reply, messages, call.until, meter).await,
            Err(status) => {
                meter.ended(&status);
                reply::refusal_of_stream(&status)
            }
        }
    }

    async fn bidirectional(&self, call: Call) -> Response<ReplyBody> {
        let Call { target, context, until, values, .. } = call;
        let mut meter = self.services.meter(target.method);
        let said = Said { values, target, max_message: self.max_message(), meter: meter.counter() };
        match self.services.bidirectional(target.method, context, said.into_requests()) {
            Ok(messages) => reply::streamed(target.reply, messages, until, meter).await,
            Err(status) => {
                meter.ended(&status);
                reply::refusal_of_stream(&status)
            }
        }
    }

    /// The one message of a call that has one; an empty body is an empty message.
    async fn only(&self, call: &mut Call) -> Result<Bytes, Status> {
        let message = match call.values.next().await {
            Ok(Some(value)) => decode(call.target, &value),
            Ok(None) => Ok(Bytes::new()),
            Err(unread) => Err(unread.status(self.max_message())),
        };
        if call.may_send_on {
            return message;
        }
        if message.is_ok() {
            call.values.discard().await;
        } else {
            // One that is still sending would see its connection broken, and no answer.
            drop(tokio::time::timeout(REFUSED_AFTER, call.values.discard()).await);
        }
        message
    }
}

/// The client's side of a conversation.
struct Said {
    values: Values,
    target: Target,
    max_message: usize,
    meter: Meter,
}

impl Said {
    /// Its messages. JSON that is none ends them, which is not an error: so does grpc-gateway.
    fn into_requests(self) -> Requests {
        Box::pin(stream::unfold(Some(self), |said| async move {
            let mut said = said?;
            match said.next().await? {
                Ok(message) => Some((Ok(message), Some(said))),
                Err(status) if status.code == Code::InvalidArgument => {
                    tracing::debug!(error = %status, "cannot read a message to the gateway");
                    None
                }
                Err(status) => Some((Err(status), None)),
            }
        }))
    }

    async fn next(&mut self) -> Option<Result<Bytes, Status>> {
        let value = match self.values.next().await {
            Ok(value) => value?,
            Err(unread) => return Some(Err(unread.status(self.max_message))),
        };
        let message = decode(self.target, &value).and_then(|message| {
            within(self.max_message, message.len())?;
            self.meter.received(message.len());
            Ok(message)
        });
        Some(message)
    }
}

fn decode(target: Target, value: &[u8]) -> Result<Bytes, Status> {
    let message = decode::decode(&SCHEMA, target.request, value);
    message.map(Bytes::from).map_err(|refusal| Status::new(Code::InvalidArgument, refusal))
}

/// Refuses a message as gRPC does, which it would have to pass.
fn within(most: usize, length: usize) -> Result<(), Status> {
    if length <= most {
        return Ok(());
    }
    let text = format!("grpc: received message larger than max ({length} vs. {most})");
    Err(Status::new(Code::ResourceExhausted, text))
}

impl Unread {
    fn status(self, max_message: usize) -> Status {
        match self {
            Self::Wrong(words) => Status::new(Code::InvalidArgument, words),
            Self::TooLong => {
                let most = max_message.saturating_mul(JSON_PER_BYTE);
                let text = format!("meridian: JSON longer than {most} bytes is not read");
                Status::new(Code::ResourceExhausted, text)
            }
            Self::Gone => Status::fixed(Code::Canceled, "context canceled"),
        }
    }
}

/// What a path means.
fn target(path: &str) -> Result<Target, Status> {
    TARGETS.get(&*unescaped(path)).copied().ok_or(NOT_FOUND)
}

/// What a form says its method is. Go's library has read the form by then, so that no body is left.
fn overridden(request: &Request<Incoming>) -> Option<String> {
    const FORM: &str = "application/x-www-form-urlencoded";
    let headers = request.headers();
    let is_form = headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind == FORM);
    let verb = headers.get("x-http-method-override")?.to_str().ok()?;
    let read = is_form && *request.method() == Verb::POST && !verb.is_empty();
    read.then(|| verb.to_uppercase())
}

/// A text as a JSON string.
pub(super) fn quoted(text: &str) -> String {
    let mut json = String::new();
    encode::string(text, &mut json);
    json
}

/// A path without `%XX`.
fn unescaped(path: &str) -> Cow<'_, str> {
    if !path.contains('%') {
        return Cow::Borrowed(path);
    }
    // A plus is no space in a path.
    let path = path.replace('+', "%2B");
    super::query::decode(&path).map_or(Cow::Borrowed(""), |path| Cow::Owned(path.into_owned()))
}

#[cfg(test)]
mod tests;
