//! What the kernel says of this process: memory, descriptors, CPU time. Linux's `/proc`; elsewhere
//! nothing is said.

use std::fs;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::process::{Resource, Rlimit};

use super::exposition::{Exposition, Type};

/// Clock ticks a second in `/proc`: 100 on every Linux that anybody runs.
const TICKS: f64 = 100.0;
const PAGE: u64 = 4096;

/// When this process began to be watched; taken at start, since `/proc` counts from boot.
#[derive(Clone, Copy, Debug)]
pub struct Started(SystemTime);

impl Started {
    /// Now.
    #[must_use]
    pub fn now() -> Self {
        Self(SystemTime::now())
    }
}

/// Adds the `process_*` and `os_fd_*` metrics.
pub fn expose(out: &mut Exposition, started: Started) {
    let since = started.0.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    out.single(
        "process_start_time_seconds",
        Type::Gauge,
        "Start time of the process since unix epoch in seconds.",
        since.as_secs_f64(),
    );
    if let Some(seconds) = cpu_seconds() {
        let help = "Total user and system CPU time spent in seconds.";
        out.single("process_cpu_seconds_total", Type::Counter, help, seconds);
    }
    if let Some((virtual_bytes, resident_bytes)) = memory() {
        let help = "Resident memory size in bytes.";
        out.single("process_resident_memory_bytes", Type::Gauge, help, resident_bytes);
        let help = "Virtual memory size in bytes.";
        out.single("process_virtual_memory_bytes", Type::Gauge, help, virtual_bytes);
    }
    if let Some(most) = limit("Max address space") {
        let help = "Maximum amount of virtual memory available in bytes.";
        out.single("process_virtual_memory_max_bytes", Type::Gauge, help, most);
    }
    if let Some((received, sent)) = network() {
        let help = "Number of bytes received by the process over the network.";
        out.single("process_network_receive_bytes_total", Type::Counter, help, received);
        let help = "Number of bytes sent by the process over the network.";
        out.single("process_network_transmit_bytes_total", Type::Counter, help, sent);
    }
    if let Some(open) = open_descriptors() {
        let help = "Number of open file descriptors.";
        out.single("process_open_fds", Type::Gauge, help, open);
        out.single("os_fd_used", Type::Gauge, "The number of used file descriptors.", open);
    }
    if let Some(limit) = descriptor_limit() {
        let help = "Maximum number of open file descriptors.";
        out.single("process_max_fds", Type::Gauge, help, limit);
        out.single("os_fd_limit", Type::Gauge, "The file descriptor limit.", limit);
    }
}

/// How many descriptors the process may have open.
#[must_use]
pub fn descriptor_limit() -> Option<u64> {
    limit("Max open files")
}

/// A soft limit; the largest number there is, if there is none.
fn limit(name: &str) -> Option<u64> {
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    let rest = limits.lines().find_map(|line| line.strip_prefix(name))?;
    let soft = rest.split_whitespace().next()?;
    if soft == "unlimited" { Some(u64::MAX) } else { soft.parse().ok() }
}

/// Bytes received and sent by the network that the process is in, all of whose processes share them.
fn network() -> Option<(u64, u64)> {
    let counts = fs::read_to_string("/proc/self/net/netstat").ok()?;
    let mut lines = counts.lines().filter_map(|line| line.strip_prefix("IpExt:"));
    let (names, values) = (lines.next()?, lines.next()?);
    let value = |wanted: &str| {
        let place = names.split_whitespace().position(|name| name == wanted)?;
        values.split_whitespace().nth(place)?.parse().ok()
    };
    Some((value("InOctets")?, value("OutOctets")?))
}

/// Raises the limit of descriptors to the most that the system allows this process, as Go's programs
/// do when they start: the usual soft limit of 1,024 is meant for programs that use `select`.
///
/// # Errors
/// The system's refusal; the limit is then what it was.
pub fn raise_descriptor_limit() -> std::io::Result<()> {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    Ok(rustix::process::setrlimit(Resource::Nofile, raised)?)
}

/// Keeps all memory, of now and of later, from being swapped out; pages count once they are used.
/// Under a limit the store could grow into it, and the process would end for want of memory: so there
/// must be none, or the right to pass it.
///
/// # Errors
/// What stands in the way.
pub fn lock_memory() -> std::io::Result<()> {
    use rustix::mm::MlockAllFlags as Flags;
    let limit = rustix::process::getrlimit(Resource::Memlock).current;
    if let Some(limit) = limit
        && !may_lock()
    {
        let what = format!("{limit} bytes may be locked, and the store is to grow");
        return Err(std::io::Error::new(std::io::ErrorKind::PermissionDenied, what));
    }
    Ok(rustix::mm::mlockall(Flags::CURRENT | Flags::FUTURE | Flags::ONFAULT)?)
}

/// Whether this process has the right to lock any amount (CAP_IPC_LOCK).
fn may_lock() -> bool {
    const CAP_IPC_LOCK: u64 = 1 << 14;
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let rights = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let rights = rights.and_then(|rights| u64::from_str_radix(rights.trim(), 16).ok());
    rights.is_some_and(|rights| rights & CAP_IPC_LOCK != 0)
}

fn open_descriptors() -> Option<usize> {
    Some(fs::read_dir("/proc/self/fd").ok()?.count())
}

fn memory() -> Option<(u64, u64)> {
    let pages = fs::read_to_string("/proc/self/statm").ok()?;
    let mut fields = pages.split_whitespace().map(|field| field.parse::<u64>().ok());
    Some((fields.next()?? * PAGE, fields.next()?? * PAGE))
}

fn cpu_seconds() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The name, which may hold anything, ends with the last parenthesis.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11).map(|field| field.parse::<f64>().ok());
    Some((fields.next()?? + fields.next()??) / TICKS)
}
