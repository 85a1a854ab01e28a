//! Records in an order other than that of history, which is how a list meets them: each stands in
//! memory that nobody has looked at lately. Looking at a few ahead lets their waits overlap.

use std::hint::black_box;

use super::history::{Segments, Spot};
use super::record::KvRef;
use crate::ids::ModRevision;

/// How many are looked at together.
const AHEAD: usize = 16;

/// See the module.
pub(super) struct Walk<'a> {
    history: &'a Segments,
    spots: &'a [Spot],
    found: [(ModRevision, &'a [u8]); AHEAD],
    next: usize,
    end: usize,
}

impl<'a> Walk<'a> {
    pub(super) fn new(history: &'a Segments, spots: &'a [Spot]) -> Self {
        let found = [(ModRevision::default(), &[][..]); AHEAD];
        Self { history, spots, found, next: 0, end: 0 }
    }

    fn look_ahead(&mut self) {
        let (spots, rest) = self.spots.split_at(self.spots.len().min(AHEAD));
        self.spots = rest;
        (self.next, self.end) = (0, spots.len());
        for (found, spot) in self.found.iter_mut().zip(spots) {
            *found = self.history.at_spot(*spot);
        }
        // One byte of each, and nothing between that would wait for it.
        let first_bytes = self.found[..self.end].iter().map(|(_, bytes)| bytes[0]);
        black_box(first_bytes.fold(0, u8::wrapping_add));
    }
}

impl<'a> Iterator for Walk<'a> {
    type Item = KvRef<'a>;

    fn next(&mut self) -> Option<KvRef<'a>> {
        if self.next == self.end {
            if self.spots.is_empty() {
                return None;
            }
            self.look_ahead();
        }
        let (at, bytes) = self.found[self.next];
        self.next += 1;
        Some(KvRef::decode(bytes, at))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.end - self.next + self.spots.len();
        (left, Some(left))
    }
}

impl ExactSizeIterator for Walk<'_> {}

#[cfg(test)]
mod tests {
    use crate::ids::{LeaseId, Revision};
    use crate::mvcc::Mvcc;
    use crate::range::{KeyRange, RangeQuery};

    #[test]
    fn every_part_of_a_page_is_what_the_page_has_there() {
        let mut mvcc = Mvcc::new();
        for n in (0..50).rev() {
            mvcc.put(format!("{n:02}").as_bytes(), &[n; 200], LeaseId::NONE);
            mvcc.commit();
        }
        let everything = RangeQuery { range: KeyRange::everything(), ..RangeQuery::default() };
        let page = mvcc.view().range(&everything).expect("readable");
        // What is written later stands elsewhere, and moves nothing that the page has.
        mvcc.put(b"00", b"later", LeaseId::NONE);
        mvcc.commit();
        mvcc.compact(mvcc.revision()).expect("it is newer");
        while mvcc.maintain(usize::MAX) {}
        for from in 0..=50 {
            for to in from..=50 {
                let part = page.part(from..to);
                assert_eq!(part.len(), to - from);
                for (nth, kv) in part.enumerate() {
                    let n = (from + nth) as u8;
                    assert_eq!(kv.key, format!("{n:02}").as_bytes());
                    assert_eq!(
                        (kv.value, kv.mod_revision),
                        (&[n; 200][..], Revision(51 - i64::from(n)))
                    );
                }
            }
        }
    }
}
