//! A disk in memory that remembers every operation, and gives the images a crash could leave.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use journal::file::{Disk, DiskFile, Lock};

/// What a device writes whole or not at all.
const SECTOR: usize = 512;

/// What the journal writes whole.
const BLOCK: usize = 4096;

pub(crate) type Names = BTreeMap<PathBuf, usize>;

/// One operation, as it was asked for. Files are known by number; names come and go.
#[derive(Clone)]
enum Op {
    Create(PathBuf, usize),
    Write(usize, usize, Vec<u8>),
    /// A write that a failed sync has given up: it reads well, and no later sync writes it.
    GivenUp(usize, usize, Vec<u8>),
    Sync(usize),
    Rename(PathBuf, PathBuf, usize),
    Remove(PathBuf),
    SyncDir,
}

#[derive(Clone, Default)]
struct State {
    /// What stood there in the beginning, durably.
    base: (Names, Vec<Vec<u8>>),
    /// What a reader sees now.
    now: (Names, Vec<Vec<u8>>),
    ops: Vec<Op>,
}

/// What a crash keeps of the operations that had not been synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keeps {
    Nothing,
    Everything,
    /// Each sector of each write, and each name, by the toss of a coin.
    Some(u64),
}

/// The disk. Clones are the same disk.
#[derive(Clone, Default)]
pub(crate) struct Recorder {
    state: Arc<Mutex<State>>,
    gate: Arc<Mutex<()>>,
    pub(crate) faults: Arc<Faults>,
}

/// What goes wrong, until it is switched off.
pub(crate) struct Faults {
    pub(crate) sync_fails: AtomicBool,
    pub(crate) write_fails: AtomicBool,
    pub(crate) syncs_failed: AtomicUsize,
    /// The bytes all files together may have.
    pub(crate) capacity: AtomicU64,
}

impl Default for Faults {
    fn default() -> Self {
        Self {
            sync_fails: AtomicBool::new(false),
            write_fails: AtomicBool::new(false),
            syncs_failed: AtomicUsize::new(0),
            capacity: AtomicU64::new(u64::MAX),
        }
    }
}

impl Recorder {
    /// A disk on which these files stand durably.
    pub(crate) fn with(files: BTreeMap<PathBuf, Vec<u8>>) -> Self {
        let (names, contents): (Vec<_>, Vec<_>) = files.into_iter().unzip();
        let names: Names = names.into_iter().enumerate().map(|(at, name)| (name, at)).collect();
        let base = (names, contents);
        let state = State { now: base.clone(), base, ops: Vec::new() };
        Self { state: Arc::new(Mutex::new(state)), ..Self::default() }
    }

    /// The same disk at an earlier moment, with all that was written and not synced still on its
    /// way: what a killed process leaves.
    pub(crate) fn fork(&self, at: usize) -> Self {
        let mut state = self.state.lock().unwrap().clone();
        state.ops.truncate(at);
        state.now = state.image(at, Keeps::Everything);
        Self { state: Arc::new(Mutex::new(state)), ..Self::default() }
    }

    /// How many operations there have been.
    pub(crate) fn ops(&self) -> usize {
        self.state.lock().unwrap().ops.len()
    }

