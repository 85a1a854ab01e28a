//! The frames of a write-ahead log, one after the other through its files, each checked.
//!
//! A frame is eight bytes of length (its top byte the padding), a record, and padding to a multiple of
//! eight. A length of zero, or the end of the file, ends a file. What is broken at the very end of the
//! last file was being written when the machine stopped, and nobody was told that it is there.

use std::io;
use std::os::unix::fs::FileExt;

use super::record::{CHECKSUM, Record};
use super::segments::Segment;
use crate::restore::Unusable;

/// Before each record.
const HEAD: u64 = 8;
/// A disk writes so many bytes whole or not at all.
const SECTOR: u64 = 512;
/// No record is longer: a request is at most a few MiB.
const LONGEST: u64 = 1 << 30;
/// How much is read at a time.
const PIECE: usize = 1 << 20;

/// Where a record stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) segment: u32,
    pub(super) offset: u64,
    /// Of the record, without what is around it.
    pub(super) length: u32,
}

/// See the module.
pub(super) struct Frames<'a> {
    segments: &'a [Segment],
    segment: usize,
    offset: u64,
    window: Window,
    /// Over the data of all records so far; none before the first file's own.
    checksum: u32,
    /// Where a record was broken off.
    pub(super) torn: Option<(usize, u64)>,
}

enum Fault {
    /// Broken off, if this is the end of the log.
    Short(&'static str),
    Damaged(String),
}

impl<'a> Frames<'a> {
    pub(super) fn new(segments: &'a [Segment]) -> Self {
        let window = Window::default();
        Self { segments, segment: 0, offset: 0, window, checksum: 0, torn: None }
    }

    /// How many bytes lie behind.
    pub(super) fn passed(&self) -> u64 {
        let before = self.segments[..self.segment].iter().map(|segment| segment.bytes).sum::<u64>();
        before + self.offset
    }

    /// The next record but those that only carry the checksum from file to file.
    pub(super) fn next(&mut self) -> Result<Option<(Place, Record<'_>)>, Unusable> {
        loop {
            let Some(segment) = self.segments.get(self.segment) else { return Ok(None) };
            match self.head(segment)? {
                Ok(None) => {
                    self.segment += 1;
                    self.offset = 0;
                    self.window = Window::default();
                }
                Ok(Some((length, padding))) => match self.check(segment, length, padding)? {
                    Ok(true) => {
                        let place = self.place(length);
                        self.offset += HEAD + length + padding;
                        let at = place.offset + HEAD;
                        let bytes = self.window.read(segment, at, length as usize)?;
                        let record = Record::decode(bytes)
                            .map_err(|_| damaged(segment, place.offset, "it is no record"))?;
                        return Ok(Some((place, record)));
                    }
                    Ok(false) => self.offset += HEAD + length + padding,
                    Err(fault) => return self.stop(segment, fault),
                },
                Err(fault) => return self.stop(segment, fault),
            }
        }
    }

    fn place(&self, length: u64) -> Place {
        let segment = u32::try_from(self.segment).unwrap_or(u32::MAX);
        Place { segment, offset: self.offset, length: u32::try_from(length).unwrap_or(u32::MAX) }
    }

    /// The lengths of the record and its padding that come next in this file.
    fn head(&mut self, segment: &Segment) -> Result<Result<Option<(u64, u64)>, Fault>, Unusable> {
        let left = segment.bytes - self.offset;
        if left == 0 {
            return Ok(Ok(None));
        }
        if left < HEAD {
            return Ok(Err(Fault::Short("the file ends within the length of a record")));
        }
        let mut head = [0; 8];
        head.copy_from_slice(self.window.read(segment, self.offset, 8)?);
        let head = u64::from_le_bytes(head);
        let length = head & (u64::MAX >> 8);
        let padding = if head >> 63 == 1 { head >> 56 & 7 } else { 0 };
        Ok(if head == 0 {
            Ok(None)
        } else if length + padding > left - HEAD {
            Err(Fault::Short("a record is longer than what is left of the file"))
        } else if length > LONGEST {
            Err(Fault::Damaged(format!("a record of {length} bytes is longer than any")))
        } else {
            Ok(Some((length, padding)))
        })
    }

