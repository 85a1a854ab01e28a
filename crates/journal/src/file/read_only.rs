//! A disk for who only looks: the operating system's files, as they are.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use super::disk::{Disk, DiskFile, Lock};
use super::real::{RealDisk, read_at};

/// The operating system's files, none of which can be changed through this.
#[derive(Clone, Copy, Debug, Default)]
pub struct ReadOnlyDisk;

fn refused<T>() -> io::Result<T> {
    Err(io::ErrorKind::ReadOnlyFilesystem.into())
}

impl Disk for ReadOnlyDisk {
    fn create_dir(&self, _: &Path) -> io::Result<()> {
        refused()
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        RealDisk.list(dir)
    }

    fn exists(&self, path: &Path) -> bool {
        path.exists()
    }

    /// A lock file that is not there is not made: a process that has the journal would have made it.
    fn lock(&self, path: &Path) -> io::Result<Lock> {
        let mut file = match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Lock::Ours(Box::new(())));
            }
            file => file?,
        };
        match file.try_lock() {
            Ok(()) => Ok(Lock::Ours(Box::new(file))),
            Err(TryLockError::WouldBlock) => {
                let mut holder = Vec::new();
                file.by_ref().take(64).read_to_end(&mut holder)?;
                Ok(Lock::Theirs(format!("process {}", String::from_utf8_lossy(&holder).trim())))
            }
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    fn create(&self, _: &Path) -> io::Result<Arc<dyn DiskFile>> {
        refused()
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        if !fs::metadata(path)?.is_file() {
            return Err(io::Error::other("this is no file"));
        }
        Ok(Arc::new(ReadOnlyFile(File::open(path)?)))
    }

    fn rename(&self, _: &Path, _: &Path) -> io::Result<()> {
        refused()
    }

    fn remove(&self, _: &Path) -> io::Result<()> {
        refused()
    }

    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        refused()
    }
}

struct ReadOnlyFile(File);

impl DiskFile for ReadOnlyFile {
    fn write_at(&self, _: u64, _: &[u8]) -> io::Result<()> {
        refused()
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        read_at(&self.0, offset, into)
    }

    fn sync(&self) -> io::Result<()> {
        refused()
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }
}
