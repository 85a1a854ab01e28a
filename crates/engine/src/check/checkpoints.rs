//! Every checkpoint read as a start reads one, newest first; the first that is whole is gone on from.

use std::path::Path;

use state::State;

use super::{Checkpoint, Finding, Progress, Report, Weight};
use crate::archive;
use crate::fault::OpenError;
use crate::restore::Unusable;

/// Reads all; the state of the newest that is whole. One of a newer version is not judged: only that version
/// can tell whether it is damaged.
pub(super) fn read(
    folder: &Path,
    report: &mut Report,
    progress: Progress<'_>,
) -> Result<Option<State>, Unusable> {
    let listing = archive::list(folder).map_err(|error| Unusable::io(folder, &error))?;
    let mut base: Option<State> = None;
    let sizes = listing.checkpoints.iter().map(|path| path.metadata().map_or(0, |file| file.len()));
    let of: u64 = sizes.sum();
    let mut done = 0;
    for (age, path) in listing.checkpoints.iter().rev().enumerate() {
        let bytes = path.metadata().map_err(|error| Unusable::io(path, &error))?.len();
        match archive::read_to_end(path) {
            Ok((state, end)) => {
                note(path, bytes, end, &state, report);
                base.get_or_insert(state);
            }
            Err(error @ OpenError::Newer(_)) => return Err(error.into()),
            Err(error) => {
                let newest = age == 0;
                report.findings.push(damaged(path, newest, base.as_ref(), &error.to_string()));
            }
        }
        done += bytes;
        progress("reading checkpoints", done, of);
    }
    report.checkpoints.reverse();
    Ok(base)
}

fn note(path: &Path, bytes: u64, end: u64, state: &State, report: &mut Report) {
    let (position, revision) = (state.position(), state.revision());
    report.checkpoints.push(Checkpoint { file: path.to_path_buf(), bytes, position, revision });
    if let Some(named) = archive::position_of(path).filter(|named| *named != position) {
        let what = format!("the name says slot {named}, the content stands at slot {position}");
        let found = Finding::new(Weight::Damage, path, what);
        report.findings.push(
            found
                .means("the file was renamed, or is another one's")
                .advice("give it the name it had; a start reads the one with the greatest name"),
        );
    }
    if bytes != end {
        let what = format!("{} bytes behind its end at byte {end}", bytes.saturating_sub(end));
        let found = Finding::new(Weight::Spared, path, what);
        report.findings.push(found.means("nothing: what is before them is whole"));
    }
}

fn damaged(path: &Path, newest: bool, base: Option<&State>, what: &str) -> Finding {
    if let Some(base) = base {
        return Finding::new(Weight::Spared, path, what)
            .means(format!("nothing: a newer checkpoint, of slot {}, is whole", base.position()))
            .advice("remove it, and check the disk");
    }
    let means = if newest {
        "a server does not start: this is the checkpoint it begins from"
    } else {
        "it is of no help in place of the newer one"
    };
    let advice = "keep the directory as it is, check the disk, and bring the files back from a backup; \
                  if the line about a start below reaches the newest slot without it, moving it away \
                  is enough";
    Finding::new(Weight::Damage, path, what).means(means).advice(advice)
}
