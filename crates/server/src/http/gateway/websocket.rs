//! WebSockets for the streams of the gateway, as etcd offers them: each message of the client is
//! JSON of the body, each line of the answer is a message. Browsers cannot set headers on them, so
//! the token comes as the protocol (`Bearer, TOKEN`) or in the cookie `token`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use futures::{SinkExt, StreamExt, stream};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use sha1::{Digest, Sha1};
use std::future::poll_fn;
use std::pin::Pin;
use tokio::sync::mpsc;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use super::values::Values;
use super::{Gateway, NOT_ALLOWED, reply, target};
use crate::grpc::{Afterwards, Kind, ReplyBody};

/// What the client's key is hashed with, by RFC 6455.
const MAGIC: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// Messages of the client that wait to be read.
const WAITING: usize = 4;
/// What may wait to be sent; then reading the stream waits.
const WRITE_BUFFER: usize = 64 << 10;

type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// Whether a request asks for a WebSocket.
pub(super) fn is_wanted(headers: &HeaderMap) -> bool {
    names(headers, header::CONNECTION.as_str(), "upgrade")
        && names(headers, header::UPGRADE.as_str(), "websocket")
}

/// Whether one of the words of a header is this.
fn names(headers: &HeaderMap, name: &str, word: &str) -> bool {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|one| one.trim().eq_ignore_ascii_case(word))
}

/// Agrees to the WebSocket that is asked for; what is said on it follows.
pub(super) fn begin(
    gateway: &Gateway,
    path: &str,
    mut request: Request<Incoming>,
) -> Response<ReplyBody> {
    if *request.method() != Method::GET {
        return refused(StatusCode::METHOD_NOT_ALLOWED);
    }
    let key = request.headers().get(header::SEC_WEBSOCKET_KEY).cloned();
    let valid = |key: &HeaderValue| STANDARD.decode(key).is_ok_and(|key| key.len() == 16);
    let spoken = names(request.headers(), header::SEC_WEBSOCKET_VERSION.as_str(), "13");
    let Some(key) = key.filter(valid).filter(|_| spoken) else {
        return refused(StatusCode::BAD_REQUEST);
    };
    let mut response = Response::new(ReplyBody::plain(Bytes::new()));
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    let proof = STANDARD.encode(Sha1::new().chain_update(&key).chain_update(MAGIC).finalize());
    if let Ok(proof) = HeaderValue::try_from(proof) {
        headers.insert(header::SEC_WEBSOCKET_ACCEPT, proof);
    }
    if protocol(request.headers()).is_some_and(|protocol| protocol.starts_with("Bearer")) {
        headers.insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static("Bearer"));
    }
    let upgrade = hyper::upgrade::on(&mut request);
    let (gateway, path) = (gateway.clone(), path.to_owned());
    let headers = passed_on(request.headers());
    let other = async move {
        match upgrade.await {
            Ok(upgraded) => converse(gateway, &path, headers, upgraded).await,
            Err(error) => tracing::debug!(%error, "a websocket came to nothing"),
        }
    };
    response.extensions_mut().insert(Afterwards::new(Box::pin(other)));
    response
}

/// A handshake that is none, in the words of the library that etcd uses.
fn refused(status: StatusCode) -> Response<ReplyBody> {
    let mut page = crate::http::error(status, status.canonical_reason().unwrap_or_default());
    page.headers_mut().insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    page.map(ReplyBody::plain)
}

fn protocol(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::SEC_WEBSOCKET_PROTOCOL)?.to_str().ok()
}

/// The headers of the call: of the request's own, only these.
fn passed_on(asked: &HeaderMap) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for name in [header::ORIGIN, header::REFERER] {
        if let Some(value) = asked.get(&name) {
            headers.insert(name, value.clone());
        }
    }
    let from_protocol = protocol(asked).map(|protocol| {
        let token = protocol.split_once("Bearer,").map(|(_, token)| token.trim_matches(' '));
        token.map(|token| format!("Bearer {token}")).unwrap_or_default()
    });
    let token = cookie(asked).map(|token| format!("Bearer {token}")).or(from_protocol);
    if let Some(Ok(token)) = token.map(HeaderValue::try_from) {
        headers.insert(header::AUTHORIZATION, token);
    }
    headers
}

/// The cookie called `token`.
fn cookie(headers: &HeaderMap) -> Option<&str> {
    let values = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = values.flat_map(|value| value.split(';')).filter_map(|one| one.split_once('='));
    pairs.find(|(name, _)| name.trim() == "token").map(|(_, value)| value.trim().trim_matches('"'))
}

