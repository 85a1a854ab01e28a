//! The numbers of the machine, each its own type so that none can stand for another.

use std::fmt;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number! {
    /// etcd's main revision: grows by one for each command that changes a key. A fresh store is at 1.
    Revision(i64)
}
number! {
    /// A lease's name. Clients may choose any number, negative ones too; 0 is "no lease".
    LeaseId(i64)
}
number! {
    /// Where in the journal the machine stands: the slot of the newest entry it has applied. 0 is none.
    Position(u64)
}
number! {
    /// The term of a writer. Claimed by an entry; an entry of another epoch than the current is void.
    Epoch(u64)
}
number! {
    /// Counts the changes of users, roles and rights, as etcd's auth revision. A fresh store is at 1.
    AuthRevision(u64)
}
number! {
    /// A replica, as etcd's member id.
    MemberId(u64)
}
number! {
    /// Milliseconds since the Unix epoch, as the writer's clock gave them. Never goes back.
    Timestamp(u64)
}

impl Revision {
    /// The revision of a store that nothing was written to.
    pub const FIRST: Self = Self(1);
    /// What a store that was never compacted reports as its compacted revision.
    pub const NEVER_COMPACTED: Self = Self(-1);

    /// The revision after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl LeaseId {
    /// No lease.
    pub const NONE: Self = Self(0);
}

/// The whole name of one change: the command's revision and the change's place inside the command.
/// etcd writes it `main_sub`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ModRevision {
    /// The command's revision.
    pub main: Revision,
    /// The change's index inside the command, from 0.
    pub sub: u32,
}