    /// No write gets on while this is held, so that offers gather in one batch.
    pub(crate) fn hold(&self) -> MutexGuard<'_, ()> {
        self.gate.lock().unwrap()
    }

    /// The files after a crash behind the first `at` operations.
    pub(crate) fn crash(&self, at: usize, keeps: Keeps) -> BTreeMap<PathBuf, Vec<u8>> {
        let (names, contents) = self.state.lock().unwrap().image(at, keeps);
        names.into_iter().map(|(name, file)| (name, contents[file].clone())).collect()
    }

    /// The files as a reader sees them now.
    pub(crate) fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        self.crash(self.ops(), Keeps::Everything)
    }

    /// Looks at every write behind a segment's header: it is whole blocks, and changes no byte that
    /// was not zero. Says how many there were, and how many went into a block that held something.
    pub(crate) fn writes_to_segments(&self) -> (usize, usize) {
        let state = self.state.lock().unwrap();
        let mut contents = state.base.1.clone();
        let (mut writes, mut again) = (0, 0);
        for op in &state.ops {
            match op {
                Op::Create(_, file) => contents.resize(contents.len().max(file + 1), Vec::new()),
                Op::Write(file, offset, bytes) => {
                    let held = contents[*file].get(*offset..offset + bytes.len());
                    if let Some(held) = held.filter(|_| *offset >= BLOCK) {
                        writes += 1;
                        again += usize::from(held.iter().any(|byte| *byte != 0));
                        let same = held.iter().zip(bytes).all(|(a, b)| *a == 0 || a == b);
                        assert!(same, "what stood at {offset} was changed");
                        let recovery = held == bytes;
                        let whole = (offset | bytes.len()).is_multiple_of(BLOCK);
                        assert!(whole || recovery, "{} bytes at {offset}", bytes.len());
                    }
                    write(&mut contents[*file], *offset, bytes);
                }
                _ => {}
            }
        }
        (writes, again)
    }

    /// Changes a byte behind everybody's back.
    pub(crate) fn corrupt(&self, name: &Path, offset: usize, flip: u8) {
        let mut state = self.state.lock().unwrap();
        let file = state.now.0[name];
        state.now.1[file][offset] ^= flip;
    }
}

impl State {
    /// What a kernel does when it could not write: the pages count as clean.
    fn give_up(&mut self, file: usize) {
        for op in self.ops.iter_mut().rev() {
            match op {
                Op::Sync(synced) if *synced == file => break,
                Op::Write(written, offset, bytes) if *written == file => {
                    *op = Op::GivenUp(file, *offset, std::mem::take(bytes));
                }
                _ => {}
            }
        }
    }

    fn image(&self, at: usize, keeps: Keeps) -> (Names, Vec<Vec<u8>>) {
        let (mut names, mut contents) = self.base.clone();
        let ops = &self.ops[..at];
        let mut coin = Coin::new(keeps);
        let names_synced = ops.iter().rposition(|op| matches!(op, Op::SyncDir)).unwrap_or(0);
        let mut synced = BTreeMap::new();
        for (at, op) in ops.iter().enumerate() {
            if let Op::Sync(file) = op {
                synced.insert(*file, at);
            }
        }
        for (at, op) in ops.iter().enumerate() {
            let named = at < names_synced;
            match op {
                Op::Create(name, file) => {
                    contents.resize(contents.len().max(file + 1), Vec::new());
                    if named || coin.toss() {
                        names.insert(name.clone(), *file);
                    }
                }
                Op::Rename(from, to, file) if named || coin.toss() => {
                    if names.get(from) == Some(file) {
                        names.remove(from);
                    }
                    names.insert(to.clone(), *file);
                }
                Op::Remove(name) if named || coin.toss() => drop(names.remove(name)),
                Op::Write(file, offset, bytes) => {
                    let durable = synced.get(file).is_some_and(|synced| at < *synced);
                    for (offset, sector) in sectors(*offset, bytes) {
                        if durable || coin.toss() {
                            write(&mut contents[*file], offset, sector);
                        }
                    }
                }
                Op::GivenUp(file, offset, bytes) => {
                    for (offset, sector) in sectors(*offset, bytes) {
                        if coin.toss() {
                            write(&mut contents[*file], offset, sector);
                        }
                    }
                }
                Op::Rename(..) | Op::Remove(_) | Op::Sync(_) | Op::SyncDir => {}
            }
        }
        (names, contents)
    }
}

fn sectors(offset: usize, bytes: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let head = bytes.len().min(offset.next_multiple_of(SECTOR) - offset);
    let (head, rest) = bytes.split_at(head);
    let start = offset + head.len();
    let rest = rest.chunks(SECTOR).enumerate();
    let rest = rest.map(move |(at, sector)| (start + at * SECTOR, sector));
    std::iter::once((offset, head)).filter(|(_, head)| !head.is_empty()).chain(rest)
}

