//! A disk in memory: what was written and not synced is lost with the machine, sector by sector, and names with
//! it; it may be full, slow, fail, or lie about a sync. Everything done to it is an effect of its process.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use journal::file::{Disk, DiskFile, Lock};
use parking_lot::Mutex;

use super::dice::Dice;
use super::net::Net;
use super::{MILLISECOND, Nanos, Site, hand};

/// What a device writes whole or not at all.
const SECTOR: usize = 512;

/// What is wrong with a disk, and until when.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Troubles {
    /// No file grows.
    pub(crate) full: Nanos,
    /// Syncs take as long as that.
    pub(crate) slow: (Nanos, Nanos),
    /// Reads fail.
    pub(crate) reads: Nanos,
    /// So many writes work, and the next one does not.
    pub(crate) write: Option<u64>,
    /// The same for syncs.
    pub(crate) sync: Option<u64>,
    /// So many things are done to it, and at the next one the process dies.
    pub(crate) deadly: Option<u64>,
}

#[derive(Default)]
struct File {
    /// What a reader sees.
    now: Vec<u8>,
    /// What stands on the disk.
    durable: Vec<u8>,
    /// Sectors that the system knows it has to write.
    dirty: BTreeSet<usize>,
}

impl File {
    fn write(&mut self, offset: usize, bytes: &[u8], dice: &mut Dice) {
        let end = offset + bytes.len();
        self.now.resize(self.now.len().max(end), 0);
        for sector in offset / SECTOR..end.div_ceil(SECTOR) {
            // The system may have written what stood there before.
            if self.dirty.contains(&sector) && dice.chance(250) {
                self.keep(sector);
            }
            self.dirty.insert(sector);
        }
        self.now[offset..end].copy_from_slice(bytes);
    }

    /// A sector reaches the disk.
    fn keep(&mut self, sector: usize) {
        let (from, to) = (sector * SECTOR, (sector * SECTOR + SECTOR).min(self.now.len()));
        self.durable.resize(self.durable.len().max(to), 0);
        self.durable[from..to].copy_from_slice(&self.now[from..to]);
    }

    fn sync(&mut self) {
        for sector in std::mem::take(&mut self.dirty) {
            self.keep(sector);
        }
        self.durable.resize(self.now.len(), 0);
    }

    /// So many of a thousand dirty sectors reach the disk, and the others never do.
    fn give_up(&mut self, kept: u64, dice: &mut Dice) {
        for sector in std::mem::take(&mut self.dirty) {
            if dice.chance(kept) {
                self.keep(sector);
            }
        }
    }
}

enum Naming {
    Created(PathBuf, u64),
    Renamed(PathBuf, PathBuf, u64),
    Removed(PathBuf),
}

type Names = BTreeMap<PathBuf, u64>;

struct Inner {
    dice: Dice,
    files: BTreeMap<u64, File>,
    created: u64,
    names: Names,
    durable: Names,
    /// What was done to names since they were synced.
    pending: Vec<Naming>,
    troubles: Troubles,
    /// The least and the most that a sync usually takes.
    usual: (Nanos, Nanos),
    /// So many of a thousand syncs are a lie.
    lies: u64,
    /// Whether something was lost that was said to be durable.
    has_lost: bool,
    has_lied: bool,
    /// How often names were synced.
    names_synced: u64,
    is_taken: Arc<AtomicBool>,
}

/// See the module. Clones are the same disk.
#[derive(Clone)]
pub(crate) struct SimDisk {
    site: Site,
    net: Net,
    inner: Arc<Mutex<Inner>>,
}

impl SimDisk {
    pub(crate) fn new(site: Site, net: &Net, mut dice: Dice, lies: bool) -> Self {
        let quick = dice.between(20, 2_000) * 1_000;
        let inner = Inner {
            usual: (quick, quick + dice.below(4_000) * 1_000),
            lies: if lies { *dice.pick(&[20, 200, 1000]) } else { 0 },
            dice,
            files: BTreeMap::new(),
            created: 0,
            names: Names::new(),
            durable: Names::new(),
            pending: Vec::new(),
            troubles: Troubles::default(),
            has_lost: false,
            has_lied: false,
            names_synced: 0,
            is_taken: Arc::default(),
        };
        Self { site, net: net.clone(), inner: Arc::new(Mutex::new(inner)) }
    }

    /// What is wrong with it from now on.
    pub(crate) fn trouble(&self, change: impl FnOnce(&mut Troubles)) {
        change(&mut self.inner.lock().troubles);
    }