    /// Whether the record is one to be handed out; those that carry the checksum are not.
    fn check(
        &mut self,
        segment: &Segment,
        length: u64,
        padding: u64,
    ) -> Result<Result<bool, Fault>, Unusable> {
        let at = self.offset + HEAD;
        let framed = self.window.read(segment, at, (length + padding) as usize)?;
        let torn = has_empty_sector(framed, at);
        let Ok(record) = Record::decode(&framed[..length as usize]) else {
            return Ok(Err(match torn {
                true => Fault::Short("a record is empty in part"),
                false => Fault::Damaged("it is no record".to_owned()),
            }));
        };
        if record.kind == CHECKSUM {
            if self.checksum != 0 && self.checksum != record.checksum {
                return Ok(Err(Fault::Damaged(format!(
                    "the file begins with checksum {:08x}, but the records before it give {:08x}",
                    record.checksum, self.checksum
                ))));
            }
            self.checksum = record.checksum;
            return Ok(Ok(false));
        }
        let computed = crc32c::crc32c_append(self.checksum, record.data);
        if computed != record.checksum {
            return Ok(Err(match torn {
                true => Fault::Short("a record is empty in part"),
                false => Fault::Damaged(format!(
                    "a record's checksum is {:08x}, but its bytes give {computed:08x}",
                    record.checksum
                )),
            }));
        }
        self.checksum = computed;
        Ok(Ok(true))
    }

    fn stop<T>(&mut self, segment: &Segment, fault: Fault) -> Result<Option<T>, Unusable> {
        let last = self.segment + 1 == self.segments.len();
        match fault {
            Fault::Short(_) if last => {
                self.torn = Some((self.segment, self.offset));
                self.segment = self.segments.len();
                self.offset = 0;
                Ok(None)
            }
            Fault::Short(what) => Err(damaged(segment, self.offset, what)),
            Fault::Damaged(what) => Err(damaged(segment, self.offset, &what)),
        }
    }
}

/// Whether a sector of what was written is all zeros: then it was not written whole.
fn has_empty_sector(framed: &[u8], at: u64) -> bool {
    let first = (SECTOR - at % SECTOR).min(framed.len() as u64) as usize;
    let (first, rest) = framed.split_at(first);
    let sectors = std::iter::once(first).chain(rest.chunks(SECTOR as usize));
    sectors.into_iter().any(|sector| sector.iter().all(|byte| *byte == 0))
}

pub(super) fn damaged(segment: &Segment, offset: u64, what: &str) -> Unusable {
    Unusable(format!(
        "{} is damaged at byte {offset}: {what}; bring the file back from a backup, or restore a \
         snapshot instead",
        segment.path.display()
    ))
}

/// A stretch of a file.
#[derive(Default)]
struct Window {
    begin: u64,
    bytes: Vec<u8>,
}

impl Window {
    /// The bytes there, which the file is known to have.
    fn read(&mut self, segment: &Segment, at: u64, length: usize) -> Result<&[u8], Unusable> {
        let end = at + length as u64;
        if at < self.begin || end > self.begin + self.bytes.len() as u64 {
            let wanted = length.max(PIECE).min((segment.bytes - at) as usize);
            self.bytes.resize(wanted, 0);
            self.begin = at;
            read_at(segment, at, &mut self.bytes)?;
        }
        let begin = (at - self.begin) as usize;
        Ok(&self.bytes[begin..begin + length])
    }
}

pub(super) fn read_at(segment: &Segment, at: u64, into: &mut [u8]) -> Result<(), Unusable> {
    let read = segment.file.read_exact_at(into, at);
    read.map_err(|error: io::Error| Unusable::io(&segment.path, &error))
}
