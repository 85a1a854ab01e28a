//! Spare segments, prepared beside the traffic, and the removal of trimmed ones.
//!
//! A spare is allocated and filled with zeros before anybody needs it, so that a commit overwrites
//! blocks that exist: one sync, no new metadata, and no room that could run out under it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;

use futures::channel::oneshot;

use super::disk::{Disk, DiskFile, is_full};
use super::segment::{self, Header, Segment};
use crate::JournalError;

/// The name of a spare until it becomes a segment.
pub(crate) const SPARE: &str = "spare.tmp";

/// How much is written at a time.
const FILL: usize = 256 << 10;

/// How a file is filled.
#[derive(Clone, Copy)]
pub(crate) enum Pace<'a> {
    /// Somebody waits for it.
    AtOnce,
    /// Beside the traffic: each portion is synced, so that a commit never queues behind many.
    /// Given up when the flag is set.
    Gently(&'a AtomicBool),
}

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
pub(crate) struct Remover {
    jobs: mpsc::Sender<Job>,
    stop: Arc<AtomicBool>,
}

impl Drop for Remover {
    fn drop(&mut self) {
        // Whoever closes waits for the thread, and a half-filled spare is of no use to them.
        self.stop.store(true, Ordering::Relaxed);
    }
}

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
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let thread = std::thread::Builder::new().name("journal-spare".into()).spawn(move || {
        while let Ok(job) = todo.recv() {
            match job {
                // Whoever asked may be gone; then the file is swept at the next open.
                Job::Prepare(size) => {
                    drop(ready.send(prepare(&*disk, &dir, size, Pace::Gently(&stopped))))
                }
                Job::Remove(paths, reply) => drop(reply.send(remove(&*disk, &dir, &paths))),
            }
        }
    })?;
    Ok((spares, Remover { jobs, stop }, thread))
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
        prepare(&*self.disk, &self.dir, size, Pace::AtOnce)
    }
}

impl Remover {
    /// Removes the files, the oldest first.
    pub(crate) async fn remove(&self, paths: Vec<PathBuf>) -> Result<(), JournalError> {
        let (reply, answer) = oneshot::channel();
        let sent = self.jobs.send(Job::Remove(paths, reply)).is_ok();
        let answer = if sent { answer.await.ok() } else { None };
        answer.unwrap_or_else(|| Err(JournalError::Unavailable("the journal is closed".into())))
    }
}

/// Makes a file of zeros, or leaves nothing behind.
pub(crate) fn prepare(
    disk: &dyn Disk,
    dir: &Path,
    size: u64,
    pace: Pace,
) -> Result<Spare, JournalError> {
    let path = dir.join(SPARE);
    match fill(disk, &path, size, pace) {
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

fn fill(disk: &dyn Disk, path: &Path, size: u64, pace: Pace<'_>) -> io::Result<Arc<dyn DiskFile>> {
    let file = disk.create(path)?;
    let zeros = vec![0; FILL.min(size as usize)];
    let mut at = 0;
    while at < size {
        let piece = (size - at).min(zeros.len() as u64);
        file.write_at(at, &zeros[..piece as usize])?;
        at += piece;
        match pace {
            Pace::Gently(stop) if stop.load(Ordering::Relaxed) => {
                return Err(io::ErrorKind::Interrupted.into());
            }
            Pace::Gently(_) => file.sync()?,
            Pace::AtOnce => {}
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

/// Why a spare did not become a segment.
pub(crate) enum Christening {
    /// Nothing happened.
    Refused(JournalError),
    /// It may have happened.
    Unclear(String),
}

/// Gives a spare its header and its name, durably.
pub(crate) fn christen(
    disk: &dyn Disk,
    dir: &Path,
    spare: Spare,
    header: &Header,
) -> Result<Segment, Christening> {
    let path = segment::path(dir, header.first);
    let refused = |error: io::Error| {
        let what = format!("naming {}: {error}", path.display());
        Christening::Refused(JournalError::Unavailable(what))
    };
    let page = header.encode();
    spare.file.write_at(0, &page).and_then(|()| spare.file.sync()).map_err(refused)?;
    disk.rename(&spare.path, &path).map_err(refused)?;
    disk.sync_dir(dir).map_err(|error| {
        Christening::Unclear(format!(
            "syncing the directory after naming {}: {error}",
            path.display()
        ))
    })?;
    Ok(Segment::new(header.first, path, spare.file, header.size))
}
