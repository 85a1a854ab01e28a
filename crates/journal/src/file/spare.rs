//! Spare segments, prepared beside the traffic, and the removal of trimmed ones.
//!
//! A spare is allocated and filled with zeros before anybody needs it, so that a commit overwrites
//! blocks that exist: one sync, no new metadata, and no room that could run out under it.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;

use futures::channel::oneshot;
use parking_lot::Mutex;

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
    /// Who does the jobs, where no thread does.
    by_hand: Option<Arc<Labourer>>,
}

/// Removes the files of trimmed segments beside the traffic.
pub(crate) struct Remover {
    jobs: mpsc::Sender<Job>,
    stop: Arc<AtomicBool>,
    by_hand: Option<Arc<Labourer>>,
}

impl Drop for Remover {
    fn drop(&mut self) {
        // Whoever closes waits for the thread, and a half-filled spare is of no use to them.
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// Does the jobs of both ends, one after the other.
pub(crate) struct Labourer {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    stop: Arc<AtomicBool>,
    todo: Mutex<mpsc::Receiver<Job>>,
    /// Files to be removed, the oldest first; those that could not be stay in front.
    doomed: Mutex<VecDeque<PathBuf>>,
    ready: mpsc::Sender<Result<Spare, JournalError>>,
}

/// Both ends, and the thread behind them. It ends when both are dropped.
pub(crate) fn start(
    disk: Arc<dyn Disk>,
    dir: &Path,
) -> io::Result<(Spares, Remover, JoinHandle<()>)> {
    let (spares, remover, labourer) = ends(disk, dir);
    let work = move || {
        let todo = labourer.todo.lock();
        while let Ok(job) = todo.recv() {
            labourer.carry_out(job);
        }
    };
    let thread = std::thread::Builder::new().name("journal-spare".into()).spawn(work)?;
    Ok((spares, remover, thread))
}

/// Both ends, with nobody behind them but who asks.
pub(crate) fn by_hand(disk: Arc<dyn Disk>, dir: &Path) -> (Spares, Remover, Arc<Labourer>) {
    let (mut spares, mut remover, labourer) = ends(disk, dir);
    let labourer = Arc::new(labourer);
    spares.by_hand = Some(Arc::clone(&labourer));
    remover.by_hand = Some(Arc::clone(&labourer));
    (spares, remover, labourer)
}

fn ends(disk: Arc<dyn Disk>, dir: &Path) -> (Spares, Remover, Labourer) {
    let (jobs, todo) = mpsc::channel();
    let (ready, done) = mpsc::channel();
    let (stop, dir) = (Arc::new(AtomicBool::new(false)), dir.to_path_buf());
    let spares = Spares {
        disk: Arc::clone(&disk),
        dir: dir.clone(),
        jobs: jobs.clone(),
        done,
        asked: false,
        by_hand: None,
    };
    let remover = Remover { jobs, stop: Arc::clone(&stop), by_hand: None };
    let (todo, doomed) = (Mutex::new(todo), Mutex::default());
    (spares, remover, Labourer { disk, dir, stop, todo, doomed, ready })
}

impl Labourer {
    fn carry_out(&self, job: Job) {
        let (disk, dir) = (&*self.disk, &self.dir);
        match job {
            // Whoever asked may be gone; then the file is swept at the next open.
            Job::Prepare(size) => {
                drop(self.ready.send(prepare(disk, dir, size, Pace::Gently(&self.stop))));
            }
            Job::Remove(paths, reply) => drop(reply.send(self.remove(paths))),
        }
    }

    /// Removes these, and before them what could not be removed before.
    fn remove(&self, paths: Vec<PathBuf>) -> Result<(), JournalError> {
        let mut doomed = self.doomed.lock();
        doomed.extend(paths);
        while let Some(path) = doomed.front() {
            let removed = match self.disk.remove(path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                removed => removed,
            };
            // One by one: a crash in between must leave a suffix of the log, never a gap.
            removed.and_then(|()| self.disk.sync_dir(&self.dir)).map_err(|error| {
                JournalError::Unavailable(format!("removing {}: {error}", path.display()))
            })?;
            doomed.pop_front();
        }
        Ok(())
    }

    /// Does the next job; false if there is none.
    pub(crate) fn step(&self) -> bool {
        let job = self.todo.lock().try_recv();
        job.map(|job| self.carry_out(job)).is_ok()
    }
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
        if let Some(labourer) = &self.by_hand {
            while labourer.step() {}
        }
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
        if let Some(labourer) = &self.by_hand {
            return labourer.remove(paths);
        }
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
