//! History: revision → record. Records stand in segments in revision order; a segment is only ever
//! appended to, later rewritten without its dead records. `Segments` is what a reader holds,
//! `History` what the writer owns beside it.

use std::sync::Arc;

use super::append_only::{Appender, Buffer, MARK_BYTES};
use super::record::{HEADER_MAX, KvRef};
use super::walk::Walk;
use crate::ids::{ModRevision, Revision};

/// What a segment holds when it is full; one record that is larger has a segment to itself.
pub(super) const SEGMENT_BYTES: usize = if cfg!(test) { 4 << 10 } else { 1 << 20 };
/// The first segment is small, so that an idle store is.
const FIRST_SEGMENT_BYTES: usize = SEGMENT_BYTES / 16;

/// A run of records in revision order.
#[derive(Clone)]
pub(super) struct Segment {
    first: ModRevision,
    buffer: Arc<Buffer>,
}

impl Segment {
    /// How many records it holds, dead ones too.
    pub(super) fn len(&self) -> usize {
        self.buffer.len()
    }

    pub(super) fn capacity(&self) -> usize {
        self.buffer.capacity()
    }

    pub(super) fn at(&self, slot: usize) -> ModRevision {
        let (main, sub) = self.buffer.at(slot);
        ModRevision { main: Revision(self.first.main.0 + i64::from(main)), sub }
    }

    pub(super) fn bytes(&self, slot: usize) -> &[u8] {
        self.buffer.record(slot)
    }

    pub(super) fn record(&self, slot: usize) -> KvRef<'_> {
        KvRef::decode(self.bytes(slot), self.at(slot))
    }

    /// The number of `at` within this segment, which must begin at or before it.
    fn number(&self, at: ModRevision) -> Option<(u32, u32)> {
        let main = u32::try_from(at.main.0.checked_sub(self.first.main.0)?).ok()?;
        Some((main, at.sub))
    }

    /// The first slot at or after `at`. While nothing is compacted away and every command changes one
    /// key, it can be told without a look. Otherwise a guess from the two ends finds at least the right
    /// command, whose changes stand side by side; if not, the search goes out from it in growing steps.
    fn lower_bound(&self, at: ModRevision) -> usize {
        let len = self.buffer.len();
        if len == 0 || at <= self.first {
            return 0;
        }
        let Some(wanted) = self.number(at) else { return len };
        let dense = wanted.0 as usize;
        if dense < len && self.buffer.at(dense) == wanted {
            return dense;
        }
        let last = self.buffer.at(len - 1);
        if wanted > last {
            return len;
        }
        let guess = self.guess(wanted, last);
        let seen = self.buffer.at(guess);
        let beside = (guess + wanted.1 as usize).checked_sub(seen.1 as usize);
        if seen.0 == wanted.0
            && let Some(slot) = beside.filter(|slot| *slot < len)
            && self.buffer.at(slot) == wanted
        {
            return slot;
        }
        self.search_from(guess, wanted)
    }

    /// The slot of `wanted`, if all commands but the first, which may have begun in the segment before,
    /// left equally many records.
    fn guess(&self, wanted: (u32, u32), last: (u32, u32)) -> usize {
        let len = self.buffer.len() as u64;
        let (missing, main) = (u64::from(self.first.sub), u64::from(wanted.0));
        let before_last = len - 1 + missing - u64::from(last.1).min(len - 1 + missing);
        let start = (before_last * main).checked_div(u64::from(last.0)).unwrap_or(0);
        (start + u64::from(wanted.1)).saturating_sub(missing).min(len - 1) as usize
    }

    /// The first slot at or after `wanted`, which is not after the last, if it is near `guess`.
    fn search_from(&self, guess: usize, wanted: (u32, u32)) -> usize {
        let len = self.buffer.len();
        let (mut low, mut high, mut step) = (0, len, 1);
        if self.buffer.at(guess) < wanted {
            low = guess + 1;
            while low + step < high && self.buffer.at(low + step) < wanted {
                low += step + 1;
                step *= 2;
            }
            high = high.min(low + step);
        } else {
            high = guess;
            while high > step && self.buffer.at(high - step) >= wanted {
                high -= step;
                step *= 2;
            }
            low = low.max(high.saturating_sub(step));
        }
        while low < high {
            let middle = low + (high - low) / 2;
            if self.buffer.at(middle) < wanted {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }
}

/// Where a record stands at this moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) segment: usize,
    pub(super) slot: usize,
}

/// Where a record stands in a view that is held: small, since a list has one for each of its keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Spot {
    segment: u32,
    slot: u32,
}

/// The readers' side of history: clone it to pin it.
#[derive(Clone, Default)]
pub(super) struct Segments(Arc<Vec<Segment>>);

