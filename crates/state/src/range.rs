//! What can be asked of the keys at one revision.

use bytes::Bytes;

use crate::ids::Revision;

/// A key, or a range of keys, in etcd's notation: `range_end` empty is the one key, `"\0"` is every key
/// from `key` on, anything else is exclusive. A range whose end is not above its key is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyRange {
    /// Where it begins; `"\0"` with `range_end` `"\0"` is everything.
    pub key: Bytes,
    /// Where it ends.
    pub range_end: Bytes,
}

impl KeyRange {
    /// The one key.
    #[must_use]
    pub const fn point(key: Bytes) -> Self {
        Self { key, range_end: Bytes::new() }
    }

    /// Every key.
    #[must_use]
    pub const fn everything() -> Self {
        Self { key: Bytes::from_static(b"\0"), range_end: Bytes::from_static(b"\0") }
    }

    /// Whether this asks for one key by name.
    #[must_use]
    pub fn is_point(&self) -> bool {
        self.range_end.is_empty()
    }

    /// Whether this has no upper bound.
    #[must_use]
    pub fn is_open(&self) -> bool {
        *self.range_end == *b"\0"
    }

    /// A copy that is no slice of a larger buffer.
    pub(crate) fn detached(&self) -> Self {
        let copy = |bytes: &Bytes| Bytes::copy_from_slice(bytes);
        Self { key: copy(&self.key), range_end: copy(&self.range_end) }
    }

    /// Whether `key` lies inside.
    #[must_use]
    pub fn contains(&self, key: &[u8]) -> bool {
        if self.is_point() {
            return *key == *self.key;
        }
        *self.key <= *key && (self.is_open() || *key < *self.range_end)
    }
}

/// See etcd's `RangeRequest`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RangeQuery {
    /// Which keys.
    pub range: KeyRange,
    /// At which revision; 0 is the newest. Kept as asked, since etcd reads negative numbers differently
    /// inside a transaction.
    pub revision: Revision,
    /// At most so many keys; 0 or less is no limit.
    pub limit: i64,
    /// In which order, if not in that of the keys.
    pub sort: Sort,
    /// Leave the values out.
    pub keys_only: bool,
    /// Leave everything out but the count.
    pub count_only: bool,
    /// Leave out keys last written before this; 0 is no bound.
    pub min_mod_revision: Revision,
    /// Leave out keys last written after this; 0 is no bound.
    pub max_mod_revision: Revision,
    /// Leave out keys made before this; 0 is no bound.
    pub min_create_revision: Revision,
    /// Leave out keys made after this; 0 is no bound.
    pub max_create_revision: Revision,
}

/// The order of a range's keys. `order: None` with a target other than the key sorts ascending, but only
/// what the limit has left: that is what etcd does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sort {
    /// Which way.
    pub order: SortOrder,
    /// By what.
    pub target: SortTarget,
}

/// Which way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SortOrder {
    /// As it comes.
    #[default]
    None,
    /// Smallest first.
    Ascend,
    /// Greatest first.
    Descend,
}

/// By what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SortTarget {
    /// The key's bytes.
    #[default]
    Key,
    /// How often it was written.
    Version,
    /// When it was made.
    Create,
    /// When it was last written.
    Mod,
    /// Its value's bytes.
    Value,
}
