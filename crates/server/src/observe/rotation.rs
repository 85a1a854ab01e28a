//! A log file that is put aside when it has grown, under the names that etcd's library gives: what
//! was `etcd.log` is then `etcd-2006-01-02T15-04-05.000.log`, and `.gz` if it is compressed. Old
//! ones are compressed and removed on a thread of their own: no line waits for that.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::{Duration, SystemTime};

use flate2::Compression;
use flate2::write::GzEncoder;

use super::logs::timestamp;
use crate::config::Rotation;

/// A new log file is its owner's alone.
const MODE: u32 = 0o600;
const COMPRESSED: &str = ".gz";
/// `2006-01-02T15-04-05.000`
const STAMP: usize = 23;

/// See the module.
pub(super) struct RotatingFile {
    path: PathBuf,
    rotation: Rotation,
    file: File,
    size: u64,
    /// The next that is put aside is named for no earlier time, so that names keep the order of lines.
    not_before: SystemTime,
    tidier: SyncSender<()>,
}

impl RotatingFile {
    /// Goes on at the end of the file, or begins it.
    pub(super) fn open(path: &Path, rotation: Rotation) -> io::Result<Self> {
        let file = begin(path, MODE)?;
        let size = file.metadata()?.len();
        // One that waits is enough: it finds all that is to do.
        let (tidier, wanted) = sync_channel(1);
        let old = Old { path: path.to_owned(), rotation };
        std::thread::Builder::new().name("old-logs".to_owned()).spawn(move || {
            while wanted.recv().is_ok() {
                // What could not be done now is tried after the next file.
                drop(old.tidy(SystemTime::now()));
            }
        })?;
        let not_before = SystemTime::UNIX_EPOCH;
        let file = Self { path: path.to_owned(), rotation, file, size, not_before, tidier };
        file.tidy();
        Ok(file)
    }

    fn tidy(&self) {
        // It is full while the thread has something to do already.
        self.tidier.try_send(()).unwrap_or(());
    }

    fn rotate(&mut self) -> io::Result<()> {
        let mode = self.file.metadata()?.permissions().mode();
        let mut now = SystemTime::now().max(self.not_before);
        let mut aside = put_aside(&self.path, now);
        while aside.exists() {
            now += Duration::from_millis(1);
            aside = put_aside(&self.path, now);
        }
        self.not_before = now + Duration::from_millis(1);
        fs::rename(&self.path, aside)?;
        self.file = begin(&self.path, mode)?;
        self.size = 0;
        self.tidy();
        Ok(())
    }
}

impl Write for RotatingFile {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let length = line.len() as u64;
        if self.size > 0 && self.size + length > self.rotation.max_bytes {
            // Where it cannot be put aside it goes on growing: that loses nothing.
            self.rotate().unwrap_or(());
        }
        let written = self.file.write(line)?;
        self.size += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn begin(path: &Path, mode: u32) -> io::Result<File> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    OpenOptions::new().append(true).create(true).mode(mode).open(path)
}

/// The two parts of a log file's name between which the time goes.
fn parts(path: &Path) -> (String, String) {
    let text =
        |part: Option<&std::ffi::OsStr>| part.unwrap_or_default().to_string_lossy().into_owned();
    let extension = path.extension().map(|extension| format!(".{}", text(Some(extension))));
    (format!("{}-", text(path.file_stem())), extension.unwrap_or_default())
}

fn put_aside(path: &Path, now: SystemTime) -> PathBuf {
    let (before, after) = parts(path);
    path.with_file_name(format!("{before}{}{after}", stamp(now)))
}

/// Milliseconds of UTC, without the colons that some file systems mind.
fn stamp(time: SystemTime) -> String {
    let time = timestamp(time).replace(':', "-");
    time.get(..STAMP).unwrap_or(&time).to_owned()
}

/// The files of one log that were put aside.
struct Old {
    path: PathBuf,
    rotation: Rotation,
}

impl Old {
    /// Removes what is too old or too much, and compresses the rest if it is to be.
    fn tidy(&self, now: SystemTime) -> io::Result<()> {
        let oldest = self.rotation.max_age.and_then(|age| now.checked_sub(age)).map(stamp);
        let most = self.rotation.max_backups.unwrap_or(usize::MAX);
        let mut kept: Vec<String> = Vec::new();
        for (time, path) in self.list()? {
            // Of one and the same, the file and its compressed copy count once.
            if kept.last() != Some(&time) {
                kept.push(time.clone());
            }
            if kept.len() > most || oldest.as_ref().is_some_and(|oldest| time < *oldest) {
                fs::remove_file(&path)?;
            } else if self.rotation.compress && !is_compressed(&path) {
                compress(&path)?;
            }
        }
        Ok(())
    }

    /// When each was put aside, the newest first.
    fn list(&self) -> io::Result<Vec<(String, PathBuf)>> {
        let (before, after) = parts(&self.path);
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let mut found = Vec::new();
        for entry in fs::read_dir(folder.unwrap_or(Path::new(".")))? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let name = name.strip_suffix(COMPRESSED).unwrap_or(&name);
            let time = name.strip_prefix(&before).and_then(|rest| rest.strip_suffix(&after));
            if let Some(time) = time.filter(|time| is_stamp(time)) {
                found.push((time.to_owned(), path));
            }
        }
        found.sort();
        found.reverse();
        Ok(found)
    }
}

/// Whether a name has the shape of a [`stamp`]: no other file is ever touched.
fn is_stamp(text: &str) -> bool {
    let fits = |(at, byte): (usize, u8)| match at {
        4 | 7 | 13 | 16 => byte == b'-',
        10 => byte == b'T',
        19 => byte == b'.',
        _ => byte.is_ascii_digit(),
    };
    text.len() == STAMP && text.bytes().enumerate().all(fits)
}

fn is_compressed(path: &Path) -> bool {
    path.to_string_lossy().ends_with(COMPRESSED)
}

fn compress(path: &Path) -> io::Result<()> {
    let mut source = File::open(path)?;
    let mode = source.metadata()?.permissions().mode();
    let mut target = path.as_os_str().to_owned();
    target.push(COMPRESSED);
    let mut compressed = || -> io::Result<()> {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(mode);
        let mut encoder = GzEncoder::new(options.open(&target)?, Compression::default());
        io::copy(&mut source, &mut encoder)?;
        encoder.finish()?.sync_all()
    };
    match compressed() {
        Ok(()) => fs::remove_file(path),
        Err(error) => {
            // Half a copy is worse than none; the file itself is still there.
            drop(fs::remove_file(&target));
            Err(error)
        }
    }
}

#[cfg(test)]
#[path = "rotation_tests.rs"]
mod tests;