impl Segments {
    pub(super) fn as_slice(&self) -> &[Segment] {
        &self.0
    }

    /// Where the first record at or after `at` stands, if there is one.
    pub(super) fn lower_bound(&self, at: ModRevision) -> Option<Place> {
        let segment = self.segment_of(at);
        let found = self.0.get(segment)?;
        let slot = found.lower_bound(at);
        if slot < found.len() {
            return Some(Place { segment, slot });
        }
        let segment = segment + 1;
        (segment < self.0.len()).then_some(Place { segment, slot: 0 })
    }

    /// The segment that a record at `at` stands in, if there is one.
    fn segment_of(&self, at: ModRevision) -> usize {
        self.0.partition_point(|segment| segment.first <= at).saturating_sub(1)
    }

    fn covers(&self, segment: usize, at: ModRevision) -> bool {
        self.0[segment].first <= at && self.0.get(segment + 1).is_none_or(|next| at < next.first)
    }

    /// Where the record at `at` stands, if it is still there.
    pub(super) fn locate(&self, at: ModRevision) -> Option<Place> {
        let place = self.lower_bound(at)?;
        (self.0[place.segment].at(place.slot) == at).then_some(place)
    }

    /// The record at `at`, if it is still there.
    pub(super) fn find(&self, at: ModRevision) -> Option<KvRef<'_>> {
        self.locate(at).map(|place| KvRef::decode(self.bytes(place), at))
    }

    /// The record that the index names: it cannot be missing.
    pub(super) fn named(&self, at: ModRevision) -> KvRef<'_> {
        self.find(at).expect("the index names a record of history")
    }

    /// Where the records that the index names stand, for as long as this clone is held.
    pub(super) fn spots(&self, named: &[ModRevision]) -> Vec<Spot> {
        let mut last = 0;
        let spot = |at: &ModRevision| {
            // Neighbours often stand in the same segment.
            if !self.covers(last, *at) {
                last = self.segment_of(*at);
            }
            let segment = &self.0[last];
            let slot = segment.lower_bound(*at);
            let found = slot < segment.len() && segment.at(slot) == *at;
            assert!(found, "the index names a record of history");
            Spot { segment: last as u32, slot: slot as u32 }
        };
        named.iter().map(spot).collect()
    }

    /// The record at `spot`, as its bytes.
    pub(super) fn at_spot(&self, spot: Spot) -> (ModRevision, &[u8]) {
        let (segment, slot) = (&self.0[spot.segment as usize], spot.slot as usize);
        (segment.at(slot), segment.bytes(slot))
    }

    /// The records that stand there.
    pub(super) fn walk<'a>(&'a self, spots: &'a [Spot]) -> Walk<'a> {
        Walk::new(self, spots)
    }

    /// The record that stands at `place`.
    pub(super) fn record(&self, place: Place) -> KvRef<'_> {
        self.0[place.segment].record(place.slot)
    }

    fn bytes(&self, place: Place) -> &[u8] {
        self.0[place.segment].bytes(place.slot)
    }

    /// The place after `place`, if a record stands there.
    pub(super) fn after(&self, place: Place) -> Option<Place> {
        let next = Place { slot: place.slot + 1, ..place };
        if next.slot < self.0[next.segment].len() {
            return Some(next);
        }
        let segment = place.segment + 1;
        (segment < self.0.len()).then_some(Place { segment, slot: 0 })
    }

    /// How many records stand at or after `at`, counting no further than `limit`.
    pub(super) fn count_from(&self, at: ModRevision, limit: usize) -> usize {
        let Some(start) = self.lower_bound(at) else { return 0 };
        let mut count = 0;
        for segment in self.0[start.segment..].iter().rev() {
            count += segment.len();
            if count > limit + start.slot {
                break;
            }
        }
        count.saturating_sub(start.slot)
    }
}

/// Which records of a segment are dead: not visible at the compacted revision or after it.
#[derive(Clone, Default)]
pub(super) struct Dead {
    bits: Vec<u64>,
    pub(super) records: usize,
    pub(super) bytes: usize,
}

impl Dead {
    pub(super) fn contains(&self, slot: usize) -> bool {
        self.bits.get(slot / 64).is_some_and(|word| word >> (slot % 64) & 1 == 1)
    }

    fn insert(&mut self, slot: usize, bytes: usize) -> bool {
        if self.contains(slot) {
            return false;
        }
        if self.bits.len() <= slot / 64 {
            self.bits.resize(slot / 64 + 1, 0);
        }
        self.bits[slot / 64] |= 1 << (slot % 64);
        self.records += 1;
        self.bytes += bytes;
        true
    }
}

