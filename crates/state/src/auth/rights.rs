//! What all of a user's roles allow together, laid out so that a question is answered in the logarithm
//! of their number.

use bytes::Bytes;

use super::permission::Permission;
use crate::range::KeyRange;

/// Where a user may read and write.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Rights {
    read: Ranges,
    write: Ranges,
}

impl Rights {
    pub(crate) fn of<'a>(permissions: impl Iterator<Item = &'a Permission> + Clone) -> Self {
        let read = permissions.clone().filter(|permission| permission.kind.reads());
        let write = permissions.filter(|permission| permission.kind.writes());
        Self { read: Ranges::of(read), write: Ranges::of(write) }
    }

    pub(crate) fn may_read(&self, range: &KeyRange) -> bool {
        self.read.cover(&range.key, &range.range_end)
    }

    pub(crate) fn may_write(&self, key: &[u8], range_end: &[u8]) -> bool {
        self.write.cover(key, range_end)
    }

    pub(crate) fn may_read_key(&self, key: &[u8]) -> bool {
        self.read.cover(key, &[])
    }
}

/// A half-open interval; without an end it reaches to the last key there is.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Interval {
    begin: Bytes,
    end: Option<Bytes>,
}

/// Intervals in order, none touching the next.
#[derive(Debug, Default, PartialEq, Eq)]
struct Ranges(Vec<Interval>);

impl Ranges {
    fn of<'a>(permissions: impl Iterator<Item = &'a Permission>) -> Self {
        let mut all: Vec<_> = permissions.map(|permission| interval(&permission.range)).collect();
        all.sort_by(|a, b| a.begin.cmp(&b.begin));
        let mut merged: Vec<Interval> = Vec::with_capacity(all.len());
        for next in all {
            match merged.last_mut() {
                Some(last) if last.end.as_ref().is_none_or(|end| next.begin <= *end) => {
                    last.end = match (last.end.take(), next.end) {
                        (Some(a), Some(b)) => Some(a.max(b)),
                        _ => None,
                    };
                }
                _ => merged.push(next),
            }
        }
        Self(merged)
    }

    /// Whether one of them holds the whole range. An empty range is held by whoever holds its key.
    fn cover(&self, key: &[u8], range_end: &[u8]) -> bool {
        let after = self.0.partition_point(|interval| *interval.begin <= *key);
        let Some(interval) = after.checked_sub(1).map(|at| &self.0[at]) else { return false };
        let Some(end) = &interval.end else { return true };
        let is_open = *range_end == *b"\0";
        *key < **end && !is_open && *range_end <= **end
    }
}

fn interval(range: &KeyRange) -> Interval {
    let begin = range.key.clone();
    let end = if range.is_open() {
        None
    } else if range.is_point() {
        Some([&range.key, &b"\0"[..]].concat().into())
    } else {
        Some(range.range_end.clone())
    };
    Interval { begin, end }
}
