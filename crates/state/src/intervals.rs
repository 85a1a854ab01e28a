//! A set of key intervals, for the rule that a transaction must not put what it deletes.

use std::collections::BTreeMap;
use std::ops::Bound;

use bytes::Bytes;

use crate::range::KeyRange;

/// Disjoint intervals `[begin, end)`, so that a look-up is one step in an ordered map.
#[derive(Default)]
pub(crate) struct Intervals {
    ends: BTreeMap<Bytes, Bytes>,
}

impl Intervals {
    /// Adds a range. An end of `"\0"` is taken by its bytes, not as "no end": etcd's rule overlooks it,
    /// so such a range holds nothing here, and a transaction may put what it deletes.
    pub(crate) fn insert(&mut self, range: &KeyRange) {
        let end = if range.is_point() { after(&range.key) } else { range.range_end.clone() };
        self.insert_bounds(range.key.clone(), end);
    }

    fn insert_bounds(&mut self, mut begin: Bytes, mut end: Bytes) {
        if begin >= end {
            return;
        }
        // Whatever begins at or before `end` and ends at or after `begin` melts into it.
        while let Some((other, other_end)) = self.at_or_before(&end) {
            if other_end < begin {
                break;
            }
            self.ends.remove(&other);
            begin = begin.min(other);
            end = end.max(other_end);
        }
        self.ends.insert(begin, end);
    }

    /// Takes in all of `others`.
    pub(crate) fn append(&mut self, others: Self) {
        for (begin, end) in others.ends {
            self.insert_bounds(begin, end);
        }
    }

    /// Whether `key` lies in one of them.
    pub(crate) fn contains(&self, key: &Bytes) -> bool {
        self.at_or_before(key).is_some_and(|(_, end)| *key < end)
    }

    fn at_or_before(&self, key: &Bytes) -> Option<(Bytes, Bytes)> {
        let upto = (Bound::Unbounded, Bound::Included(key));
        let (begin, end) = self.ends.range::<Bytes, _>(upto).next_back()?;
        Some((begin.clone(), end.clone()))
    }
}

fn after(key: &[u8]) -> Bytes {
    [key, b"\0"].concat().into()
}