/// The writer's side of history.
#[derive(Default)]
pub(super) struct History {
    segments: Segments,
    /// Beside `segments`, one for one.
    dead: Vec<Dead>,
    /// Appends to the last of `segments`.
    open: Option<Appender>,
    allocated: usize,
    used: usize,
    dead_bytes: usize,
}

impl History {
    pub(super) fn segments(&self) -> &Segments {
        &self.segments
    }

    pub(super) fn dead(&self, segment: usize) -> &Dead {
        &self.dead[segment]
    }

    /// The memory of all segments.
    pub(super) fn allocated(&self) -> usize {
        self.allocated
    }

    /// The bytes of all records that are not dead.
    pub(super) fn in_use(&self) -> usize {
        self.used - self.dead_bytes
    }

    /// How many of the segments, from the first, are no longer appended to.
    pub(super) fn sealed(&self) -> usize {
        self.dead.len() - usize::from(self.open.is_some())
    }

    /// Appends a record, which must be newer than all before it. Returns where it stands.
    pub(super) fn append(&mut self, kv: &KvRef<'_>) -> Spot {
        let mut room = [0; HEADER_MAX];
        let parts = [kv.header(&mut room), kv.key, kv.value];
        self.append_parts(kv.at(), parts);
        let segment = self.dead.len() - 1;
        let slot = self.segments.0[segment].len() - 1;
        Spot { segment: segment as u32, slot: slot as u32 }
    }

    fn append_parts(&mut self, at: ModRevision, parts: [&[u8]; 3]) {
        let len: usize = parts.iter().map(|part| part.len()).sum();
        let number = self.segments.0.last().and_then(|segment| segment.number(at));
        if let (Some(open), Some(number)) = (&mut self.open, number)
            && open.fits(len)
        {
            open.push(number, parts);
        } else {
            let mut open = self.new_segment(len);
            open.push((0, at.sub), parts);
            let segment = Segment { first: at, buffer: Arc::clone(open.buffer()) };
            Arc::make_mut(&mut self.segments.0).push(segment);
            self.dead.push(Dead::default());
            self.open = Some(open);
        }
        self.used += len + MARK_BYTES;
    }

    fn new_segment(&mut self, record: usize) -> Appender {
        let usual = self.allocated.clamp(FIRST_SEGMENT_BYTES, SEGMENT_BYTES);
        let open = Appender::new(usual.max(record + MARK_BYTES));
        self.allocated += open.buffer().capacity();
        open
    }

    /// Marks a record dead, if it is still there.
    pub(super) fn bury(&mut self, at: ModRevision) {
        let Some(place) = self.segments.locate(at) else { return };
        let bytes = self.segments.bytes(place).len() + MARK_BYTES;
        if self.dead[place.segment].insert(place.slot, bytes) {
            self.dead_bytes += bytes;
        }
    }

    /// Puts one segment, or none, in the place of the sealed segments `from..to`, without their dead
    /// records. Readers that hold the old ones keep them.
    pub(super) fn rewrite(&mut self, from: usize, to: usize) {
        assert!(to <= self.sealed(), "the open segment is not rewritten");
        let old = &self.segments.0[from..to];
        let dead = &self.dead[from..to];
        let (mut kept, mut freed) = (0, 0);
        for (segment, dead) in old.iter().zip(dead) {
            self.allocated -= segment.capacity();
            freed += dead.bytes;
            kept += segment.live_bytes(dead);
        }
        let fresh = (kept > 0).then(|| copy(old, dead, kept));
        self.allocated += fresh.as_ref().map_or(0, Segment::capacity);
        self.used -= freed;
        self.dead_bytes -= freed;
        self.dead.splice(from..to, fresh.iter().map(|_| Dead::default()));
        Arc::make_mut(&mut self.segments.0).splice(from..to, fresh);
    }
}

impl Segment {
    /// The bytes of the records that are not dead.
    pub(super) fn live_bytes(&self, dead: &Dead) -> usize {
        match self.len() {
            0 => 0,
            len => self.buffer.used() + len * MARK_BYTES - dead.bytes,
        }
    }
}

fn copy(old: &[Segment], dead: &[Dead], bytes: usize) -> Segment {
    let mut first = None;
    let mut target = Appender::new(bytes);
    for (segment, dead) in old.iter().zip(dead) {
        for slot in (0..segment.len()).filter(|slot| !dead.contains(*slot)) {
            let at = segment.at(slot);
            let first = *first.get_or_insert(at);
            let number = (u32::try_from(at.main.0 - first.main.0), at.sub);
            let number = (number.0.expect("neighbours are close"), number.1);
            target.push(number, [segment.bytes(slot), b"", b""]);
        }
    }
    Segment { first: first.unwrap_or_default(), buffer: Arc::clone(target.buffer()) }
}
