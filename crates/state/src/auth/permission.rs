//! What a role allows.

use crate::range::KeyRange;

/// A right on a key or a range of keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Permission {
    /// To do what.
    pub kind: PermissionType,
    /// Where.
    pub range: KeyRange,
}

/// To do what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PermissionType {
    /// To read.
    Read,
    /// To write.
    Write,
    /// Both.
    ReadWrite,
    /// A number this version does not know: kept, and allows nothing, as in etcd.
    Unknown(i32),
}

impl PermissionType {
    /// The number in etcd's `authpb.Permission.Type`.
    #[must_use]
    pub const fn number(self) -> i32 {
        match self {
            Self::Read => 0,
            Self::Write => 1,
            Self::ReadWrite => 2,
            Self::Unknown(number) => number,
        }
    }

    /// The other way round.
    #[must_use]
    pub const fn of_number(number: i32) -> Self {
        match number {
            0 => Self::Read,
            1 => Self::Write,
            2 => Self::ReadWrite,
            number => Self::Unknown(number),
        }
    }

    pub(super) const fn reads(self) -> bool {
        matches!(self, Self::Read | Self::ReadWrite)
    }

    pub(super) const fn writes(self) -> bool {
        matches!(self, Self::Write | Self::ReadWrite)
    }
}

impl Permission {
    /// A copy that keeps nothing alive but itself.
    pub(crate) fn detached(&self) -> Self {
        Self { kind: self.kind, range: self.range.detached() }
    }

    /// Whether it names something: a key, or a range that is not empty.
    pub(super) fn is_sound(&self) -> bool {
        let KeyRange { key, range_end } = &self.range;
        !key.is_empty() && (range_end.is_empty() || self.range.is_open() || key < range_end)
    }
}
