//! The constants of the format, as bbolt 1.5 has them (`internal/common`): numbers are those of the
//! machine that wrote the file, in practice little-endian, and only that is read and written here.

/// Every meta page says that this is a bolt database.
pub(crate) const MAGIC: u32 = 0xED0C_DAED;
/// The only version there has been since 2014.
pub(crate) const VERSION: u32 = 2;

/// A page begins with id u64, flags u16, count u16, overflow u32.
pub(crate) const PAGE_HEADER: usize = 16;
/// An element of a leaf: flags u32, pos u32, ksize u32, vsize u32. `pos` counts from the element.
pub(crate) const LEAF_ELEMENT: usize = 16;
/// An element of a branch: pos u32, ksize u32, pgid u64.
pub(crate) const BRANCH_ELEMENT: usize = 16;
/// The value of a bucket's element: root u64, sequence u64; if root is 0, a page follows.
pub(crate) const BUCKET_HEADER: usize = 16;
/// A meta page's content: magic, version, page size, flags (u32 each); root bucket (root, sequence),
/// freelist, high water mark, transaction, checksum (u64 each).
pub(crate) const META: usize = 64;
/// What of it the checksum covers.
pub(crate) const META_SUMMED: usize = 56;

/// Leads to other pages.
pub(crate) const BRANCH: u16 = 0x01;
/// Holds keys and values.
pub(crate) const LEAF: u16 = 0x02;
/// One of the two first pages.
pub(crate) const META_PAGE: u16 = 0x04;
/// Names the pages that are free.
pub(crate) const FREELIST: u16 = 0x10;
/// The flag of a leaf's element whose value is a bucket.
pub(crate) const IS_BUCKET: u32 = 0x01;

/// The smallest and the largest page that is believed: bbolt takes the operating system's.
pub(crate) const PAGE_SIZES: std::ops::RangeInclusive<usize> = 1024..=65536;
/// Levels of branches that are believed. With two keys in each that is more than any disk holds.
pub(crate) const MAX_DEPTH: usize = 48;
/// A page with its overflow is not longer than bbolt's largest allocation.
pub(crate) const MAX_RUN: u64 = 0x7FFF_FFFF;

pub(crate) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    let mut number = [0; 2];
    number.copy_from_slice(&bytes[at..at + 2]);
    u16::from_le_bytes(number)
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut number = [0; 4];
    number.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(number)
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut number = [0; 8];
    number.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(number)
}

/// FNV-1a, 64 bits: the checksum of a meta page.
pub(crate) fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn fnv_is_the_published_one() {
        assert_eq!(super::fnv(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(super::fnv(b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(super::fnv(b"foobar"), 0x8594_4171_f739_67e8);
    }
}
