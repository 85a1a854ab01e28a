//! Recovery: newest checkpoint, then every entry after it, then the claim that makes us the writer.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use journal::{Journal, JournalError, Objects, Record, Slot};
use state::{Command, Entry, Epoch, Level, MemberId, Position, Reply, State};

use crate::archive::{self, Written};
use crate::clock::{Clock, timestamp};
use crate::entries::{decode, read, tail};
use crate::fault::OpenError;
use crate::offer::{Settled, settle};
use crate::replicas::check;

/// Bytes of entries read at a time.
const READ_BYTES: usize = 8 << 20;
/// Entries replayed between two steps of compaction, and between two lines of progress.
const MAINTAIN_EVERY: u64 = 256;
const PROGRESS_EVERY: u64 = 100_000;

/// What was found.
pub(crate) struct Recovered {
    pub(crate) state: State,
    pub(crate) checkpoint: Written,
    /// Journal bytes after the checkpoint.
    pub(crate) tail_bytes: u64,
}

/// Brings the machine to the journal's tail.
pub(crate) async fn recover(
    journal: &dyn Journal,
    folder: Option<&Path>,
    objects: Option<&dyn Objects>,
    own: Level,
) -> Result<Recovered, OpenError> {
    loop {
        let (state, checkpoint) = from_checkpoint(folder)?;
        let begun = state.position();
        check(state.cluster().level(), own, &format!("the checkpoint at slot {begun}"))?;
        match replay(journal, state, checkpoint, own, &mut |_, _, _| {}).await {
            // A newer checkpoint was written meanwhile, and the journal trimmed behind that.
            Err(OpenError::Journal(JournalError::Trimmed { .. })) if overtaken(folder, begun) => {}
            Err(OpenError::Journal(JournalError::Trimmed { .. }))
                if let (Some(objects), Some(folder)) = (objects, folder)
                    && archive::fetch(objects, folder, begun).await? => {}
            Err(OpenError::Journal(JournalError::Trimmed { first })) if objects.is_some() => {
                return Err(archive::unreachable(first, begun));
            }
            done => return done,
        }
    }
}

fn overtaken(folder: Option<&Path>, begun: Position) -> bool {
    let newest = folder.and_then(|folder| archive::newest(folder).ok().flatten());
    newest.and_then(|path| archive::position_of(&path)).is_some_and(|newest| newest > begun)
}

/// Hears each entry that was applied, and what became of the state.
pub(crate) type Applied<'a> = &'a mut (dyn FnMut(&Record, &Entry, &State) + Send);

/// Applies everything behind a checkpoint.
pub(crate) async fn replay(
    journal: &dyn Journal,
    mut state: State,
    checkpoint: Written,
    own: Level,
    applied: Applied<'_>,
) -> Result<Recovered, OpenError> {
    let started = Instant::now();
    let tail = tail(journal).await?;
    let mut tail_bytes = 0;
    let mut next = Slot(state.position().0).next();
    if tail < next {
        return Err(OpenError::Entry(format!(
            "the checkpoint stands at slot {}, but the journal ends before slot {tail}: the journal's \
             files are not those that belong to this checkpoint",
            state.position()
        )));
    }
    while next < tail {
        for record in read(journal, next, READ_BYTES).await? {
            let entry = decode(record.slot, &record.body, own)?;
            tail_bytes += record.body.len() as u64;
            state.apply(Position(record.slot.0), &entry);
            applied(&record, &entry, &state);
            next = record.slot.next();
            if next.0.is_multiple_of(MAINTAIN_EVERY) {
                state.maintain(usize::MAX);
            }
            if next.0.is_multiple_of(PROGRESS_EVERY) {
                tracing::info!(slot = %next, %tail, "replaying the journal");
            }
        }
    }
    while state.maintain(usize::MAX) {}
    tracing::info!(
        checkpoint = %checkpoint.position,
        position = %state.position(),
        revision = %state.revision(),
        took = ?started.elapsed(),
        "recovered"
    );
    Ok(Recovered { state, checkpoint, tail_bytes })
}

/// The state of the newest checkpoint, and what is known of its file.
fn from_checkpoint(folder: Option<&Path>) -> Result<(State, Written), OpenError> {
    let Some(folder) = folder else { return Ok((State::new(), Written::default())) };
    let failed = |error| OpenError::Io(format!("cannot list {}: {error}", folder.display()));
    let Some(path) = archive::newest(folder).map_err(failed)? else {
        return Ok((State::new(), Written::default()));
    };
    let file = path.metadata().map_err(failed)?;
    let at = file.modified().ok().map(timestamp);
    let state = archive::read(&path)?;
    let written =
        Written { position: state.position(), bytes: file.len(), at, ..Written::default() };
    Ok((state, written))
}

/// Claims the next epoch: a plain append, tried at the tail until it is ours.
pub(crate) async fn claim(
    state: &mut State,
    journal: &Arc<dyn Journal>,
    clock: &dyn Clock,
    (member, own): (MemberId, Level),
) -> Result<Epoch, OpenError> {
    loop {
        let slot = Slot(state.position().0).next();
        let epoch = Epoch(state.epoch().0 + 1);
        let commands = vec![Command::Claim { epoch, member }];
        let entry =
            Entry { epoch: state.epoch(), clock: clock.wall(), commands, origins: Vec::new() };
        match settle(Arc::clone(journal), slot, entry.encode(), own).await {
            Settled::Won => {
                let outcomes = state.apply(Position(slot.0), &entry);
                let granted = outcomes.first().map(|outcome| &outcome.result);
                if matches!(granted, Some(Ok(Reply::Claim { granted: true }))) {
                    return Ok(epoch);
                }
            }
            Settled::Lost(theirs, _) => {
                state.apply(Position(slot.0), &theirs);
            }
            Settled::Refused(why) => return Err(OpenError::Journal(why)),
            Settled::Overtaken(why) | Settled::Failed(why) => return Err(OpenError::Entry(why)),
        }
    }
}
