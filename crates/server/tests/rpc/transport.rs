//! What gRPC itself refuses and ends, in grpc-go's words.

use std::time::Duration;

use server::wire::etcdserverpb as pb;
use server::wire::health::{HealthCheckRequest, HealthCheckResponse};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tonic::{Code, Request};

use super::support::{Server, refused};

#[tokio::test]
async fn unknown_names() {
    let server = Server::start().await;
    let mut client = server.client().await;
    let request = pb::StatusRequest {};
    let answer = client.call::<_, pb::StatusResponse>("/a.B/C", request).await;
    refused(answer, Code::Unimplemented, "unknown service a.B");
    let answer = client.call::<_, pb::StatusResponse>("/etcdserverpb.KV/Get", request).await;
    refused(answer, Code::Unimplemented, "unknown method Get for service etcdserverpb.KV");
}

#[tokio::test]
async fn a_message_over_the_limit_is_refused_unread() {
    let server = Server::start().await;
    let mut client = server.client().await;
    let request =
        pb::PutRequest { key: "a".into(), value: vec![0; 2 << 20].into(), ..Default::default() };
    let answer = client.call::<_, pb::PutResponse>("/etcdserverpb.KV/Put", request).await;
    // Three bytes of key, and a tag and four bytes of length before the value.
    let words = "grpc: received message larger than max (2097160 vs. 2097152)";
    refused(answer, Code::ResourceExhausted, words);
    client.put("a", "the connection lives on").await;
}

#[tokio::test]
async fn a_deadline_ends_a_stream() {
    let server = Server::start().await;
    let mut client = server.client().await;
    let mut request = Request::new(HealthCheckRequest::default());
    request.metadata_mut().insert("grpc-timeout", "100m".parse().unwrap());
    let path = "/grpc.health.v1.Health/Watch";
    let mut stream =
        client.stream::<HealthCheckRequest, HealthCheckResponse>(path, request).await.unwrap();
    assert_eq!(stream.message().await.unwrap().unwrap().status, 1);
    refused(stream.message().await, Code::DeadlineExceeded, "context deadline exceeded");
}

#[tokio::test]
async fn a_deadline_must_be_one() {
    let server = Server::start().await;
    let mut client = server.client().await;
    let mut request = Request::new(pb::StatusRequest {});
    request.metadata_mut().insert("grpc-timeout", "soon".parse().unwrap());
    let path = "/etcdserverpb.Maintenance/Status";
    let answer = client.call_with::<_, pb::StatusResponse>(path, request).await;
    refused(answer, Code::Internal, "malformed grpc-timeout: \"soon\"");
}

#[tokio::test]
async fn metadata_is_read() {
    let server = Server::start().await;
    let mut client = server.client().await;
    let mut request = Request::new(pb::StatusRequest {});
    request.metadata_mut().insert("hasleader", "true".parse().unwrap());
    request.metadata_mut().insert("client-api-version", "3.7".parse().unwrap());
    let path = "/etcdserverpb.Maintenance/Status";
    client.call_with::<_, pb::StatusResponse>(path, request).await.unwrap();
    let metrics = server.http("GET /metrics").await;
    let line = "etcd_server_client_requests_total{client_api_version=\"3.7\",type=\"unary\"} 1";
    assert!(metrics.contains(line));
}

#[tokio::test]
async fn a_client_that_goes_takes_its_watchers_along() {
    let server = Server::start().await;
    let mut client = server.client().await;
    let path = "/etcdserverpb.Watch/Watch";
    let (say, mut hear) = client.talk::<pb::WatchRequest, pb::WatchResponse>(path).await;
    say.send(super::watch::create(pb::WatchCreateRequest::default())).await.unwrap();
    assert!(hear.message().await.unwrap().unwrap().created);
    assert_eq!(server.engine.watch_counts().watchers, 1);
    drop((say, hear, client));
    let engine = server.engine.clone();
    super::support::eventually("no watcher is left", || {
        let counts = engine.watch_counts();
        counts.watchers == 0 && counts.streams == 0
    })
    .await;
}

#[tokio::test]
async fn shutdown_lets_connections_end() {
    let server = Server::start().await;
    let mut idle = TcpStream::connect(server.address).await.unwrap();
    let mut half = TcpStream::connect(server.address).await.unwrap();
    half.write_all(b"PRI * HTTP").await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    server.shut_down();
    let mut rest = Vec::new();
    for socket in [&mut idle, &mut half] {
        let ended = tokio::time::timeout(Duration::from_secs(5), socket.read_to_end(&mut rest));
        assert_eq!(ended.await.expect("closed").unwrap(), 0);
    }
}
