//! A byte buffer that one owner appends records to while any number of readers read what is there.
//!
//! Records grow from the front; a table of twelve bytes a record grows from the back, so nothing is
//! wasted whatever the size of the records. The only unsafe code of this crate.
#![allow(unsafe_code)]

use std::cell::UnsafeCell;
use std::mem::MaybeUninit;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// What a record costs besides its bytes.
pub(super) const MARK_BYTES: usize = 12;

type Cell = UnsafeCell<MaybeUninit<u8>>;

/// The readers' side: the records published so far. They never change.
pub(super) struct Buffer {
    cells: Box<[Cell]>,
    published: AtomicU32,
}

// SAFETY: a cell is written at most once, by the one `Appender` of this buffer (it is not `Clone`
// and writes through `&mut self`), before `published` covers it (Release); it is read only after
// `published` was seen to cover it (Acquire).
unsafe impl Sync for Buffer {}

/// The writer's side; there is one for each buffer.
pub(super) struct Appender {
    buffer: Arc<Buffer>,
    used: usize,
}

/// Where a record stands: its number within the segment, in two parts, and the end of its bytes.
#[derive(Clone, Copy)]
struct Mark {
    at: (u32, u32),
    end: u32,
}

impl Buffer {
    /// How many records are published.
    pub(super) fn len(&self) -> usize {
        self.published.load(Ordering::Acquire) as usize
    }

    /// How many bytes it takes in memory.
    pub(super) fn capacity(&self) -> usize {
        self.cells.len()
    }

    /// How many bytes the published records take, their marks not counted.
    pub(super) fn used(&self) -> usize {
        self.len().checked_sub(1).map_or(0, |last| self.mark(last).end as usize)
    }

    /// The number that record `slot` was published under.
    pub(super) fn at(&self, slot: usize) -> (u32, u32) {
        self.mark(slot).at
    }

    /// The bytes of record `slot`.
    pub(super) fn record(&self, slot: usize) -> &[u8] {
        let start = if slot == 0 { 0 } else { self.mark(slot - 1).end as usize };
        let end = self.mark(slot).end as usize;
        self.published_bytes(start, end - start)
    }

    fn mark(&self, slot: usize) -> Mark {
        assert!(slot < self.len(), "a record that is not published");
        let from = self.cells.len() - (slot + 1) * MARK_BYTES;
        let bytes = self.published_bytes(from, MARK_BYTES);
        let word =
            |i: usize| u32::from_le_bytes([bytes[i], bytes[i + 1], bytes[i + 2], bytes[i + 3]]);
        Mark { at: (word(0), word(4)), end: word(8) }
    }

    /// Only for bytes of a published record or mark, which `record` and `mark` make sure of.
    fn published_bytes(&self, from: usize, len: usize) -> &[u8] {
        let cells = &self.cells[from..from + len];
        // SAFETY: `push` initialised these cells before it published them, and never writes them
        // again, so a shared slice of plain bytes is valid for as long as `self` is.
        unsafe { std::slice::from_raw_parts(cells.as_ptr().cast::<u8>(), cells.len()) }
    }
}

impl Appender {
    /// An empty buffer. The memory is not touched before it is written.
    pub(super) fn new(capacity: usize) -> Self {
        assert!(u32::try_from(capacity).is_ok(), "a segment is addressed with 32 bits");
        let cells = Box::<[Cell]>::new_uninit_slice(capacity);
        // SAFETY: a `MaybeUninit` needs no initialisation, and `UnsafeCell` adds no requirement.
        let cells = unsafe { cells.assume_init() };
        let buffer = Arc::new(Buffer { cells, published: AtomicU32::new(0) });
        Self { buffer, used: 0 }
    }

    /// The readers' side.
    pub(super) fn buffer(&self) -> &Arc<Buffer> {
        &self.buffer
    }

