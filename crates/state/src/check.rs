//! What a request must satisfy before it is ordered, in the order in which etcd looks, so that of two
//! faults the same one is named. Judges the request alone, never the state.

use std::collections::BTreeSet;

use bytes::Bytes;

use crate::command::{Command, DeleteRange, Op, Put, Txn};
use crate::entry::MAX_TXN_DEPTH;
use crate::intervals::Intervals;
use crate::outcome::Refusal;
use crate::range::RangeQuery;

/// Checks a command as [`Put::check`], [`DeleteRange::check`] and [`Txn::check`] do. The other commands
/// have no argument that is wrong in itself.
///
/// # Errors
/// The first fault.
pub fn check(command: &Command, max_txn_ops: usize) -> Result<(), Refusal> {
    match command {
        Command::Put(put) => put.check(),
        Command::DeleteRange(delete) => delete.check(),
        Command::Txn(txn) => txn.check(max_txn_ops),
        Command::As(by) => check(&by.command, max_txn_ops),
        _ => Ok(()),
    }
}

impl RangeQuery {
    /// A key is needed. Sort orders etcd does not know cannot be expressed here; the server refuses them
    /// right after this check.
    ///
    /// # Errors
    /// [`Refusal::EmptyKey`].
    pub fn check(&self) -> Result<(), Refusal> {
        key_given(&self.range.key)
    }
}

impl Put {
    /// A key is needed, and what is to be ignored must not be given.
    ///
    /// # Errors
    /// [`Refusal::EmptyKey`], [`Refusal::ValueProvided`], [`Refusal::LeaseProvided`].
    pub fn check(&self) -> Result<(), Refusal> {
        key_given(&self.key)?;
        if self.ignore_value && !self.value.is_empty() {
            return Err(Refusal::ValueProvided);
        }
        if self.ignore_lease && self.lease != crate::LeaseId::NONE {
            return Err(Refusal::LeaseProvided);
        }
        Ok(())
    }
}

impl DeleteRange {
    /// A key is needed.
    ///
    /// # Errors
    /// [`Refusal::EmptyKey`].
    pub fn check(&self) -> Result<(), Refusal> {
        key_given(&self.range.key)
    }
}

impl Txn {
    /// Each list holds at most `max_ops`, those of a nested transaction what the longest list of the
    /// outer one has left; each operation is sound; no key is written twice.
    ///
    /// # Errors
    /// The first fault, every fault of an operation before any [`Refusal::DuplicateKey`].
    pub fn check(&self, max_ops: usize) -> Result<(), Refusal> {
        self.check_ops(max_ops, 1)?;
        Writes::of(&self.success)?;
        Writes::of(&self.failure)?;
        Ok(())
    }

    fn check_ops(&self, max_ops: usize, depth: usize) -> Result<(), Refusal> {
        let longest = self.compare.len().max(self.success.len()).max(self.failure.len());
        if longest > max_ops || depth > MAX_TXN_DEPTH {
            return Err(Refusal::TooManyOps);
        }
        self.compare.iter().try_for_each(|compare| key_given(&compare.range.key))?;
        self.success.iter().chain(&self.failure).try_for_each(|op| match op {
            Op::Range(query) => query.check(),
            Op::Put(put) => put.check(),
            Op::DeleteRange(delete) => delete.check(),
            Op::Txn(txn) => txn.check_ops(max_ops - longest, depth + 1),
        })
    }
}

fn key_given(key: &[u8]) -> Result<(), Refusal> {
    if key.is_empty() { Err(Refusal::EmptyKey) } else { Ok(()) }
}

/// What a list of operations writes, the transactions inside it included.
#[derive(Default)]
struct Writes {
    puts: BTreeSet<Bytes>,
    deletes: Intervals,
}

impl Writes {
    /// No key may be put twice, or put where this list or one inside it deletes. Both branches of one
    /// inner transaction may put the same key, and deletes may overlap.
    fn of(ops: &[Op]) -> Result<Self, Refusal> {
        let mut writes = Self::default();
        for op in ops {
            if let Op::DeleteRange(delete) = op {
                writes.deletes.insert(&delete.range);
            }
        }
        for op in ops {
            if let Op::Txn(txn) = op {
                writes.take_in(txn)?;
            }
        }
        for op in ops {
            if let Op::Put(put) = op {
                writes.put(put.key.clone())?;
            }
        }
        Ok(writes)
    }

    // The deletes of an earlier sibling count against the puts of a later one, not the other way
    // round: so etcd has it.
    fn take_in(&mut self, txn: &Txn) -> Result<(), Refusal> {
        let success = Self::of(&txn.success)?;
        let failure = Self::of(&txn.failure)?;
        let only_failure = failure.puts.difference(&success.puts).cloned().collect::<Vec<_>>();
        for key in success.puts.into_iter().chain(only_failure) {
            self.put(key)?;
        }
        self.deletes.append(success.deletes);
        self.deletes.append(failure.deletes);
        Ok(())
    }

    fn put(&mut self, key: Bytes) -> Result<(), Refusal> {
        if self.deletes.contains(&key) || !self.puts.insert(key) {
            return Err(Refusal::DuplicateKey);
        }
        Ok(())
    }
}
