//! Clients that misbehave, each against a process of its own: its memory stays bounded, and others are
//! served meanwhile. The frames are written by hand, for no client's library would.

use std::net::SocketAddr;
use std::time::Duration;

use prost::Message;
use server::wire::etcdserverpb as pb;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::running::Process;

pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
pub(super) const RESET: u8 = 3;
pub(super) const SETTINGS: u8 = 4;
pub(super) const GO_AWAY: u8 = 7;
pub(super) const CONTINUATION: u8 = 9;
pub(super) const END_HEADERS: u8 = 4;
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// What the misbehaviour of one client may cost at the most.
pub(super) const COST: u64 = 96 << 20;
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// One connection, written to frame by frame.
pub(super) struct Raw(pub(super) TcpStream);

pub(super) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    frame.extend_from_slice(&[kind, flags]);
    frame.extend_from_slice(&stream.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

/// The headers of a call, in HPACK without its tables and with nothing that is compressed.
pub(super) fn head(path: &str) -> Vec<u8> {
    let mut head = vec![0x83, 0x86];
    let mut literal = |begin: &[u8], value: &str| {
        head.extend_from_slice(begin);
        head.push(value.len() as u8);
        head.extend_from_slice(value.as_bytes());
    };
    literal(&[0x04], path);
    literal(&[0x01], "x");
    literal(&[0x0f, 0x10], "application/grpc");
    literal(&[0x00, 2, b't', b'e'], "trailers");
    head
}

/// A message as the DATA of a call that goes on.
pub(super) fn message(stream: u32, message: &impl Message) -> Vec<u8> {
    let body = message.encode_to_vec();
    let framed = [&[0], &(body.len() as u32).to_be_bytes()[..], &body].concat();
    frame(DATA, 0, stream, &framed)
}

fn watch_all(id: i64) -> pb::WatchRequest {
    let create = pb::WatchCreateRequest {
        key: "k".into(),
        range_end: "l".into(),
        watch_id: id,
        ..Default::default()
    };
    pb::WatchRequest { request_union: Some(pb::watch_request::RequestUnion::CreateRequest(create)) }
}

impl Raw {
    pub(super) async fn open(address: SocketAddr) -> Self {
        let mut raw = Self(TcpStream::connect(address).await.expect("connects"));
        raw.send(PREFACE).await;
        raw.send(&frame(SETTINGS, 0, 0, &[])).await;
        raw
    }

    /// Whether it is taken, and in time.
    pub(super) async fn send(&mut self, bytes: &[u8]) -> bool {
        matches!(timeout(Duration::from_secs(10), self.0.write_all(bytes)).await, Ok(Ok(())))
    }

    /// Reads until the end, or until nothing comes. Whether it was told to go away, or cut off.
    pub(super) async fn is_let_go(&mut self) -> bool {
        loop {
            let mut head = [0; 9];
            match timeout(Duration::from_secs(5), self.0.read_exact(&mut head)).await {
                Err(_) => return false,
                Ok(Err(_)) => return true,
                Ok(Ok(_)) => {}
            }
            if head[3] == GO_AWAY {
                return true;
            }
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            let mut payload = vec![0; length as usize];
            if self.0.read_exact(&mut payload).await.is_err() {
                return true;
            }
        }
    }
}

pub(super) struct Subject {
    pub(super) process: Process,
    before: u64,
    _dir: tempfile::TempDir,
}

impl Subject {
    pub(super) async fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let process = Process::start(dir.path());
        process.client().await.put("other", "1").await;
        let before = process.resident();
        Self { process, before, _dir: dir }
    }

    /// How many watches there are, by the server's own account.
    async fn watchers(&self) -> u64 {
        let url = format!("http://{}/metrics", self.process.address);
        let page = tokio::task::spawn_blocking(move || server::probe::probe(&url));
        let page = page.await.expect("a thread").expect("a page");
        let line =
            page.lines().find_map(|line| line.strip_prefix("etcd_debugging_mvcc_watcher_total "));
        line.and_then(|number| number.trim().parse().ok()).expect("a number")
    }

    /// Another client is served, and little memory is gone.
    pub(super) async fn is_well(&self, cost: u64) {
        let other = async { self.process.client().await.put("other", "2").await };
        timeout(PATIENCE, other).await.expect("others are served");
        let grown = self.process.resident().saturating_sub(self.before);
        assert!(grown < cost, "it took {} MiB", grown >> 20);
    }
}

#[tokio::test]
async fn calls_that_are_reset_at_once_end_the_connection() {
    let subject = Subject::new().await;
    let mut raw = Raw::open(subject.process.address).await;
    let head = head("/etcdserverpb.KV/Range");
    let mut stream = 1_u32;
    for _ in 0..200 {
        let mut burst = Vec::new();
        for _ in 0..500 {
            burst.extend(frame(HEADERS, END_HEADERS, stream, &head));
            burst.extend(frame(RESET, 0, stream, &8_u32.to_be_bytes()));
            stream += 2;
        }
        if !raw.send(&burst).await {
            break;
        }
    }
    assert!(raw.is_let_go().await, "100,000 resets are no misbehaviour");
    subject.is_well(COST).await;
}

