//! The journal's work without its threads: done when the caller says so, on the caller's thread. A
//! simulation decides by it when the disk is written to, and what happens in between.

use std::path::Path;
use std::sync::Arc;

use super::disk::Disk;
use super::spare::{self, Labourer};
use super::writer::Writer;
use super::{FileJournal, FileOptions, Opening, unavailable};
use crate::JournalError;

/// What the threads of a [`FileJournal`] would do. Dropped, it leaves the rest undone, as the end of a
/// process does.
pub struct ByHand {
    writer: Writer,
    labourer: Arc<Labourer>,
}

impl FileJournal {
    /// As [`open_on`](Self::open_on), but nothing is written before [`ByHand::step`] is called: who
    /// waits for an append or a seal waits for that. What is trimmed is removed at once. Dropping the
    /// journal finishes nothing.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_by_hand(
        disk: Arc<dyn Disk>,
        dir: &Path,
        options: FileOptions,
    ) -> Result<(Self, ByHand, Opening), JournalError> {
        let (ready, opening) = Self::find(disk, dir, options)?;
        let (spares, remover, labourer) = spare::by_hand(Arc::clone(&ready.disk), dir);
        let made = ready.made_of(spares, remover);
        let (journal, writer) = made.map_err(|error| unavailable(dir, &error))?;
        Ok((journal, ByHand { writer, labourer }, opening))
    }
}

impl ByHand {
    /// Writes and syncs what waits, in one batch; or else prepares the next file, if that was asked
    /// for. False if there was nothing to do.
    pub fn step(&mut self) -> bool {
        self.writer.step() || self.labourer.step()
    }

    /// What is due once nothing has come for [`FileOptions::mark_after`].
    pub fn idle(&mut self) {
        self.writer.mark();
    }

    /// What is left to do when the journal was closed.
    pub fn finish(&mut self) {
        while self.writer.step() {}
        self.writer.mark();
    }
}
