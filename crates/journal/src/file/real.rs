//! The operating system's own disk.
//!
//! Whole blocks are written past the page cache: the cache of a file that was filled or read in
//! large pieces has large folios, and a small write would make a whole one dirty. Reads go through
//! the cache; the kernel drops from it what a direct write has overtaken, before that returns.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{Advice, OFlags, fadvise};

use super::disk::{BLOCK, Disk, DiskFile, Lock};

/// How much is copied for one direct write.
const PIECE: usize = 1 << 20;

/// [`Disk`] on the operating system's files.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealDisk;

impl Disk for RealDisk {
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        let missing: Vec<&Path> = dir.ancestors().take_while(|path| !path.exists()).collect();
        DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        for path in missing {
            match path.parent() {
                Some(parent) if !parent.as_os_str().is_empty() => self.sync_dir(parent)?,
                _ => self.sync_dir(Path::new("."))?,
            }
        }
        Ok(())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        fs::read_dir(dir)?
            .map(|entry| entry.map(|entry| entry.file_name().to_string_lossy().into_owned()))
            .collect()
    }

    fn exists(&self, path: &Path) -> bool {
        path.exists()
    }

    fn lock(&self, path: &Path) -> io::Result<Lock> {
        let mut file = private().create(true).truncate(false).open(path)?;
        match file.try_lock() {
            Ok(()) => {
                // For people only; a full disk must not keep a journal from being opened.
                drop(file.set_len(0).and_then(|()| write!(file, "{}", std::process::id())));
                Ok(Lock::Ours(Box::new(file)))
            }
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                file.read_to_string(&mut holder)?;
                Ok(Lock::Theirs(format!("process {}", holder.trim())))
            }
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(RealFile::new(private().create(true).truncate(true).open(path)?, path)?))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(RealFile::new(private().open(path)?, path)?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all()
    }
}

/// What is stored is nobody else's to read.
/// Options for a file of which only its owner may know.
pub(super) fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600);
    options
}

struct RealFile {
    file: File,
    /// The same file past the page cache, where the file system has such a thing.
    direct: Option<File>,
    /// Set when the file system took a direct descriptor and then refused a direct write.
    refused: AtomicBool,
}

impl RealFile {
    fn new(file: File, path: &Path) -> io::Result<Self> {
        let direct = match private().custom_flags(OFlags::DIRECT.bits().cast_signed()).open(path) {
            Ok(direct) => Some(direct),
            Err(error) if refuses_direct(&error) => None,
            Err(error) => return Err(error),
        };
        Ok(Self { file, direct, refused: AtomicBool::new(false) })
    }

    fn direct(&self) -> Option<&File> {
        self.direct.as_ref().filter(|_| !self.refused.load(Ordering::Relaxed))
    }
}

/// Reads until `into` is full or the file ends.
pub(super) fn read_at(file: &File, offset: u64, into: &mut [u8]) -> io::Result<usize> {
    let mut done = 0;
    while done < into.len() {
        match file.read_at(&mut into[done..], offset + done as u64) {
            Ok(0) => break,
            Ok(n) => done += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

fn refuses_direct(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported)
}

/// Writes whole blocks from memory that is aligned as they are.
fn write_direct(file: &File, offset: u64, bytes: &[u8]) -> io::Result<()> {
    let block = BLOCK as usize;
    let mut memory = vec![0; bytes.len().min(PIECE) + block];
    let skip = memory.as_ptr().align_offset(block);
    let mut at = offset;
    for piece in bytes.chunks(PIECE) {
        let aligned = &mut memory[skip..skip + piece.len()];
        aligned.copy_from_slice(piece);
        file.write_all_at(aligned, at)?;
        at += piece.len() as u64;
    }
    Ok(())
}

impl DiskFile for RealFile {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let whole = offset.is_multiple_of(BLOCK) && (bytes.len() as u64).is_multiple_of(BLOCK);
        if let Some(direct) = self.direct()
            && whole
        {
            match write_direct(direct, offset, bytes) {
                Err(error) if refuses_direct(&error) => self.refused.store(true, Ordering::Relaxed),
                done => return done,
            }
        }
        self.file.write_all_at(bytes, offset)
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        read_at(&self.file, offset, into)
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync_data()?;
        if self.direct().is_none() {
            // Only advice: without it more is made dirty than was written.
            fadvise(&self.file, 0, None, Advice::DontNeed).ok();
        }
        Ok(())
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reads(file: &RealFile, offset: u64, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        assert_eq!(file.read_at(offset, &mut bytes).expect("read"), length);
        bytes
    }

    /// Blocks, pieces and odd bytes over one another: a read sees the last of them.
    fn holds_what_was_written(file: &RealFile) {
        let mut expected = vec![0; 3 * PIECE];
        let block = BLOCK as usize;
        let writes = [
            (0, 3 * PIECE),
            (block, block),
            (block + 5, 100),
            (block, block),
            (7, PIECE + 2 * block),
            (block, PIECE + block),
            (2 * PIECE - 1, 2),
        ];
        for (at, (offset, length)) in writes.into_iter().enumerate() {
            let bytes = vec![at as u8 + 1; length];
            expected[offset..offset + length].copy_from_slice(&bytes);
            file.write_at(offset as u64, &bytes).expect("write");
            assert!(reads(file, 0, expected.len()) == expected, "write {at}");
            file.sync().expect("sync");
            assert!(reads(file, 0, expected.len()) == expected, "write {at}, synced");
        }
    }

    #[test]
    fn reads_see_every_write() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("file");
        let plain = private().create(true).truncate(true).open(&path).expect("create");
        holds_what_was_written(&RealFile::new(plain, &path).expect("open"));
    }

    #[test]
    fn a_file_system_without_direct_writes_will_do() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("file");
        let plain = || private().create(true).truncate(true).open(&path).expect("create");
        let refused = AtomicBool::new(false);
        holds_what_was_written(&RealFile { file: plain(), direct: None, refused });
        // This one answers EINVAL to anything that is no number.
        let direct = private().open("/proc/self/oom_score_adj").expect("open");
        let refused = AtomicBool::new(false);
        let file = RealFile { file: plain(), direct: Some(direct), refused };
        holds_what_was_written(&file);
        assert!(file.direct().is_none(), "it was refused");
    }
}
