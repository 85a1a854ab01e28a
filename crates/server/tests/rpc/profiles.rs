//! `/debug/pprof/`: a profile that pprof can read, where it was asked for.

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use flate2::read::GzDecoder;
use prost::Message;
use server::grpc::Settings;
use server::http::Access;
use server::observe::metrics::Settings as Measured;
use server::rpc::Services;
use server::wire::profile::Profile;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::support::Server;

#[inline(never)]
fn a_busy_function(until: &AtomicBool) -> u64 {
    let mut n = 1_u64;
    while !until.load(Relaxed) {
        n = std::hint::black_box(n.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
    }
    n
}

async fn serve(profiles: bool) -> Server {
    let access = Access::default().with_profiles(profiles);
    Server::set(Settings::default(), Services::metrics(Measured::default()), access).await
}

/// The head and the body of a page.
async fn page(server: &Server, path: &str) -> (String, Vec<u8>) {
    let mut socket = TcpStream::connect(server.address).await.unwrap();
    let head = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    socket.write_all(head.as_bytes()).await.unwrap();
    let mut reply = Vec::new();
    socket.read_to_end(&mut reply).await.unwrap();
    let at = reply.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    (String::from_utf8(reply[..at].to_vec()).unwrap(), reply[at + 4..].to_vec())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_shows_who_was_busy() {
    let server = serve(true).await;
    let enough = Arc::new(AtomicBool::new(false));
    let until = Arc::clone(&enough);
    let busy = std::thread::Builder::new().name("a busy thread".to_owned());
    let busy = busy.spawn(move || a_busy_function(&until)).unwrap();
    let second = async {
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
        page(&server, "/debug/pprof/profile?seconds=1").await
    };
    let ((head, body), (refused, why)) =
        tokio::join!(page(&server, "/debug/pprof/profile?seconds=2"), second);
    enough.store(true, Relaxed);
    busy.join().unwrap();
    let shown = String::from_utf8_lossy(&body[..body.len().min(200)]);
    assert!(head.starts_with("HTTP/1.1 200") && head.contains("octet-stream"), "{head} {shown}");
    assert!(refused.starts_with("HTTP/1.1 500"), "{refused}");
    let why = String::from_utf8(why).unwrap();
    assert_eq!(why, "Could not enable CPU profiling: cpu profiling already in use\n");
    let mut bytes = Vec::new();
    GzDecoder::new(&body[..]).read_to_end(&mut bytes).unwrap();
    let profile = Profile::decode(&bytes[..]).unwrap();
    assert_eq!(profile.string_table[0], "");
    let text = |place: i64| profile.string_table[usize::try_from(place).unwrap()].as_str();
    let kinds: Vec<_> =
        profile.sample_type.iter().map(|of| (text(of.r#type), text(of.unit))).collect();
    assert_eq!(kinds, [("samples", "count"), ("cpu", "nanoseconds")]);
    assert_eq!(profile.period, 10_000_000);
    let mut busiest = 0;
    for sample in &profile.sample {
        assert_eq!(sample.value[1], sample.value[0] * profile.period);
        let names = sample.location_id.iter().map(|id| {
            let location = &profile.location[usize::try_from(*id).unwrap() - 1];
            assert_eq!((location.id, location.mapping_id), (*id, 1));
            let function = usize::try_from(location.line[0].function_id).unwrap() - 1;
            text(profile.function[function].name)
        });
        let label = &sample.label[0];
        assert_eq!(text(label.key), "thread");
        if names.collect::<Vec<_>>().iter().any(|name| name.contains("a_busy_function")) {
            assert_eq!(text(label.str), "a busy thread");
            busiest += sample.value[0];
        }
    }
    assert!(busiest >= 20, "{busiest} samples of two seconds");
}

#[tokio::test]
async fn what_is_not_there_says_so() {
    let server = serve(true).await;
    for (path, code, words) in [
        ("/debug/pprof/", "200", "go tool pprof"),
        ("/debug/pprof/cmdline", "200", "rpc"),
        ("/debug/pprof/heap", "501", "/metrics has what memory is used for"),
        ("/debug/pprof/goroutine?debug=2", "501", "there are no goroutines"),
        ("/debug/pprof/nothing", "404", "Unknown profile"),
        ("/debug/pprof/profile?seconds=100000", "400", "600 seconds at most"),
    ] {
        let (head, body) = page(&server, path).await;
        assert!(head.starts_with(&format!("HTTP/1.1 {code}")), "{path}: {head}");
        assert!(String::from_utf8_lossy(&body).contains(words), "{path}");
    }
    let server = serve(false).await;
    for path in ["/debug/pprof/", "/debug/pprof/profile?seconds=1"] {
        let (head, body) = page(&server, path).await;
        assert!(head.starts_with("HTTP/1.1 404"), "{path}: {head}");
        assert_eq!(body, b"404 page not found\n");
    }
}
