//! Spare segments, prepared beside the traffic, and the removal of trimmed ones.
//!
//! A spare is allocated and filled with zeros before anybody needs it, so that a commit overwrites
//! blocks that exist: one sync, no new metadata, and no room that could run out under it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;

use futures::channel::oneshot;

use super::disk::{Disk, DiskFile, is_full};
use crate::JournalError;

/// The name of a spare until it becomes a segment.
pub(crate) const SPARE: &str = "spare.tmp";

const FILL: usize = 1 << 20;
/// Zeros are synced in portions, so that a commit never queues behind a whole segment of them.
const FILL_SYNC: u64 = 8 << 20;

/// A file of zeros, durable but for its name.
pub(crate) struct Spare {
    pub(crate) file: Arc<dyn DiskFile>,
    pub(crate) path: PathBuf,
    pub(crate) size: u64,
}

enum Job {
    Prepare(u64),
    Remove(Vec<PathBuf>, oneshot::Sender<Result<(), JournalError>>),
}

/// The writer's end: where spares come from.
pub(crate) struct Spares {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    jobs: mpsc::Sender<Job>,
    done: mpsc::Receiver<Result<Spare, JournalError>>,
    asked: bool,
}

/// Removes the files of trimmed segments beside the traffic.
pub(crate) struct Remover(mpsc::Sender<Job>);

/// Starts the thread behind both. It ends when both are dropped.
pub(crate) fn start(
    disk: Arc<dyn Disk>,
    dir: &Path,
) -> io::Result<(Spares, Remover, JoinHandle<()>)> {
    let (jobs, todo) = mpsc::channel();
    let (ready, done) = mpsc::channel();
    let spares =
        Spares { disk: Arc::clone(&disk), dir: dir.into(), jobs: jobs.clone(), done, asked: false };
    let dir = dir.to_path_buf();
    let thread = std::thread::Builder::new().name("journal-spare".into()).spawn(move || {
        while let Ok(job) = todo.recv() {
            match job {
                // Whoever asked may be gone; then the file is swept at the next open.
                Job::Prepare(size) => drop(ready.send(prepare(&*disk, &dir, size))),
                Job::Remove(paths, reply) => drop(reply.send(remove(&*disk, &dir, &paths))),
            }
        }
    })?;
    Ok((spares, Remover(jobs), thread))
}

impl Spares {
    /// Asks for a spare of `size`, unless one is on its way.
    pub(crate) fn ask(&mut self, size: u64) {
        if !self.asked {
            self.asked = self.jobs.send(Job::Prepare(size)).is_ok();
        }
    }

    /// The spare that was asked for, if it is large enough, else one prepared now.
    pub(crate) fn take(&mut self, size: u64) -> Result<Spare, JournalError> {
        if std::mem::take(&mut self.asked)
            && let Ok(Ok(spare)) = self.done.recv()
            && spare.size >= size
        {
            return Ok(spare);
        }
        prepare(&*self.disk, &self.dir, size)
    }
}

impl Remover {
    /// Removes the files, the oldest first.
    pub(crate) async fn remove(&self, paths: Vec<PathBuf>) -> Result<(), JournalError> {
        let (reply, answer) = oneshot::channel();
        let sent = self.0.send(Job::Remove(paths, reply)).is_ok();
        let answer = if sent { answer.await.ok() } else { None };
        answer.unwrap_or_else(|| Err(JournalError::Unavailable("the journal is closed".into())))
    }
}

/// Makes a file of zeros, or leaves nothing behind.
pub(crate) fn prepare(disk: &dyn Disk, dir: &Path, size: u64) -> Result<Spare, JournalError> {
    let path = dir.join(SPARE);
    match fill(disk, &path, size) {
        Ok(file) => Ok(Spare { file, path, size }),
        Err(error) => {
            // Best effort: the next attempt empties it, and the next open sweeps it.
            drop(disk.remove(&path));
            let what = format!("preparing {size} bytes at {}: {error}", path.display());
            Err(if is_full(&error) {
                JournalError::Full(what)
            } else {
                JournalError::Unavailable(what)
            })
        }
    }
}

fn fill(disk: &dyn Disk, path: &Path, size: u64) -> io::Result<Arc<dyn DiskFile>> {
    let file = disk.create(path)?;
    let zeros = vec![0; FILL.min(size as usize)];
    let mut at = 0;
    while at < size {
        let piece = (size - at).min(zeros.len() as u64);
        file.write_at(at, &zeros[..piece as usize])?;
        at += piece;
        if at % FILL_SYNC == 0 {
            file.sync()?;
        }
    }
    file.sync()?;
    Ok(file)
}

fn remove(disk: &dyn Disk, dir: &Path, paths: &[PathBuf]) -> Result<(), JournalError> {
    for path in paths {
        // One by one: a crash in between must leave a suffix of the log, never a gap.
        disk.remove(path).and_then(|()| disk.sync_dir(dir)).map_err(|error| {
            JournalError::Unavailable(format!("removing {}: {error}", path.display()))
        })?;
    }
    Ok(())
}
