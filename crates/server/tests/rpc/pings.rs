//! Signs of life: what the server asks for, and how often a client may ask.

use std::time::Duration;

use server::grpc::Settings;
use server::http::Access;
use server::observe::metrics::Settings as Measured;
use server::rpc::Services;
use server::wire::etcdserverpb as pb;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};
use tonic::transport::Endpoint;

use super::support::{Client, Server};

const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;

async fn serve(settings: Settings) -> Server {
    Server::set(settings, Services::metrics(Measured::default()), Access::default()).await
}

/// A connection that speaks frames.
struct Wire(TcpStream);

impl Wire {
    async fn open(server: &Server) -> Self {
        let mut socket = TcpStream::connect(server.address).await.unwrap();
        socket.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
        let mut wire = Self(socket);
        wire.say(SETTINGS, 0, &[]).await.unwrap();
        wire
    }

    async fn say(&mut self, kind: u8, flags: u8, payload: &[u8]) -> std::io::Result<()> {
        let length = u8::try_from(payload.len()).unwrap();
        let mut frame = vec![0, 0, length, kind, flags, 0, 0, 0, 0];
        frame.extend_from_slice(payload);
        self.0.write_all(&frame).await
    }

    /// The next frame: its kind, flags and payload; none at the end.
    async fn hear(&mut self) -> Option<(u8, u8, Vec<u8>)> {
        let mut head = [0; 9];
        timeout(Duration::from_secs(10), self.0.read_exact(&mut head)).await.unwrap().ok()?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let mut payload = vec![0; length];
        self.0.read_exact(&mut payload).await.unwrap();
        Some((head[3], head[4], payload))
    }

    /// The next frame of a kind; those before it are gone.
    async fn hear_of(&mut self, kind: u8) -> (u8, Vec<u8>) {
        loop {
            let (next, flags, payload) = self.hear().await.expect("not the end");
            if next == kind {
                return (flags, payload);
            }
        }
    }
}

#[tokio::test]
async fn the_fourth_ping_without_a_call_is_one_too_many() {
    let server = serve(Settings::default()).await;
    let mut wire = Wire::open(&server).await;
    for n in 0..3 {
        wire.say(PING, 0, &[n; 8]).await.unwrap();
        assert_eq!(wire.hear_of(PING).await, (1, vec![n; 8]));
    }
    wire.say(PING, 0, &[9; 8]).await.unwrap();
    let (_, last) = wire.hear_of(GOAWAY).await;
    // No stream was opened; ENHANCE_YOUR_CALM.
    assert_eq!(last, b"\0\0\0\0\0\0\0\x0btoo_many_pings");
    assert_eq!(wire.hear().await, None);
}

#[tokio::test]
async fn nobody_is_let_go_where_pings_are_not_counted() {
    let server = serve(Settings { pings_apart: None, ..Settings::default() }).await;
    let mut wire = Wire::open(&server).await;
    for n in 0..20 {
        wire.say(PING, 0, &[n; 8]).await.unwrap();
        assert_eq!(wire.hear_of(PING).await, (1, vec![n; 8]));
    }
}

/// How long a watch lives whose client pings every 50 ms; at most a second is waited.
async fn watch_of_a_restless_client(pings_apart: Duration) -> Duration {
    let server = serve(Settings { pings_apart: Some(pings_apart), ..Settings::default() }).await;
    let endpoint = Endpoint::from_shared(format!("http://{}", server.address)).unwrap();
    let endpoint = endpoint.http2_keep_alive_interval(Duration::from_millis(50));
    let mut client = Client::over(endpoint.connect().await.unwrap());
    let path = "/etcdserverpb.Watch/Watch";
    let (say, mut hear) = client.talk::<pb::WatchRequest, pb::WatchResponse>(path).await;
    say.send(super::watch::create(pb::WatchCreateRequest::default())).await.unwrap();
    assert!(hear.message().await.unwrap().unwrap().created);
    let began = Instant::now();
    let ended = timeout(Duration::from_secs(1), hear.message()).await;
    assert!(!matches!(ended, Ok(Ok(_))), "nothing was written");
    began.elapsed()
}

#[tokio::test]
async fn with_a_call_open_pings_come_so_far_apart() {
    let patient = watch_of_a_restless_client(Duration::from_millis(1)).await;
    assert!(patient >= Duration::from_secs(1), "{patient:?}");
    let strict = watch_of_a_restless_client(Duration::from_secs(5)).await;
    assert!(strict < Duration::from_secs(1), "{strict:?}");
}

#[tokio::test]
async fn what_is_sent_pardons_pings() {
    let server = serve(Settings::default()).await;
    let endpoint = Endpoint::from_shared(format!("http://{}", server.address)).unwrap();
    let endpoint = endpoint.http2_keep_alive_interval(Duration::from_millis(20));
    let mut client = Client::over(endpoint.keep_alive_while_idle(true).connect().await.unwrap());
    for n in 0..50 {
        // Answers come more often than pings.
        client.put("k", &n.to_string()).await;
        sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_silent_client_is_asked_and_then_let_go() {
    let settings = Settings {
        keepalive_interval: Some(Duration::from_millis(100)),
        keepalive_timeout: Duration::from_millis(300),
        ..Settings::default()
    };
    let server = serve(settings).await;
    let mut wire = Wire::open(&server).await;
    for _ in 0..3 {
        let (flags, payload) = wire.hear_of(PING).await;
        assert_eq!(flags, 0);
        wire.say(PING, 1, &payload).await.unwrap();
    }
    let began = Instant::now();
    wire.hear_of(PING).await;
    while wire.hear().await.is_some() {}
    let took = began.elapsed();
    assert!((200..5000).contains(&took.as_millis()), "{took:?}");
}

#[tokio::test]
async fn a_client_is_told_how_many_streams_it_may_open() {
    let server = serve(Settings { max_concurrent_streams: 7, ..Settings::default() }).await;
    let (_, settings) = Wire::open(&server).await.hear_of(SETTINGS).await;
    let most = settings.chunks(6).find(|setting| setting[..2] == [0, 3]).expect("a limit");
    assert_eq!(most[2..], [0, 0, 0, 7]);
}
