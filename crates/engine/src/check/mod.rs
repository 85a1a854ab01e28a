//! A data directory looked at while nobody serves from it: every checkpoint, every frame, and what
//! they come to. Nothing is ever written; the readers are those of a start.

mod checkpoints;
mod finding;
mod history;
mod log;

use std::path::{Path, PathBuf};

use journal::file::{Disk, Lock, ReadOnlyDisk, Survey, refuse_etcd};
use journal::{Slot, Successor};
use state::{Digest, Epoch, MemberId, Position, Revision};

pub use finding::{Finding, Weight};

use crate::restore::{RESTORING, Unusable};

/// Where a data directory has its checkpoints.
const CHECKPOINTS: &str = "checkpoints";

/// Hears what is being done, and how many bytes of how many.
pub type Progress<'a> = &'a mut (dyn FnMut(&'static str, u64, u64) + Send);

/// A checkpoint that is whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The file.
    pub file: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// The slot it stands at.
    pub position: Position,
    /// The newest revision in it.
    pub revision: Revision,
}

/// One file of the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// The file.
    pub file: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// Where its frames end.
    pub end: u64,
    /// Its first slot, and the one after the last that could be read.
    pub slots: (Slot, Slot),
}

/// What a start would come to, or how far it would get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reached {
    /// The checkpoint it begins from.
    pub from: Position,
    /// The newest entry.
    pub position: Position,
    /// The newest revision.
    pub revision: Revision,
    /// Compacted up to here.
    pub compacted: Revision,
    /// Of the newest writer.
    pub epoch: Epoch,
    /// Who claimed it, if an entry behind the checkpoint says so.
    pub member: Option<MemberId>,
    /// Of the state.
    pub digest: Digest,
    /// Keys there are.
    pub keys: u64,
    /// Leases there are.
    pub leases: usize,
    /// Digests in the journal that were computed again and compared.
    pub digests: u64,
    /// Entries of writers that had been replaced, which have no effect.
    pub void: u64,
}

/// What was found.
#[derive(Debug, Default)]
pub struct Report {
    /// Checkpoints that are whole, oldest first.
    pub checkpoints: Vec<Checkpoint>,
    /// The journal's files, oldest first.
    pub segments: Vec<Segment>,
    /// The log's own number.
    pub log: Option<u128>,
    /// Where the log goes on, if it was ended.
    pub sealed: Option<Successor>,
    /// How far the entries lead; `None` if there is nothing to begin from.
    pub reached: Option<Reached>,
    /// What is wrong, or worth knowing.
    pub findings: Vec<Finding>,
}

impl Report {
    /// Whether anything is damaged, needed or not.
    #[must_use]
    pub fn is_damaged(&self) -> bool {
        self.findings.iter().any(|finding| finding.weight != Weight::Note)
    }
}

/// Looks at `dir`, and keeps servers out meanwhile.
///
/// # Errors
/// [`Unusable`] if it is in use, is no data directory with a journal, or cannot be read.
pub async fn check(dir: &Path, progress: Progress<'_>) -> Result<Report, Unusable> {
    let _lock = enter(dir)?;
    let mut report = Report::default();
    let base = checkpoints::read(&dir.join(CHECKPOINTS), &mut report, progress)?;
    let survey = Survey::of(&ReadOnlyDisk, dir, &mut |done, of| {
        progress("reading the journal", done, of);
    });
    let survey = survey.map_err(|error| Unusable(error.to_string()))?;
    let covered = base.as_ref().map_or(Slot(0), |state| Slot(state.position().0));
    log::judge(dir, &survey, covered, &mut report);
    history::judge(dir, &survey, base, &mut report, progress).await?;
    finding::strangers(dir, &mut report)?;
    Ok(report)
}

/// Takes the lock; refuses what is not ours to look at.
fn enter(dir: &Path) -> Result<Box<dyn Send + Sync>, Unusable> {
    let failed = |error| Unusable::io(dir, &error);
    std::fs::read_dir(dir).map_err(failed)?;
    refuse_etcd(&ReadOnlyDisk, dir).map_err(|error| Unusable(error.to_string()))?;
    let lock = match ReadOnlyDisk.lock(&dir.join("LOCK")).map_err(failed)? {
        Lock::Ours(lock) => lock,
        Lock::Theirs(holder) => {
            return Err(Unusable(format!(
                "{} is in use by {holder}: stop the server first, or check a copy of the directory",
                dir.display()
            )));
        }
    };
    if dir.join(RESTORING).exists() {
        return Err(Unusable(format!(
            "{} is not whole: a restore into it was interrupted. Run `meridian restore` again; it \
             begins anew",
            dir.display()
        )));
    }
    let has = ReadOnlyDisk.list(dir).map_err(failed)?;
    if !has.iter().any(|name| name.ends_with(".journal")) && !dir.join(CHECKPOINTS).exists() {
        return Err(Unusable(format!(
            "{} holds neither a journal (*.journal) nor checkpoints: it is no data directory of \
             Meridian",
            dir.display()
        )));
    }
    Ok(lock)
}
