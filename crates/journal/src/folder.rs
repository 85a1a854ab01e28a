//! Objects as files of one folder, which may be mounted by many machines at once. Each file ends with its
//! length and checksum, and gets its name when it is whole and synced.
//!
//! Files are read and written on whatever thread polls: not for a thread that must not wait.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::{self, StreamExt};
use futures::{FutureExt, TryStreamExt};
use rand::Rng;

use crate::{JournalError, Object, Objects, Pieces};

const MAGIC: [u8; 4] = *b"MRDO";
/// Length, checksum, magic.
const TRAILER: u64 = 8 + 4 + 4;
/// Bytes that are in memory at a time.
const PIECE: u64 = 256 << 10;
/// Ends the name of a file that is not whole; a name of ours has no tilde.
const UNFINISHED: &str = "~";
/// One that is older was broken off.
const BROKEN_OFF: Duration = Duration::from_secs(24 * 3600);
/// The longest name a file may have.
const LONGEST: usize = 250;

/// Objects in a folder.
#[derive(Clone, Debug)]
pub struct FolderObjects {
    folder: PathBuf,
}

impl FolderObjects {
    /// Opens the folder, or makes it below one that is there: a mount that is missing is an error and not
    /// an empty folder on the disk of this machine.
    ///
    /// # Errors
    /// When it cannot be used.
    pub fn open(mounted: &Path, name: &str) -> Result<Self, JournalError> {
        let folder = mounted.join(file_name(name)?);
        let made = match fs::create_dir(&folder) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
            made => made.and_then(|()| sync(mounted)),
        };
        made.map_err(|error| failed(&folder, &error))?;
        let this = Self { folder };
        this.entries()?;
        Ok(this)
    }

    fn path(&self, name: &str) -> Result<PathBuf, JournalError> {
        Ok(self.folder.join(file_name(name)?))
    }

    fn entries(&self) -> Result<Vec<fs::DirEntry>, JournalError> {
        let listed = fs::read_dir(&self.folder).and_then(Iterator::collect);
        listed.map_err(|error| failed(&self.folder, &error))
    }

    async fn keep(&self, name: &str, mut pieces: Pieces) -> Result<(), JournalError> {
        let path = self.path(name)?;
        if path.exists() {
            return Err(taken(name));
        }
        self.sweep()?;
        let random: u64 = rand::rng().random();
        let unfinished = self.folder.join(format!("{random:016x}{UNFINISHED}"));
        let error = |error: &io::Error| failed(&unfinished, error);
        let mut writing = Writing::begin(&unfinished).map_err(|e| error(&e))?;
        let written = async {
            while let Some(piece) = pieces.try_next().await? {
                writing.write(&piece).map_err(|e| error(&e))?;
            }
            writing.finish().map_err(|e| error(&e))?;
            name_it(&unfinished, &path).map_err(|e| match e.kind() {
                ErrorKind::AlreadyExists => taken(name),
                _ => failed(&path, &e),
            })
        };
        let written = written.await;
        // After a rename it is gone; what cannot be removed now is swept later.
        drop(fs::remove_file(&unfinished));
        written?;
        sync(&self.folder).map_err(|error| failed(&self.folder, &error))
    }

    /// Removes what was broken off long ago.
    fn sweep(&self) -> Result<(), JournalError> {
        for entry in self.entries()? {
            let old = || {
                let modified = entry.metadata().and_then(|found| found.modified()).ok()?;
                SystemTime::now().duration_since(modified).ok()
            };
            let unfinished = entry.file_name().to_string_lossy().ends_with(UNFINISHED);
            if unfinished && old().is_some_and(|age| age > BROKEN_OFF) {
                fs::remove_file(entry.path()).map_err(|error| failed(&entry.path(), &error))?;
            }
        }
        Ok(())
    }

    fn listed(&self) -> Result<Vec<Object>, JournalError> {
        let mut objects = Vec::new();
        for entry in self.entries()? {
            let Some(name) = object_name(&entry.file_name().to_string_lossy()) else { continue };
            match entry.metadata() {
                Ok(found) => {
                    objects.push(Object { name, size: found.len().saturating_sub(TRAILER) });
                }
                // It was deleted meanwhile.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(failed(&entry.path(), &error)),
            }
        }
        objects.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        Ok(objects)
    }

    fn removed(&self, name: &str) -> Result<(), JournalError> {
        let path = self.path(name)?;
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(failed(&path, &error)),
            _ => sync(&self.folder).map_err(|error| failed(&self.folder, &error)),
        }
    }
}

