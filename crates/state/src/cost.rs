//! What a command may add to the store, as etcd counts it for the quota.

use crate::auth::{As, AuthChange, Permission};
use crate::command::{Command, CompareTarget, DeleteRange, Op, Put, Txn};
use crate::range::RangeQuery;

const KEY_OVERHEAD: u64 = 256;
const LEASE_OVERHEAD: u64 = 64;
const ENTRY_OVERHEAD: usize = 32;

impl Command {
    /// The bytes this is taken to need. 0 means that no quota holds it back.
    #[must_use]
    pub fn cost(&self) -> u64 {
        match self {
            Self::Put(put) => put.cost(),
            Self::Txn(txn) => txn.cost(),
            Self::LeaseGrant { .. } => LEASE_OVERHEAD,
            Self::As(by) => by.command.cost(),
            _ => 0,
        }
    }
}

impl Command {
    /// About as many bytes as this takes in an entry, for the limits of queues and batches.
    #[must_use]
    pub fn size(&self) -> usize {
        let bytes = match self {
            Self::Put(put) => put.key.len() + put.value.len(),
            Self::DeleteRange(delete) => delete.range.key.len() + delete.range.range_end.len(),
            Self::Txn(txn) => txn.size(),
            Self::Auth(change) => change.size(),
            Self::As(by) => return by.size(),
            Self::MemberAdd { peer_urls: urls, .. }
            | Self::LearnerAdd { peer_urls: urls, .. }
            | Self::MemberUpdate { peer_urls: urls, .. } => urls_size(urls),
            Self::MemberPublish { name, client_urls: urls, .. } => name.len() + urls_size(urls),
            Self::LeaseRenew { ids } => size_of_val(ids.as_slice()),
            _ => 0,
        };
        ENTRY_OVERHEAD + bytes
    }
}

fn urls_size(urls: &[String]) -> usize {
    urls.iter().map(|url| url.len() + size_of::<String>()).sum()
}

impl As {
    fn size(&self) -> usize {
        self.who.name().map_or(0, |name| name.len()) + ENTRY_OVERHEAD + self.command.size()
    }
}

impl AuthChange {
    fn size(&self) -> usize {
        match self {
            Self::Enable | Self::Disable => 0,
            Self::UserAdd { name, password, .. } | Self::UserChangePassword { name, password } => {
                name.len() + password.0.len()
            }
            Self::UserDelete { name } | Self::RoleAdd { name } | Self::RoleDelete { name } => {
                name.len()
            }
            Self::UserGrantRole { user, role } | Self::UserRevokeRole { user, role } => {
                user.len() + role.len()
            }
            Self::RoleGrantPermission { role, permission: Permission { range, .. } }
            | Self::RoleRevokePermission { role, range } => {
                role.len() + range.key.len() + range.range_end.len()
            }
            Self::TokenIssue { user, .. } => user.len() + ENTRY_OVERHEAD,
            Self::TokensEnd { digests } => digests.len() * ENTRY_OVERHEAD,
        }
    }
}

impl Txn {
    fn size(&self) -> usize {
        let compares = self.compare.iter().map(|compare| {
            let value =
                if let CompareTarget::Value(value) = &compare.target { value.len() } else { 0 };
            ENTRY_OVERHEAD + compare.range.key.len() + compare.range.range_end.len() + value
        });
        let ops = self.success.iter().chain(&self.failure).map(|op| match op {
            Op::Put(put) => put.key.len() + put.value.len() + ENTRY_OVERHEAD,
            Op::Txn(txn) => txn.size(),
            Op::Range(RangeQuery { range, .. }) | Op::DeleteRange(DeleteRange { range, .. }) => {
                range.key.len() + range.range_end.len() + ENTRY_OVERHEAD
            }
        });
        compares.sum::<usize>() + ops.sum::<usize>()
    }
}

impl Put {
    /// See [`Command::cost`].
    #[must_use]
    pub fn cost(&self) -> u64 {
        KEY_OVERHEAD + self.key.len() as u64 + self.value.len() as u64
    }
}

impl Txn {
    /// See [`Command::cost`]: that of the dearer branch, whichever will be taken.
    #[must_use]
    pub fn cost(&self) -> u64 {
        branch_cost(&self.success).max(branch_cost(&self.failure))
    }
}

fn branch_cost(ops: &[Op]) -> u64 {
    ops.iter()
        .map(|op| match op {
            Op::Put(put) => put.cost(),
            Op::Txn(txn) => txn.cost(),
            Op::Range(_) | Op::DeleteRange(_) => 0,
        })
        .sum()
}