/// Makes the call and carries its messages, until either side has enough.
async fn converse(gateway: Gateway, path: &str, headers: HeaderMap, upgraded: Upgraded) {
    let longest = gateway.longest_json();
    let config = WebSocketConfig::default()
        .max_message_size(Some(longest))
        .max_frame_size(Some(longest))
        .max_write_buffer_size(usize::MAX)
        .write_buffer_size(WRITE_BUFFER);
    let socket: Socket =
        WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, Some(config)).await;
    let (mut to_client, mut from_client) = socket.split();
    let (say, said) = mpsc::channel(WAITING);
    let body =
        stream::unfold(
            said,
            |mut said| async move { said.recv().await.map(|part| (Ok(part), said)) },
        );
    let values = Values::new(Box::pin(body), longest);
    let listening = async move {
        while let Some(Ok(message)) = from_client.next().await {
            match message {
                Message::Text(_) | Message::Binary(_) => {
                    let part = [&message.into_data()[..], b"\n"].concat();
                    // Once the call has what it wants, the rest is for nobody.
                    drop(say.send(Bytes::from(part)).await);
                }
                Message::Close(_) => return,
                _ => {}
            }
        }
    };
    let answering = async move {
        let body = answer(&gateway, path, &headers, values).await.into_body();
        tell(body, &mut to_client).await;
        drop(to_client.close().await);
    };
    tokio::select! {
        () = listening => {}
        () = answering => {}
    }
}

async fn answer(
    gateway: &Gateway,
    path: &str,
    headers: &HeaderMap,
    values: Values,
) -> Response<ReplyBody> {
    let call = target(path).and_then(|target| {
        // In etcd they wait for the client's last message, which is never there.
        if target.method.name().kind == Kind::Unary {
            return Err(NOT_ALLOWED);
        }
        gateway.call(target, headers, None, values)
    });
    match call {
        Ok(call) => gateway.make(super::Call { may_send_on: true, ..call }).await,
        Err(status) => reply::refusal(&status),
    }
}

/// Sends each line of the answer as a message.
async fn tell(mut body: ReplyBody, to_client: &mut (impl futures::Sink<Message> + Unpin)) {
    let mut rest = BytesMut::new();
    loop {
        let part = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await;
        let over = part.is_none();
        if let Some(Ok(Ok(part))) = part.map(|part| part.map(http_body::Frame::into_data)) {
            rest.extend_from_slice(&part);
        }
        while let Some(line) = line(&mut rest, over) {
            let Ok(text) = String::from_utf8(line.to_vec()) else { return };
            if !text.is_empty() && to_client.send(Message::text(text)).await.is_err() {
                return;
            }
        }
        if over {
            return;
        }
    }
}

/// The next line; at the end, what is left.
fn line(rest: &mut BytesMut, over: bool) -> Option<BytesMut> {
    match rest.iter().position(|byte| *byte == b'\n') {
        Some(end) => {
            let mut line = rest.split_to(end + 1);
            line.truncate(end);
            Some(line)
        }
        None => (over && !rest.is_empty()).then(|| rest.split()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (http::HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn the_token_comes_as_protocol_or_cookie() {
        let token = |pairs: &[_]| {
            let passed = passed_on(&headers(pairs));
            passed.get("authorization").map(|token| token.to_str().unwrap().to_owned())
        };
        let protocol = ("sec-websocket-protocol", "Bearer, a.1");
        assert_eq!(token(&[protocol]).as_deref(), Some("Bearer a.1"));
        assert_eq!(
            token(&[("sec-websocket-protocol", "Bearer,a.1")]).as_deref(),
            Some("Bearer a.1")
        );
        assert_eq!(token(&[("sec-websocket-protocol", "chat")]).as_deref(), Some(""));
        let cookie = ("cookie", "x=y; token=b.2");
        assert_eq!(token(&[protocol, cookie]).as_deref(), Some("Bearer b.2"));
        assert_eq!(token(&[("authorization", "c.3")]), None, "a browser cannot set it");
    }

    #[test]
    fn lines_are_cut_wherever_parts_end() {
        let mut rest = BytesMut::from("a\n\nb");
        let next = |rest: &mut BytesMut, over| line(rest, over).map(|line| line.to_vec());
        assert_eq!(next(&mut rest, false), Some(b"a".to_vec()));
        assert_eq!(next(&mut rest, false), Some(Vec::new()));
        assert_eq!(next(&mut rest, false), None);
        assert_eq!(next(&mut rest, true), Some(b"b".to_vec()));
        assert_eq!(next(&mut rest, true), None);
    }
}
