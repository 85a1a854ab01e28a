//! What a command may add to the store, as etcd counts it for the quota.

use crate::command::{Command, Op, Put, Txn};

const KEY_OVERHEAD: u64 = 256;
const LEASE_OVERHEAD: u64 = 64;

impl Command {
    /// The bytes this is taken to need. 0 means that no quota holds it back.
    #[must_use]
    pub fn cost(&self) -> u64 {
        match self {
            Self::Put(put) => put.cost(),
            Self::Txn(txn) => txn.cost(),
            Self::LeaseGrant { .. } => LEASE_OVERHEAD,
            _ => 0,
        }
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
