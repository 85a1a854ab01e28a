//! What is wrong or worth knowing, in words: the place, what it means, what to do.

use std::fmt;
use std::path::{Path, PathBuf};

use journal::file::{Disk, ReadOnlyDisk};

use super::Report;
use crate::archive;
use crate::restore::Unusable;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// As it may be after a crash, or with no meaning for the data.
    Note,
    /// Damage to bytes that nothing needs any more. All data is there.
    Spared,
    /// Damage to what was acknowledged: a server does not start on it.
    Damage,
}

/// Something that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub weight: Weight,
    /// The file.
    pub file: PathBuf,
    /// Where in the file and what stands there.
    pub what: String,
    /// What that means.
    pub means: String,
    /// What to do.
    pub advice: String,
}

impl Finding {
    pub(super) fn new(weight: Weight, file: &Path, what: impl Into<String>) -> Self {
        let (means, advice) = (String::new(), String::new());
        Self { weight, file: file.to_path_buf(), what: what.into(), means, advice }
    }

    pub(super) fn means(mut self, means: impl Into<String>) -> Self {
        self.means = means.into();
        self
    }

    pub(super) fn advice(mut self, advice: impl Into<String>) -> Self {
        self.advice = advice.into();
        self
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let weight = match self.weight {
            Weight::Note => "note",
            Weight::Spared => "DAMAGE, nothing lost",
            Weight::Damage => "DAMAGE",
        };
        let file = self.file.display().to_string();
        // The readers' own words name the file already.
        if self.what.contains(&file) {
            write!(f, "{weight}: {}", self.what)?;
        } else {
            write!(f, "{weight}: {file}: {}", self.what)?;
        }
        if !self.means.is_empty() {
            write!(f, "\n    means: {}", self.means)?;
        }
        if !self.advice.is_empty() {
            write!(f, "\n    to do: {}", self.advice)?;
        }
        Ok(())
    }
}

/// What a data directory holds besides segments.
const OURS: [&str; 4] = ["LOCK", "identity", "checkpoints", "lost+found"];
/// What an interrupted write leaves, and the next start removes or writes again.
const LEFT: [&str; 2] = ["spare.tmp", "identity.unfinished"];

/// Names what is in the directory and has no part in the data.
pub(super) fn strangers(dir: &Path, report: &mut Report) -> Result<(), Unusable> {
    let failed = |error| Unusable::io(dir, &error);
    let mut names = ReadOnlyDisk.list(dir).map_err(failed)?;
    names.sort_unstable();
    for name in names {
        let note = |what: &str| Finding::new(Weight::Note, &dir.join(&name), what);
        if LEFT.contains(&name.as_str()) {
            let note = note("a file that was being prepared");
            report.findings.push(note.means("nothing: the next start removes or replaces it"));
        } else if !OURS.contains(&name.as_str()) && !name.ends_with(".journal") {
            report.findings.push(note("not a file of Meridian").means("nothing: it is left alone"));
        }
    }
    let listing = archive::list(&dir.join(super::CHECKPOINTS)).map_err(failed)?;
    for file in listing.unfinished {
        let note = Finding::new(Weight::Note, &file, "a checkpoint that was being written");
        report.findings.push(note.means("nothing: the next start removes it"));
    }
    for file in listing.foreign {
        let note = Finding::new(Weight::Note, &file, "not a checkpoint by its name");
        report.findings.push(note.means("nothing: it is left alone"));
    }
    Ok(())
}