    /// Whether a record of `len` bytes still fits.
    pub(super) fn fits(&self, len: usize) -> bool {
        let table = (self.buffer.len() + 1) * MARK_BYTES;
        self.used + len + table <= self.buffer.capacity()
    }

    /// Publishes one record, put together from `parts`, under the number `at`. It must fit.
    pub(super) fn push(&mut self, at: (u32, u32), parts: [&[u8]; 3]) {
        let len = parts.iter().map(|part| part.len()).sum();
        assert!(self.fits(len), "a record that does not fit its segment");
        let slot = self.buffer.len();
        for part in parts {
            self.write(self.used, part);
            self.used += part.len();
        }
        let mut mark = [0; MARK_BYTES];
        mark[..4].copy_from_slice(&at.0.to_le_bytes());
        mark[4..8].copy_from_slice(&at.1.to_le_bytes());
        mark[8..].copy_from_slice(&(self.used as u32).to_le_bytes());
        self.write(self.buffer.capacity() - (slot + 1) * MARK_BYTES, &mark);
        self.buffer.published.store(slot as u32 + 1, Ordering::Release);
    }

    fn write(&mut self, from: usize, bytes: &[u8]) {
        let cells = &self.buffer.cells[from..from + bytes.len()];
        // SAFETY: the cells lie in bounds (sliced above) and are not published: `push` writes
        // records from `used` on and one mark below the last, and `fits` keeps the two apart. So no
        // reader looks at them, `&mut self` excludes another writer, and `bytes` cannot overlap
        // them, since no slice of unpublished cells is ever given out.
        unsafe {
            let target = UnsafeCell::raw_get(cells.as_ptr()).cast::<u8>();
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), target, bytes.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_come_back_as_pushed() {
        let mut appender = Appender::new(100);
        appender.push((0, 1), [b"a", b"bc", b""]);
        appender.push((7, 2), [b"", b"", b""]);
        appender.push((9, 3), [b"x", b"y", b"z"]);
        let buffer = appender.buffer();
        assert_eq!(buffer.len(), 3);
        assert_eq!((buffer.record(0), buffer.at(0)), (&b"abc"[..], (0, 1)));
        assert_eq!((buffer.record(1), buffer.at(1)), (&b""[..], (7, 2)));
        assert_eq!((buffer.record(2), buffer.at(2)), (&b"xyz"[..], (9, 3)));
    }

    #[test]
    fn fills_to_the_last_byte() {
        let mut appender = Appender::new(2 * (MARK_BYTES + 4));
        appender.push((0, 0), [b"1234", b"", b""]);
        assert!(appender.fits(4) && !appender.fits(5));
        appender.push((1, 0), [b"5678", b"", b""]);
        assert!(!appender.fits(0));
        assert_eq!(appender.buffer().record(0), b"1234");
        assert_eq!(appender.buffer().record(1), b"5678");
    }

    #[test]
    #[should_panic(expected = "not published")]
    fn unpublished_records_cannot_be_read() {
        Appender::new(100).buffer().record(0);
    }

    #[test]
    fn readers_see_whole_records_while_the_writer_appends() {
        let records: u32 = if cfg!(miri) { 50 } else { 5_000 };
        let mut appender = Appender::new(records as usize * (MARK_BYTES + 8));
        let buffer = Arc::clone(appender.buffer());
        let reader = std::thread::spawn(move || {
            let mut seen = 0;
            while seen < records {
                let len = buffer.len() as u32;
                for slot in seen.saturating_sub(3)..len {
                    let bytes = slot.to_le_bytes();
                    assert_eq!(buffer.at(slot as usize), (slot, !slot));
                    assert_eq!(buffer.record(slot as usize), [bytes, bytes].concat());
                }
                seen = len;
            }
        });
        for slot in 0..records {
            let bytes = slot.to_le_bytes();
            appender.push((slot, !slot), [&bytes, &bytes, b""]);
        }
        reader.join().expect("the reader saw only whole records");
    }
}