fn write(contents: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    contents.resize(contents.len().max(offset + bytes.len()), 0);
    contents[offset..offset + bytes.len()].copy_from_slice(bytes);
}

struct Coin(Keeps, Random);

impl Coin {
    fn new(keeps: Keeps) -> Self {
        Self(keeps, Random(if let Keeps::Some(seed) = keeps { seed } else { 0 }))
    }

    fn toss(&mut self) -> bool {
        match self.0 {
            Keeps::Nothing => false,
            Keeps::Everything => true,
            Keeps::Some(_) => self.1.below(2) == 0,
        }
    }
}

/// A small seeded generator.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }
}

impl Disk for Recorder {
    fn create_dir(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let state = self.state.lock().unwrap();
        let here = state.now.0.keys().filter(|path| path.parent() == Some(dir));
        Ok(here.map(|path| path.file_name().unwrap().to_str().unwrap().into()).collect())
    }

    fn exists(&self, path: &Path) -> bool {
        self.state.lock().unwrap().now.0.contains_key(path)
    }

    fn lock(&self, _: &Path) -> io::Result<Lock> {
        Ok(Lock::Ours(Box::new(())))
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.state.lock().unwrap();
        let file = state.now.1.len();
        state.now.1.push(Vec::new());
        state.now.0.insert(path.into(), file);
        state.ops.push(Op::Create(path.into(), file));
        Ok(Arc::new(Recorded { disk: self.clone(), file }))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let state = self.state.lock().unwrap();
        let file = *state.now.0.get(path).ok_or(io::ErrorKind::NotFound)?;
        Ok(Arc::new(Recorded { disk: self.clone(), file }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state.lock().unwrap();
        let file = state.now.0.remove(from).ok_or(io::ErrorKind::NotFound)?;
        state.now.0.insert(to.into(), file);
        state.ops.push(Op::Rename(from.into(), to.into(), file));
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state.lock().unwrap();
        state.now.0.remove(path).ok_or(io::ErrorKind::NotFound)?;
        state.ops.push(Op::Remove(path.into()));
        Ok(())
    }

    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        self.state.lock().unwrap().ops.push(Op::SyncDir);
        Ok(())
    }
}

struct Recorded {
    disk: Recorder,
    file: usize,
}

impl DiskFile for Recorded {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        drop(self.disk.hold());
        if self.disk.faults.write_fails.load(Ordering::SeqCst) {
            return Err(io::Error::other("injected write error"));
        }
        let mut state = self.disk.state.lock().unwrap();
        let mine = state.now.1[self.file].len() as u64;
        let all: u64 = state.now.0.values().map(|file| state.now.1[*file].len() as u64).sum();
        let grows = (offset + bytes.len() as u64).saturating_sub(mine);
        if all + grows > self.disk.faults.capacity.load(Ordering::SeqCst) && grows > 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        write(&mut state.now.1[self.file], offset as usize, bytes);
        state.ops.push(Op::Write(self.file, offset as usize, bytes.to_vec()));
        Ok(())
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        let state = self.disk.state.lock().unwrap();
        let contents = &state.now.1[self.file];
        let from = (offset as usize).min(contents.len());
        let read = into.len().min(contents.len() - from);
        into[..read].copy_from_slice(&contents[from..from + read]);
        Ok(read)
    }

    fn sync(&self) -> io::Result<()> {
        if self.disk.faults.sync_fails.load(Ordering::SeqCst) {
            self.disk.faults.syncs_failed.fetch_add(1, Ordering::SeqCst);
            self.disk.state.lock().unwrap().give_up(self.file);
            return Err(io::Error::other("injected sync error"));
        }
        self.disk.state.lock().unwrap().ops.push(Op::Sync(self.file));
        Ok(())
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.disk.state.lock().unwrap().now.1[self.file].len() as u64)
    }
}
