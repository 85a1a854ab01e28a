//! The one thread that writes: takes what waits, writes it, syncs once, answers all.
//!
//! Each offer is judged against the next free slot, whatever order they came in. Nothing is
//! answered before the sync that covers it; after a failed write or sync nothing is written any
//! more. What is written is whole blocks; the bytes of the last one are kept for the next batch.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::RwLock;

use super::FileOptions;
use super::answers::Answers;
use super::disk::{BLOCK, Disk, DiskFile};
use super::flush::Flush;
use super::frame::{self, Head, Kind, MAX_BODY};
use super::layout::{self, Layout};
use super::queue::{Offer, Queue, Request, SealReply, Taken};
use super::recent::Recent;
use super::segment::{HEADER, Header};
use super::spare::{Christening, Spares, christen};
use crate::{Append, JournalError, Nonce, Slot, Successor};

/// One write at most, and the nonces of as many frames must fit [`Recent`].
const FLUSH_BYTES: usize = 8 << 20;
const FLUSH_FRAMES: usize = 1024;

/// How large a buffer is kept for the next batch.
const KEEP_BYTES: usize = 1 << 20;

/// The longest notation of a successor.
const MAX_SUCCESSOR: usize = 4096;

/// Room that is always left for a mark.
const MARK_BYTES: u64 = frame::HEAD as u64;

/// What the writer is started with.
pub(crate) struct Start {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) dir: PathBuf,
    pub(crate) options: FileOptions,
    pub(crate) log: u128,
    pub(crate) next: Slot,
    pub(crate) declared: Slot,
    pub(crate) recent: Recent,
    pub(crate) layout: Arc<RwLock<Layout>>,
    pub(crate) queue: Arc<Queue>,
    pub(crate) spares: Spares,
}

/// The writer's own state; nobody else writes.
pub(crate) struct Writer {
    start: Start,
    seed: u32,
    path: PathBuf,
    file: Arc<dyn DiskFile>,
    size: u64,
    /// Where the last durable frame ends.
    end: u64,
    /// From the beginning of the block in which `end` stands: what that holds, then new frames.
    buffer: Vec<u8>,
    /// The frames in the buffer.
    frames: Vec<(Head, u64)>,
    /// The number of the next frame.
    next: Slot,
    /// The last frame that was synced.
    durable: Slot,
    sealed: Option<(Slot, Successor)>,
    waiting: BTreeMap<Slot, Vec<Offer>>,
    answers: Answers,
    full: Option<(JournalError, Instant)>,
    broken: Option<String>,
}

/// What to do with an offer.
enum Verdict {
    Place,
    Wait,
    Compare,
    Answer(Append),
}

impl Writer {
    pub(crate) fn new(start: Start) -> io::Result<Self> {
        let (path, file, size, end, sealed) = {
            let layout = start.layout.read();
            let last = &layout.segments[layout.segments.len() - 1];
            let sealed = layout.sealed.clone().map(|successor| (layout.tail, successor));
            (last.path.clone(), Arc::clone(&last.file), last.size, last.end, sealed)
        };
        let mut buffer = vec![0; (end % BLOCK) as usize];
        if file.read_at(end - end % BLOCK, &mut buffer)? < buffer.len() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(Self {
            seed: frame::seed(start.log),
            path,
            file,
            size,
            end,
            buffer,
            frames: Vec::new(),
            next: start.next,
            durable: Slot(start.next.0 - 1),
            sealed,
            waiting: BTreeMap::new(),
            answers: Answers::default(),
            full: None,
            broken: None,
            start,
        })
    }

    /// Where the buffer goes in the file.
    const fn block(&self) -> u64 {
        self.end - self.end % BLOCK
    }

    /// Writes until the queue is closed and empty.
    pub(crate) fn run(mut self) {
        loop {
            let patience =
                (self.start.declared < self.durable).then_some(self.start.options.mark_after);
            match self.start.queue.take(patience) {
                Taken::Batch(requests) => self.take_all(requests),
                Taken::Idle => self.mark(),
                Taken::Closed => break,
            }
        }
        self.mark();
    }

    fn take_all(&mut self, requests: Vec<Request>) {
        for request in requests {
            self.take(request);
        }
        self.flush();
    }

    /// Writes what waits; false if nothing does.
    pub(super) fn step(&mut self) -> bool {
        let batch = self.start.queue.take_now();
        batch.map(|requests| self.take_all(requests)).is_some()
    }

    fn take(&mut self, request: Request) {
        match request {
            Request::Append(offer) => self.offer(offer),
            Request::Seal(successor, reply) => self.seal(successor, reply),
        }
    }

    fn offer(&mut self, offer: Offer) {
        match self.judge(&offer) {
            Verdict::Place => self.place(offer),
            Verdict::Wait => self.waiting.entry(offer.slot).or_default().push(offer),
            Verdict::Compare => {
                let outcome = self.compare(offer.slot, offer.nonce);
                self.answers.append(offer, outcome);
            }
            Verdict::Answer(outcome) => self.answers.append(offer, outcome),
        }
    }

