//! A log looked at and not touched: every file, frame by frame, with the readers that opening uses.
//!
//! Where opening stops at the first damage, a survey notes it and goes on with the next file.

use std::io;
use std::path::{Path, PathBuf};

use futures::FutureExt;
use futures::future::{BoxFuture, ready};
use parking_lot::RwLock;

use super::disk::Disk;
use super::frame::{Found, Kind, Window, seed};
use super::layout::{self, Damage, Layout};
use super::recovery::{self, Cut, Trouble, Walk};
use super::segment::Segment;
use crate::{Append, Body, Journal, JournalError, Nonce, Record, Slot, Successor};

/// How much is fetched at a time where a frame is looked for.
const PIECE: usize = 64 << 10;

/// One file of the log, as it was found.
#[derive(Debug)]
pub struct Surveyed {
    /// The file.
    pub file: PathBuf,
    /// The first slot, by its name.
    pub first: Slot,
    /// The slot after the last that could be read from it.
    pub next: Slot,
    /// Where its frames end, as far as they could be read.
    pub end: u64,
    /// Its size.
    pub size: u64,
    /// Why it could not be read to its end.
    pub damage: Option<Damage>,
    /// Where the last byte stands that should be zero and is not, in a file that is whole.
    pub litter: Option<u64>,
}

/// A log, as it was found. Nothing was changed.
pub struct Survey {
    /// The log's own number.
    pub log: Option<u128>,
    /// Its files, oldest first.
    pub files: Vec<Surveyed>,
    /// Files that only call themselves segments.
    pub strange: Vec<Damage>,
    /// What opening will cut, if it gets that far.
    pub torn: Option<Cut>,
    /// Where the log goes on, if it was sealed.
    pub sealed: Option<Successor>,
    /// What can be read of each file.
    segments: Vec<Option<Segment>>,
}

impl Survey {
    /// Reads all files of the log in `dir`; `step` hears how many bytes of how many are done.
    ///
    /// # Errors
    /// [`JournalError::Unavailable`] if the disk does not answer. Damage is no error here.
    pub fn of(
        disk: &dyn Disk,
        dir: &Path,
        step: &mut dyn FnMut(u64, u64),
    ) -> Result<Self, JournalError> {
        let (firsts, strange) = recovery::names(disk, dir)?;
        let mut survey = Self {
            log: None,
            files: Vec::new(),
            strange,
            torn: None,
            sealed: None,
            segments: Vec::new(),
        };
        let Some(oldest) = firsts.first().copied() else { return Ok(survey) };
        let mut walk = Walk::new(oldest);
        for (at, first) in firsts.iter().copied().enumerate() {
            if walk.next != first {
                walk = Walk::new(first);
                walk.log = survey.log.unwrap_or_default();
            }
            survey.visit(&mut walk, disk, dir, first, firsts.get(at + 1).copied())?;
            let left = (firsts.len() - at - 1) as u64;
            let done: u64 = survey.files.iter().map(|file| file.size).sum();
            step(done, done + left * survey.files[at].size);
        }
        survey.sealed = walk.sealed.map(|(_, successor)| successor);
        Ok(survey)
    }

    fn visit(
        &mut self,
        walk: &mut Walk,
        disk: &dyn Disk,
        dir: &Path,
        first: Slot,
        following: Option<Slot>,
    ) -> Result<(), JournalError> {
        let file = super::segment::path(dir, first);
        let mut seen =
            Surveyed { file, first, next: first, end: 0, size: 0, damage: None, litter: None };
        let opened = only_damage(walk.open(disk, dir, first, self.log.is_none()))?;
        let segment = match opened {
            Err(damage) => {
                seen.damage = Some(damage);
                None
            }
            Ok(mut segment) => {
                self.log = Some(walk.log);
                seen.size = segment.size;
                seen.damage = self.frames(walk, &mut segment, following, &mut seen.litter)?;
                seen.next = walk.sealed.as_ref().map_or(walk.next, |(slot, _)| *slot);
                seen.end = segment.end;
                Some(segment)
            }
        };
        self.files.push(seen);
        self.segments.push(segment);
        Ok(())
    }

    /// Walks a file's frames, and looks at what stands behind them.
    fn frames(
        &mut self,
        walk: &mut Walk,
        segment: &mut Segment,
        following: Option<Slot>,
        litter: &mut Option<u64>,
    ) -> Result<Option<Damage>, JournalError> {
        let in_zeros = match only_damage(walk.scan(segment))? {
            Ok(in_zeros) => in_zeros,
            Err(damage) => return Ok(Some(damage)),
        };
        let Some(following) = following else {
            return match only_damage(walk.torn(segment, in_zeros))? {
                Ok(torn) => {
                    self.torn = torn;
                    Ok(None)
                }
                Err(damage) => Ok(Some(damage)),
            };
        };
        if let Err(damage) = only_damage(walk.whole(segment, following))? {
            return Ok(Some(damage));
        }
        *litter = recovery::last_byte(segment).map_err(|error| unreadable(segment, &error))?;
        Ok(None)
    }

