//! Frames that no client's library would send, each kind against a process of its own: the stream or the connection
//! ends, memory stays bounded, and others are served meanwhile.

use std::time::Duration;

use prost::Message;
use server::wire::etcdserverpb as pb;
use tokio::io::AsyncReadExt;
use tokio::time::timeout;

use super::misbehaving::{
    COST, DATA, END_HEADERS, GO_AWAY, HEADERS, PATIENCE, RESET, Raw, SETTINGS, Subject, frame,
    head, message,
};

const PING: u8 = 6;
const WINDOW_UPDATE: u8 = 8;
const END_STREAM: u8 = 1;
const RANGE: &str = "/etcdserverpb.KV/Range";

impl Raw {
    /// Reads until that stream is reset or the connection is given up. Which frame it was.
    async fn is_refused(&mut self, stream: u32) -> Option<u8> {
        let refused = async {
            loop {
                let mut head = [0; 9];
                if self.0.read_exact(&mut head).await.is_err() {
                    return GO_AWAY;
                }
                let of = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
                if head[3] == GO_AWAY || (head[3] == RESET && of == stream) {
                    return head[3];
                }
                let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
                let mut payload = vec![0; length as usize];
                if self.0.read_exact(&mut payload).await.is_err() {
                    return GO_AWAY;
                }
            }
        };
        timeout(Duration::from_secs(10), refused).await.ok()
    }
}

fn range(key: &str) -> pb::RangeRequest {
    pb::RangeRequest { key: key.to_owned().into(), ..Default::default() }
}

/// A whole call: its headers, its message, its end.
fn call(stream: u32, request: &impl Message) -> Vec<u8> {
    let mut whole = frame(HEADERS, END_HEADERS, stream, &head(RANGE));
    let mut body = message(stream, request);
    body[4] = END_STREAM;
    whole.extend(body);
    whole
}

#[tokio::test]
async fn data_behind_the_end_of_a_stream_is_refused() {
    let subject = Subject::new().await;
    // While it is not known what becomes of the call, and when it is long answered.
    for later in [Duration::ZERO, Duration::from_millis(300)] {
        let mut raw = Raw::open(subject.process.address).await;
        assert!(raw.send(&call(1, &range("other"))).await);
        tokio::time::sleep(later).await;
        for _ in 0..100 {
            raw.send(&message(1, &range("other"))).await;
        }
        assert!(raw.is_refused(1).await.is_some(), "taken {later:?} after the end");
    }
    subject.is_well(COST).await;
}

#[tokio::test]
async fn a_length_that_is_not_the_contents_is_refused() {
    let subject = Subject::new().await;
    let mut body = message(1, &range("other"));
    body[4] = END_STREAM;
    let right = (body.len() - 9).to_string();
    for said in ["1", "9000", "99999999999999999999", "-1", "x", &right] {
        let mut raw = Raw::open(subject.process.address).await;
        let mut block = head(RANGE);
        // content-length by its number in HPACK's table.
        block.extend_from_slice(&[0x0f, 0x0d, said.len() as u8]);
        block.extend_from_slice(said.as_bytes());
        raw.send(&frame(HEADERS, END_HEADERS, 1, &block)).await;
        raw.send(&body).await;
        let refused = timeout(Duration::from_secs(2), raw.is_refused(1)).await.ok().flatten();
        assert_eq!(refused.is_some(), said != right, "a length of {said}, and it is {right}");
    }
    subject.is_well(COST).await;
}

#[tokio::test]
async fn frames_larger_than_was_agreed_end_the_connection() {
    let subject = Subject::new().await;
    for kind in [DATA, HEADERS, SETTINGS, PING, WINDOW_UPDATE, 0x7f] {
        let mut raw = Raw::open(subject.process.address).await;
        let mut large = frame(kind, 0, u32::from(kind == DATA || kind == HEADERS), &[0; 64]);
        large[..3].copy_from_slice(&[0xff, 0xff, 0xff]);
        raw.send(&large).await;
        for _ in 0..32 {
            if !raw.send(&vec![0; 1 << 20]).await {
                break;
            }
        }
        assert_eq!(raw.is_refused(1).await, Some(GO_AWAY), "16 MiB of a frame of kind {kind}");
    }
    subject.is_well(COST).await;
}

#[tokio::test]
async fn windows_that_overflow_are_refused() {
    let subject = Subject::new().await;
    for stream in [0, 1] {
        let mut raw = Raw::open(subject.process.address).await;
        raw.send(&frame(HEADERS, END_HEADERS, 1, &head(RANGE))).await;
        let most = 0x7fff_ffff_u32.to_be_bytes();
        raw.send(&frame(WINDOW_UPDATE, 0, stream, &most).repeat(2)).await;
        assert!(raw.is_refused(1).await.is_some(), "of stream {stream}");
    }
    subject.is_well(COST).await;
}

/// What HPACK's table holds is named with one byte: 60 MiB of headers in 16 KiB.
#[tokio::test]
async fn a_header_that_is_named_again_and_again_is_refused() {
    let subject = Subject::new().await;
    for _ in 0..20 {
        let mut raw = Raw::open(subject.process.address).await;
        let mut block = head(RANGE);
        // 3,900 bytes, put into the table.
        block.extend_from_slice(&[0x40, 1, b'a', 0x7f, 0xbd, 0x1d]);
        block.resize(block.len() + 3900, b'a');
        block.resize(16_300, 0xbe);
        raw.send(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &block)).await;
        let mut byte = [0; 9];
        let heard = timeout(PATIENCE, raw.0.read(&mut byte)).await;
        assert!(heard.is_ok(), "no answer");
    }
    subject.is_well(COST).await;
}

#[tokio::test]
async fn pings_whose_answers_nobody_reads_are_not_kept() {
    let subject = Subject::new().await;
    let mut raw = Raw::open(subject.process.address).await;
    let burst = frame(PING, 0, 0, &[7; 8]).repeat(10_000);
    let mut taken = 0;
    while taken < 200 && raw.send(&burst).await {
        taken += 1;
    }
    assert!(raw.is_let_go().await, "2,000,000 pings are no misbehaviour");
    subject.is_well(COST).await;
}

/// Two hundred answers of a MiB to a client that lets nobody send to it.
#[tokio::test]
async fn answers_that_may_not_be_sent_end_with_their_connection() {
    const CALLS: u32 = 200;
    let subject = Subject::new().await;
    subject.process.client().await.put("large", &"v".repeat(1 << 20)).await;
    let mut raw = Raw::open(subject.process.address).await;
    // The initial window of streams.
    raw.send(&frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0])).await;
    for n in 0..CALLS {
        assert!(raw.send(&call(2 * n + 1, &range("large"))).await);
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    subject.is_well(COST + (u64::from(CALLS) << 20)).await;
    drop(raw);
    // What it did not take is forgotten.
    for _ in 0..100 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        if subject.process.resident() < COST {
            return;
        }
    }
    panic!("{} MiB are left", subject.process.resident() >> 20);
}
