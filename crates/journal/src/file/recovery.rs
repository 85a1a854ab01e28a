//! What is found on open: segments in order, their frames, and where the log ends.
//!
//! A crash can leave the frames that were written after the last sync in any state, in any order.
//! Such a torn tail is cut and reported. Whatever had been synced must be whole: damage there is
//! refused. The `durable` of the frames behind tells one from the other; see `docs/format.md`.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::disk::{Disk, DiskFile};
use super::frame::{Found, Head, Kind, Window, seed};
use super::layout::{Damage, Layout, damaged};
use super::recent::Recent;
use super::segment::{self, HEADER, Header, Segment, Unread};
use super::spare;
use crate::{JournalError, Slot, Successor};

const SCAN_PIECE: usize = 1 << 20;
/// No log gets this far: a name with a greater number is no name of ours.
const MOST_SLOTS: u64 = 1 << 62;

/// A torn tail that was cut on open: none of it had been acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// The file it stood in.
    pub file: PathBuf,
    /// The byte the log was cut at.
    pub offset: u64,
    /// How many bytes, up to the last one that was not zero.
    pub bytes: u64,
}

/// The log as it was found.
pub(crate) struct Recovered {
    pub(crate) log: u128,
    pub(crate) layout: Layout,
    /// The number of the next frame: the tail, or one more when the log is sealed.
    pub(crate) next: Slot,
    /// What the frames themselves declare durable.
    pub(crate) declared: Slot,
    pub(crate) recent: Recent,
    pub(crate) cut: Option<Cut>,
}

/// Why a file cannot be gone on with.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// What it holds is wrong.
    Damage(Damage),
    /// The disk did not do what was asked, or a newer version wrote it.
    Disk(JournalError),
}

impl From<Damage> for Trouble {
    fn from(damage: Damage) -> Self {
        Self::Damage(damage)
    }
}

impl From<JournalError> for Trouble {
    fn from(error: JournalError) -> Self {
        Self::Disk(error)
    }
}

impl From<Trouble> for JournalError {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Damage(damage) => damage.into(),
            Trouble::Disk(error) => error,
        }
    }
}

/// Walks the segments in order. Changes nothing on the disk but in [`Walk::keep`].
pub(super) struct Walk {
    pub(super) log: u128,
    pub(super) next: Slot,
    declared: Slot,
    pub(super) sealed: Option<(Slot, Successor)>,
    recent: Recent,
    /// The frames of the segment that no later frame declares durable yet.
    undeclared: VecDeque<(Slot, u64)>,
}

/// Finds the log in `dir`; `None` when there is none.
pub(crate) fn recover(disk: &dyn Disk, dir: &Path) -> Result<Option<Recovered>, JournalError> {
    let firsts = firsts(disk, dir)?;
    let Some(first) = firsts.first().copied() else { return Ok(None) };
    let mut walk = Walk::new(first);
    let mut segments = VecDeque::new();
    let mut cut = None;
    for (at, first) in firsts.iter().enumerate() {
        let mut segment = walk.open(disk, dir, *first, at == 0)?;
        let stop = walk.scan(&mut segment)?;
        if let Some(following) = firsts.get(at + 1) {
            walk.whole(&segment, *following)?;
        } else {
            cut = walk.torn(&segment, stop)?;
            walk.keep(&segment, cut.as_ref())?;
        }
        segments.push_back(segment);
    }
    let spare = dir.join(spare::SPARE);
    if disk.exists(&spare) {
        disk.remove(&spare).map_err(|error| failed("removing", &spare, &error))?;
    }
    disk.sync_dir(dir).map_err(|error| failed("syncing", dir, &error))?;
    let tail = walk.sealed.as_ref().map_or(walk.next, |(slot, _)| *slot);
    let sealed = walk.sealed.map(|(_, successor)| successor);
    Ok(Some(Recovered {
        log: walk.log,
        layout: Layout { segments, tail, sealed, broken: None },
        next: walk.next,
        declared: walk.declared,
        recent: walk.recent,
        cut,
    }))
}

/// The first slots of the segments there are, in order.
fn firsts(disk: &dyn Disk, dir: &Path) -> Result<Vec<Slot>, JournalError> {
    let (firsts, strange) = names(disk, dir)?;
    strange.into_iter().next().map_or(Ok(firsts), |damage| Err(damage.into()))
}

