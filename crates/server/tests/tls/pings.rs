//! Pings are counted where etcd counts them: not where calls share TLS with pages.

use rustls::ClientConfig;
use server::serve::Traffic;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::served::{Served, dial, secrecy, within};
use crate::support::Workshop;

const PINGS: usize = 10;
const FRAME: usize = 17;

/// Pings again and again without a call; everything that is heard until all were answered, or until
/// the other side closes.
async fn ping(address: SocketAddr, client: &ClientConfig) -> Vec<u8> {
    let mut stream = dial(address, client).await.unwrap();
    let mut says = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec();
    for _ in 0..PINGS {
        says.extend_from_slice(b"\0\0\x08\x06\0\0\0\0\0onlyping");
    }
    stream.write_all(&says).await.unwrap();
    let mut heard = Vec::new();
    let answers = |heard: &[u8]| {
        let frames = heard.windows(FRAME);
        frames.filter(|bytes| *bytes == b"\0\0\x08\x06\x01\0\0\0\0onlyping").count()
    };
    while answers(&heard) < PINGS {
        match within(stream.read_buf(&mut heard)).await {
            Ok(more) if more > 0 => {}
            _ => break,
        }
    }
    heard
}

#[tokio::test]
async fn only_a_port_for_calls_alone_counts_pings_behind_tls() {
    let shop = Workshop::new();
    let doors = [Traffic::All, Traffic::Grpc].map(|traffic| (traffic, secrecy(&shop.plain())));
    let served = Served::on(doors.into()).await;
    let client = shop.client(None);
    let told = |heard: &[u8]| String::from_utf8_lossy(heard).contains("too_many_pings");
    assert!(!told(&ping(served.addresses[0], &client).await));
    assert!(told(&ping(served.addresses[1], &client).await));
    served.end().await;
}
