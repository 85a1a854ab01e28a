//! Streams over WebSockets.

use futures::{SinkExt, StreamExt};
use tokio::io::BufReader;
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::http::{Exchange, post};
use super::support::{Server, eventually};

type Socket = WebSocketStream<BufReader<TcpStream>>;

fn handshake(path: &str, headers: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: keep-alive, Upgrade\r\nupgrade: WebSocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n"
    )
}

async fn open(server: &Server, path: &str) -> Socket {
    let mut exchange = Exchange::send(server, handshake(path, "").as_bytes()).await;
    let head = exchange.head().await;
    assert!(head.starts_with("http/1.1 101 "), "{head}");
    // RFC 6455 has this very example.
    assert!(head.contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo="), "{head}");
    assert!(!head.contains("access-control"), "{head}");
    WebSocketStream::from_raw_socket(exchange.socket, Role::Client, None).await
}

async fn heard(socket: &mut Socket) -> String {
    let next = tokio::time::timeout(std::time::Duration::from_secs(20), socket.next());
    next.await.expect("in time").expect("a message").unwrap().into_text().unwrap().to_string()
}

#[tokio::test]
async fn a_watch_over_a_websocket() {
    let server = Server::start().await;
    let mut socket = open(&server, "/v3/watch").await;
    socket.send(Message::text(r#"{"create_request":{"key":"YQ=="}}"#)).await.unwrap();
    assert!(heard(&mut socket).await.contains(r#""created":true"#));
    post(&server, "/v3/kv/put", r#"{"key":"YQ==","value":"MQ=="}"#).await;
    let event = heard(&mut socket).await;
    assert!(event.starts_with(r#"{"result":{"#) && event.contains("MQ==") && event.ends_with('}'));
    let more = r#"{"create_request":{"key":"Yg==","watch_id":"7"}}"#;
    socket.send(Message::binary(more.as_bytes().to_vec())).await.unwrap();
    assert!(heard(&mut socket).await.contains(r#""watch_id":"7","created":true"#));
    assert_eq!(server.engine.watch_counts().watchers, 2);
    socket.close(None).await.unwrap();
    eventually("no watcher is left", || server.engine.watch_counts().watchers == 0).await;
}

#[tokio::test]
async fn a_websocket_ends_with_its_client_and_with_the_server() {
    let server = Server::start().await;
    let tasks = tokio::runtime::Handle::current().metrics();
    let before = tasks.num_alive_tasks();
    for _ in 0..2 {
        let mut socket = open(&server, "/v3beta/watch").await;
        socket.send(Message::text(r#"{"create_request":{"key":"YQ=="}}"#)).await.unwrap();
        heard(&mut socket).await;
        drop(socket);
    }
    eventually("nothing is left", || {
        server.engine.watch_counts().streams == 0 && tasks.num_alive_tasks() <= before
    })
    .await;
    let mut socket = open(&server, "/v3/watch").await;
    socket.send(Message::text(r#"{"create_request":{"key":"YQ=="}}"#)).await.unwrap();
    heard(&mut socket).await;
    server.shut_down();
    assert!(!matches!(socket.next().await, Some(Ok(Message::Text(_)))));
    assert_eq!(server.engine.watch_counts().watchers, 0);
}

#[tokio::test]
async fn what_is_no_stream_is_told_so() {
    let server = Server::start().await;
    for (path, words) in [
        ("/v3/nope", r#"{"code":5,"message":"Not Found"}"#),
        ("/v3/kv/range", r#"{"code":12,"message":"Method Not Allowed"}"#),
    ] {
        let mut socket = open(&server, path).await;
        assert_eq!(heard(&mut socket).await, words);
        assert!(matches!(socket.next().await, Some(Ok(Message::Close(_)))));
    }
}

#[tokio::test]
async fn handshakes() {
    let server = Server::start().await;
    let good = handshake("/v3/watch", "sec-websocket-protocol: Bearer, tok\r\n");
    let mut exchange = Exchange::send(&server, good.as_bytes()).await;
    let head = exchange.head().await;
    assert!(head.contains("sec-websocket-protocol: bearer\n"), "{head}");
    for (from, to, code) in [
        ("version: 13", "version: 12", 400),
        ("dGhlIHNhbXBsZSBub25jZQ==", "dGhl", 400),
        ("GET", "POST", 405),
    ] {
        let bad = good.replace(from, to);
        let answer = Exchange::send(&server, bad.as_bytes()).await.answer().await;
        assert_eq!(answer.code, code, "{to}");
        assert!(answer.head.contains("sec-websocket-version: 13\n"), "{}", answer.head);
    }
}
