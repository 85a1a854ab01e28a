//! The `meridian` binary over mutual TLS: who does not come in, what the log says of it, and that
//! everyone else is served all the while.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use rustls::ClientConfig;
use server::wire::etcdserverpb as pb;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::others::running::{Process, free_address};
use crate::served::{answer, dial, grpc, rest, within};
use crate::support::{Ca, Leaf, Pair, Workshop, replace};

/// A server with mutual TLS and a revocation list on its client, http and metrics listeners.
struct Guarded {
    process: Process,
    calls: SocketAddr,
    pages: SocketAddr,
    metrics: SocketAddr,
    plain: SocketAddr,
}

impl Guarded {
    fn start(shop: &Workshop) -> Self {
        let [calls, pages, metrics, plain] = std::array::from_fn(|_| free_address());
        let mut command = Command::new(env!("CARGO_BIN_EXE_meridian"));
        let file = |name: &str| shop.path(name).to_str().expect("text").to_owned();
        command.args(["--data-dir", &file("data"), "--cert-file", &file("server.crt")]);
        command.args(["--key-file", &file("server.key"), "--trusted-ca-file", &file("ca.crt")]);
        command.args(["--client-cert-auth", "--client-crl-file", &file("revoked.crl")]);
        let clients = format!("https://{calls},http://{plain}");
        command.args(["--listen-client-urls", &clients, "--advertise-client-urls", &clients]);
        command.args(["--listen-client-http-urls", &format!("https://{pages}")]);
        command.args(["--listen-metrics-urls", &format!("https://{metrics}")]);
        command.stdin(std::process::Stdio::null()).stdout(std::process::Stdio::null());
        command.stderr(std::process::Stdio::piped());
        let process = Process::run(command, calls);
        Self { process, calls, pages, metrics, plain }
    }

    /// The log's next line of a refusal that has these words.
    async fn told(self, words: &'static [&'static str]) -> (Self, String) {
        let told = tokio::task::spawn_blocking(move || {
            let refusal = ["rejected connection on client endpoint", "remote-addr", "127.0.0.1:"];
            let line = self.process.says(&[&refusal[..], words].concat());
            (self, line)
        });
        told.await.expect("a line")
    }
}

async fn put(address: SocketAddr, client: &ClientConfig) -> Result<(), String> {
    let mut client = grpc(address, client).await?;
    let request = pb::PutRequest { key: "a".into(), value: "1".into(), ..Default::default() };
    let put = client.call::<_, pb::PutResponse>("/etcdserverpb.KV/Put", request);
    within(put).await.map(drop).map_err(|status| status.to_string())
}

/// A page over HTTP/1 and TLS, or why there is none.
async fn page(address: SocketAddr, client: &ClientConfig, path: &str) -> Result<String, String> {
    let mut client = client.clone();
    client.alpn_protocols.clear();
    let mut stream = dial(address, &client).await.map_err(|error| error.to_string())?;
    let head = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await.map_err(|error| error.to_string())?;
    let mut reply = Vec::new();
    let read = tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut reply);
    within(read).await.map_err(|error| error.to_string())?;
    Ok(String::from_utf8_lossy(&reply).into_owned())
}

fn ours(shop: &Workshop, leaf: Leaf) -> Pair {
    shop.ca.sign(&leaf)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_refused_is_in_the_log_with_the_reason() {
    let shop = Workshop::new();
    shop.write("revoked.crl", shop.ca.revoke(&[66]));
    let mut guarded = Guarded::start(&shop);
    let alice = shop.client(Some(&ours(&shop, Leaf::named("alice").serial(7))));
    put(guarded.calls, &alice).await.unwrap();
    let strangers: [(Option<Pair>, &[&str]); 4] = [
        (None, &["no certificate", "ca.crt"]),
        (Some(Ca::new("other").sign(&Leaf::named("mallory"))), &["unknown CA", "ca.crt"]),
        (Some(ours(&shop, Leaf::named("old").expired())), &["expired"]),
        (Some(ours(&shop, Leaf::named("bob").serial(66))), &["revoked", "revoked.crl"]),
    ];
    for (pair, words) in strangers {
        put(guarded.calls, &shop.client(pair.as_ref())).await.unwrap_err();
        let line;
        (guarded, line) = guarded.told(words).await;
        assert!(line.contains("\"server-name\":\"localhost\""), "{line}");
        assert!(line.contains("\"level\":\"warn\""), "{line}");
        put(guarded.calls, &alice).await.expect("the others are served");
    }
    answer(guarded.calls, b"GET /health HTTP/1.1\r\n\r\n").await;
    (guarded, _) = guarded.told(&["plaintext on a TLS port", "https://"]).await;
    dial(guarded.plain, &alice).await.unwrap_err();
    (guarded, _) = guarded.told(&["TLS on a plaintext port", "http://"]).await;
    put(guarded.calls, &alice).await.expect("the others are served");
}

/// Pitfall w: the list counts on every listener, for gRPC alone too, and as soon as it changes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_certificate_is_refused_on_every_listener() {
    let shop = Workshop::new();
    shop.write("revoked.crl", shop.ca.revoke(&[66]));
    let guarded = Guarded::start(&shop);
    let client = |serial| shop.client(Some(&ours(&shop, Leaf::named("bob").serial(serial))));
    let (good, revoked) = (client(7), client(66));
    let doors = [(guarded.pages, "/health"), (guarded.metrics, "/metrics")];
    for (address, path) in doors {
        assert!(page(address, &good, path).await.unwrap().starts_with("HTTP/1.1 200 OK"));
        page(address, &revoked, path).await.unwrap_err();
    }
    put(guarded.calls, &good).await.unwrap();
    put(guarded.calls, &revoked).await.unwrap_err();
    replace(Path::new(&shop.path("revoked.crl")), shop.ca.revoke(&[66, 7]));
    put(guarded.calls, &good).await.unwrap_err();
    for (address, path) in doors {
        page(address, &good, path).await.unwrap_err();
    }
    put(guarded.calls, &client(8)).await.unwrap();
}

/// SIGTERM in the middle: half a handshake, an idle connection and a call under way hold nothing up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signal_ends_it_with_connections_at_every_stage() {
    let shop = Workshop::new();
    shop.write("revoked.crl", shop.ca.revoke(&[66]));
    let guarded = Guarded::start(&shop);
    let alice = shop.client(Some(&ours(&shop, Leaf::named("alice").serial(7))));
    let mut half = TcpStream::connect(guarded.calls).await.unwrap();
    half.write_all(b"\x16\x03\x01").await.unwrap();
    let idle = grpc(guarded.calls, &alice).await.unwrap();
    put(guarded.calls, &alice).await.unwrap();
    guarded.process.signal("TERM");
    let ended = tokio::task::spawn_blocking(move || guarded.process.ended()).await.unwrap();
    ended.said(0, &["\"stopped\"", "SIGTERM"]);
    assert_eq!(rest(&mut half).await, b"");
    drop(idle);
}
