//! Entries as they stand in the journal: read back, decoded, with the patience an engine may need.

use std::time::Duration;

use bytes::Bytes;
use journal::{Journal, JournalError, Record, Slot};
use state::{DecodeError, Entry, Level};

use crate::fault::OpenError;
use crate::replicas::{NEWER, check};

/// How often a journal that does not answer is asked, and the pause in between, doubled each time up to
/// the longest: about six seconds.
const TRIES: u32 = 12;
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// What the slot's bytes say, if one of the level `own` can apply that.
pub(crate) fn decode(slot: Slot, body: &Bytes, own: Level) -> Result<Entry, OpenError> {
    let entry = Entry::decode(body).map_err(|error| {
        let way_out = match error {
            DecodeError::Newer { .. } => format!("; {NEWER}"),
            DecodeError::Damaged { .. } => String::new(),
        };
        OpenError::Entry(format!(
            "the journal's entry at slot {slot} cannot be understood: {error}{way_out}"
        ))
    })?;
    check(entry.level(), own, &format!("the journal's entry at slot {slot}"))?;
    Ok(entry)
}

/// Reads the one entry at `slot`, which is known to be occupied, and its bytes.
pub(crate) async fn read_entry(
    journal: &dyn Journal,
    slot: Slot,
    own: Level,
) -> Result<(Entry, Bytes), OpenError> {
    let records = read(journal, slot, 1).await?;
    let Some(record) = records.first() else { return Err(missing(slot)) };
    Ok((decode(record.slot, &record.body, own)?, record.body.clone()))
}

/// Reads from `slot` on, which is known to be occupied: a read may lag, and an engine may be out for a
/// moment.
pub(crate) async fn read(
    journal: &dyn Journal,
    slot: Slot,
    limit: usize,
) -> Result<Vec<Record>, OpenError> {
    let mut pause = FIRST_PAUSE;
    let mut last = missing(slot);
    for _ in 0..TRIES {
        match journal.read(slot, limit).await {
            Ok(records) if records.is_empty() => last = missing(slot),
            Ok(records) => return Ok(records),
            Err(error @ JournalError::Unavailable(_)) => last = error.into(),
            Err(error) => return Err(error.into()),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
    Err(last)
}

/// The first free slot; an engine may be out for a moment.
pub(crate) async fn tail(journal: &dyn Journal) -> Result<Slot, OpenError> {
    let mut pause = FIRST_PAUSE;
    for _ in 1..TRIES {
        match journal.tail().await {
            Err(JournalError::Unavailable(_)) => tokio::time::sleep(pause).await,
            answer => return Ok(answer?),
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
    Ok(journal.tail().await?)
}

fn missing(slot: Slot) -> OpenError {
    OpenError::Entry(format!("the journal's slot {slot} is missing below its tail"))
}