/// The first slots of the segments there are, in order, and the files that only call themselves so.
pub(super) fn names(disk: &dyn Disk, dir: &Path) -> Result<(Vec<Slot>, Vec<Damage>), JournalError> {
    let mut names = disk.list(dir).map_err(|error| failed("listing", dir, &error))?;
    names.sort_unstable();
    let (mut firsts, mut strange) = (Vec::new(), Vec::new());
    for name in names {
        match segment::slot_of(&name) {
            None => {}
            Some(Some(first)) if (1..MOST_SLOTS).contains(&first.0) => firsts.push(first),
            Some(_) => {
                strange.push(damaged(&dir.join(name), 0, "a journal file has no such name"));
            }
        }
    }
    Ok((firsts, strange))
}

impl Walk {
    pub(super) fn new(first: Slot) -> Self {
        Self {
            log: 0,
            next: first,
            declared: Slot(first.0 - 1),
            sealed: None,
            recent: Recent::default(),
            undeclared: VecDeque::new(),
        }
    }

    /// Opens a segment and checks its header against its name and its neighbours.
    pub(super) fn open(
        &mut self,
        disk: &dyn Disk,
        dir: &Path,
        first: Slot,
        is_oldest: bool,
    ) -> Result<Segment, Trouble> {
        let path = segment::path(dir, first);
        let file = disk.open(&path).map_err(|error| failed("opening", &path, &error))?;
        let size = file.size().map_err(|error| failed("opening", &path, &error))?;
        let mut page = vec![0; HEADER as usize];
        let read = file.read_at(0, &mut page).map_err(|error| failed("reading", &path, &error))?;
        let header = Header::decode(&page[..read]).map_err(|why| unread(&path, &why))?;
        if header.first != first {
            let what = format!("the header says slot {}, the name says {first}", header.first);
            return Err(damaged(&path, 32, &what).into());
        }
        if header.size != size {
            let what = format!("the file ends here, and its header says {} bytes", header.size);
            return Err(damaged(&path, size.min(header.size), &what).into());
        }
        if is_oldest {
            self.log = header.log;
        } else if header.log != self.log {
            return Err(damaged(&path, 16, "the file belongs to another log").into());
        }
        Ok(Segment::new(first, path, file, size))
    }

    /// Takes the frames of a segment as far as they are whole and in order. Returns whether they
    /// end in zeros.
    pub(super) fn scan(&mut self, segment: &mut Segment) -> Result<bool, Trouble> {
        // A segment gets its name only after everything before it was synced.
        self.declared = Slot(segment.first.0 - 1);
        self.undeclared.clear();
        let file = Arc::clone(&segment.file);
        let mut window = Window::new(&*file, seed(self.log), segment.size, SCAN_PIECE);
        loop {
            let offset = segment.end;
            let found = window.frame(offset).map_err(|error| at(segment, offset, &error))?;
            let head = match found {
                Found::Frame(head) => head,
                Found::Nothing => return Ok(true),
                Found::Broken => return Ok(false),
            };
            if head.slot != self.next || head.durable >= head.slot {
                return Ok(false);
            }
            let body = window.body(offset, &head).map_err(|error| at(segment, offset, &error))?;
            self.take(segment, offset, &head, body)?;
            segment.end += head.frame_bytes();
        }
    }

    fn take(
        &mut self,
        segment: &mut Segment,
        offset: u64,
        head: &Head,
        body: &[u8],
    ) -> Result<(), Trouble> {
        self.declared = self.declared.max(head.durable);
        while self.undeclared.front().is_some_and(|(slot, _)| *slot <= self.declared) {
            self.undeclared.pop_front();
        }
        if head.kind == Kind::Mark {
            return Ok(());
        }
        if self.sealed.is_some() {
            return Err(damaged(&segment.path, offset, "a record stands behind the seal").into());
        }
        if head.kind == Kind::Seal {
            let successor = Successor(String::from_utf8_lossy(body).into_owned());
            self.sealed = Some((head.slot, successor));
        } else {
            segment.note(head.slot, offset);
            self.recent.push(head.slot, head.nonce);
        }
        self.undeclared.push_back((head.slot, offset));
        self.next = self.next.next();
        Ok(())
    }

    /// A segment that is not the last must reach to the next one.
    pub(super) fn whole(&self, segment: &Segment, following: Slot) -> Result<(), Trouble> {
        if self.next == following {
            return Ok(());
        }
        let what = format!(
            "slot {} should stand here and does not, but the log goes on at slot {following}; the \
             frame is damaged or a file between the two is missing",
            self.next
        );
        Err(damaged(&segment.path, segment.end, &what).into())
    }