impl Objects for FolderObjects {
    fn put(&self, name: &str, pieces: Pieces) -> BoxFuture<'_, Result<(), JournalError>> {
        let name = name.to_owned();
        async move { self.keep(&name, pieces).await }.boxed()
    }

    fn get(&self, name: &str) -> BoxFuture<'_, Result<Option<Pieces>, JournalError>> {
        let path = self.path(name);
        async move {
            let path = path?;
            match Reading::open(&path) {
                Ok(reading) => Ok(Some(stream::iter(reading).boxed())),
                Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
                Err(error) if error.kind() == ErrorKind::InvalidData => Err(damaged(&path)),
                Err(error) => Err(failed(&path, &error)),
            }
        }
        .boxed()
    }

    fn list(&self) -> BoxFuture<'_, Result<Vec<Object>, JournalError>> {
        async { self.listed() }.boxed()
    }

    fn delete(&self, name: &str) -> BoxFuture<'_, Result<(), JournalError>> {
        let name = name.to_owned();
        async move { self.removed(&name) }.boxed()
    }
}

/// A file on its way.
struct Writing {
    file: File,
    length: u64,
    sum: u32,
}

impl Writing {
    fn begin(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        Ok(Self { file, length: 0, sum: 0 })
    }

    fn write(&mut self, piece: &[u8]) -> io::Result<()> {
        self.length += piece.len() as u64;
        self.sum = crc32c::crc32c_append(self.sum, piece);
        self.file.write_all(piece)
    }

    fn finish(&mut self) -> io::Result<()> {
        self.file.write_all(&self.length.to_le_bytes())?;
        self.file.write_all(&self.sum.to_le_bytes())?;
        self.file.write_all(&MAGIC)?;
        self.file.sync_all()
    }
}

/// A file that is read; its last piece is followed by an error if it is not what was written.
struct Reading {
    path: PathBuf,
    file: File,
    left: u64,
    /// What the pieces have to come to, and do so far.
    expected: u32,
    sum: u32,
    over: bool,
}

impl Reading {
    fn open(path: &Path) -> io::Result<Self> {
        let mut file = File::open(path)?;
        let whole = file.metadata()?.len();
        let left = whole.checked_sub(TRAILER).ok_or(ErrorKind::InvalidData)?;
        let (mut length, mut sum, mut magic) = ([0; 8], [0; 4], [0; 4]);
        file.seek(SeekFrom::Start(left))?;
        file.read_exact(&mut length)?;
        file.read_exact(&mut sum)?;
        file.read_exact(&mut magic)?;
        if magic != MAGIC || u64::from_le_bytes(length) != left {
            return Err(ErrorKind::InvalidData.into());
        }
        file.seek(SeekFrom::Start(0))?;
        let expected = u32::from_le_bytes(sum);
        Ok(Self { path: path.to_owned(), file, left, expected, sum: 0, over: false })
    }

    fn piece(&mut self) -> Result<Option<Bytes>, JournalError> {
        let mut piece = Vec::new();
        let mut part = Read::by_ref(&mut self.file).take(self.left.min(PIECE));
        part.read_to_end(&mut piece).map_err(|error| failed(&self.path, &error))?;
        if piece.is_empty() {
            let right = self.left == 0 && self.sum == self.expected;
            return if right { Ok(None) } else { Err(damaged(&self.path)) };
        }
        self.left -= piece.len() as u64;
        self.sum = crc32c::crc32c_append(self.sum, &piece);
        Ok(Some(piece.into()))
    }
}

impl Iterator for Reading {
    type Item = Result<Bytes, JournalError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.over {
            return None;
        }
        let piece = self.piece().transpose();
        self.over = !matches!(piece, Some(Ok(_)));
        piece
    }
}

/// Gives a file its name, unless that is taken.
fn name_it(unfinished: &Path, path: &Path) -> io::Result<()> {
    match fs::hard_link(unfinished, path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists && !path.exists() => {
            // Some shared folders have no links.
            fs::rename(unfinished, path)
        }
        named => named,
    }
}

fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// What is no letter, digit, dot, dash or underscore becomes %XX, and so does a dot at the beginning.
fn file_name(name: &str) -> Result<String, JournalError> {
    let mut text = String::new();
    for (at, byte) in name.bytes().enumerate() {
        let plain = byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        if plain || (byte == b'.' && at > 0) {
            text.push(char::from(byte));
        } else {
            text += &format!("%{byte:02x}");
        }
    }
    if text.is_empty() || text.len() > LONGEST {
        return Err(JournalError::Unavailable(format!("{name:?} cannot be an object's name")));
    }
    Ok(text)
}

/// The other way; `None` for a file that is no object.
fn object_name(file: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = file.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first == b'%' {
            let (digits, after) = rest.split_at_checked(2)?;
            bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
            rest = after;
        } else {
            bytes.push(*first);
        }
    }
    let name = String::from_utf8(bytes).ok()?;
    (file_name(&name).ok()? == file).then_some(name)
}

fn taken(name: &str) -> JournalError {
    JournalError::Occupied(format!("there is an object {name:?} already"))
}

fn damaged(path: &Path) -> JournalError {
    JournalError::Damaged(format!(
        "{} is not what was written there; a checkpoint can be removed, the next one takes its place",
        path.display()
    ))
}

fn failed(path: &Path, error: &io::Error) -> JournalError {
    let text = format!("cannot use {}: {error}", path.display());
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => JournalError::Full(text),
        _ => JournalError::Unavailable(text),
    }
}
