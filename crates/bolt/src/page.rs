//! One page with its overflow, checked before anybody looks into it.

use crate::error::Error;
use crate::layout::{
    BRANCH, BRANCH_ELEMENT, IS_BUCKET, LEAF, LEAF_ELEMENT, PAGE_HEADER, u16_at, u32_at, u64_at,
};

/// What a page says of itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Header {
    pub(crate) id: u64,
    pub(crate) flags: u16,
    pub(crate) count: usize,
    pub(crate) overflow: u32,
}

impl Header {
    /// From the first 16 bytes.
    pub(crate) fn decode(bytes: &[u8]) -> Self {
        Self {
            id: u64_at(bytes, 0),
            flags: u16_at(bytes, 8),
            count: usize::from(u16_at(bytes, 10)),
            overflow: u32_at(bytes, 12),
        }
    }

    /// Where the elements end and what they name begins.
    pub(crate) const fn table_end(&self) -> usize {
        PAGE_HEADER + self.count * LEAF_ELEMENT
    }
}

/// Leaf or branch: the two sorts of pages a bucket is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Leaf,
    Branch,
}

impl Kind {
    pub(crate) fn of(flags: u16) -> Option<Self> {
        match flags {
            LEAF => Some(Self::Leaf),
            BRANCH => Some(Self::Branch),
            _ => None,
        }
    }
}

/// Where an element's key and value lie in the page.
#[derive(Clone, Copy, Debug)]
struct Extent {
    from: usize,
    key: usize,
    value: usize,
}

/// A checked page: elements lie side by side inside of it, keys ascend.
#[derive(Debug)]
pub(crate) struct Page {
    /// Its number; for an inline bucket that of the page it lies in.
    pub(crate) id: u64,
    pub(crate) kind: Kind,
    pub(crate) count: usize,
    bytes: Vec<u8>,
}

const _: () = assert!(LEAF_ELEMENT == BRANCH_ELEMENT, "both tables are walked alike");

impl Page {
    /// An empty leaf.
    pub(crate) const fn empty(bytes: Vec<u8>) -> Self {
        Self { id: 0, kind: Kind::Leaf, count: 0, bytes }
    }

    /// Checks the elements of the page that `bytes` begins with; its table is there. Returns how many
    /// bytes the page uses, which may be more than there are.
    pub(crate) fn measure(id: u64, kind: Kind, count: usize, bytes: &[u8]) -> Result<u64, Error> {
        let mut end = (PAGE_HEADER + count * LEAF_ELEMENT) as u64;
        for nth in 0..count {
            let element = PAGE_HEADER + nth * LEAF_ELEMENT;
            let (pos, key, value) = match kind {
                Kind::Leaf => {
                    if u32_at(bytes, element) & !IS_BUCKET != 0 {
                        return Err(Error::damaged(id, format!("element {nth} has unknown flags")));
                    }
                    (element + 4, element + 8, u32_at(bytes, element + 12))
                }
                Kind::Branch => (element, element + 4, 0),
            };
            let (pos, key) = (u32_at(bytes, pos), u32_at(bytes, key));
            if key == 0 {
                return Err(Error::damaged(id, format!("element {nth} has an empty key")));
            }
            // bbolt lays them side by side, so anything else is damage.
            if element as u64 + u64::from(pos) != end {
                let what = format!("element {nth} is not where the one before it ends");
                return Err(Error::damaged(id, what));
            }
            end += u64::from(key) + u64::from(value);
        }
        Ok(end)
    }

    /// Takes `bytes`, which [`Page::measure`] found sound and which hold all that it measured.
    pub(crate) fn new(id: u64, kind: Kind, count: usize, bytes: Vec<u8>) -> Result<Self, Error> {
        let page = Self { id, kind, count, bytes };
        for nth in 1..count {
            if page.key(nth - 1) >= page.key(nth) {
                let what = format!("key {nth} is not greater than the one before it");
                return Err(Error::damaged(id, what));
            }
        }
        Ok(page)
    }

    fn extent(&self, nth: usize) -> Extent {
        let element = PAGE_HEADER + nth * LEAF_ELEMENT;
        let number = |at: usize| u32_at(&self.bytes, element + at) as usize;
        match self.kind {
            Kind::Leaf => Extent { from: element + number(4), key: number(8), value: number(12) },
            Kind::Branch => Extent { from: element + number(0), key: number(4), value: 0 },
        }
    }

    pub(crate) fn key(&self, nth: usize) -> &[u8] {
        let Extent { from, key, .. } = self.extent(nth);
        &self.bytes[from..from + key]
    }

    /// Key and value of a leaf's element.
    pub(crate) fn pair(&self, nth: usize) -> (&[u8], &[u8]) {
        let Extent { from, key, value } = self.extent(nth);
        self.bytes[from..from + key + value].split_at(key)
    }

    /// Whether a leaf's element is a bucket.
    pub(crate) fn is_bucket(&self, nth: usize) -> bool {
        u32_at(&self.bytes, PAGE_HEADER + nth * LEAF_ELEMENT) & IS_BUCKET != 0
    }

    /// Where a branch's element leads.
    pub(crate) fn child(&self, nth: usize) -> u64 {
        u64_at(&self.bytes, PAGE_HEADER + nth * BRANCH_ELEMENT + 8)
    }

    /// The first element whose key is `key` or greater.
    pub(crate) fn lower_bound(&self, key: &[u8]) -> usize {
        let (mut low, mut high) = (0, self.count);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.key(middle) < key {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    /// The element of a branch under which `key` is, if it is anywhere.
    pub(crate) fn child_of(&self, key: &[u8]) -> usize {
        let next = self.lower_bound(key);
        let exact = next < self.count && self.key(next) == key;
        if exact { next } else { next.saturating_sub(1) }
    }

    /// Its memory, to be used again.
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}