    /// Whether something that it said was durable was lost with the machine.
    pub(crate) fn has_lost(&self) -> bool {
        self.inner.lock().has_lost
    }

    /// The process is gone; what it wrote is the system's to keep.
    pub(crate) fn killed(&self) {
        let mut inner = self.inner.lock();
        inner.is_taken = Arc::default();
        inner.troubles.deadly = None;
    }

    /// The machine is gone, and with it what was not synced, or some of it.
    pub(crate) fn power_lost(&self) {
        let mut inner = self.inner.lock();
        let Inner { dice, files, names, durable, pending, has_lost, has_lied, .. } = &mut *inner;
        let kept = *dice.pick(&[0, 100, 500, 900, 1000]);
        for naming in pending.drain(..).filter(|_| dice.chance(kept)).collect::<Vec<_>>() {
            naming.carry_out(durable);
        }
        names.clone_from(durable);
        for file in files.values_mut() {
            file.give_up(kept, dice);
            file.now.clone_from(&file.durable);
        }
        let named: BTreeSet<u64> = names.values().copied().collect();
        files.retain(|number, _| named.contains(number));
        *has_lost |= *has_lied;
    }

    /// How long a sync takes this time.
    fn takes(&self) -> Nanos {
        let now = self.net.0.lock().now;
        let mut inner = self.inner.lock();
        let (until, lasts) = inner.troubles.slow;
        let (least, most) = inner.usual;
        if now < until { inner.dice.below(lasts) } else { inner.dice.between(least, most) }
    }

    /// Whether the process is there to do anything.
    fn effect(&self) -> io::Result<()> {
        let dies = spend(&mut self.inner.lock().troubles.deadly);
        let mut net = self.net.0.lock();
        net.machine(self.site).is_dead |= dies;
        let there = net.effect(self.site);
        if there { Ok(()) } else { Err(gone()) }
    }

    fn is_full(&self) -> bool {
        let now = self.net.0.lock().now;
        now < self.inner.lock().troubles.full
    }

    /// Whether a sync works: counts it, and takes what is wrong with it. For the files of others as well.
    pub(crate) fn sync_works(&self) -> io::Result<()> {
        self.effect()?;
        if spend(&mut self.inner.lock().troubles.sync) {
            self.net.0.lock().counts.disk_sync_errors += 1;
            return Err(io::Error::from_raw_os_error(libc::EIO));
        }
        Ok(())
    }

    /// As [`SimDisk::sync_works`], where there must be room besides.
    pub(crate) fn write_back_works(&self) -> io::Result<()> {
        self.sync_works()?;
        if self.is_full() {
            self.net.0.lock().counts.disk_full += 1;
            return Err(io::Error::from_raw_os_error(libc::ENOSPC));
        }
        Ok(())
    }

    /// Whether this sync is a lie.
    pub(crate) fn lies(&self) -> bool {
        let mut inner = self.inner.lock();
        let odds = inner.lies;
        let lies = odds > 0 && inner.dice.chance(odds);
        inner.has_lied |= lies;
        drop(inner);
        self.net.0.lock().counts.disk_lies += u64::from(lies);
        lies
    }

    /// How often names were synced.
    pub(crate) fn names_synced(&self) -> u64 {
        self.inner.lock().names_synced
    }

    /// Draws what only the disk decides.
    pub(crate) fn draw<T>(&self, draw: impl FnOnce(&mut Dice) -> T) -> T {
        draw(&mut self.inner.lock().dice)
    }
}

impl Naming {
    fn carry_out(self, names: &mut Names) {
        match self {
            Self::Created(path, file) => drop(names.insert(path, file)),
            Self::Renamed(from, to, file) => {
                if names.get(&from) == Some(&file) {
                    names.remove(&from);
                }
                names.insert(to, file);
            }
            Self::Removed(path) => drop(names.remove(&path)),
        }
    }
}

/// Counts down; true the one time that it comes to nothing.
fn spend(left: &mut Option<u64>) -> bool {
    match left {
        Some(0) => left.take().is_some(),
        Some(n) => {
            *n -= 1;
            false
        }
        None => false,
    }
}

fn gone() -> io::Error {
    io::Error::other("the process has ended")
}

impl Disk for SimDisk {
    fn create_dir(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let inner = self.inner.lock();
        let here = inner.names.keys().filter(|path| path.parent() == Some(dir));
        let names = here.filter_map(|path| path.file_name());
        Ok(names.map(|name| name.to_string_lossy().into_owned()).collect())
    }

