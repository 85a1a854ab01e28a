//! One frame of a journal file: its bytes, its checksum, and how one is found again.
//!
//! `docs/format.md` draws the bytes. A frame carries the number up to which the log was known to be
//! durable when it was written; recovery tells a torn tail from damage by it.

use std::io;

use super::disk::DiskFile;
use crate::{Nonce, Slot};

/// The bytes before the body.
pub(crate) const HEAD: usize = 48;

/// The longest body a frame may carry.
pub(crate) const MAX_BODY: usize = 64 << 20;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A slot's record.
    Record,
    /// The end of the log; the body is the successor. It takes a frame number of its own.
    Seal,
    /// Nothing but its `durable`: written when the journal is idle or closes.
    Mark,
}

impl Kind {
    const fn number(self) -> u32 {
        match self {
            Self::Record => 1,
            Self::Seal => 2,
            Self::Mark => 3,
        }
    }

    const fn from_number(number: u32) -> Option<Self> {
        match number {
            1 => Some(Self::Record),
            2 => Some(Self::Seal),
            3 => Some(Self::Mark),
            _ => None,
        }
    }
}

/// A frame without its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) kind: Kind,
    /// The slot it stands in; for a mark, the next free one.
    pub(crate) slot: Slot,
    /// Everything up to here had been synced when this frame was written.
    pub(crate) durable: Slot,
    pub(crate) nonce: Nonce,
    /// The length of the body.
    pub(crate) length: usize,
}

impl Head {
    /// The bytes the whole frame takes in the file.
    pub(crate) const fn frame_bytes(&self) -> u64 {
        frame_bytes(self.length)
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let length = u32_at(bytes, 4) as usize;
        let kind = Kind::from_number(u32_at(bytes, 40))?;
        if length > MAX_BODY || u32_at(bytes, 44) != 0 {
            return None;
        }
        Some(Self {
            kind,
            slot: Slot(u64_at(bytes, 8)),
            durable: Slot(u64_at(bytes, 16)),
            nonce: Nonce(u128::from(u64_at(bytes, 24)) | u128::from(u64_at(bytes, 32)) << 64),
            length,
        })
    }
}

/// The bytes a frame with a body of `length` takes in the file.
pub(crate) const fn frame_bytes(length: usize) -> u64 {
    (HEAD + length).next_multiple_of(8) as u64
}

/// What every checksum of a log begins with, so that no frame of another log is ever taken for
/// ours.
pub(crate) fn seed(log: u128) -> u32 {
    crc32c::crc32c(&log.to_le_bytes())
}

/// Appends the frame to `into`. The caller keeps `body` within [`MAX_BODY`].
pub(crate) fn put(into: &mut Vec<u8>, seed: u32, head: &Head, body: &[u8]) {
    assert!(body.len() == head.length && head.length <= MAX_BODY, "frame length");
    let start = into.len();
    into.extend_from_slice(&[0; 4]);
    into.extend_from_slice(&(head.length as u32).to_le_bytes());
    into.extend_from_slice(&head.slot.0.to_le_bytes());
    into.extend_from_slice(&head.durable.0.to_le_bytes());
    into.extend_from_slice(&head.nonce.0.to_le_bytes());
    into.extend_from_slice(&head.kind.number().to_le_bytes());
    into.extend_from_slice(&[0; 4]);
    into.extend_from_slice(body);
    into.resize(start + head.frame_bytes() as usize, 0);
    let crc = crc32c::crc32c_append(seed, &into[start + 4..]);
    into[start..start + 4].copy_from_slice(&crc.to_le_bytes());
}

/// What stands at an offset.
#[derive(Debug)]
pub(crate) enum Found {
    /// A frame whose checksum holds.
    Frame(Head),
    /// Zeros, or too little room for a frame: the log has not come this far.
    Nothing,
    /// Bytes that are not a frame.
    Broken,
}

/// A part of a file, read in large pieces.
pub(crate) struct Window<'a> {
    file: &'a dyn DiskFile,
    seed: u32,
    end: u64,
    piece: usize,
    start: u64,
    bytes: Vec<u8>,
}

impl<'a> Window<'a> {
    /// Looks at `file` up to `end`, reading at least `piece` bytes at a time.
    pub(crate) fn new(file: &'a dyn DiskFile, seed: u32, end: u64, piece: usize) -> Self {
        Self { file, seed, end, piece, start: 0, bytes: Vec::new() }
    }

    /// The bytes `offset..offset + length`, or what there is of them before the end.
    pub(crate) fn get(&mut self, offset: u64, length: usize) -> io::Result<&[u8]> {
        let length = length.min(self.end.saturating_sub(offset) as usize);
        let held = self.start + self.bytes.len() as u64;
        if offset < self.start || offset + length as u64 > held {
            let piece = length.max(self.piece).min(self.end.saturating_sub(offset) as usize);
            self.bytes.resize(piece, 0);
            self.start = offset;
            let read = self.file.read_at(offset, &mut self.bytes)?;
            if read < piece {
                self.bytes.truncate(read);
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        let from = (offset - self.start) as usize;
        Ok(&self.bytes[from..from + length])
    }

    /// What stands at `offset`. A frame's checksum has been verified.
    pub(crate) fn frame(&mut self, offset: u64) -> io::Result<Found> {
        let (seed, end) = (self.seed, self.end);
        let head = self.get(offset, HEAD)?;
        if head.iter().all(|byte| *byte == 0) {
            return Ok(Found::Nothing);
        }
        if head.len() < HEAD {
            return Ok(Found::Broken);
        }
        let Some(parsed) = Head::parse(head) else { return Ok(Found::Broken) };
        if offset + parsed.frame_bytes() > end {
            return Ok(Found::Broken);
        }
        let frame = self.get(offset, parsed.frame_bytes() as usize)?;
        let holds = u32_at(frame, 0) == crc32c::crc32c_append(seed, &frame[4..]);
        Ok(if holds { Found::Frame(parsed) } else { Found::Broken })
    }

    /// The body of the frame at `offset`.
    pub(crate) fn body(&mut self, offset: u64, head: &Head) -> io::Result<&[u8]> {
        self.get(offset + HEAD as u64, head.length)
    }

    /// Cheap: whether the bytes at `offset` could begin a frame of a slot within `slots`.
    pub(crate) fn plausible(
        &mut self,
        offset: u64,
        slots: &std::ops::RangeInclusive<u64>,
    ) -> io::Result<bool> {
        let head = self.get(offset, HEAD)?;
        Ok(head.len() == HEAD
            && slots.contains(&u64_at(head, 8))
            && Head::parse(head).is_some_and(|head| head.durable < head.slot))
    }
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut number = [0; 4];
    number.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(number)
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut number = [0; 8];
    number.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(number)
}
