//! One file of the log: its name, its header, where its records stand.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::disk::DiskFile;
use super::frame::{u32_at, u64_at};
use crate::Slot;

/// Where the first frame stands; the header owns the page before it and is never rewritten.
pub(crate) const HEADER: u64 = 4096;

const MAGIC: &[u8; 8] = b"MERIDJNL";
const VERSION: u32 = 1;
const SUFFIX: &str = ".journal";

/// A segment gets an index point about every so many bytes.
const INDEX_STEP: u64 = 64 << 10;

/// What a segment's header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) log: u128,
    pub(crate) first: Slot,
    /// The size of the file.
    pub(crate) size: u64,
}

/// Why a header could not be read.
pub(crate) enum Unread {
    /// Nobody wrote this.
    Damaged(&'static str),
    /// Sound, but of a version that knows more.
    Newer {
        /// Its version.
        found: u32,
        /// Ours.
        understood: u32,
    },
}

impl Header {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut page = vec![0; HEADER as usize];
        page[..8].copy_from_slice(MAGIC);
        page[8..12].copy_from_slice(&VERSION.to_le_bytes());
        page[16..32].copy_from_slice(&self.log.to_le_bytes());
        page[32..40].copy_from_slice(&self.first.0.to_le_bytes());
        page[40..48].copy_from_slice(&self.size.to_le_bytes());
        let crc = crc32c::crc32c(&page);
        page[12..16].copy_from_slice(&crc.to_le_bytes());
        page
    }

    /// Reads a header page, or says what is wrong with it.
    pub(crate) fn decode(page: &[u8]) -> Result<Self, Unread> {
        if page.len() < HEADER as usize || &page[..8] != MAGIC {
            return Err(Unread::Damaged("this is not the header of a journal file"));
        }
        let mut unsigned = page[..HEADER as usize].to_vec();
        unsigned[12..16].fill(0);
        if crc32c::crc32c(&unsigned) != u32_at(page, 12) {
            return Err(Unread::Damaged("the checksum of the header does not hold"));
        }
        let version = u32_at(page, 8);
        if version > VERSION {
            return Err(Unread::Newer { found: version, understood: VERSION });
        }
        if version < VERSION {
            return Err(Unread::Damaged("a format version that never was"));
        }
        let log = u128::from(u64_at(page, 16)) | u128::from(u64_at(page, 24)) << 64;
        Ok(Self { log, first: Slot(u64_at(page, 32)), size: u64_at(page, 40) })
    }
}

/// The path of the segment that begins with `first`.
pub(crate) fn path(dir: &Path, first: Slot) -> PathBuf {
    dir.join(format!("{:020}{SUFFIX}", first.0))
}

/// The first slot that a file's name gives: `None` for a file that is no segment, `Some(None)` for
/// one that calls itself a segment and has no number.
pub(crate) fn slot_of(name: &str) -> Option<Option<Slot>> {
    let number = name.strip_suffix(SUFFIX)?;
    if number.len() != 20 || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(None);
    }
    Some(number.parse().ok().map(Slot))
}

/// A segment with its records located.
#[derive(Clone)]
pub(crate) struct Segment {
    pub(crate) first: Slot,
    pub(crate) path: PathBuf,
    pub(crate) file: Arc<dyn DiskFile>,
    pub(crate) size: u64,
    /// Where its last durable frame ends.
    pub(crate) end: u64,
    index: Vec<(Slot, u64)>,
}

impl Segment {
    pub(crate) fn new(first: Slot, path: PathBuf, file: Arc<dyn DiskFile>, size: u64) -> Self {
        Self { first, path, file, size, end: HEADER, index: Vec::new() }
    }

    /// Notes where a record stands. Called in slot order; only some are kept.
    pub(crate) fn note(&mut self, slot: Slot, offset: u64) {
        if self.index.last().is_none_or(|(_, last)| offset >= last + INDEX_STEP) {
            self.index.push((slot, offset));
        }
    }

    /// An offset at or before `slot`'s frame, at which a frame begins.
    pub(crate) fn seek(&self, slot: Slot) -> u64 {
        let after = self.index.partition_point(|(at, _)| *at <= slot);
        after.checked_sub(1).map_or(HEADER, |at| self.index[at].1)
    }
}