    fn exists(&self, path: &Path) -> bool {
        self.inner.lock().names.contains_key(path)
    }

    fn lock(&self, _: &Path) -> io::Result<Lock> {
        let taken = Arc::clone(&self.inner.lock().is_taken);
        if taken.swap(true, Ordering::Relaxed) {
            return Ok(Lock::Theirs("a process that has not ended".into()));
        }
        Ok(Lock::Ours(Box::new(Taken(taken))))
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.effect()?;
        let mut inner = self.inner.lock();
        inner.created += 1;
        let number = inner.created;
        inner.files.insert(number, File::default());
        inner.names.insert(path.into(), number);
        inner.pending.push(Naming::Created(path.into(), number));
        Ok(Arc::new(SimFile { disk: self.clone(), number }))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let number = *self.inner.lock().names.get(path).ok_or(io::ErrorKind::NotFound)?;
        Ok(Arc::new(SimFile { disk: self.clone(), number }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.effect()?;
        let mut inner = self.inner.lock();
        let number = *inner.names.get(from).ok_or(io::ErrorKind::NotFound)?;
        let naming = || Naming::Renamed(from.into(), to.into(), number);
        naming().carry_out(&mut inner.names);
        inner.pending.push(naming());
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.effect()?;
        let mut inner = self.inner.lock();
        inner.names.remove(path).ok_or(io::ErrorKind::NotFound)?;
        inner.pending.push(Naming::Removed(path.into()));
        Ok(())
    }

    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        if !hand::wait(self.takes()) {
            return Err(gone());
        }
        self.sync_works()?;
        if !self.lies() {
            let mut inner = self.inner.lock();
            inner.pending.clear();
            inner.durable = inner.names.clone();
            inner.names_synced += 1;
        }
        Ok(())
    }
}

struct Taken(Arc<AtomicBool>);

impl Drop for Taken {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

struct SimFile {
    disk: SimDisk,
    number: u64,
}

impl SimFile {
    fn with<T>(&self, work: impl FnOnce(&mut File, &mut Dice) -> T) -> io::Result<T> {
        let mut inner = self.disk.inner.lock();
        let Inner { files, dice, .. } = &mut *inner;
        let file = files.get_mut(&self.number).ok_or(io::ErrorKind::NotFound)?;
        Ok(work(file, dice))
    }
}

impl DiskFile for SimFile {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let slow = self.disk.draw(|dice| dice.chance(50));
        if slow && !hand::wait(MILLISECOND) {
            return Err(gone());
        }
        self.disk.effect()?;
        let grows = offset + bytes.len() as u64 > self.size()?;
        if grows && self.disk.is_full() {
            self.disk.net.0.lock().counts.disk_full += 1;
            return Err(io::ErrorKind::StorageFull.into());
        }
        if spend(&mut self.disk.inner.lock().troubles.write) {
            self.disk.net.0.lock().counts.disk_write_errors += 1;
            // Some of it may have got there.
            let part = self.disk.draw(|dice| dice.below(bytes.len() as u64 + 1)) as usize;
            self.with(|file, dice| file.write(offset as usize, &bytes[..part], dice))?;
            return Err(io::Error::from_raw_os_error(libc::EIO));
        }
        self.with(|file, dice| file.write(offset as usize, bytes, dice))
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        let now = self.disk.net.0.lock().now;
        let failing = now < self.disk.inner.lock().troubles.reads;
        if failing && self.disk.draw(|dice| dice.chance(300)) {
            self.disk.net.0.lock().counts.disk_read_errors += 1;
            return Err(io::Error::from_raw_os_error(libc::EIO));
        }
        self.with(|file, _| {
            let from = (offset as usize).min(file.now.len());
            let read = into.len().min(file.now.len() - from);
            into[..read].copy_from_slice(&file.now[from..from + read]);
            read
        })
    }

    fn sync(&self) -> io::Result<()> {
        if !hand::wait(self.disk.takes()) {
            return Err(gone());
        }
        if let Err(error) = self.disk.sync_works() {
            if error.raw_os_error().is_some() {
                // As Linux does it: what could not be written counts as written from now on.
                let kept = self.disk.draw(|dice| *dice.pick(&[0, 500, 900]));
                self.with(|file, dice| file.give_up(kept, dice))?;
            }
            return Err(error);
        }
        if self.disk.lies() { Ok(()) } else { self.with(|file, _| file.sync()) }
    }

    fn size(&self) -> io::Result<u64> {
        self.with(|file, _| file.now.len() as u64)
    }
}
