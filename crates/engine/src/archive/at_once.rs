//! A checkpoint written where no journal is to be spared: by a thread of its own while the next blocks
//! are made, and on its way to the disk from the beginning, which a third sees to.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::mpsc::{self, Receiver, SyncSender, TrySendError};
use std::thread::{self, JoinHandle};

use bytes::Bytes;
use state::{Digest, Image, Position};

use super::checkpoint::Unfinished;

/// So many blocks wait to be written.
const AHEAD: usize = 4;
/// Written between two syncs: often enough that the disk is never without work.
const SYNC_EVERY: usize = 16 << 20;

/// Writes `image` to `folder`; on return it is durable. `written` hears of bytes. Returns how many
/// there are in the file, and the digest.
pub(crate) fn write_at_once(
    folder: &Path,
    image: &Image,
    written: &mut dyn FnMut(u64),
) -> io::Result<(u64, Digest)> {
    let file = AtOnce::begin(folder, image.position())?;
    thread::scope(|scope| {
        let computing = thread::Builder::new().name("digest".to_owned());
        let computing = computing.spawn_scoped(scope, || image.digest())?;
        let (mut all, mut digest) = (0, None);
        let joined = || *digest.insert(computing.join().unwrap_or_else(|_| image.digest()));
        for chunk in image.chunks_with(joined) {
            all += chunk.len() as u64;
            if !file.write(chunk) {
                break;
            }
            written(all);
        }
        Ok((file.finish()?, digest.unwrap_or_else(|| image.digest())))
    })
}

/// A checkpoint on its way to the disk. Dropped before it is finished, it gets no name.
pub(crate) struct AtOnce {
    blocks: Option<SyncSender<Bytes>>,
    writing: Option<JoinHandle<io::Result<u64>>>,
}

impl AtOnce {
    /// In `folder`, of the state at `position`.
    pub(crate) fn begin(folder: &Path, position: Position) -> io::Result<Self> {
        let file = Unfinished::begin(folder, position)?;
        let (blocks, made) = mpsc::sync_channel(AHEAD);
        let thread = thread::Builder::new().name("write".to_owned());
        let writing = thread.spawn(move || write(file, made))?;
        Ok(Self { blocks: Some(blocks), writing: Some(writing) })
    }

    /// Has the next block written. If not, [`AtOnce::finish`] says why.
    pub(crate) fn write(&self, block: Bytes) -> bool {
        self.blocks.as_ref().is_some_and(|blocks| blocks.send(block).is_ok())
    }

    /// Waits until it is durable under its name. How many bytes it has.
    pub(crate) fn finish(mut self) -> io::Result<u64> {
        // An empty block is the end.
        self.write(Bytes::new());
        self.join()
    }

    fn join(&mut self) -> io::Result<u64> {
        self.blocks = None;
        let written = self.writing.take().map(JoinHandle::join);
        written.and_then(Result::ok).unwrap_or_else(|| Err(io::Error::other("its thread died")))
    }
}

impl Drop for AtOnce {
    fn drop(&mut self) {
        // Nobody writes to the folder after this, and what went wrong is known or does not matter.
        drop(self.join());
    }
}

fn write(mut file: Unfinished, blocks: Receiver<Bytes>) -> io::Result<u64> {
    let mut sync = Syncing::begin(file.file().try_clone()?)?;
    for block in blocks {
        if block.is_empty() {
            sync.end()?;
            return file.finish().map(|(bytes, _)| bytes);
        }
        file.write(&block)?;
        if !sync.written(block.len()) {
            return sync.end().and_then(|()| Err(io::Error::other("syncing stopped")));
        }
    }
    Err(io::Error::other("it was not finished"))
}

/// Syncs a file again and again while it is written.
struct Syncing {
    unsynced: usize,
    due: SyncSender<()>,
    syncing: JoinHandle<io::Result<()>>,
}

impl Syncing {
    fn begin(file: File) -> io::Result<Self> {
        let (due, dues) = mpsc::sync_channel::<()>(1);
        let thread = thread::Builder::new().name("sync".to_owned());
        let syncing = thread.spawn(move || dues.iter().try_for_each(|()| file.sync_data()))?;
        Ok(Self { unsynced: 0, due, syncing })
    }

    /// Whether all is well so far.
    fn written(&mut self, bytes: usize) -> bool {
        self.unsynced += bytes;
        if self.unsynced < SYNC_EVERY {
            return true;
        }
        self.unsynced = 0;
        !matches!(self.due.try_send(()), Err(TrySendError::Disconnected(())))
    }

    /// Waits for the sync under way. A failed one is an error, since a later one may not say so again.
    fn end(self) -> io::Result<()> {
        drop(self.due);
        self.syncing.join().unwrap_or_else(|_| Err(io::Error::other("its thread died")))
    }
}
