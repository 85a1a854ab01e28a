//! What of the checkpoints, which are real files in memory, would outlive the machine: what was synced, under the
//! names that were. The rest is torn when the machine goes.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::dice::Dice;
use super::disk::SimDisk;

/// By name, the number of the file.
type Names = BTreeMap<String, u64>;

/// See the module.
pub(crate) struct Shelf {
    folder: PathBuf,
    disk: SimDisk,
    /// What each file held when it was last synced.
    contents: BTreeMap<u64, Vec<u8>>,
    names: Names,
    /// How often the names beside the folder had been synced when it was new; nothing once its own was.
    new_at: Option<u64>,
}

impl Shelf {
    pub(crate) fn new(folder: PathBuf, disk: SimDisk) -> Self {
        let (contents, names) = (BTreeMap::new(), Names::new());
        Self { folder, disk, contents, names, new_at: Some(u64::MAX) }
    }

    /// Somebody syncs an open file or folder: an error's number, if that fails.
    pub(crate) fn sync(&mut self, file: i32) -> Result<(), i32> {
        let found = fs::read_link(format!("/proc/self/fd/{file}"));
        let Ok(path) = found else { return Ok(()) };
        let beside = self.folder.parent() == Some(&path);
        if !beside && !path.starts_with(&self.folder) {
            return Ok(());
        }
        let works = self.disk.write_back_works();
        works.map_err(|error| error.raw_os_error().unwrap_or(libc::EIO))?;
        if self.disk.lies() {
            return Ok(());
        }
        if beside {
            self.new_at = None;
            return Ok(());
        }
        self.new_at = self.new_at.map(|at| at.min(self.disk.names_synced()));
        let kept = if path == self.folder { self.keep_names() } else { self.keep(&path) };
        kept.map_err(|error| error.raw_os_error().unwrap_or(libc::EIO))
    }

    fn keep(&mut self, path: &Path) -> io::Result<()> {
        let number = fs::metadata(path)?.ino();
        self.contents.insert(number, fs::read(path)?);
        Ok(())
    }

    fn keep_names(&mut self) -> io::Result<()> {
        self.names = names(&self.folder)?;
        self.contents.retain(|number, _| self.names.values().any(|kept| kept == number));
        Ok(())
    }

    /// The machine is gone: the folder is as it would be found.
    pub(crate) fn power_lost(&mut self) {
        let may_go = self.new_at.is_some_and(|at| at >= self.disk.names_synced());
        if may_go && self.disk.draw(|dice| dice.chance(300)) {
            // Nobody ever synced the folder's own name.
            return self.lose();
        }
        let now = names(&self.folder).unwrap_or_default();
        let mut left = BTreeMap::new();
        for (name, number) in &now {
            let is_durable = self.names.get(name) == Some(number);
            let path = self.folder.join(name);
            let seen = fs::read(&path).unwrap_or_default();
            if is_durable || self.disk.draw(|dice| dice.chance(500)) {
                let kept = self.contents.get(number);
                let whole = kept.is_some_and(|kept| *kept == seen);
                let torn = |dice: &mut Dice| torn(&seen, kept, dice);
                let bytes = if whole { seen.clone() } else { self.disk.draw(torn) };
                left.insert(name.clone(), bytes);
            }
        }
        for (name, number) in &self.names {
            // Its removal, or what took its name, was not synced.
            if now.get(name) != Some(number)
                && !left.contains_key(name)
                && self.disk.draw(|dice| dice.chance(500))
            {
                let kept = self.contents.get(number).cloned().unwrap_or_default();
                left.insert(name.clone(), kept);
            }
        }
        self.put_back(&left);
    }

    fn lose(&mut self) {
        // If there is none, it is lost as well.
        drop(fs::remove_dir_all(&self.folder));
        (self.contents, self.names) = (BTreeMap::new(), Names::new());
        self.new_at = Some(u64::MAX);
    }

    fn put_back(&mut self, left: &BTreeMap<String, Vec<u8>>) {
        if !self.folder.exists() {
            return;
        }
        let again = || -> io::Result<()> {
            for name in names(&self.folder)?.keys() {
                fs::remove_file(self.folder.join(name))?;
            }
            for (name, bytes) in left {
                fs::write(self.folder.join(name), bytes)?;
            }
            Ok(())
        };
        again().expect("files in memory");
        self.contents.clear();
        self.names = names(&self.folder).expect("a folder");
        for (name, number) in &self.names {
            self.contents.insert(*number, left[name].clone());
        }
    }
}

/// What is there of a file that was not synced as it stands.
fn torn(seen: &[u8], kept: Option<&Vec<u8>>, dice: &mut Dice) -> Vec<u8> {
    let mut bytes = seen.to_vec();
    match dice.below(4) {
        0 => return kept.cloned().unwrap_or_default(),
        1 => bytes.truncate(dice.below(seen.len() as u64 + 1) as usize),
        2 => {
            for sector in bytes.chunks_mut(512).filter(|_| dice.chance(300)) {
                sector.fill(0);
            }
        }
        _ => {}
    }
    bytes
}

fn names(folder: &Path) -> io::Result<Names> {
    let mut names = Names::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        names.insert(entry.file_name().to_string_lossy().into_owned(), entry.metadata()?.ino());
    }
    Ok(names)
}
