//! A data directory that an engine has left, copies of it, and a start on one.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use engine::check::{Report, check};
use engine::restore::Unusable;
use engine::{Engine, Options, Parts, SystemClock, Threads};
use futures::future::BoxFuture;
use journal::file::UnsyncedDisk;
use journal::{
    Append, Body, FileJournal, FileOptions, Journal, JournalError, Nonce, Record, Slot, Successor,
};
use state::{Command, DeleteRange, Digest, KeyRange, LeaseId, MemberId, Position, Put, Revision};

pub(crate) const SEGMENT: u64 = 32 << 10;

/// A journal that keeps what a checkpoint covers, as one does whose trim was interrupted.
struct Untrimmed(FileJournal);

impl Journal for Untrimmed {
    fn append(&self, slot: Slot, nonce: Nonce, body: Body) -> BoxFuture<'_, Append> {
        self.0.append(slot, nonce, body)
    }

    fn read(&self, from: Slot, limit: usize) -> BoxFuture<'_, Result<Vec<Record>, JournalError>> {
        self.0.read(from, limit)
    }

    fn tail(&self) -> BoxFuture<'_, Result<Slot, JournalError>> {
        self.0.tail()
    }

    fn trim(&self, _: Slot) -> BoxFuture<'_, Result<(), JournalError>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn seal(&self, successor: Successor) -> BoxFuture<'_, Result<Slot, JournalError>> {
        self.0.seal(successor)
    }

    fn successor(&self) -> BoxFuture<'_, Result<Option<Successor>, JournalError>> {
        self.0.successor()
    }
}

pub(crate) fn files(dir: &Path) -> FileJournal {
    try_files(dir).expect("opens")
}

fn try_files(dir: &Path) -> Result<FileJournal, JournalError> {
    let options = FileOptions { segment_bytes: SEGMENT, ..FileOptions::default() };
    Ok(FileJournal::open_on(Arc::new(UnsyncedDisk), dir, options)?.0)
}

fn parts(journal: Arc<dyn Journal>, dir: &Path, checkpoint_after: u64) -> Parts {
    Parts {
        journal,
        checkpoints: Some(dir.join("checkpoints")),
        clock: Arc::new(SystemClock::new()),
        errands: Arc::new(Threads),
        member: MemberId(7),
        replicas: None,
        observer: Arc::new(()),
        options: Options { checkpoint_after, ..Options::default() },
    }
}

/// What a state comes to, for a comparison after a further start.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Served {
    pub(crate) revision: Revision,
    pub(crate) digest: Digest,
    pub(crate) position: Position,
}

/// A directory that an engine has left in good order, and what it served in the end.
pub(crate) struct Left {
    kept: tempfile::TempDir,
    pub(crate) served: Served,
}

impl Left {
    /// `checkpoint` is whether there is one, about half-way.
    pub(crate) async fn make(checkpoint: bool) -> Self {
        let kept = tempfile::tempdir().expect("a directory");
        let dir = kept.path().join("data");
        fs::create_dir(&dir).expect("made");
        let after = if checkpoint { 60 << 10 } else { u64::MAX };
        run(&dir, after, 0..150, checkpoint).await;
        let served = run(&dir, u64::MAX, 150..300, checkpoint).await;
        // Is there or not, as it comes.
        drop(fs::remove_file(dir.join("spare.tmp")));
        Self { kept, served }
    }

    pub(crate) fn dir(&self) -> PathBuf {
        self.kept.path().join("data")
    }

    /// A copy to be spoiled.
    pub(crate) fn copy(&self) -> (tempfile::TempDir, PathBuf) {
        let to = tempfile::tempdir().expect("a directory");
        let dir = to.path().join("data");
        copy(&self.dir(), &dir);
        (to, dir)
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("made");
    for entry in fs::read_dir(from).expect("listed") {
        let path = entry.expect("an entry").path();
        let target = to.join(path.file_name().expect("a name"));
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(&path, &target).expect("copied");
        }
    }
}

/// All files below a directory, in order.
pub(crate) fn all_files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).expect("listed") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(all_files(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

pub(crate) fn segments(dir: &Path) -> Vec<PathBuf> {
    let mut found = all_files(dir);
    found.retain(|path| path.extension().is_some_and(|is| is == "journal"));
    found
}

pub(crate) fn checkpoints(dir: &Path) -> Vec<PathBuf> {
    let mut found = all_files(dir);
    found.retain(|path| path.extension().is_some_and(|is| is == "checkpoint"));
    found
}

/// Serves from a directory for a while, and stops in good order.
async fn run(dir: &Path, after: u64, keys: std::ops::Range<u64>, checkpoint: bool) -> Served {
    let journal: Arc<dyn Journal> = Arc::new(Untrimmed(files(dir)));
    let parts = parts(Arc::clone(&journal), dir, after);
    let (engine, tasks) = Engine::open(parts).await.expect("opens");
    let tasks = tokio::spawn(engine::run(tasks));
    for n in keys {
        for command in commands(n) {
            engine.commit(command).await.expect("commits").result.expect("granted");
        }
    }
    while checkpoint && checkpoints(dir).is_empty() {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    let served = served(&engine).await;
    engine.stop();
    tasks.await.expect("ends");
    drop(engine);
    released(journal).await;
    served
}

/// Waits until no thread has the journal any more, and closes it.
async fn released(journal: Arc<dyn Journal>) {
    while Arc::strong_count(&journal) > 1 {
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
}

async fn served(engine: &Engine) -> Served {
    let ask = |state: &state::State| Served {
        revision: state.revision(),
        digest: state.digest(),
        position: state.position(),
    };
    engine.ask(ask).await.expect("answers")
}

fn commands(n: u64) -> Vec<Command> {
    let key = |n: u64| bytes::Bytes::from(format!("/registry/{}", n * 7919 % 113));
    let value = vec![n as u8; 500 + (n * 37 % 900) as usize].into();
    let mut commands = vec![Command::Put(Put { key: key(n), value, ..Put::default() })];
    match n % 20 {
        3 => commands.push(Command::LeaseGrant { id: LeaseId(n as i64), ttl: 1 << 30 }),
        9 => {
            let range = KeyRange::point(key(n / 2));
            commands.push(Command::DeleteRange(DeleteRange { range, prev_kv: false }));
        }
        _ => {}
    }
    if n == 100 {
        commands.push(Command::Compact { revision: Revision(40) });
    }
    commands
}

/// Starts on a directory as a server does. What it serves, or why it does not.
pub(crate) async fn start(dir: &Path) -> Result<Served, String> {
    let journal: Arc<dyn Journal> = Arc::new(try_files(dir).map_err(|error| error.to_string())?);
    let opened = Engine::open(parts(Arc::clone(&journal), dir, u64::MAX)).await;
    let (engine, tasks) = opened.map_err(|error| error.to_string())?;
    let tasks = tokio::spawn(engine::run(tasks));
    let served = served(&engine).await;
    engine.stop();
    tasks.await.expect("ends");
    drop(engine);
    released(journal).await;
    Ok(served)
}

pub(crate) async fn look(dir: &Path) -> Result<Report, Unusable> {
    check(dir, &mut |_, _, _| {}).await
}

/// Numbers that are the same in every run.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }
}
