//! The embedded default: the log in files of one directory.
//!
//! Segments are allocated and zeroed ahead; one thread writes, with one sync for all that waits.
//! What was synced is whole or refused; a tail torn by a crash is cut and reported. The bytes are
//! drawn in `docs/format.md`. Reads fetch from the file on the calling thread.

mod answers;
mod by_hand;
mod disk;
mod flush;
mod frame;
mod layout;
mod queue;
mod read_only;
mod real;
mod recent;
mod recovery;
mod segment;
mod spare;
mod survey;
mod unsynced;
mod writer;

use std::collections::VecDeque;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use futures::FutureExt;
use futures::channel::oneshot;
use futures::future::{BoxFuture, ready};
use parking_lot::RwLock;

pub use by_hand::ByHand;
pub use disk::{Disk, DiskFile, Lock};
pub use flush::{Flush, OnFlush};
pub use layout::Damage;
pub use read_only::ReadOnlyDisk;
pub use real::RealDisk;
pub use recovery::Cut;
pub use survey::{Readable, Survey, Surveyed};
pub use unsynced::UnsyncedDisk;

use layout::Layout;
use queue::{Offer, Queue, Request, Turned};
use recovery::Recovered;
use segment::{HEADER, Header};
use spare::{Christening, Pace, Remover, Spares};
use writer::{Start, Writer};

use crate::{Append, Body, Journal, JournalError, Nonce, Record, Slot, Successor};

/// The smallest segment: the header and a little.
const MIN_SEGMENT: u64 = 2 * HEADER;

/// What is called when the disk has failed and nothing more can be promised.
pub type OnFault = Arc<dyn Fn(&str) + Send + Sync>;

/// How a [`FileJournal`] goes about its work.
#[derive(Clone)]
pub struct FileOptions {
    /// The size of one file; a body that does not fit gets a larger one of its own.
    pub segment_bytes: u64,
    /// How long after the last append its durability is noted in the log itself. Damage to a record
    /// that is noted so is never mistaken for a torn tail.
    pub mark_after: Duration,
    /// How long appends are refused after the disk was found full, before it is tried again.
    pub retry_full: Duration,
    /// Called when a write or a sync failed, on the journal's own thread. A failed sync is never
    /// tried again, for the system may have dropped what it could not write. The default says so on
    /// stderr and aborts the process; where one returns, the journal answers Unknown from then on.
    pub on_fault: OnFault,
    /// Called after every write that was synced, on the journal's own thread and before anybody is
    /// answered: it must be quick. The default does nothing.
    pub on_flush: OnFlush,
}

impl Default for FileOptions {
    fn default() -> Self {
        Self {
            segment_bytes: 16 << 20,
            mark_after: Duration::from_secs(1),
            retry_full: Duration::from_millis(500),
            on_fault: Arc::new(|what| {
                eprintln!("the journal's disk failed, stopping so that nothing is lost: {what}");
                std::process::abort();
            }),
            on_flush: Arc::new(|_| {}),
        }
    }
}

impl fmt::Debug for FileOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileOptions")
            .field("segment_bytes", &self.segment_bytes)
            .field("mark_after", &self.mark_after)
            .field("retry_full", &self.retry_full)
            .finish_non_exhaustive()
    }
}

/// What was found on open; for the log, and for the person who reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opening {
    /// The log's own number, drawn when it was created.
    pub log: u128,
    /// Whether there was no log and one was begun.
    pub created: bool,
    /// The first slot that can be read.
    pub first: Slot,
    /// The first free slot.
    pub tail: Slot,
    /// Where the log goes on, if it was sealed.
    pub sealed: Option<Successor>,
    /// The number of files.
    pub segments: usize,
    /// The torn tail that was cut, if there was one.
    pub cut: Option<Cut>,
}

/// A journal in the files of one directory.
///
/// An offer is made when [`append`](Journal::append) is called, before its future is first polled.
/// One to a slot whose predecessor is free waits for that. Dropping the journal finishes what was
/// offered and blocks until it is on the disk.
pub struct FileJournal {
    layout: Arc<RwLock<Layout>>,
    queue: Arc<Queue>,
    seed: u32,
    remover: Option<Remover>,
    threads: Vec<JoinHandle<()>>,
    _lock: Box<dyn Send + Sync>,
}

