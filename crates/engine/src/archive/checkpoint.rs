//! The checkpoint file: an image in checksummed blocks. `docs/format.md` draws the bytes.
//!
//! A file under its final name is whole: it got that name after it was synced.

use std::fs::{self, File};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use state::{DecodeError, Image, ImageError, ImageLoader, KeyHash, Position, State};

use crate::fault::OpenError;
use crate::replicas::NEWER;

/// The last byte is the version.
const MAGIC: [u8; 8] = *b"MRDNCKP1";
pub(super) const SUFFIX: &str = ".checkpoint";
const UNFINISHED: &str = ".unfinished";
/// Written between two syncs, so that the page cache never holds a burst that stalls the journal.
const SYNC_EVERY: usize = 4 << 20;
/// A block larger than this was not written by us.
const MAX_BLOCK: u32 = 1 << 30;
/// So many blocks are in memory while a checkpoint is read.
const READ_AHEAD: usize = 4;

/// Writes `image` to `folder`; on return it is durable under its final name. The size of the
/// file, and what its last sync took.
pub(crate) fn write(folder: &Path, image: &Image) -> io::Result<(u64, Duration)> {
    let mut file = Unfinished::begin(folder, image.position())?;
    let mut unsynced = 0;
    for chunk in image.chunks() {
        file.write(&chunk)?;
        unsynced += chunk.len();
        if unsynced >= SYNC_EVERY {
            file.sync()?;
            unsynced = 0;
        }
    }
    file.finish()
}

/// A checkpoint that has not its name yet. Dropped before that, it is removed: on a full disk what it took
/// is what the journal waits for.
pub(super) struct Unfinished {
    file: File,
    path: PathBuf,
    named: PathBuf,
    finished: bool,
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if !self.finished {
            // Best effort: the next start removes it, too.
            drop(fs::remove_file(&self.path));
        }
    }
}

impl Unfinished {
    pub(super) fn begin(folder: &Path, position: Position) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let named = folder.join(format!("{:020}{SUFFIX}", position.0));
        let path = named.with_extension("unfinished");
        let file = File::create(&path)?;
        let mut unfinished = Self { file, path, named, finished: false };
        unfinished.file.write_all(&MAGIC)?;
        Ok(unfinished)
    }

    pub(super) const fn file(&self) -> &File {
        &self.file
    }

    /// Writes a block, which is not empty.
    pub(super) fn write(&mut self, block: &[u8]) -> io::Result<()> {
        assert!(!block.is_empty(), "an empty block is the end");
        write_block(&mut self.file, block)
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    /// Makes it durable under its name. Its size, and what its last sync took.
    pub(super) fn finish(mut self) -> io::Result<(u64, Duration)> {
        write_block(&mut self.file, &[])?;
        let begun = Instant::now();
        self.file.sync_all()?;
        let sync = begun.elapsed();
        let bytes = self.file.metadata()?.len();
        fs::rename(&self.path, &self.named)?;
        self.finished = true;
        sync_folder(&self.named)?;
        Ok((bytes, sync))
    }
}

fn sync_folder(file: &Path) -> io::Result<()> {
    file.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

/// Length, checksum, bytes. An empty block is the end.
fn write_block(file: &mut File, block: &[u8]) -> io::Result<()> {
    let length = u32::try_from(block.len()).map_err(io::Error::other)?;
    file.write_all(&length.to_le_bytes())?;
    file.write_all(&crc32c::crc32c(block).to_le_bytes())?;
    file.write_all(block)
}

/// The files of a folder of checkpoints, by name.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    /// Oldest first.
    pub(crate) checkpoints: Vec<PathBuf>,
    /// What an interrupted write has left.
    pub(crate) unfinished: Vec<PathBuf>,
    /// What is not ours.
    pub(crate) foreign: Vec<PathBuf>,
}

/// Lists `folder`, which need not be there.
pub(crate) fn list(folder: &Path) -> io::Result<Listing> {
    let mut listing = Listing::default();
    if !folder.exists() {
        return Ok(listing);
    }
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.to_string_lossy().ends_with(UNFINISHED) {
            listing.unfinished.push(path);
        } else if position_of(&path).is_some() {
            listing.checkpoints.push(path);
        } else {
            listing.foreign.push(path);
        }
    }
    listing.checkpoints.sort_unstable();
    listing.unfinished.sort_unstable();
    listing.foreign.sort_unstable();
    Ok(listing)
}

