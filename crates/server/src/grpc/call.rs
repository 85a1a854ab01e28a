//! One HTTP/2 request: to its method if it is gRPC, to the web pages otherwise.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, header};
use hyper::body::Incoming;
use tokio::time::Instant;

use super::body::ReplyBody;
use super::connection::{Settings, Web};
use super::deadline;
use super::frame::{Decoder, no_decompressor};
use super::pings::OpenCalls;
use super::receive::Receiver;
use super::status::Status;
use super::{Context, Kind, Peer, Service};
use crate::observe::metrics::Meter;
use crate::observe::spans;

const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");

/// What all requests of one connection share.
pub(super) struct Shared<S, W> {
    pub(super) service: S,
    pub(super) web: W,
    pub(super) settings: Settings,
    pub(super) peer: Peer,
    pub(super) calls: OpenCalls,
}

/// Answers one request.
pub(super) async fn answer<S: Service, W: Web>(
    shared: Arc<Shared<S, W>>,
    request: Request<Incoming>,
) -> Response<ReplyBody> {
    if !shared.settings.grpc || !is_grpc(&request) {
        return Box::pin(shared.web.answer(request)).await;
    }
    let (method, kind) = match shared.service.route(request.uri().path()) {
        Ok(route) => route,
        Err(status) => return refusal(&status),
    };
    let open = shared.calls.begin();
    let mut meter = shared.service.meter(method);
    meter.follow(shared.service.follow(method, request.headers()));
    let answered = match kind {
        Kind::Unary => unary(&shared, method, request, &mut meter).await,
        Kind::ServerStream => Box::pin(server_stream(&shared, method, request, &mut meter)).await,
        Kind::Bidirectional => bidirectional(&shared, method, request, &mut meter),
    };
    match answered {
        Ok(Answer::Unary(payload)) => reply(ReplyBody::answer(payload, meter)),
        Ok(Answer::Stream(messages, until)) => {
            reply(ReplyBody::stream(messages, until, meter, open))
        }
        Err(status) => {
            meter.ended(&status);
            refusal(&status)
        }
    }
}

enum Answer {
    Unary(super::Payload),
    Stream(super::Messages, Option<Instant>),
}

async fn unary<S: Service, W: Web>(
    shared: &Shared<S, W>,
    method: S::Method,
    request: Request<Incoming>,
    meter: &mut Meter,
) -> Result<Answer, Status> {
    let span = meter.span();
    let work =
        |context, message| spans::within(span, shared.service.unary(method, context, message));
    only(shared, request, meter, work).await.map(|(payload, _)| Answer::Unary(payload))
}

async fn server_stream<S: Service, W: Web>(
    shared: &Shared<S, W>,
    method: S::Method,
    request: Request<Incoming>,
    meter: &mut Meter,
) -> Result<Answer, Status> {
    let work = |context, message| shared.service.server_stream(method, context, message);
    only(shared, request, meter, work)
        .await
        .map(|(messages, until)| Answer::Stream(messages, until))
}

/// Does `work` with a request's one message, within its deadline, which is returned as well.
async fn only<S: Service, W: Web, T, F: Future<Output = Result<T, Status>>>(
    shared: &Shared<S, W>,
    request: Request<Incoming>,
    meter: &mut Meter,
    work: impl FnOnce(Context, Bytes) -> F,
) -> Result<(T, Option<Instant>), Status> {
    let (head, body) = request.into_parts();
    let until = deadline::of(&head.headers)?;
    // The receiver lives until the answer is there: dropping it early would reset the stream if the
    // client has not half-closed yet.
    let mut receiver = Receiver::new(body, decoder(&head.headers, &shared.settings)?);
    let context = Context { metadata: head.headers, peer: shared.peer.clone() };
    let work = async {
        let message = receiver.only().await?;
        meter.received(message.len());
        work(context, message).await
    };
    deadline::bound(until, work).await.map(|answer| (answer, until))
}

fn bidirectional<S: Service, W: Web>(
    shared: &Shared<S, W>,
    method: S::Method,
    request: Request<Incoming>,
    meter: &mut Meter,
) -> Result<Answer, Status> {
    let (head, body) = request.into_parts();
    let until = deadline::of(&head.headers)?;
    let receiver = Receiver::new(body, decoder(&head.headers, &shared.settings)?);
    let context = Context { metadata: head.headers, peer: shared.peer.clone() };
    let requests = receiver.into_requests(meter.counter());
    let messages = shared.service.bidirectional(method, context, requests)?;
    Ok(Answer::Stream(messages, until))
}

fn is_grpc(request: &Request<Incoming>) -> bool {
    let Some(kind) = request.headers().get(header::CONTENT_TYPE) else { return false };
    let Some(rest) = kind.as_bytes().strip_prefix(GRPC.as_bytes()) else { return false };
    *request.method() == Method::POST && matches!(rest.first(), None | Some(b'+' | b';'))
}

fn decoder(headers: &HeaderMap, settings: &Settings) -> Result<Decoder, Status> {
    let Some(encoding) = headers.get("grpc-encoding") else {
        return Ok(Decoder::new(settings.max_message, None));
    };
    match encoding.to_str().unwrap_or_default() {
        "" | "identity" => Ok(Decoder::new(settings.max_message, None)),
        other => Err(no_decompressor(other)),
    }
}

fn reply(body: ReplyBody) -> Response<ReplyBody> {
    let mut response = Response::new(body);
    response.headers_mut().insert(header::CONTENT_TYPE, GRPC);
    response
}

/// A status alone, in the headers.
fn refusal(status: &Status) -> Response<ReplyBody> {
    let mut response = reply(ReplyBody::none());
    status.write_to(response.headers_mut());
    response
}