    fn judge(&self, offer: &Offer) -> Verdict {
        let slot = offer.slot;
        if let Some(why) = &self.broken {
            // An earlier offer of the same may have reached the disk.
            return Verdict::Answer(Append::Unknown(JournalError::Unavailable(why.clone())));
        }
        if slot == Slot(0) {
            let why = JournalError::Unavailable("there is no slot 0".into());
            return Verdict::Answer(Append::Refused(why));
        }
        if let Some((end, successor)) = &self.sealed
            && slot >= *end
        {
            return Verdict::Answer(Append::Refused(JournalError::Sealed(successor.clone())));
        }
        if slot < self.next {
            return Verdict::Compare;
        }
        if offer.body.len() > MAX_BODY {
            let what = format!("a body of {} bytes; the limit is {MAX_BODY}", offer.body.len());
            return Verdict::Answer(Append::Refused(JournalError::Full(what)));
        }
        match &self.full {
            Some((why, _)) if slot > self.next => Verdict::Answer(Append::Refused(why.clone())),
            _ if slot > self.next => Verdict::Wait,
            _ => Verdict::Place,
        }
    }

    /// Judges an offer to an occupied slot.
    fn compare(&self, slot: Slot, nonce: Nonce) -> Append {
        let holds = self.start.recent.get(slot).map_or_else(
            || {
                let found = layout::read(&self.start.layout, self.seed, slot, 0)?;
                let missing = || JournalError::Unavailable(format!("slot {slot} is not there"));
                Ok(found.first().ok_or_else(missing)?.nonce)
            },
            Ok,
        );
        match holds {
            Ok(holds) if holds == nonce => Append::Won,
            Ok(_) => Append::Lost,
            Err(error) => Append::Unknown(error),
        }
    }

    /// Puts an offer into the next slot, and after it what waited for that.
    fn place(&mut self, offer: Offer) {
        let mut ready = vec![offer];
        while let Some(offer) = ready.pop() {
            match self.judge(&offer) {
                Verdict::Place => {}
                _ => {
                    self.offer(offer);
                    continue;
                }
            }
            if let Err(why) = self.make_room(offer.body.len()) {
                // Nobody may wait for a slot that was refused.
                ready.push(offer);
                self.refuse(ready, &why);
                self.refuse_waiting(&why);
                return;
            }
            if self.broken.is_some() {
                ready.push(offer);
                continue;
            }
            self.full = None;
            self.put(Kind::Record, offer.nonce, &offer.body);
            self.start.recent.push(offer.slot, offer.nonce);
            self.answers.append(offer, Append::Won);
            if let Some(offers) = self.waiting.remove(&self.next) {
                ready.extend(offers.into_iter().rev());
            }
        }
    }

    fn refuse(&mut self, offers: Vec<Offer>, why: &JournalError) {
        for offer in offers {
            let outcome = if offer.slot < self.next {
                self.compare(offer.slot, offer.nonce)
            } else {
                Append::Refused(why.clone())
            };
            self.answers.append(offer, outcome);
        }
    }

    fn put(&mut self, kind: Kind, nonce: Nonce, body: &[u8]) {
        let head = Head { kind, slot: self.next, durable: self.durable, nonce, length: body.len() };
        let offset = self.block() + self.buffer.len() as u64;
        frame::put(&mut self.buffer, self.seed, &head, body);
        self.frames.push((head, offset));
        if kind != Kind::Mark {
            self.next = self.next.next();
        }
    }

    fn refuse_waiting(&mut self, why: &JournalError) {
        let waiting = std::mem::take(&mut self.waiting);
        self.refuse(waiting.into_values().flatten().collect(), why);
    }

    fn seal(&mut self, successor: Successor, reply: SealReply) {
        let answer = match &self.sealed {
            Some((end, known)) if *known == successor => Ok(*end),
            Some((_, known)) => Err(JournalError::Sealed(known.clone())),
            None => self.seal_now(&successor),
        };
        self.answers.seal(reply, answer);
    }

    fn seal_now(&mut self, successor: &Successor) -> Result<Slot, JournalError> {
        if let Some(why) = &self.broken {
            return Err(JournalError::Unavailable(why.clone()));
        }
        if successor.0.len() > MAX_SUCCESSOR {
            let what = format!("the successor's name is longer than {MAX_SUCCESSOR} bytes");
            return Err(JournalError::Unavailable(what));
        }
        self.make_room(successor.0.len())?;
        let end = self.next;
        self.put(Kind::Seal, Nonce(0), successor.0.as_bytes());
        self.sealed = Some((end, successor.clone()));
        self.refuse_waiting(&JournalError::Sealed(successor.clone()));
        Ok(end)
    }

