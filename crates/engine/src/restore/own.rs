//! What Meridian has written itself: a checkpoint, or a whole data directory that is not in use.

use std::path::Path;

use journal::{FileJournal, FileOptions};
use state::{Level, State};

use super::Unusable;
use crate::{archive, recover};

/// Where a data directory has its checkpoints.
const CHECKPOINTS: &str = "checkpoints";

/// The state of a checkpoint file.
///
/// # Errors
/// [`Unusable`] if it is damaged: where.
pub fn checkpoint(path: &Path) -> Result<State, Unusable> {
    let mut state = archive::read(path)?;
    state.begin_anew();
    Ok(state)
}

/// Whether `dir` looks like a data directory.
#[must_use]
pub fn is_directory_of_ours(dir: &Path) -> bool {
    let names = std::fs::read_dir(dir).into_iter().flatten().flatten();
    names.map(|file| file.file_name()).any(|name| name.to_string_lossy().ends_with(".journal"))
}

/// The state of a data directory: its newest checkpoint and the journal behind it. The directory is
/// opened as a server would: nobody else may have it, and a torn tail is cut.
///
/// # Errors
/// [`Unusable`] if it is in use or damaged.
pub async fn directory(dir: &Path) -> Result<State, Unusable> {
    let opened = FileJournal::open(dir, FileOptions::default());
    let (journal, _) = opened.map_err(|error| Unusable(error.to_string()))?;
    let recovered =
        recover::recover(&journal, Some(&dir.join(CHECKPOINTS)), None, Level::NEWEST).await?;
    let mut state = recovered.state;
    state.begin_anew();
    Ok(state)
}
