//! The meta pages: the first two of a file, written in turn, so that one of them is always whole.

use crate::layout::{
    MAGIC, META, META_PAGE, META_SUMMED, PAGE_HEADER, PAGE_SIZES, VERSION, fnv, u16_at, u32_at,
    u64_at,
};

/// What a meta page says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Meta {
    pub(crate) page_size: usize,
    /// Where the bucket of buckets begins, and its sequence.
    pub(crate) root: u64,
    pub(crate) sequence: u64,
    /// The page of the freelist; all ones if free pages are not kept, as etcd has it.
    pub(crate) freelist: u64,
    /// Pages are numbered below this.
    pub(crate) pages: u64,
    pub(crate) transaction: u64,
}

impl Meta {
    /// Page header and content.
    pub(crate) const BYTES: usize = PAGE_HEADER + META;

    /// Reads meta page `number` from its first [`Meta::BYTES`].
    pub(crate) fn decode(bytes: &[u8], number: u64) -> Result<Self, &'static str> {
        let content = &bytes[PAGE_HEADER..];
        if u32_at(content, 0) != MAGIC {
            return Err("no magic number of bolt");
        }
        if u32_at(content, 4) != VERSION {
            return Err("a version other than 2");
        }
        if fnv(&content[..META_SUMMED]) != u64_at(content, META_SUMMED) {
            return Err("its checksum does not match");
        }
        if u64_at(bytes, 0) != number || u16_at(bytes, 8) != META_PAGE {
            return Err("its page header is not one of a meta page");
        }
        let meta = Self {
            page_size: u32_at(content, 8) as usize,
            root: u64_at(content, 16),
            sequence: u64_at(content, 24),
            freelist: u64_at(content, 32),
            pages: u64_at(content, 40),
            transaction: u64_at(content, 48),
        };
        if !meta.page_size.is_power_of_two() || !PAGE_SIZES.contains(&meta.page_size) {
            return Err("its page size is not a power of two from 1 KiB to 64 KiB");
        }
        if meta.pages.checked_mul(meta.page_size as u64).is_none_or(|end| end > i64::MAX as u64) {
            return Err("it counts more pages than a file can have");
        }
        if meta.root < 2 || meta.root >= meta.pages {
            return Err("its root bucket lies outside of the file");
        }
        Ok(meta)
    }

    /// The content of a meta page, after its header.
    pub(crate) fn encode(&self) -> [u8; META] {
        let mut out = [0; META];
        let numbers = [MAGIC, VERSION, self.page_size as u32, 0];
        for (place, number) in out.chunks_exact_mut(4).zip(numbers) {
            place.copy_from_slice(&number.to_le_bytes());
        }
        let rest = [self.root, self.sequence, self.freelist, self.pages, self.transaction];
        for (place, number) in out[16..].chunks_exact_mut(8).zip(rest) {
            place.copy_from_slice(&number.to_le_bytes());
        }
        let sum = fnv(&out[..META_SUMMED]);
        out[META_SUMMED..].copy_from_slice(&sum.to_le_bytes());
        out
    }
}