/// A log that was opened, before anybody writes to it.
struct Ready {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    options: FileOptions,
    found: Recovered,
    lock: Box<dyn Send + Sync>,
}

impl Ready {
    /// The journal with its threads.
    fn start(self) -> std::io::Result<FileJournal> {
        let (spares, remover, spare_thread) = spare::start(Arc::clone(&self.disk), &self.dir)?;
        let (mut journal, writer) = self.made_of(spares, remover)?;
        let thread = std::thread::Builder::new().name("journal".into());
        let writer_thread = thread.spawn(move || writer.run())?;
        journal.threads = vec![writer_thread, spare_thread];
        Ok(journal)
    }

    fn made_of(self, spares: Spares, remover: Remover) -> std::io::Result<(FileJournal, Writer)> {
        let Self { disk, dir, options, found, lock } = self;
        let layout = Arc::new(RwLock::new(found.layout));
        let queue = Arc::new(Queue::default());
        let writer = Writer::new(Start {
            disk,
            dir,
            options,
            log: found.log,
            next: found.next,
            declared: found.declared,
            recent: found.recent,
            layout: Arc::clone(&layout),
            queue: Arc::clone(&queue),
            spares,
        })?;
        let seed = frame::seed(found.log);
        let (remover, threads) = (Some(remover), Vec::new());
        Ok((FileJournal { layout, queue, seed, remover, threads, _lock: lock }, writer))
    }
}

impl fmt::Debug for FileJournal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let layout = self.layout.read();
        f.debug_struct("FileJournal")
            .field("first", &layout.first())
            .field("tail", &layout.tail)
            .finish_non_exhaustive()
    }
}

impl FileJournal {
    /// Opens the log in `dir`, or begins one there.
    ///
    /// # Errors
    /// [`JournalError::Occupied`] when another process has it, or the directory is a real etcd's;
    /// [`JournalError::Damaged`] when anything but a torn tail is wrong with what was stored.
    pub fn open(dir: &Path, options: FileOptions) -> Result<(Self, Opening), JournalError> {
        Self::open_on(Arc::new(RealDisk), dir, options)
    }

    /// As [`open`](Self::open), on another disk.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_on(
        disk: Arc<dyn Disk>,
        dir: &Path,
        options: FileOptions,
    ) -> Result<(Self, Opening), JournalError> {
        let (found, opening) = Self::find(disk, dir, options)?;
        let journal = found.start().map_err(|error| unavailable(dir, &error))?;
        Ok((journal, opening))
    }

    /// Opens the log, and leaves it to the caller who writes.
    fn find(
        disk: Arc<dyn Disk>,
        dir: &Path,
        mut options: FileOptions,
    ) -> Result<(Ready, Opening), JournalError> {
        if options.segment_bytes < MIN_SEGMENT {
            let what = format!("a segment takes at least {MIN_SEGMENT} bytes");
            return Err(JournalError::Unavailable(what));
        }
        options.segment_bytes = options.segment_bytes.next_multiple_of(HEADER);
        refuse_etcd(&*disk, dir)?;
        let failed = |error| unavailable(dir, &error);
        disk.create_dir(dir).map_err(failed)?;
        let lock = lock(&*disk, dir)?;
        let found = recovery::recover(&*disk, dir)?;
        let created = found.is_none();
        let found = found.map_or_else(|| begin(&*disk, dir, options.segment_bytes), Ok)?;
        let opening = Opening {
            log: found.log,
            created,
            first: found.layout.first(),
            tail: found.layout.tail,
            sealed: found.layout.sealed.clone(),
            segments: found.layout.segments.len(),
            cut: found.cut.clone(),
        };
        Ok((Ready { disk, dir: dir.to_path_buf(), options, found, lock }, opening))
    }

    fn removed(&self, before: Slot) -> Vec<std::path::PathBuf> {
        self.layout.write().trim(before)
    }
}

impl Drop for FileJournal {
    fn drop(&mut self) {
        self.queue.close();
        self.remover = None;
        for thread in self.threads.drain(..) {
            // A thread that panicked has said so; there is nobody here to tell.
            drop(thread.join());
        }
    }
}

