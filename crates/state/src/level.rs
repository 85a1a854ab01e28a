//! Levels: one number for what a program can apply, and so for what may be written where others read it.
//!
//! A level says which commands, with which fields, and which images there are. It only ever grows by adding;
//! `docs/adr/0007-levels.md` has the list and the rule by which a cluster rises.

use std::fmt;

use crate::auth::AuthChange;
use crate::command::{Command, Entry, Op, Txn};

/// What a program can apply: everything up to and including this.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Level(pub u32);

impl Level {
    /// What could be applied before levels were spoken of.
    pub const FIRST: Self = Self(1);
    /// What this program can apply.
    pub const NEWEST: Self = Self(2);
}

impl Default for Level {
    fn default() -> Self {
        Self::FIRST
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Command {
    /// The lowest level that can apply it. Who adds a command, or a field to one, says here which level that
    /// needs: nothing is left to a default.
    #[must_use]
    pub fn level(&self) -> Level {
        match self {
            Self::Put(_)
            | Self::DeleteRange(_)
            | Self::Compact { .. }
            | Self::LeaseGrant { .. }
            | Self::LeaseRevoke { .. }
            | Self::Alarm { .. }
            | Self::Claim { .. }
            | Self::MemberUpdate { .. }
            | Self::MemberAdd { .. }
            | Self::MemberRemove { .. }
            | Self::MemberPromote { .. }
            // Whatever level it names: that must be readable by those who are below it.
            | Self::MemberPublish { .. }
            | Self::LeaseRenew { .. }
            | Self::DigestDue
            | Self::DigestIs { .. }
            | Self::Downgrade { .. } => Level::FIRST,
            Self::LearnerAdd { .. } => Level(2),
            Self::Txn(txn) => txn.level(),
            Self::Auth(change) => change.level(),
            Self::As(by) => by.command.level(),
            Self::LevelRaise { level } => (*level).max(Level(2)),
        }
    }
}

impl Txn {
    fn level(&self) -> Level {
        let of = |op: &Op| match op {
            Op::Range(_) | Op::Put(_) | Op::DeleteRange(_) => Level::FIRST,
            Op::Txn(txn) => txn.level(),
        };
        self.success.iter().chain(&self.failure).map(of).max().unwrap_or_default()
    }
}

impl AuthChange {
    fn level(&self) -> Level {
        match self {
            Self::Enable
            | Self::Disable
            | Self::UserAdd { .. }
            | Self::UserDelete { .. }
            | Self::UserChangePassword { .. }
            | Self::UserGrantRole { .. }
            | Self::UserRevokeRole { .. }
            | Self::RoleAdd { .. }
            | Self::RoleDelete { .. }
            | Self::RoleGrantPermission { .. }
            | Self::RoleRevokePermission { .. }
            | Self::TokenIssue { .. }
            | Self::TokensEnd { .. } => Level::FIRST,
        }
    }
}

impl Entry {
    /// The lowest level that can apply all of it.
    #[must_use]
    pub fn level(&self) -> Level {
        self.commands.iter().map(Command::level).max().unwrap_or_default()
    }
}
