//! Listeners of every kind: what each answers, what it refuses, and how it ends.

use std::os::unix::fs::FileTypeExt;
use std::time::Duration;

use server::serve::{Listener, Secrecy, Socket, Traffic, UnixSocket};
use server::wire::etcdserverpb as pb;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

use crate::rpc::Client;
use crate::served::{Served, answer, dial, grpc, http1, secrecy, within};
use crate::support::{Leaf, Workshop};

const PUT: &str = "/etcdserverpb.KV/Put";

async fn put(client: &mut Client) -> Result<pb::PutResponse, tonic::Status> {
    let request = pb::PutRequest { key: "a".into(), value: "1".into(), ..Default::default() };
    within(client.call(PUT, request)).await
}

/// The status line of a page.
async fn page(
    stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    path: &str,
) -> String {
    let reply = http1(stream, &format!("GET {path}")).await;
    reply.lines().next().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn calls_and_pages_share_a_tls_port() {
    let shop = Workshop::new();
    let served = Served::tls(&shop.mutual()).await;
    let client = shop.client(Some(&shop.ca.sign(&Leaf::named("alice"))));
    put(&mut grpc(served.address(), &client).await.unwrap()).await.unwrap();
    let stream = dial(served.address(), &client).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let mut old = client.clone();
    for protocols in [vec![b"http/1.1".to_vec()], Vec::new()] {
        old.alpn_protocols = protocols;
        let stream = dial(served.address(), &old).await.unwrap();
        assert_eq!(page(stream, "/health").await, "HTTP/1.1 200 OK");
    }
    served.end().await;
}

#[tokio::test]
async fn one_address_may_have_both() {
    let shop = Workshop::new();
    let Secrecy::Tls(credentials) = secrecy(&shop.plain()) else { panic!("TLS") };
    let served = Served::on(vec![(Traffic::All, Secrecy::Either(credentials))]).await;
    put(&mut grpc(served.address(), &shop.client(None)).await.unwrap()).await.unwrap();
    put(&mut Client::of(served.address()).await).await.unwrap();
    let stream = TcpStream::connect(served.address()).await.unwrap();
    assert_eq!(page(stream, "/health").await, "HTTP/1.1 200 OK");
    served.end().await;
}

/// As etcd with --listen-client-http-urls.
#[tokio::test]
async fn calls_and_pages_apart() {
    let shop = Workshop::new();
    let (client, tls) = (shop.client(None), || secrecy(&shop.plain()));
    let served = Served::on(vec![
        (Traffic::Grpc, Secrecy::Plaintext),
        (Traffic::Http, Secrecy::Plaintext),
        (Traffic::Grpc, tls()),
        (Traffic::Http, tls()),
    ])
    .await;
    let [calls, pages, secret_calls, secret_pages] = served.addresses[..] else { panic!("four") };
    put(&mut Client::of(calls).await).await.unwrap();
    put(&mut grpc(secret_calls, &client).await.unwrap()).await.unwrap();
    let stream = TcpStream::connect(pages).await.unwrap();
    assert_eq!(page(stream, "/version").await, "HTTP/1.1 200 OK");
    let mut old = client.clone();
    old.alpn_protocols.clear();
    let stream = dial(secret_pages, &old).await.unwrap();
    assert_eq!(page(stream, "/version").await, "HTTP/1.1 200 OK");
    assert_eq!(answer(calls, b"GET /version HTTP/1.1\r\n\r\n").await, b"");
    assert_eq!(answer(pages, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await, b"");
    let refused = put(&mut grpc(secret_pages, &client).await.unwrap()).await.unwrap_err();
    assert!(refused.message().contains("404 Not Found"), "a page that is not there: {refused}");
    served.end().await;
}

#[tokio::test]
async fn a_listener_for_metrics_has_those_and_health() {
    let shop = Workshop::new();
    let served = Served::on(vec![
        (Traffic::Metrics, Secrecy::Plaintext),
        (Traffic::Metrics, secrecy(&shop.plain())),
    ])
    .await;
    let mut client = shop.client(None);
    client.alpn_protocols.clear();
    for (path, status) in [
        ("/metrics", "HTTP/1.1 200 OK"),
        ("/health", "HTTP/1.1 200 OK"),
        ("/readyz", "HTTP/1.1 200 OK"),
        ("/livez/serializable_read", "HTTP/1.1 200 OK"),
        ("/version", "HTTP/1.1 404 Not Found"),
        ("/v3/kv/range", "HTTP/1.1 404 Not Found"),
    ] {
        let plain = TcpStream::connect(served.addresses[0]).await.unwrap();
        assert_eq!(page(plain, path).await, status, "{path}");
        let secret = dial(served.addresses[1], &client).await.unwrap();
        assert_eq!(page(secret, path).await, status, "{path}");
    }
    let plain = TcpStream::connect(served.addresses[0]).await.unwrap();
    let reply = http1(plain, "GET /health").await;
    assert!(!reply.contains("access-control"), "{reply}");
    served.end().await;
}

#[tokio::test]
async fn who_speaks_the_wrong_protocol_is_told_or_closed() {
    let shop = Workshop::new();
    let served = Served::on(vec![
        (Traffic::All, secrecy(&shop.plain())),
        (Traffic::All, Secrecy::Plaintext),
    ])
    .await;
    let [secret, plain] = served.addresses[..] else { panic!("two") };
    let told = "HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n";
    for request in ["GET /health HTTP/1.1\r\n\r\n", "POST /v3/kv/put HTTP/1.1\r\n\r\n{}"] {
        assert_eq!(answer(secret, request.as_bytes()).await, told.as_bytes());
    }
    assert_eq!(answer(secret, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await, b"");
    assert_eq!(answer(plain, b"\x16\x03\x01\x02\x00\x01\x00").await, b"");
    dial(plain, &shop.client(None)).await.unwrap_err();
    put(&mut grpc(secret, &shop.client(None)).await.unwrap()).await.unwrap();
    put(&mut Client::of(plain).await).await.unwrap();
    served.end().await;
}

#[tokio::test]
async fn unix_sockets_of_both_kinds_leave_no_file_behind() {
    let shop = Workshop::new();
    let (plain, secret) = (shop.path("plain.sock"), shop.path("secret.sock"));
    let bind = |path| Socket::Unix(UnixSocket::bind(path).unwrap());
    let (one, other) = (bind(&plain), bind(&secret));
    let listeners = vec![
        Listener { socket: one, traffic: Traffic::All, secrecy: Secrecy::Plaintext },
        Listener { socket: other, traffic: Traffic::All, secrecy: secrecy(&shop.plain()) },
    ];
    let served = Served::with(listeners, Vec::new()).await;
    assert!(std::fs::metadata(&plain).unwrap().file_type().is_socket());
    let stream = UnixStream::connect(&plain).await.unwrap();
    assert_eq!(page(stream, "/health").await, "HTTP/1.1 200 OK");
    let mut client = shop.client(None);
    client.alpn_protocols.clear();
    let connector = tokio_rustls::TlsConnector::from(std::sync::Arc::new(client));
    let stream = UnixStream::connect(&secret).await.unwrap();
    let stream = within(connector.connect("localhost".try_into().unwrap(), stream)).await.unwrap();
    assert_eq!(page(stream, "/health").await, "HTTP/1.1 200 OK");
    // Another process took the path over: what is there now is not ours.
    std::fs::remove_file(&secret).unwrap();
    std::fs::write(&secret, b"another's").unwrap();
    served.end().await;
    assert!(!plain.exists());
    assert_eq!(std::fs::read(&secret).unwrap(), b"another's");
}

/// The end of a connection is told from a connection that was cut by close_notify, which rustls
/// checks: without it, a read ends with an error.
#[tokio::test]
async fn the_end_of_the_server_is_a_good_end() {
    let shop = Workshop::new();
    let served = Served::tls(&shop.plain()).await;
    let mut idle = dial(served.address(), &shop.client(None)).await.unwrap();
    idle.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    let mut silent = dial(served.address(), &shop.client(None)).await.unwrap();
    let mut watching = dial(served.address(), &shop.client(None)).await.unwrap();
    // A call that does not end by itself: its head, and no message yet.
    watching.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    watching.write_all(&open_stream()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let address = served.address();
    served.end().await;
    for stream in [&mut idle, &mut silent, &mut watching] {
        let mut rest = Vec::new();
        within(stream.read_to_end(&mut rest)).await.expect("close_notify");
    }
    TcpStream::connect(address).await.expect_err("nobody listens any more");
}

/// HEADERS of a call to Watch, with literals that need no table.
fn open_stream() -> Vec<u8> {
    let mut block = vec![0x83, 0x86];
    for (name, value) in [
        (":path", "/etcdserverpb.Watch/Watch"),
        (":authority", "localhost"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ] {
        block.push(0);
        for text in [name, value] {
            block.push(u8::try_from(text.len()).unwrap());
            block.extend_from_slice(text.as_bytes());
        }
    }
    let mut frame = vec![0, 0, u8::try_from(block.len()).unwrap(), 1, 4, 0, 0, 0, 1];
    frame.extend_from_slice(&block);
    frame
}

#[tokio::test]
async fn a_new_certificate_leaves_old_connections_alone() {
    let shop = Workshop::new();
    let served = Served::tls(&shop.plain()).await;
    let client = shop.client(None);
    let shown = |stream: &tokio_rustls::client::TlsStream<TcpStream>| {
        stream.get_ref().1.peer_certificates().unwrap()[0].clone()
    };
    let mut old = grpc(served.address(), &client).await.unwrap();
    put(&mut old).await.unwrap();
    let before = shown(&dial(served.address(), &client).await.unwrap());
    shop.write_pair("server", &shop.ca.sign(&Leaf::server().serial(2)));
    let after = shown(&dial(served.address(), &client).await.unwrap());
    assert_ne!(before, after);
    put(&mut old).await.expect("the old connection lives on");
    served.end().await;
}
