//! Telling the supervisor that started this process (systemd, by `Type=notify`) when it serves and
//! when it stops. Without `NOTIFY_SOCKET` nothing is sent. A supervisor that does not listen is
//! logged, never fatal.

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// A supervisor whose queue is full holds a message up no longer than this.
const PATIENCE: Duration = Duration::from_secs(1);

/// Who wants to know how far this process is; nobody, mostly.
pub struct Supervisor(Option<SocketAddr>);

impl Supervisor {
    /// The one that `NOTIFY_SOCKET` names.
    #[must_use]
    pub fn of_this_process() -> Self {
        let Some(name) = std::env::var_os("NOTIFY_SOCKET") else { return Self(None) };
        let address = address(&name);
        if let Err(error) = &address {
            tracing::warn!(socket = ?name, %error, "NOTIFY_SOCKET is no address, nobody is told");
        }
        Self(address.ok())
    }

    /// Says that clients are answered from now on, and on which addresses.
    pub fn ready(&self, addresses: &str) {
        self.tell(&format!("READY=1\nSTATUS=serving {addresses}"));
    }

    /// Says that the way out has begun.
    pub fn stopping(&self) {
        self.tell("STOPPING=1\nSTATUS=stopping");
    }

    fn tell(&self, message: &str) {
        let Some(address) = &self.0 else { return };
        match send(address, message.as_bytes()) {
            Ok(()) => tracing::debug!(message, "told the supervisor"),
            Err(error) => tracing::warn!(message, %error, "cannot tell the supervisor"),
        }
    }
}

/// A path, or after an `@` a name that no file stands for.
fn address(name: &OsStr) -> io::Result<SocketAddr> {
    match name.as_bytes() {
        [b'/', ..] => SocketAddr::from_pathname(name),
        [b'@', hidden @ ..] => SocketAddr::from_abstract_name(hidden),
        _ => Err(io::Error::new(io::ErrorKind::InvalidInput, "it starts with neither / nor @")),
    }
}

fn send(address: &SocketAddr, message: &[u8]) -> io::Result<()> {
    let socket = UnixDatagram::unbound()?;
    socket.set_write_timeout(Some(PATIENCE))?;
    socket.send_to_addr(message, address).map(drop)
}