    /// Makes sure that the next frame has room, in this segment or the next one.
    fn make_room(&mut self, length: usize) -> Result<(), JournalError> {
        if self.buffer.len() >= FLUSH_BYTES || self.frames.len() >= FLUSH_FRAMES {
            self.flush();
        }
        let need = frame::frame_bytes(length) + MARK_BYTES;
        let used = self.block() + self.buffer.len() as u64;
        if used > self.size / 2 {
            self.start.spares.ask(self.start.options.segment_bytes);
        }
        if used + need <= self.size {
            return Ok(());
        }
        if let Some((why, when)) = &self.full
            && when.elapsed() < self.start.options.retry_full
        {
            return Err(why.clone());
        }
        let size = self.start.options.segment_bytes.max((HEADER + need).next_multiple_of(HEADER));
        let rolled = self.roll(size);
        if let Err(why) = &rolled {
            self.full = Some((why.clone(), Instant::now()));
        }
        rolled
    }

    /// Goes on in a new segment. Its name appears only after everything before it is durable, so
    /// that whatever is missing in a segment that is not the last is damage.
    fn roll(&mut self, size: u64) -> Result<(), JournalError> {
        self.flush();
        if self.broken.is_some() {
            return Ok(());
        }
        let spare = self.start.spares.take(size)?;
        let size = spare.size;
        let header = Header { log: self.start.log, first: self.next, size };
        match christen(&*self.start.disk, &self.start.dir, spare, &header) {
            Ok(segment) => {
                self.file = Arc::clone(&segment.file);
                self.path = segment.path.clone();
                (self.size, self.end) = (size, HEADER);
                self.buffer.clear();
                self.start.declared = self.durable;
                self.start.layout.write().segments.push_back(segment);
                Ok(())
            }
            Err(Christening::Refused(error)) => Err(error),
            Err(Christening::Unclear(what)) => {
                self.fail(what);
                Ok(())
            }
        }
    }

    /// Writes and syncs what is in the buffer, shows it to readers, answers.
    fn flush(&mut self) {
        if !self.frames.is_empty() && self.broken.is_none() {
            match self.write() {
                Ok(flush) => {
                    self.publish();
                    (self.start.options.on_flush)(&flush);
                }
                Err(error) => {
                    let path = self.path.display();
                    self.fail(format!("writing {path} at byte {}: {error}", self.end));
                }
            }
        }
        self.buffer.shrink_to(KEEP_BYTES);
        self.frames.clear();
        self.answers.send(&self.start.queue, self.broken.as_deref());
    }

    /// Writes whole blocks: the first begins with what stands there, zeros fill up the last.
    fn write(&mut self) -> io::Result<Flush> {
        let (block, used) = (self.block(), self.buffer.len());
        let begun = Instant::now();
        let room = (self.size - block) as usize;
        self.buffer.resize(used.next_multiple_of(BLOCK as usize).min(room), 0);
        self.file.write_at(block, &self.buffer)?;
        self.buffer.truncate(used);
        let written = Instant::now();
        self.file.sync()?;
        Ok(Flush {
            durable: Slot(self.next.0 - 1),
            records: self.frames.iter().filter(|(head, _)| head.kind == Kind::Record).count(),
            bytes: block + used as u64 - self.end,
            write: written - begun,
            sync: written.elapsed(),
        })
    }

    fn publish(&mut self) {
        let block = self.block();
        self.end = block + self.buffer.len() as u64;
        self.buffer.drain(..(self.block() - block) as usize);
        assert!(self.end + MARK_BYTES <= self.size || self.frames.len() == 1, "room for a mark");
        self.start.declared = self.durable;
        self.durable = Slot(self.next.0 - 1);
        let mut layout = self.start.layout.write();
        let last = layout.segments.len() - 1;
        let segment = &mut layout.segments[last];
        for (head, offset) in &self.frames {
            if head.kind == Kind::Record {
                segment.note(head.slot, *offset);
            }
        }
        segment.end = self.end;
        layout.tail = self.sealed.as_ref().map_or(self.next, |(end, _)| *end);
        layout.sealed = self.sealed.as_ref().map(|(_, successor)| successor.clone());
    }

    /// Declares what is durable to be so, when nothing else is there to do it.
    pub(super) fn mark(&mut self) {
        let room = self.end + MARK_BYTES <= self.size;
        if self.broken.is_none() && self.start.declared < self.durable {
            if room {
                self.put(Kind::Mark, Nonce(0), &[]);
                self.flush();
            }
            self.start.declared = self.durable;
        }
    }

    /// Ends the journal's life: what the disk holds is unknown from here on.
    fn fail(&mut self, what: String) {
        for offer in std::mem::take(&mut self.waiting).into_values().flatten() {
            let why = JournalError::Unavailable(what.clone());
            self.answers.append(offer, Append::Unknown(why));
        }
        self.start.layout.write().broken = Some(what.clone());
        (self.start.options.on_fault)(&what);
        self.broken = Some(what);
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // Also when it panicked: whoever waits must not wait for ever.
        self.start.queue.abandon();
    }
}