    /// Looks at what stands behind the last segment's frames: a torn tail, if anything.
    pub(super) fn torn(&self, segment: &Segment, in_zeros: bool) -> Result<Option<Cut>, Trouble> {
        let rest = last_byte(segment).map_err(|error| at(segment, segment.end, &error))?;
        if rest.is_some() || !in_zeros {
            self.refuse_damage(segment)?;
        }
        Ok(rest.map(|last| Cut {
            file: segment.path.clone(),
            offset: segment.end,
            bytes: last + 1 - segment.end,
        }))
    }

    /// Cuts what is torn, and makes durable what is kept.
    fn keep(&self, segment: &Segment, cut: Option<&Cut>) -> Result<(), Trouble> {
        let kept = self.undeclared.front().map_or(segment.end, |(_, offset)| *offset);
        rewrite(&*segment.file, kept, segment.end)
            .and_then(|()| cut.map_or(Ok(()), |cut| zero(&*segment.file, cut)))
            .and_then(|()| segment.file.sync())
            .map_err(|error| failed("making durable", &segment.path, &error).into())
    }

    /// Looks behind the place where the frames end for one that proves that more had been synced.
    fn refuse_damage(&self, segment: &Segment) -> Result<(), Trouble> {
        let mut window = Window::new(&*segment.file, seed(self.log), segment.size, SCAN_PIECE);
        let slots = self.next.0..=self.next.0 + (segment.size - segment.end) / 8;
        let mut offset = segment.end;
        while offset < segment.size {
            let plausible = window.plausible(offset, &slots);
            if plausible.map_err(|error| at(segment, offset, &error))?
                && let Found::Frame(head) =
                    window.frame(offset).map_err(|error| at(segment, offset, &error))?
                && head.durable >= self.next
            {
                let what = format!(
                    "slot {} should stand here and does not, and the frame at byte {offset} \
                     proves that it had been written",
                    self.next
                );
                return Err(damaged(&segment.path, segment.end, &what).into());
            }
            offset += 8;
        }
        Ok(())
    }
}

/// The last byte behind the log that is not zero.
pub(super) fn last_byte(segment: &Segment) -> io::Result<Option<u64>> {
    let mut window = Window::new(&*segment.file, 0, segment.size, SCAN_PIECE);
    let mut offset = segment.end;
    let mut last = None;
    while offset < segment.size {
        let bytes = window.get(offset, SCAN_PIECE)?;
        if let Some(at) = bytes.iter().rposition(|byte| *byte != 0) {
            last = Some(offset + at as u64);
        }
        offset += bytes.len() as u64;
    }
    Ok(last)
}

/// Writes the last frames once more. A process that was killed, or stopped by a failed sync, can
/// leave pages that read well and are not on the disk, and that a sync alone would not write again.
fn rewrite(file: &dyn DiskFile, from: u64, to: u64) -> io::Result<()> {
    let mut at = from;
    let mut piece = Vec::new();
    while at < to {
        piece.resize((to - at).min(SCAN_PIECE as u64) as usize, 0);
        file.read_at(at, &mut piece)?;
        file.write_at(at, &piece)?;
        at += piece.len() as u64;
    }
    Ok(())
}

fn zero(file: &dyn DiskFile, cut: &Cut) -> io::Result<()> {
    let zeros = vec![0; SCAN_PIECE.min(cut.bytes as usize)];
    let mut done = 0;
    while done < cut.bytes {
        let piece = (cut.bytes - done).min(zeros.len() as u64);
        file.write_at(cut.offset + done, &zeros[..piece as usize])?;
        done += piece;
    }
    Ok(())
}

fn at(segment: &Segment, offset: u64, error: &io::Error) -> JournalError {
    let path = segment.path.display();
    JournalError::Unavailable(format!("reading {path} at byte {offset}: {error}"))
}

fn failed(doing: &str, path: &Path, error: &io::Error) -> JournalError {
    JournalError::Unavailable(format!("{doing} {}: {error}", path.display()))
}

/// What a newer version wrote is not damaged, and nothing is to be brought back.
fn unread(path: &Path, why: &Unread) -> Trouble {
    match why {
        Unread::Damaged(what) => damaged(path, 0, what).into(),
        Unread::Newer { found, understood } => Trouble::Disk(JournalError::Occupied(format!(
            "{} was written by a newer version (its format is {found}, ours {understood}). Nothing was \
             changed. Start the version that wrote it, or a later one",
            path.display()
        ))),
    }
}
