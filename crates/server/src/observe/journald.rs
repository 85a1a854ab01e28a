//! systemd's journal, spoken to in its own protocol: one datagram a line, with its level. What the
//! journal does not take goes to standard error, as in etcd.

use std::io::{self, Write};
use std::os::unix::net::UnixDatagram;
use std::path::Path;

use crate::config::LogLevel;

/// Where systemd listens.
pub(super) const SOCKET: &str = "/run/systemd/journal/socket";

/// See the module.
pub(super) struct Journald {
    socket: UnixDatagram,
    program: String,
}

impl Journald {
    /// Finds the journal.
    pub(super) fn open(socket: &Path) -> io::Result<Self> {
        let datagrams = UnixDatagram::unbound()?;
        datagrams.connect(socket).map_err(|error| {
            let what = format!(
                "--log-outputs=systemd/journal: can't find journal ({}: {error})",
                socket.display()
            );
            io::Error::new(error.kind(), what)
        })?;
        // A journal that is full must not stop the server.
        datagrams.set_nonblocking(true)?;
        let program = std::env::args().next().unwrap_or_default();
        let program = Path::new(&program).file_name().unwrap_or_default().to_string_lossy();
        Ok(Self { socket: datagrams, program: program.into_owned() })
    }

    /// Hands over a line; `caller` is the file that says it.
    pub(super) fn line(&self, level: LogLevel, caller: &str, line: &str) {
        let package = caller.rsplit_once('/').map_or(".", |(folder, _)| folder);
        let mut message = Vec::with_capacity(line.len() + 100);
        for (name, value) in [
            ("PRIORITY", priority(level)),
            ("MESSAGE", line.trim_end()),
            ("PACKAGE", package),
            ("SYSLOG_IDENTIFIER", &self.program),
        ] {
            field(&mut message, name, value);
        }
        if self.socket.send(&message).is_err() {
            drop(io::stderr().write_all(line.as_bytes()));
        }
    }
}

/// A value with more lines than one is preceded by its length.
fn field(out: &mut Vec<u8>, name: &str, value: &str) {
    out.extend_from_slice(name.as_bytes());
    if value.contains('\n') {
        out.push(b'\n');
        out.extend_from_slice(&(value.len() as u64).to_le_bytes());
    } else {
        out.push(b'=');
    }
    out.extend_from_slice(value.as_bytes());
    out.push(b'\n');
}

/// syslog's number of a level.
fn priority(level: LogLevel) -> &'static str {
    match level {
        LogLevel::Debug => "7",
        LogLevel::Info => "6",
        LogLevel::Warn => "4",
        LogLevel::Error => "3",
        LogLevel::Dpanic | LogLevel::Panic | LogLevel::Fatal => "2",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_datagram_with_its_level() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        assert!(Journald::open(&path).err().unwrap().to_string().contains("can't find journal"));
        let journal = UnixDatagram::bind(&path).unwrap();
        let log = Journald::open(&path).unwrap();
        log.line(LogLevel::Warn, "serve/door.rs:12", "{\"level\":\"warn\"}\n");
        let mut heard = [0; 512];
        let length = journal.recv(&mut heard).unwrap();
        let heard = std::str::from_utf8(&heard[..length]).unwrap();
        let rest = heard
            .strip_prefix("PRIORITY=4\nMESSAGE={\"level\":\"warn\"}\nPACKAGE=serve\n")
            .expect("in this order");
        assert!(rest.starts_with("SYSLOG_IDENTIFIER=") && rest.ends_with('\n'), "{rest}");
        drop(journal);
        log.line(LogLevel::Info, "a", "the journal is gone: this stands on standard error\n");
    }

    #[test]
    fn values_of_many_lines_have_a_length() {
        let mut out = Vec::new();
        field(&mut out, "MESSAGE", "a\nb");
        assert_eq!(out, b"MESSAGE\n\x03\0\0\0\0\0\0\0a\nb\n");
    }
}