#[tokio::test]
async fn headers_without_an_end_end_the_connection() {
    let subject = Subject::new().await;
    let mut raw = Raw::open(subject.process.address).await;
    raw.send(&frame(HEADERS, 0, 1, &head("/etcdserverpb.KV/Range"))).await;
    // A header of 8 KiB, again and again: 80 MiB of them.
    let mut more = vec![0x00, 1, b'a', 0x7f, 0x81, 0x3f];
    more.resize(more.len() + 8192, b'a');
    let more = frame(CONTINUATION, 0, 1, &more);
    let mut taken = 0;
    while taken < 10_000 && raw.send(&more).await {
        taken += 1;
    }
    assert!(taken < 10_000 || raw.is_let_go().await, "headers without an end are taken");
    subject.is_well(COST).await;
}

#[tokio::test]
async fn too_many_headers_are_refused() {
    let subject = Subject::new().await;
    for round in 0..50 {
        let mut raw = Raw::open(subject.process.address).await;
        let mut block = head("/etcdserverpb.KV/Range");
        // Each counts 32 bytes more than it has: far beyond 64 KiB.
        (0..5000).for_each(|_| block.extend_from_slice(&[0x00, 1, b'a', 1, b'b']));
        let (first, rest) = block.split_at(16_000);
        raw.send(&frame(HEADERS, 1, 1, first)).await;
        raw.send(&frame(CONTINUATION, END_HEADERS, 1, rest)).await;
        // An answer without a body, a reset or a farewell, but an answer.
        let mut byte = [0; 9];
        let heard = timeout(PATIENCE, raw.0.read(&mut byte)).await;
        assert!(heard.is_ok(), "no answer in round {round}");
    }
    subject.is_well(COST).await;
}

#[tokio::test]
async fn settings_whose_acknowledgements_nobody_reads_are_not_kept() {
    let subject = Subject::new().await;
    let mut raw = Raw::open(subject.process.address).await;
    let burst = frame(SETTINGS, 0, 0, &[]).repeat(10_000);
    for _ in 0..200 {
        if !raw.send(&burst).await {
            break;
        }
    }
    subject.is_well(COST).await;
}

#[tokio::test]
async fn beginnings_of_connections_keep_nobody_out() {
    let subject = Subject::new().await;
    let mut begun = Vec::new();
    for n in 0..400 {
        let mut socket = TcpStream::connect(subject.process.address).await.expect("connects");
        socket.write_all(&PREFACE[..n % PREFACE.len()]).await.expect("written");
        begun.push(socket);
    }
    subject.is_well(COST).await;
}

#[tokio::test]
async fn ten_thousand_idle_calls_cost_little() {
    const CALLS: u32 = 10_000;
    // What waits is about 14 KiB without the optimizer (bench/idle says what it is with it).
    const EACH: u64 = 32 << 10;
    let subject = Subject::new().await;
    let mut raw = Raw::open(subject.process.address).await;
    let head = head("/etcdserverpb.Watch/Watch");
    for call in 0..CALLS {
        assert!(raw.send(&frame(HEADERS, END_HEADERS, 2 * call + 1, &head)).await, "call {call}");
    }
    // A call of the same connection that is answered: all before it were seen.
    let stream = 2 * CALLS + 1;
    raw.send(&frame(HEADERS, END_HEADERS, stream, &head)).await;
    raw.send(&message(stream, &watch_all(1))).await;
    let answered = async {
        loop {
            let mut head = [0; 9];
            raw.0.read_exact(&mut head).await.expect("a frame");
            let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
            raw.0.read_exact(&mut payload).await.expect("its payload");
            let of = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
            if head[3] == DATA && of == stream {
                return;
            }
        }
    };
    timeout(PATIENCE, answered).await.expect("the watch is created");
    subject.is_well(u64::from(CALLS) * EACH).await;
}

/// A thousand watches of everything on one stream, none of whose events is read, while 16 MiB are
/// written: 16 GiB of events.
#[tokio::test]
async fn a_slow_reader_of_a_thousand_watches_holds_nothing_up() {
    let subject = Subject::new().await;
    let mut raw = Raw::open(subject.process.address).await;
    raw.send(&frame(HEADERS, END_HEADERS, 1, &head("/etcdserverpb.Watch/Watch"))).await;
    for id in 1..=1000 {
        assert!(raw.send(&message(1, &watch_all(id))).await);
    }
    while subject.watchers().await < 1000 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let mut other = subject.process.client().await;
    let value = "v".repeat(16 << 10);
    for n in 0..1024 {
        let key = format!("k{}", n % 64);
        let put = other.put(&key, &value);
        timeout(PATIENCE, put).await.expect("writes go on");
    }
    // What was written is there in the journal's cache and the history, besides.
    subject.is_well(COST + (64 << 20)).await;
}
