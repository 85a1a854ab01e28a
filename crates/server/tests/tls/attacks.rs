//! Bad company at the door: half-open connections by the thousand, bytes that mean nothing, clients
//! that stop or go in the middle. It must never panic, never hang, and serve the others all the while.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::ClientConfig;
use rustls::ClientConnection;
use server::wire::etcdserverpb as pb;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::served::{Served, grpc, rest, within};
use crate::support::{Leaf, Workshop};

/// One handshake with a put after it, and how long both took.
async fn guest(address: SocketAddr, client: &ClientConfig) -> Duration {
    let started = Instant::now();
    let mut client = grpc(address, client).await.expect("a handshake");
    let request = pb::PutRequest { key: "a".into(), value: "1".into(), ..Default::default() };
    let put = client.call::<_, pb::PutResponse>("/etcdserverpb.KV/Put", request);
    within(put).await.expect("an answer");
    started.elapsed()
}

/// How a client of ours begins.
fn hello(client: &ClientConfig) -> Vec<u8> {
    let name = "localhost".try_into().expect("a name");
    let mut session = ClientConnection::new(Arc::new(client.clone()), name).expect("a session");
    let mut bytes = Vec::new();
    session.write_tls(&mut bytes).expect("memory");
    bytes
}

/// Numbers below what is asked, the same ones each time.
fn random() -> impl FnMut(usize) -> usize {
    let mut state = 7_u64;
    move |below| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    }
}

/// Pitfall x: clients that never finish their handshake. 1,500 of them, which is more than may be
/// under way at once, keep nobody out, and are cut off.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_open_connections_keep_nobody_out_and_are_cut_off() {
    let shop = Workshop::new();
    let served = Served::tls(&shop.plain()).await;
    let client = shop.client(None);
    let hello = hello(&client);
    let mut half_open = Vec::new();
    let started = Instant::now();
    for n in 0..1500 {
        let mut socket = within(TcpStream::connect(served.address())).await.expect("the queue");
        // Nothing, one byte, half a greeting, all of it: each is a different place to be stuck in.
        let said = [0, 1, hello.len() / 2, hello.len()][n % 4];
        drop(socket.write_all(&hello[..said]).await);
        half_open.push(socket);
        if n % 250 == 249 {
            let took = guest(served.address(), &client).await;
            assert!(took < Duration::from_secs(9), "a client was kept waiting for {took:?}");
        }
    }
    let opened = started.elapsed();
    for socket in &mut half_open {
        rest(socket).await;
    }
    let all = started.elapsed();
    assert!(all < opened + Duration::from_secs(25), "the last was cut off after {all:?}");
    guest(served.address(), &client).await;
    served.end().await;
}

#[tokio::test]
async fn a_client_that_stops_at_any_byte_of_its_greeting_is_done_with() {
    let shop = Workshop::new();
    let served = Served::tls(&shop.mutual()).await;
    let client = shop.client(Some(&shop.ca.sign(&Leaf::named("alice"))));
    let hello = hello(&client);
    for end in (0..hello.len()).step_by(7) {
        let mut socket = TcpStream::connect(served.address()).await.unwrap();
        socket.write_all(&hello[..end]).await.unwrap();
        socket.shutdown().await.unwrap();
        rest(&mut socket).await;
    }
    // Gone without a word after the server's answer, too.
    for _ in 0..20 {
        let mut socket = TcpStream::connect(served.address()).await.unwrap();
        socket.write_all(&hello).await.unwrap();
        let mut some = [0; 64];
        assert!(within(socket.read(&mut some)).await.unwrap() > 0);
        drop(socket);
    }
    guest(served.address(), &client).await;
    served.end().await;
}

#[tokio::test]
async fn bytes_that_mean_nothing_are_refused_at_every_port() {
    let shop = Workshop::new();
    let plain = (server::serve::Traffic::All, server::serve::Secrecy::Plaintext);
    let secret = (server::serve::Traffic::All, crate::served::secrecy(&shop.plain()));
    let served = Served::on(vec![secret, plain]).await;
    let client = shop.client(None);
    let hello = hello(&client);
    let mut random = random();
    for round in 0..600 {
        let mut bytes: Vec<u8> = (0..1 + random(2000)).map(|_| random(256) as u8).collect();
        match round % 3 {
            // A greeting with damage, noise behind the beginning of a record, and noise.
            0 => {
                bytes.clone_from(&hello);
                for _ in 0..1 + random(8) {
                    bytes[random(hello.len())] = random(256) as u8;
                }
            }
            1 => bytes.splice(..0, *b"\x16\x03\x01").for_each(drop),
            _ => {}
        }
        let mut socket = TcpStream::connect(served.addresses[round % 2]).await.unwrap();
        drop(socket.write_all(&bytes).await);
        drop(socket.shutdown().await);
        rest(&mut socket).await;
    }
    guest(served.address(), &client).await;
    crate::rpc::Client::of(served.addresses[1]).await.put("a", "2").await;
    served.end().await;
}

/// A greeting that comes a byte at a time is a slow network, and good as long as it ends in time.
#[tokio::test]
async fn a_slow_greeting_is_taken() {
    let shop = Workshop::new();
    let served = Served::tls(&shop.plain()).await;
    let hello = hello(&shop.client(None));
    let mut socket = TcpStream::connect(served.address()).await.unwrap();
    socket.set_nodelay(true).unwrap();
    for byte in hello {
        socket.write_all(&[byte]).await.unwrap();
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let mut record = [0; 3];
    within(socket.read_exact(&mut record)).await.unwrap();
    assert_eq!(record, *b"\x16\x03\x03", "the server's greeting");
    served.end().await;
}
