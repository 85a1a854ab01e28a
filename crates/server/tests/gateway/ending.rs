//! Pitfall ab, for streams over HTTP/1: they end with their client, and only with it.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::http::Exchange;
use super::support::{Server, eventually};

const CLIENTS: usize = 20;

async fn watching(server: &Server) -> Vec<Exchange> {
    let mut watches = Vec::new();
    for _ in 0..CLIENTS {
        let create = br#"{"create_request":{"key":"YQ=="}}"#;
        let mut watch = Exchange::post(server, "/v3/watch", "", create).await;
        watch.head().await;
        watch.next().await;
        watches.push(watch);
    }
    let counts = server.engine.watch_counts();
    assert_eq!((counts.streams, counts.watchers), (CLIENTS, CLIENTS));
    watches
}

/// Nothing is written on these streams: only the end of what the client sends tells.
#[tokio::test]
async fn watchers_end_with_their_clients() {
    let server = Server::start().await;
    let tasks = tokio::runtime::Handle::current().metrics();
    let before = tasks.num_alive_tasks();
    drop(watching(&server).await);
    eventually("no stream, no watcher, no task is left", || {
        let counts = server.engine.watch_counts();
        (counts.streams, counts.watchers) == (0, 0) && tasks.num_alive_tasks() <= before
    })
    .await;
}

/// As Go's server does: who sends no more has gone.
#[tokio::test]
async fn a_silent_client_counts_as_gone() {
    let server = Server::start().await;
    let mut watches = watching(&server).await;
    for watch in &mut watches {
        watch.socket.get_mut().shutdown().await.unwrap();
    }
    eventually("no watcher is left", || server.engine.watch_counts().watchers == 0).await;
}

#[tokio::test]
async fn a_body_that_breaks_off_ends_its_call() {
    let server = Server::start().await;
    let mut watch = Exchange::open(&server, "/v3/watch").await;
    watch.chunk(r#"{"create_request":{"key":"YQ=="}}"#).await;
    watch.head().await;
    watch.next().await;
    assert_eq!(server.engine.watch_counts().watchers, 1);
    drop(watch);
    eventually("no watcher is left", || server.engine.watch_counts().watchers == 0).await;
}

/// A page is given to a client that has no more to ask, as `printf | nc` does.
#[tokio::test]
async fn a_page_is_given_to_the_silent() {
    let server = Server::start().await;
    for path in ["/health", "/livez", "/version", "/metrics", "/nope"] {
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n");
        let mut exchange = Exchange::send(&server, request.as_bytes()).await;
        exchange.socket.get_mut().shutdown().await.unwrap();
        let mut reply = String::new();
        exchange.socket.read_to_string(&mut reply).await.unwrap();
        let (head, body) = reply.split_once("\r\n\r\n").expect("a head");
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
        assert_eq!(body.len(), length.parse::<usize>().unwrap(), "{path}");
    }
}