    /// The first slot there is a file for, and the one after the last that could be read.
    #[must_use]
    pub fn slots(&self) -> Option<(Slot, Slot)> {
        Some((self.files.first()?.first, self.files.last()?.next))
    }

    /// The stretches without a gap, oldest first: the first slot of each and the one after its last.
    #[must_use]
    pub fn stretches(&self) -> Vec<(Slot, Slot)> {
        let mut stretches: Vec<(Slot, Slot)> = Vec::new();
        for file in self.files.iter().filter(|file| file.next > file.first) {
            match stretches.last_mut() {
                Some((_, next)) if *next == file.first => *next = file.next,
                _ => stretches.push((file.first, file.next)),
            }
        }
        stretches
    }

    /// What can be read without a gap from `from` on, which need not be occupied.
    #[must_use]
    pub fn readable(&self, from: Slot) -> Option<Readable> {
        let after = self.files.partition_point(|file| file.first <= from);
        let begin = after.checked_sub(1)?;
        let mut segments = vec![self.segments[begin].clone()?];
        let mut tail = self.files[begin].next;
        if from > tail {
            return None;
        }
        for (file, segment) in self.files.iter().zip(&self.segments).skip(begin + 1) {
            let (true, Some(segment)) = (file.first == tail, segment) else { break };
            segments.push(segment.clone());
            tail = file.next;
        }
        let layout = Layout { segments: segments.into(), tail, sealed: None, broken: None };
        Some(Readable { layout: RwLock::new(layout), seed: seed(self.log.unwrap_or_default()) })
    }

    /// Where the record of `slot` stands.
    #[must_use]
    pub fn place(&self, slot: Slot) -> Option<(PathBuf, u64)> {
        let after = self.files.partition_point(|file| file.first <= slot);
        let segment = self.segments[after.checked_sub(1)?].as_ref()?;
        let seed = seed(self.log?);
        let mut window = Window::new(&*segment.file, seed, segment.end, PIECE);
        let mut offset = segment.seek(slot);
        while offset < segment.end {
            let Ok(Found::Frame(head)) = window.frame(offset) else { return None };
            if head.kind == Kind::Record && head.slot == slot {
                return Some((segment.path.clone(), offset));
            }
            offset += head.frame_bytes();
        }
        None
    }
}

/// Tells damage, which is noted, from a disk that does not answer, which ends the survey.
fn only_damage<T>(found: Result<T, Trouble>) -> Result<Result<T, Damage>, JournalError> {
    match found {
        Ok(found) => Ok(Ok(found)),
        Err(Trouble::Damage(damage)) => Ok(Err(damage)),
        Err(Trouble::Disk(error)) => Err(error),
    }
}

fn unreadable(segment: &Segment, error: &io::Error) -> JournalError {
    JournalError::Unavailable(format!("reading {}: {error}", segment.path.display()))
}

/// The records of a surveyed log from some slot on up to the first gap. Takes no offers.
pub struct Readable {
    layout: RwLock<Layout>,
    seed: u32,
}

fn read_only() -> JournalError {
    JournalError::Unavailable("this log is only looked at".into())
}

impl Journal for Readable {
    fn append(&self, _: Slot, _: Nonce, _: Body) -> BoxFuture<'_, Append> {
        ready(Append::Refused(read_only())).boxed()
    }

    fn read(&self, from: Slot, limit: usize) -> BoxFuture<'_, Result<Vec<Record>, JournalError>> {
        async move { layout::read(&self.layout, self.seed, from, limit) }.boxed()
    }

    fn tail(&self) -> BoxFuture<'_, Result<Slot, JournalError>> {
        ready(Ok(self.layout.read().tail)).boxed()
    }

    fn trim(&self, _: Slot) -> BoxFuture<'_, Result<(), JournalError>> {
        ready(Err(read_only())).boxed()
    }

    fn seal(&self, _: Successor) -> BoxFuture<'_, Result<Slot, JournalError>> {
        ready(Err(read_only())).boxed()
    }

    fn successor(&self) -> BoxFuture<'_, Result<Option<Successor>, JournalError>> {
        ready(Ok(None)).boxed()
    }
}
