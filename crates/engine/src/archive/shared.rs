//! Checkpoints that replicas share: the writer keeps them where the journal is, and whoever has none, or one
//! that the journal no longer reaches back to, begins with the newest.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use bytes::Bytes;
use futures::{StreamExt, stream};
use journal::{Journal, JournalError, Objects, Slot};
use state::Position;

use super::checkpoint::{SUFFIX, forget_before, position_of};
use crate::fault::OpenError;

/// What is kept: the newest, and one before it for whoever is reading that.
const KEPT: usize = 2;
/// Bytes of a file that are in memory at a time.
const PIECE: usize = 256 << 10;

/// Keeps the checkpoint at `path` for everybody, and trims the journal behind the one before it, so that
/// a replica that was away for a while still finds what it lacks.
pub(super) fn share(
    path: &Path,
    position: Position,
    journal: &dyn Journal,
    objects: &dyn Objects,
) -> Result<(), String> {
    let failed = |error: JournalError| error.to_string();
    futures::executor::block_on(async {
        let file = File::open(path).map_err(|error| error.to_string())?;
        match objects.put(&name(position), pieces(file).boxed()).await {
            // It was kept at an earlier try.
            Ok(()) | Err(JournalError::Occupied(_)) => {}
            Err(error) => return Err(failed(error)),
        }
        let kept = positions(objects).await.map_err(failed)?;
        assert!(kept.contains(&position), "what was kept is there");
        // One that stands further on may be of a journal that was put back: nothing is trimmed for it.
        let covered = kept.iter().rev().filter(|kept| **kept <= position);
        let Some(&oldest) = covered.take(KEPT).last() else { return Ok(()) };
        journal.trim(Slot(oldest.0).next()).await.map_err(failed)?;
        for old in kept.into_iter().filter(|position| *position < oldest) {
            objects.delete(&name(old)).await.map_err(failed)?;
        }
        Ok(())
    })
}

/// Why recovery ends where the journal begins after all that is known.
pub(crate) fn unreachable(first: Slot, stood: Position) -> OpenError {
    OpenError::Checkpoint(format!(
        "the journal begins at slot {first}, this replica's own checkpoint ends at {stood}, and no checkpoint \
         that the replicas share lies between: all replicas must name the same --archive"
    ))
}

/// Fetches the newest checkpoint into `folder`, if there is one behind `after`.
pub(crate) async fn fetch(
    objects: &dyn Objects,
    folder: &Path,
    after: Position,
) -> Result<bool, OpenError> {
    let newest = positions(objects).await?.into_iter().next_back();
    let Some(newest) = newest.filter(|newest| *newest > after) else { return Ok(false) };
    let Some(mut pieces) = objects.get(&name(newest)).await? else { return Ok(false) };
    tracing::info!(position = %newest, "fetching a checkpoint that the replicas share");
    let failed = |error: io::Error| OpenError::Io(format!("cannot keep a checkpoint: {error}"));
    std::fs::create_dir_all(folder).map_err(failed)?;
    let target = folder.join(name(newest));
    let unfinished = target.with_extension("unfinished");
    let mut file = File::create(&unfinished).map_err(failed)?;
    while let Some(piece) = pieces.next().await {
        file.write_all(&piece?).map_err(failed)?;
    }
    file.sync_all().map_err(failed)?;
    std::fs::rename(&unfinished, &target).map_err(failed)?;
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)?;
    forget_before(folder, newest).map_err(failed)?;
    Ok(true)
}

/// Where the checkpoints stand that are kept, oldest first.
async fn positions(objects: &dyn Objects) -> Result<Vec<Position>, JournalError> {
    let listed = objects.list().await?;
    let mut kept: Vec<_> =
        listed.iter().filter_map(|object| position_of(Path::new(&object.name))).collect();
    kept.sort_unstable();
    Ok(kept)
}

fn name(position: Position) -> String {
    format!("{:020}{SUFFIX}", position.0)
}

fn pieces(file: File) -> impl futures::Stream<Item = Result<Bytes, JournalError>> {
    stream::unfold(Some(file), |file| async move {
        let mut file = file?;
        let mut piece = Vec::with_capacity(PIECE);
        match Read::by_ref(&mut file).take(PIECE as u64).read_to_end(&mut piece) {
            Ok(0) => None,
            Ok(_) => Some((Ok(piece.into()), Some(file))),
            Err(error) => Some((Err(JournalError::Unavailable(error.to_string())), None)),
        }
    })
}
