//! The files that credentials are read from: reading them within limits, and telling cheaply
//! whether one of them is another than before.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// The largest file that is read; a revocation list may have many entries.
const MOST_BYTES: u64 = 64 << 20;
/// A file that changed less than this ago may change again without looking different.
const YOUNG: Duration = Duration::from_secs(2);

/// A file, and the flag that names it.
#[derive(Clone, Debug)]
pub(super) struct Source {
    pub(super) flag: &'static str,
    pub(super) path: PathBuf,
}

/// What was found when a file was read, or why it could not be.
pub(super) type Contents = Result<Vec<u8>, String>;

/// What tells one version of a file from another without reading it; links are followed, so that
/// exchanging a link counts as a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stamp {
    /// It cannot be looked at.
    Absent,
    /// Device, inode, size, and the times of the last writing and the last change.
    Present { device: u64, inode: u64, size: u64, written: (i64, i64), changed: (i64, i64) },
}

impl Source {
    pub(super) fn new(flag: &'static str, path: &Path) -> Self {
        Self { flag, path: path.to_owned() }
    }

    pub(super) fn stamp(&self) -> Stamp {
        fs::metadata(&self.path).map_or(Stamp::Absent, |about| Stamp::Present {
            device: about.dev(),
            inode: about.ino(),
            size: about.len(),
            written: (about.mtime(), about.mtime_nsec()),
            changed: (about.ctime(), about.ctime_nsec()),
        })
    }

    /// Reads all of it; the error names flag and file.
    pub(super) fn read(&self) -> Contents {
        let failed = |why: &dyn std::fmt::Display| self.fault(&why.to_string());
        let about = fs::metadata(&self.path).map_err(|error| failed(&error))?;
        if about.is_dir() {
            return Err(failed(&"is a directory, not a file"));
        }
        if !about.is_file() {
            return Err(failed(&"is not a regular file"));
        }
        let mut bytes = Vec::new();
        let file = File::open(&self.path).map_err(|error| failed(&error))?;
        file.take(MOST_BYTES + 1).read_to_end(&mut bytes).map_err(|error| failed(&error))?;
        if bytes.len() as u64 > MOST_BYTES {
            return Err(failed(&format!("is larger than {MOST_BYTES} bytes")));
        }
        Ok(bytes)
    }

    /// What is wrong with this file.
    pub(super) fn fault(&self, why: &str) -> String {
        format!("{self}: {why}")
    }
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.flag, self.path.display())
    }
}

impl Stamp {
    /// Whether another change could hide in the clock's grain.
    pub(super) fn is_young(&self) -> bool {
        let Self::Present { changed: (seconds, _), .. } = *self else { return false };
        let since = u64::try_from(seconds).map(Duration::from_secs).unwrap_or_default();
        let age = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH + since);
        age.is_ok_and(|age| age < YOUNG)
    }
}
