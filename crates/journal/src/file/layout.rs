//! What readers see: the durable part of the log, and nothing beyond it.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::RwLock;

use super::disk::DiskFile;
use super::frame::{Found, Kind, Window};
use super::segment::Segment;
use crate::{JournalError, Record, Slot, Successor};

/// How much a reader fetches at a time; larger frames are fetched whole.
const READ_PIECE: usize = 64 << 10;

/// The segments and how far they are durable.
pub(crate) struct Layout {
    /// In slot order, without gaps; the last one is being written.
    pub(crate) segments: VecDeque<Segment>,
    /// The first free slot.
    pub(crate) tail: Slot,
    /// Where the log goes on, once it was sealed.
    pub(crate) sealed: Option<Successor>,
    /// Why nothing can be said about the tail any more.
    pub(crate) broken: Option<String>,
}

/// A stretch of one segment to read from.
struct Stretch {
    file: Arc<dyn DiskFile>,
    path: PathBuf,
    offset: u64,
    end: u64,
}

impl Layout {
    /// The first slot that can be read.
    pub(crate) fn first(&self) -> Slot {
        self.segments[0].first
    }

    /// Where to look for `slot`, which must lie before the tail.
    fn stretch(&self, slot: Slot) -> Result<Stretch, JournalError> {
        let after = self.segments.partition_point(|segment| segment.first <= slot);
        let Some(at) = after.checked_sub(1) else {
            return Err(JournalError::Trimmed { first: self.first() });
        };
        let segment = &self.segments[at];
        Ok(Stretch {
            file: Arc::clone(&segment.file),
            path: segment.path.clone(),
            offset: segment.seek(slot),
            end: segment.end,
        })
    }

    /// Takes out the segments that hold only slots before `before`; the last one always stays.
    pub(crate) fn trim(&mut self, before: Slot) -> Vec<PathBuf> {
        let mut gone = Vec::new();
        while self.segments.len() > 1 && self.segments[1].first <= before {
            gone.extend(self.segments.pop_front().map(|segment| segment.path));
        }
        gone
    }
}

/// The records from `from` up to the tail, about `limit` bytes of them.
pub(crate) fn read(
    layout: &RwLock<Layout>,
    seed: u32,
    from: Slot,
    limit: usize,
) -> Result<Vec<Record>, JournalError> {
    let mut reading = Reading { seed, next: from, limit, taken: 0, records: Vec::new() };
    loop {
        let stretch = {
            let layout = layout.read();
            if reading.next < layout.first() {
                // What was read before a trim overtook us is still right.
                let first = layout.first();
                let found = std::mem::take(&mut reading.records);
                return if found.is_empty() {
                    Err(JournalError::Trimmed { first })
                } else {
                    Ok(found)
                };
            }
            if reading.next >= layout.tail {
                return Ok(reading.records);
            }
            layout.stretch(reading.next)?
        };
        if !reading.walk(&stretch)? {
            return Ok(reading.records);
        }
    }
}

struct Reading {
    seed: u32,
    next: Slot,
    limit: usize,
    taken: usize,
    records: Vec<Record>,
}

impl Reading {
    /// Takes what the stretch holds from `next` on; false when there is enough.
    fn walk(&mut self, stretch: &Stretch) -> Result<bool, JournalError> {
        let before = self.next;
        let mut window = Window::new(&*stretch.file, self.seed, stretch.end, READ_PIECE);
        let mut offset = stretch.offset;
        while offset < stretch.end {
            let head = match window.frame(offset).map_err(|error| stretch.failed(offset, &error))? {
                Found::Frame(head) => head,
                Found::Nothing | Found::Broken => return Err(stretch.damaged(offset)),
            };
            if head.kind == Kind::Record && head.slot >= self.next {
                if head.slot != self.next {
                    return Err(stretch.damaged(offset));
                }
                if !self.records.is_empty() && self.taken + head.length > self.limit {
                    return Ok(false);
                }
                let body = window.body(offset, &head);
                let body = body.map_err(|error| stretch.failed(offset, &error))?;
                let body = Bytes::copy_from_slice(body);
                self.records.push(Record { slot: head.slot, nonce: head.nonce, body });
                self.taken += head.length;
                self.next = self.next.next();
            }
            offset += head.frame_bytes();
        }
        if self.next == before { Err(stretch.damaged(offset)) } else { Ok(true) }
    }
}

impl Stretch {
    fn damaged(&self, offset: u64) -> JournalError {
        damaged(&self.path, offset, "the record that was written here no longer reads back").into()
    }

    fn failed(&self, offset: u64, error: &io::Error) -> JournalError {
        let path = self.path.display();
        JournalError::Unavailable(format!("reading {path} at byte {offset}: {error}"))
    }
}

/// What is wrong at a place of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The file.
    pub file: PathBuf,
    /// The byte at which it no longer fits.
    pub offset: u64,
    /// What is wrong there.
    pub what: String,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}: {}", self.file.display(), self.offset, self.what)
    }
}

/// Damage at a place.
pub(crate) fn damaged(path: &Path, offset: u64, what: &str) -> Damage {
    Damage { file: path.to_path_buf(), offset, what: what.to_owned() }
}

impl From<Damage> for JournalError {
    /// What is wrong, and what to do about it.
    fn from(damage: Damage) -> Self {
        Self::Damaged(format!(
            "{damage}. Nothing was changed. Keep the directory as it is, look at it with `meridian check`, \
             check the disk, and bring the files back from a backup"
        ))
    }
}
