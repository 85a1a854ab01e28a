//! The files of a write-ahead log: which there are, and which of them are needed.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use crate::restore::Unusable;

/// One file, named after its place among the files and the first entry it was made for.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) path: PathBuf,
    pub(super) file: File,
    pub(super) bytes: u64,
}

/// The files from the last one that can hold entry `index` on.
pub(super) fn from_index(dir: &Path, index: u64) -> Result<Vec<Segment>, Unusable> {
    let names = names(dir)?;
    let Some(&(_, first, _)) = names.first() else {
        return Err(Unusable(format!(
            "{} holds no file of a write-ahead log (*.wal); if that etcd ran with --wal-dir, give the \
             same one here",
            dir.display()
        )));
    };
    let Some(start) = names.iter().rposition(|(_, first, _)| *first <= index) else {
        return Err(Unusable(format!(
            "the write-ahead log in {} begins with entry {first}, but entry {index} is needed: files \
             are missing; bring them back, or restore a snapshot instead",
            dir.display()
        )));
    };
    let needed = &names[start..];
    for pair in needed.windows(2) {
        let [(before, _, _), (after, _, path)] = pair else { continue };
        if before + 1 != *after {
            return Err(Unusable(format!(
                "the write-ahead log has a gap before {}: file number {:#x} is missing; bring it back, \
                 or restore a snapshot instead",
                path.display(),
                before + 1
            )));
        }
    }
    needed.iter().map(|(_, _, path)| open(path)).collect()
}

fn open(path: &Path) -> Result<Segment, Unusable> {
    let failed = |error| Unusable::io(path, &error);
    let file = File::open(path).map_err(failed)?;
    let bytes = file.metadata().map_err(failed)?.len();
    Ok(Segment { path: path.to_path_buf(), file, bytes })
}

/// Number, first entry and path of each file, in order.
fn names(dir: &Path) -> Result<Vec<(u64, u64, PathBuf)>, Unusable> {
    let failed = |error| Unusable::io(dir, &error);
    let mut names = Vec::new();
    for file in fs::read_dir(dir).map_err(failed)? {
        let path = file.map_err(failed)?.path();
        if let Some((number, first)) = path.file_name().and_then(|name| parse(name.to_str()?)) {
            names.push((number, first, path));
        }
    }
    names.sort();
    Ok(names)
}

/// `<number, 16 hex digits>-<first entry, 16 hex digits>.wal`
fn parse(name: &str) -> Option<(u64, u64)> {
    let (number, first) = name.strip_suffix(".wal")?.split_once('-')?;
    if number.len() != 16 || first.len() != 16 {
        return None;
    }
    Some((u64::from_str_radix(number, 16).ok()?, u64::from_str_radix(first, 16).ok()?))
}