/// The newest checkpoint of `folder`. Removes what an interrupted write has left.
pub(crate) fn newest(folder: &Path) -> io::Result<Option<PathBuf>> {
    let listing = list(folder)?;
    for path in listing.unfinished {
        tracing::info!(file = %path.display(), "removing an unfinished checkpoint");
        fs::remove_file(&path)?;
    }
    Ok(listing.checkpoints.into_iter().next_back())
}

/// Removes the checkpoints older than the one at `position`.
pub(crate) fn forget_before(folder: &Path, position: Position) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if position_of(&path).is_some_and(|older| older < position) {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}

/// The position that a checkpoint's name gives; none, if it is not a checkpoint.
pub(crate) fn position_of(path: &Path) -> Option<Position> {
    let number = path.file_name()?.to_str()?.strip_suffix(SUFFIX)?;
    // Names in order are positions in order.
    let is_ours = number.len() == 20 && number.bytes().all(|byte| byte.is_ascii_digit());
    number.parse().ok().filter(|_| is_ours).map(Position)
}

/// Reads a checkpoint. Damage is refused, with the file and the offset named.
///
/// A second thread reads and checks the blocks ahead of the one that loads them.
pub(crate) fn read(path: &Path) -> Result<State, OpenError> {
    read_to_end(path).map(|(state, _)| state)
}

/// [`read`], and the byte at which the checkpoint ends.
pub(crate) fn read_to_end(path: &Path) -> Result<(State, u64), OpenError> {
    let (file, bytes) = open(path)?;
    let (filled, blocks) = mpsc::sync_channel(READ_AHEAD);
    let (loaded, free) = mpsc::sync_channel(READ_AHEAD);
    for _ in 0..READ_AHEAD {
        loaded.send(BytesMut::new()).expect("there is room for all");
    }
    thread::scope(|scope| {
        let ahead = || read_blocks((file, bytes), path, free, filled);
        let reader = thread::Builder::new().name("read-ahead".to_owned());
        let reading = reader.spawn_scoped(scope, ahead);
        let reading = reading.map_err(|error| unreadable(path, 0, &error))?;
        let read = load_blocks(path, blocks, loaded);
        // The scope would wait until it is done, and not until its memory is back.
        reading.join().unwrap_or_else(|panicked| std::panic::resume_unwind(panicked));
        read
    })
}

/// The file behind its magic, and how long it is.
fn open(path: &Path) -> Result<(File, u64), OpenError> {
    let mut file = File::open(path).map_err(|error| unreadable(path, 0, &error))?;
    let bytes = file.metadata().map_err(|error| unreadable(path, 0, &error))?.len();
    let mut magic = [0; 8];
    file.read_exact(&mut magic).map_err(|error| unreadable(path, 0, &error))?;
    if magic[..7] == MAGIC[..7] && (b'2'..=b'9').contains(&magic[7]) {
        let version = format!("its format at byte 7 is {}", char::from(magic[7]));
        return Err(newer(path, &version));
    }
    if magic != MAGIC {
        return Err(damaged(path, 0, "it does not begin like a checkpoint"));
    }
    Ok((file, bytes))
}

/// Fills what is free until the end, an error, or nobody takes them any more.
fn read_blocks(
    (mut file, bytes): (File, u64),
    path: &Path,
    free: Receiver<BytesMut>,
    filled: SyncSender<Result<BytesMut, OpenError>>,
) {
    let mut offset = MAGIC.len() as u64;
    while let Ok(mut block) = free.recv() {
        let read = read_block(&mut file, path, (offset, bytes), &mut block).map(|()| block);
        let last = read.as_ref().map_or(true, BytesMut::is_empty);
        offset += read.as_ref().map_or(0, |block| 8 + block.len() as u64);
        if filled.send(read).is_err() || last {
            return;
        }
    }
}

