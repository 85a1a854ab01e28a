//! The directory that a restore makes. It has a mark until it is whole: a server does not start on
//! one that has, and another restore begins it anew.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use journal::{FileJournal, FileOptions};
use state::{Digest, Position, State};

use super::Unusable;
use crate::archive::{self, AtOnce};

/// The mark.
pub const RESTORING: &str = "RESTORING";
const EXPLAINED: &str = "a restore into this directory is under way, or was interrupted\n";
/// What a file system puts into an empty directory by itself.
const NOBODYS: &str = "lost+found";

/// A directory in the making. Dropped before it is finished, it is cleared again.
pub struct Destination {
    dir: PathBuf,
    /// Holds the directory's lock.
    journal: Option<FileJournal>,
    /// Whether it was not there before.
    new: bool,
    finished: bool,
}

impl Destination {
    /// Whether `dir` could be taken; nothing is changed.
    ///
    /// # Errors
    /// [`Unusable`] if it is not empty, or another restore is at it.
    pub fn check(dir: &Path) -> Result<(), Unusable> {
        let has = contents(dir).map_err(|error| Unusable::io(dir, &error))?;
        if has.iter().any(|name| name == RESTORING) {
            return refuse_running(dir);
        }
        if has.is_empty() {
            return Ok(());
        }
        Err(Unusable(format!(
            "{} is not empty (there is {}): choose another --data-dir, or move it away",
            dir.display(),
            has.join(", ")
        )))
    }

    /// Takes `dir`, which must be empty, absent, or left over from a restore that was interrupted.
    ///
    /// # Errors
    /// [`Unusable`] otherwise, or if it cannot be written.
    pub fn claim(dir: &Path) -> Result<Self, Unusable> {
        let failed = |error| Unusable::io(dir, &error);
        Self::check(dir)?;
        if dir.join(RESTORING).exists() {
            clear(dir).map_err(failed)?;
        }
        let new = make(dir).map_err(failed)?;
        let mut made = Self { dir: dir.to_path_buf(), journal: None, new, finished: false };
        let journal = FileJournal::open(dir, FileOptions::default());
        made.journal = Some(journal.map_err(|error| Unusable(error.to_string()))?.0);
        Ok(made)
    }

    /// Writes the state; it is durable on return. `written` hears of the bytes. Returns how many
    /// there are, and the state's digest.
    ///
    /// # Errors
    /// [`Unusable`] if it cannot be written.
    pub fn write(
        &self,
        state: &State,
        written: &mut dyn FnMut(u64),
    ) -> Result<(u64, Digest), Unusable> {
        let done = archive::write_at_once(&self.checkpoints(), &state.image(), written);
        done.map_err(|error| self.unwritten(&error))
    }

    /// Begins a checkpoint that is given block by block.
    pub(super) fn at_once(&self, position: Position) -> Result<AtOnce, Unusable> {
        let begun = AtOnce::begin(&self.checkpoints(), position);
        begun.map_err(|error| self.unwritten(&error))
    }

    /// Makes that durable. How many bytes it has.
    pub(super) fn finish_writing(&self, file: AtOnce) -> Result<u64, Unusable> {
        file.finish().map_err(|error| self.unwritten(&error))
    }

    fn checkpoints(&self) -> PathBuf {
        self.dir.join("checkpoints")
    }

    fn unwritten(&self, error: &io::Error) -> Unusable {
        Unusable::io(&self.checkpoints(), error)
    }

    /// Takes the mark away: the directory is whole.
    ///
    /// # Errors
    /// [`Unusable`] if that cannot be written.
    pub fn finish(mut self) -> Result<(), Unusable> {
        self.journal = None;
        let finish = || {
            sync(&self.dir)?;
            fs::remove_file(self.dir.join(RESTORING))?;
            sync(&self.dir)
        };
        finish().map_err(|error| Unusable::io(&self.dir, &error))?;
        self.finished = true;
        Ok(())
    }
}

impl Drop for Destination {
    fn drop(&mut self) {
        self.journal = None;
        // What cannot be removed keeps its mark.
        if !self.finished && clear(&self.dir).is_ok() {
            drop(fs::remove_file(self.dir.join(RESTORING)));
            if self.new {
                drop(fs::remove_dir(&self.dir));
            }
        }
    }
}

/// Another restore may be at it.
fn refuse_running(dir: &Path) -> Result<(), Unusable> {
    let Ok(lock) = File::open(dir.join("LOCK")) else { return Ok(()) };
    if let Err(TryLockError::WouldBlock) = lock.try_lock() {
        return Err(Unusable(format!("another restore into {} is under way", dir.display())));
    }
    Ok(())
}

/// The names in a directory, which need not be there.
fn contents(dir: &Path) -> io::Result<Vec<String>> {
    let files = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        files => files?,
    };
    let mut names = Vec::new();
    for file in files {
        names.push(file?.file_name().to_string_lossy().into_owned());
    }
    names.retain(|name| name != NOBODYS);
    names.sort();
    Ok(names)
}

/// Whether it was not there before.
fn make(dir: &Path) -> io::Result<bool> {
    use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
    let new = !dir.exists();
    if !new {
        fs::set_permissions(dir, fs::Permissions::from_mode(0o700))?;
    } else {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        dir.parent().filter(|parent| !parent.as_os_str().is_empty()).map_or(Ok(()), sync)?;
    }
    let mut mark = File::create(dir.join(RESTORING))?;
    mark.write_all(EXPLAINED.as_bytes())?;
    mark.sync_all()?;
    sync(dir)?;
    Ok(new)
}

/// Removes what a restore has written, all but its mark; anything else is an error.
fn clear(dir: &Path) -> io::Result<()> {
    for name in contents(dir)? {
        let path = dir.join(&name);
        match name.as_str() {
            RESTORING => {}
            "checkpoints" => fs::remove_dir_all(path)?,
            "LOCK" | "identity" | "identity.unfinished" | "spare.tmp" => fs::remove_file(path)?,
            name if name.ends_with(".journal") => fs::remove_file(path)?,
            name => {
                let what = format!("it holds {name}, which no restore has written");
                return Err(io::Error::new(io::ErrorKind::DirectoryNotEmpty, what));
            }
        }
    }
    Ok(())
}

fn sync(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}
