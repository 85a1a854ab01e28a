//! The few things the file journal asks of an operating system.
//!
//! Everything the journal does to a disk goes through [`Disk`] and [`DiskFile`], so that a test can
//! stand in for the disk: record what was written and synced, crash it anywhere, fill it up.

use std::io;
use std::path::Path;
use std::sync::Arc;

/// What the writer writes at a time, at the least: whole blocks, at multiples of their size.
pub(crate) const BLOCK: u64 = 4096;

/// A file system, as far as a journal needs one.
pub trait Disk: Send + Sync + 'static {
    /// Creates `dir` and its parents, durably. It may exist already.
    fn create_dir(&self, dir: &Path) -> io::Result<()>;

    /// The names in `dir`, in any order.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;

    /// Whether anything stands at `path`.
    fn exists(&self, path: &Path) -> bool;

    /// Takes the lock file at `path` for this process, or says who has it.
    fn lock(&self, path: &Path) -> io::Result<Lock>;

    /// Creates an empty file, or empties the one that is there. Its name is durable only after
    /// [`sync_dir`](Disk::sync_dir).
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;

    /// Opens a file for reading and writing.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;

    /// Gives a file another name. Durable only after [`sync_dir`](Disk::sync_dir).
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a name. Durable only after [`sync_dir`](Disk::sync_dir).
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Makes the names in `dir` durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
}

/// One open file. All methods may be called from any thread.
pub trait DiskFile: Send + Sync {
    /// Writes all of `bytes` at `offset`. Durable only after [`sync`](DiskFile::sync).
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Reads up to `into.len()` bytes from `offset`; fewer, also 0, at the end of the file.
    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize>;

    /// Makes the contents and the size durable (`fdatasync`).
    fn sync(&self) -> io::Result<()>;

    /// The size in bytes.
    fn size(&self) -> io::Result<u64>;
}

/// The answer to [`Disk::lock`].
pub enum Lock {
    /// The lock is ours until the guard is dropped.
    Ours(Box<dyn Send + Sync>),
    /// Somebody else has it; the text names them as well as can be known.
    Theirs(String),
}

/// Whether the error says that there is no room left, by capacity or by quota.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