impl Journal for FileJournal {
    fn append(&self, slot: Slot, nonce: Nonce, body: Body) -> BoxFuture<'_, Append> {
        let (reply, answer) = oneshot::channel();
        match self.queue.put(Request::Append(Offer { slot, nonce, body, reply })) {
            Ok(()) => {}
            Err(Turned::Full) => return ready(Append::Refused(overrun())).boxed(),
            Err(Turned::Closed) => return ready(Append::Unknown(stopped())).boxed(),
        }
        answer.map(|answer| answer.unwrap_or_else(|_| Append::Unknown(stopped()))).boxed()
    }

    fn read(&self, from: Slot, limit: usize) -> BoxFuture<'_, Result<Vec<Record>, JournalError>> {
        async move { layout::read(&self.layout, self.seed, from, limit) }.boxed()
    }

    fn tail(&self) -> BoxFuture<'_, Result<Slot, JournalError>> {
        async move {
            let layout = self.layout.read();
            match &layout.broken {
                None => Ok(layout.tail),
                Some(why) => Err(JournalError::Unavailable(why.clone())),
            }
        }
        .boxed()
    }

    fn trim(&self, before: Slot) -> BoxFuture<'_, Result<(), JournalError>> {
        async move {
            let paths = self.removed(before);
            match &self.remover {
                Some(remover) if !paths.is_empty() => remover.remove(paths).await,
                _ => Ok(()),
            }
        }
        .boxed()
    }

    fn seal(&self, successor: Successor) -> BoxFuture<'_, Result<Slot, JournalError>> {
        let (reply, answer) = oneshot::channel();
        match self.queue.put(Request::Seal(successor, reply)) {
            Ok(()) => {}
            Err(Turned::Full) => return ready(Err(overrun())).boxed(),
            Err(Turned::Closed) => return ready(Err(stopped())).boxed(),
        }
        answer.map(|answer| answer.unwrap_or_else(|_| Err(stopped()))).boxed()
    }

    fn successor(&self) -> BoxFuture<'_, Result<Option<Successor>, JournalError>> {
        async move { Ok(self.layout.read().sealed.clone()) }.boxed()
    }
}

fn stopped() -> JournalError {
    JournalError::Unavailable("the journal has stopped".into())
}

fn overrun() -> JournalError {
    JournalError::Unavailable("too many requests are on their way".into())
}

fn unavailable(dir: &Path, error: &std::io::Error) -> JournalError {
    JournalError::Unavailable(format!("opening {}: {error}", dir.display()))
}

/// Refuses a directory that belongs to a real etcd, and says how to go on.
///
/// # Errors
/// [`JournalError::Occupied`].
pub fn refuse_etcd(disk: &dyn Disk, dir: &Path) -> Result<(), JournalError> {
    let member = dir.join("member");
    if !disk.exists(&member.join("snap")) && !disk.exists(&member.join("wal")) {
        return Ok(());
    }
    Err(JournalError::Occupied(format!(
        "{} is the data directory of an etcd; it was left untouched. To bring the data along, stop that \
         etcd and run `meridian restore {} --data-dir DIR`, and start this server with --data-dir \
         DIR",
        dir.display(),
        dir.display()
    )))
}

fn lock(disk: &dyn Disk, dir: &Path) -> Result<Box<dyn Send + Sync>, JournalError> {
    let path = dir.join("LOCK");
    match disk.lock(&path).map_err(|error| unavailable(&path, &error))? {
        Lock::Ours(guard) => Ok(guard),
        Lock::Theirs(holder) => Err(JournalError::Occupied(format!(
            "{} is in use by {holder}. Stop that one first, or choose another --data-dir",
            dir.display()
        ))),
    }
}

/// Begins a log with an empty first segment.
fn begin(disk: &dyn Disk, dir: &Path, size: u64) -> Result<Recovered, JournalError> {
    let draw = || u128::from(RandomState::new().hash_one(std::process::id()));
    let header = Header { log: draw() << 64 | draw(), first: Slot(1), size };
    let spare = spare::prepare(disk, dir, size, Pace::AtOnce)?;
    let segment = spare::christen(disk, dir, spare, &header).map_err(|error| match error {
        Christening::Refused(error) => error,
        Christening::Unclear(what) => JournalError::Unavailable(what),
    })?;
    let segments = VecDeque::from([segment]);
    Ok(Recovered {
        log: header.log,
        layout: Layout { segments, tail: Slot(1), sealed: None, broken: None },
        next: Slot(1),
        declared: Slot(0),
        recent: recent::Recent::default(),
        cut: None,
    })
}
