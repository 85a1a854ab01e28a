//! What a supervisor that asks for readiness (systemd's `Type=notify`) is told, and when.

use std::fs;
use std::io;
use std::net::TcpStream;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::running::{free_address, meridian, run};
use super::support::Client;

const PATIENCE: Duration = Duration::from_secs(60);
/// Long enough to show that something did not come.
const A_WHILE: Duration = Duration::from_millis(500);

/// The supervisor's end of it.
struct Ear(UnixDatagram);

impl Ear {
    fn next(&self, within: Duration) -> io::Result<String> {
        self.0.set_read_timeout(Some(within))?;
        let mut message = [0; 1024];
        let length = self.0.recv(&mut message)?;
        Ok(String::from_utf8_lossy(&message[..length]).into_owned())
    }

    fn hears(&self, first_line: &str) {
        let message = self.next(PATIENCE).expect("a message");
        assert_eq!(message.lines().next(), Some(first_line), "{message:?}");
    }

    fn hears_nothing(&self) {
        let silence = self.next(A_WHILE).expect_err("silence");
        assert!(matches!(silence.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut));
    }
}

/// Killed with this.
struct Started(Child);

impl Drop for Started {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn supervised(data: &Path, at: std::net::SocketAddr, socket: &str) -> Command {
    let mut command = meridian(data, at);
    command.env("NOTIFY_SOCKET", socket).stderr(Stdio::null());
    command
}

#[tokio::test]
async fn ready_is_said_when_clients_are_answered_and_stopping_before_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("notify");
    let ear = Ear(UnixDatagram::bind(&socket).unwrap());
    let address = free_address();
    let mut command = supervised(&dir.path().join("data"), address, socket.to_str().unwrap());
    let mut process = Started(command.spawn().unwrap());
    ear.hears("READY=1");
    // The first try, not one of several.
    Client::of(address).await.put("a", "1").await;
    let kill = format!("kill -TERM {}", process.0.id());
    let kill = Command::new("sh").args(["-c", &kill]).status();
    assert!(kill.unwrap().success());
    ear.hears("STOPPING=1");
    assert!(process.0.wait().unwrap().success());
    ear.hears_nothing();
}

/// The ids of the data directory are read before the journal: a pipe in their place holds recovery
/// up.
#[test]
fn ready_is_not_said_while_recovery_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    fs::create_dir(&data).unwrap();
    let pipe = data.join("identity");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let hidden = format!("meridian-test-{}", std::process::id());
    let name = SocketAddr::from_abstract_name(&hidden).unwrap();
    let ear = Ear(UnixDatagram::bind_addr(&name).unwrap());
    let address = free_address();
    let mut command = supervised(&data, address, &format!("@{hidden}"));
    let _process = Started(command.spawn().unwrap());
    while TcpStream::connect(address).is_err() {
        std::thread::sleep(Duration::from_millis(10));
    }
    ear.hears_nothing();
    fs::write(&pipe, "member 1\ncluster 2\n").unwrap();
    ear.hears("READY=1");
}

#[test]
fn a_start_that_fails_says_nothing() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("data/member/snap")).unwrap();
    fs::write(dir.path().join("data/member/snap/db"), b"bolt").unwrap();
    let socket = dir.path().join("notify");
    let ear = Ear(UnixDatagram::bind(&socket).unwrap());
    let mut command = meridian(&dir.path().join("data"), free_address());
    command.env("NOTIFY_SOCKET", &socket);
    run(command).said(1, &["etcd"]);
    ear.hears_nothing();
}

#[test]
fn a_supervisor_that_is_not_there_stops_nothing() {
    for socket in ["/nowhere/notify", "@nobody-listens-here", "no-address", ""] {
        let dir = tempfile::tempdir().unwrap();
        let address = free_address();
        let _process = Started(supervised(dir.path(), address, socket).spawn().unwrap());
        let page = patiently(|| probe(&format!("http://{address}/health"))).expect("a page");
        assert!(page.contains(r#""health":"true""#), "with NOTIFY_SOCKET={socket:?}: {page}");
    }
}

/// What `meridian probe` says: the page, or why not.
fn probe(url: &str) -> Result<String, String> {
    let ended = Command::new(env!("CARGO_BIN_EXE_meridian")).args(["probe", url]).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    match ended.status.code() {
        Some(0) => Ok(text(ended.stdout)),
        Some(1) => Err(text(ended.stderr)),
        other => panic!("{other:?}"),
    }
}

/// Tries for a while.
fn patiently<T, E>(attempt: impl Fn() -> Result<T, E>) -> Result<T, E> {
    let began = std::time::Instant::now();
    loop {
        match attempt() {
            Err(_) if began.elapsed() < PATIENCE => std::thread::sleep(Duration::from_millis(20)),
            ended => return ended,
        }
    }
}

#[test]
fn a_probe_tells_a_page_that_is_well_from_all_others() {
    let dir = tempfile::tempdir().unwrap();
    let address = free_address();
    let url = |path: &str| format!("http://{address}{path}");
    let refused = probe(&url("/readyz")).unwrap_err();
    assert!(refused.contains("refused"), "{refused}");
    let _process = Started(meridian(dir.path(), address).stderr(Stdio::null()).spawn().unwrap());
    patiently(|| probe(&url("/readyz"))).expect("it becomes ready");
    let named = format!("http://localhost:{}/livez", address.port());
    assert_eq!(probe(&named).as_deref(), Ok("ok\n"));
    let missing = probe(&url("/nothing-here")).unwrap_err();
    assert!(missing.contains("404"), "{missing}");
    let encrypted = probe("https://127.0.0.1:2379/readyz").unwrap_err();
    assert!(encrypted.contains("--listen-metrics-urls"), "{encrypted}");
}
