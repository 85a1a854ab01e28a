//! What a call came to, as HTTP: one JSON message, or a line for each message of a stream.

use bytes::Bytes;
use futures::{StreamExt, stream};
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use tokio::time::{Instant, timeout_at};

use super::encode;
use super::pieces::Pieces;
use super::schema::SCHEMA;
use crate::grpc::{Code, EXCEEDED, Growing, Messages, PREFIX, Payload, ReplyBody, Status};
use crate::observe::metrics::Meter;

const JSON: HeaderValue = HeaderValue::from_static("application/json");
/// The one header of gRPC's own that grpc-gateway passes on.
const GRPC_CONTENT_TYPE: HeaderName = HeaderName::from_static("grpc-metadata-content-type");
const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");

/// The reply to a unary call, as the message at this place of the schema.
pub(super) fn unary(message: usize, payload: Payload, mut meter: Meter) -> Response<ReplyBody> {
    let framed = match payload {
        Payload::Whole(framed) => framed,
        Payload::Pieces(pieces) => {
            let parts = stream::iter(Pieces::new(&SCHEMA, message, pieces, meter));
            return page(StatusCode::OK, ReplyBody::growing(Box::pin(parts)), true);
        }
    };
    match json(message, framed.get(PREFIX..).unwrap_or_default()) {
        Ok(json) => {
            meter.sent(framed.len());
            meter.ended(&Status::OK);
            page(StatusCode::OK, ReplyBody::plain(json.into()), true)
        }
        Err(status) => {
            meter.ended(&status);
            refusal(&status)
        }
    }
}

fn json(message: usize, wire: &[u8]) -> Result<String, Status> {
    // Base64 is a third longer than what it stands for, and names take some room.
    let mut json = String::with_capacity(wire.len() + wire.len() / 2 + 64);
    encode::encode(&SCHEMA, message, wire, &mut json).map_err(|_| {
        Status::fixed(Code::Internal, "meridian: a reply is not what its descriptor says")
    })?;
    Ok(json)
}

/// A call that came to nothing.
pub(super) fn refusal(status: &Status) -> Response<ReplyBody> {
    let mut response = page(http_code(status.code), ReplyBody::plain(told(status).into()), false);
    if status.code == Code::Unauthenticated
        && let Ok(message) = HeaderValue::from_str(&status.message)
    {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, message);
    }
    response
}

/// The status as grpc-gateway tells it.
fn told(status: &Status) -> String {
    let mut json = String::from("{");
    if status.code != Code::Ok {
        json.push_str(&format!("\"code\":{}", status.code as u8));
    }
    if !status.message.is_empty() {
        json.push_str(if json.len() > 1 { ",\"message\":" } else { "\"message\":" });
        encode::string(&status.message, &mut json);
    }
    json.push('}');
    json
}

const fn http_code(code: Code) -> StatusCode {
    match code {
        Code::Ok => StatusCode::OK,
        Code::Canceled => CLIENT_CLOSED,
        Code::InvalidArgument | Code::FailedPrecondition | Code::OutOfRange => {
            StatusCode::BAD_REQUEST
        }
        Code::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::AlreadyExists | Code::Aborted => StatusCode::CONFLICT,
        Code::PermissionDenied => StatusCode::FORBIDDEN,
        Code::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
        Code::Unimplemented => StatusCode::NOT_IMPLEMENTED,
        Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Code::Unauthenticated => StatusCode::UNAUTHORIZED,
        Code::Unknown | Code::Internal | Code::DataLoss => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// nginx' number for a client that closed its request.
const CLIENT_CLOSED: StatusCode = match StatusCode::from_u16(499) {
    Ok(code) => code,
    Err(_) => StatusCode::BAD_REQUEST,
};

/// The answer of a stream. What it is as a whole is known only with its first message: until then,
/// nothing is said.
pub(super) async fn streamed(
    message: usize,
    messages: Messages,
    until: Option<Instant>,
    meter: Meter,
) -> Response<ReplyBody> {
    let mut lines = Lines { message, messages, until, meter };
    match lines.next().await {
        None => {
            let nothing: Growing = Box::pin(stream::empty());
            Response::new(ReplyBody::growing(nothing))
        }
        Some(Ok(line)) => {
            let first = stream::once(std::future::ready(line));
            let rest = stream::unfold(Some(lines), |lines| async move {
                let mut lines = lines?;
                match lines.next().await? {
                    Ok(line) => Some((line, Some(lines))),
                    Err(status) => Some((error_line(&status), None)),
                }
            });
            page(StatusCode::OK, ReplyBody::growing(Box::pin(first.chain(rest))), true)
        }
        Some(Err(status)) => refusal_of_stream(&status),
    }
}

/// A stream that ended before it began.
pub(super) fn refusal_of_stream(status: &Status) -> Response<ReplyBody> {
    let line = stream::once(std::future::ready(error_line(status)));
    page(http_code(status.code), ReplyBody::growing(Box::pin(line)), false)
}

/// The lines of a stream. Dropped with its response, and the call's messages with it.
struct Lines {
    message: usize,
    messages: Messages,
    until: Option<Instant>,
    meter: Meter,
}

impl Lines {
    /// The next line; an error is the end.
    async fn next(&mut self) -> Option<Result<Bytes, Status>> {
        let line = match self.receive().await {
            None => {
                self.meter.ended(&Status::OK);
                return None;
            }
            Some(Ok(framed)) => self.line(&framed),
            Some(Err(status)) => Err(status),
        };
        if let Err(status) = &line {
            self.meter.ended(status);
        }
        Some(line)
    }

    async fn receive(&mut self) -> Option<Result<Bytes, Status>> {
        match self.until {
            None => self.messages.next().await,
            Some(until) => {
                timeout_at(until, self.messages.next()).await.unwrap_or(Some(Err(EXCEEDED)))
            }
        }
    }

    fn line(&self, framed: &[u8]) -> Result<Bytes, Status> {
        let wire = framed.get(PREFIX..).unwrap_or_default();
        let json = json(self.message, wire)?;
        self.meter.sent(framed.len());
        Ok(encode::fit_for_html(format!("{{\"result\":{json}}}\n")).into())
    }
}

fn error_line(status: &Status) -> Bytes {
    encode::fit_for_html(format!("{{\"error\":{}}}\n", told(status))).into()
}

fn page(status: StatusCode, body: ReplyBody, answered: bool) -> Response<ReplyBody> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, JSON);
    if answered {
        response.headers_mut().insert(GRPC_CONTENT_TYPE, GRPC);
    }
    response
}