fn load_blocks(
    path: &Path,
    blocks: Receiver<Result<BytesMut, OpenError>>,
    loaded: SyncSender<BytesMut>,
) -> Result<(State, u64), OpenError> {
    let mut loader = ImageLoader::with_hash(unforeseeable_hash());
    let mut offset = MAGIC.len() as u64;
    for block in blocks {
        let block = block?;
        offset += 8 + block.len() as u64;
        if block.is_empty() {
            let state = finish(loader).map_err(|error| unusable(path, offset, &error));
            return state.map(|state| (state, offset));
        }
        let block = block.freeze();
        let pushed = loader.push_owned(block.clone());
        pushed.map_err(|error| unusable(path, offset, &error))?;
        // The memory is used again, unless the state kept some of it. The reader may be at the end already.
        loaded.send(block.try_into_mut().unwrap_or_default()).unwrap_or_default();
    }
    Err(damaged(path, offset, "its reader stopped"))
}

/// Sums the records up beside the making of the index.
fn finish(loader: ImageLoader) -> Result<State, ImageError> {
    let newer = loader.newer();
    thread::scope(|scope| {
        let summing = thread::Builder::new().name("digest".to_owned());
        let summing = summing.spawn_scoped(scope, || newer.sum());
        let joined = || summing.ok().and_then(|summing| summing.join().ok());
        loader.finish_with(|| joined().unwrap_or_else(|| newer.sum()))
    })
}

/// Clients choose the keys; what these hash to, they cannot know.
pub(crate) fn unforeseeable_hash() -> KeyHash {
    let hasher = RandomState::new();
    Box::new(move |key| hasher.hash_one(key))
}

fn read_block(
    reader: &mut impl Read,
    path: &Path,
    (offset, bytes): (u64, u64),
    block: &mut BytesMut,
) -> Result<(), OpenError> {
    let mut head = [0; 8];
    reader.read_exact(&mut head).map_err(|error| unreadable(path, offset, &error))?;
    let [a, b, c, d, e, f, g, h] = head;
    let length = u32::from_le_bytes([a, b, c, d]);
    let checksum = u32::from_le_bytes([e, f, g, h]);
    if length > MAX_BLOCK {
        return Err(damaged(path, offset, "a block is longer than any that is written"));
    }
    // Before there is memory for it: a damaged length asks for a gigabyte.
    if u64::from(length) > bytes.saturating_sub(offset + 8) {
        return Err(damaged(path, offset, "a block is longer than the rest of the file"));
    }
    block.resize(length as usize, 0);
    reader.read_exact(block).map_err(|error| unreadable(path, offset, &error))?;
    if crc32c::crc32c(block) != checksum {
        return Err(damaged(path, offset, "a block's checksum does not match"));
    }
    Ok(())
}

fn unreadable(path: &Path, offset: u64, error: &io::Error) -> OpenError {
    OpenError::Checkpoint(format!("cannot read {} at byte {offset}: {error}", path.display()))
}

fn unusable(path: &Path, offset: u64, error: &ImageError) -> OpenError {
    match error {
        ImageError::Block(error @ DecodeError::Newer { .. }) => newer(path, &error.to_string()),
        error => damaged(path, offset, &error.to_string()),
    }
}

fn newer(path: &Path, what: &str) -> OpenError {
    OpenError::Newer(format!(
        "{} was written by a newer version ({what}) and is left as it is: {NEWER}",
        path.display()
    ))
}

fn damaged(path: &Path, offset: u64, what: &str) -> OpenError {
    OpenError::Checkpoint(format!(
        "{} is damaged at byte {offset}: {what}; restore the data directory from a backup",
        path.display()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_finished_takes_no_room() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut file = Unfinished::begin(dir.path(), Position(7)).expect("begun");
        file.write(b"block").expect("written");
        assert_eq!(list(dir.path()).expect("listed").unfinished.len(), 1);
        drop(file);
        assert_eq!(fs::read_dir(dir.path()).expect("listed").count(), 0);

        // It cannot have its name.
        fs::create_dir(dir.path().join(format!("{:020}{SUFFIX}", 8))).expect("made");
        let image = State::new().image();
        let mut file = Unfinished::begin(dir.path(), Position(8)).expect("begun");
        image.chunks().for_each(|chunk| file.write(&chunk).expect("written"));
        assert!(file.finish().is_err());
        assert_eq!(list(dir.path()).expect("listed").unfinished.len(), 0);
    }
}
