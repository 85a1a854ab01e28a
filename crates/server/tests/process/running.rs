//! One running `meridian`, its log and its memory.

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use super::support::Client;

const PATIENCE: Duration = Duration::from_secs(60);

/// How a process ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    /// The last line that it wrote to its log.
    pub(crate) last: String,
}

impl Ended {
    /// That it ended with `code`, and that its last line has all these words.
    pub(crate) fn said(&self, code: i32, words: &[&str]) {
        assert_eq!(self.status.code(), Some(code), "{self:?}");
        for word in words {
            assert!(self.last.contains(word), "no {word:?} in {self:?}");
        }
    }
}

/// A `meridian` that serves; killed with this.
pub(crate) struct Process {
    pub(crate) address: SocketAddr,
    child: Child,
    lines: std::sync::mpsc::Receiver<String>,
}

impl Process {
    /// Starts one and waits until it serves.
    pub(crate) fn start(data: &Path) -> Self {
        let address = free_address();
        Self::run(meridian(data, address), address)
    }

    /// Runs a command that serves there, and waits until it does.
    pub(crate) fn run(mut command: Command, address: SocketAddr) -> Self {
        let mut child = command.spawn().expect("the binary");
        let (sender, lines) = std::sync::mpsc::channel();
        let log = BufReader::new(child.stderr.take().expect("piped"));
        std::thread::spawn(move || {
            for line in log.lines().map_while(Result::ok) {
                drop(sender.send(line));
            }
        });
        let process = Self { address, child, lines };
        process.says(&["ready to serve client requests"]);
        process
    }

    /// Waits for the next line of its log that has all these words; those before it are gone.
    pub(crate) fn says(&self, words: &[&str]) -> String {
        loop {
            let line = self.lines.recv_timeout(PATIENCE);
            let line = line.unwrap_or_else(|_| panic!("it never says {words:?}"));
            if words.iter().all(|word| line.contains(word)) {
                return line;
            }
        }
    }

    pub(crate) async fn client(&self) -> Client {
        Client::of(self.address).await
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Bytes of memory that are really there.
    pub(crate) fn resident(&self) -> u64 {
        let page = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = page.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a size");
        line.trim().trim_end_matches("kB").trim().parse::<u64>().expect("a number") << 10
    }

    /// Sends a signal, by its name.
    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let sent = Command::new("sh").args(["-c", &format!("kill -{name} {id}")]).status();
        assert!(sent.expect("a shell").success());
    }

    /// Waits for the end.
    pub(crate) fn ended(mut self) -> Ended {
        let status = wait(&mut self.child);
        let last = self.lines.iter().filter(|line| !line.trim().is_empty()).last();
        Ended { status, last: last.unwrap_or_default() }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn wait(child: &mut Child) -> ExitStatus {
    let started = Instant::now();
    loop {
        if let Some(status) = child.try_wait().expect("a child") {
            return status;
        }
        if started.elapsed() > PATIENCE {
            drop(child.kill());
            panic!("it does not end");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The binary with its usual flags; more can be added.
pub(crate) fn meridian(data: &Path, address: SocketAddr) -> Command {
    let url = format!("http://{address}");
    let mut command = Command::new(env!("CARGO_BIN_EXE_meridian"));
    command.arg("--data-dir").arg(data);
    command.args(["--listen-client-urls", &url, "--advertise-client-urls", &url]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

/// Runs something that is not to serve, to its end.
pub(crate) fn run(mut command: Command) -> Ended {
    let mut child = command.spawn().expect("the binary");
    let log = BufReader::new(child.stderr.take().expect("piped"));
    let reader = std::thread::spawn(move || {
        let lines = log.lines().map_while(Result::ok);
        lines.filter(|line| !line.trim().is_empty()).last().unwrap_or_default()
    });
    let status = wait(&mut child);
    Ended { status, last: reader.join().expect("a reader") }
}

/// An address that nobody listened on a moment ago.
pub(crate) fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address")
}
