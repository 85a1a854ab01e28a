//! Transactions: conditions first, then checks, then operations.
//!
//! Every condition, those of nested transactions too, is judged on the state before the transaction,
//! and every operation of the path that follows is checked before the first one writes. What then runs
//! cannot fail, so a transaction takes effect whole or not at all.

use crate::command::{DeleteRange, Op, Put, Txn};
use crate::ids::{LeaseId, Revision};
use crate::keyspace::Keyspace;
use crate::mvcc::View;
use crate::outcome::{OpReply, Refusal, TxnReply};
use crate::range::{KeyRange, RangeQuery};
use crate::source::Source;

/// The operations that will run, and how each transaction among them was decided.
pub(crate) struct Plan<'a> {
    succeeded: bool,
    ops: &'a [Op],
    /// One for each [`Op::Txn`] of `ops`, in order.
    inner: Vec<Plan<'a>>,
}

impl<'a> Plan<'a> {
    /// Judges the conditions.
    pub(crate) fn of(source: &impl Source, txn: &'a Txn) -> Self {
        let succeeded = txn.compare.iter().all(|compare| compare.holds(source));
        let ops = if succeeded { &txn.success } else { &txn.failure };
        let inner = ops
            .iter()
            .filter_map(|op| match op {
                Op::Txn(txn) => Some(Plan::of(source, txn)),
                _ => None,
            })
            .collect();
        Self { succeeded, ops, inner }
    }

    /// Whether every operation of the path can run. `lease_exists` knows the leases.
    pub(crate) fn check<S: Source>(
        &self,
        source: &S,
        lease_exists: &impl Fn(LeaseId) -> bool,
    ) -> Result<(), Refusal> {
        Check { source, lease_exists, deleted: Vec::new() }.plan(self)
    }

    fn reply(&self) -> TxnReply {
        TxnReply { succeeded: self.succeeded, responses: Vec::with_capacity(self.ops.len()) }
    }

    /// Runs the operations on keys that only this command sees until it is committed.
    pub(crate) fn run(&self, keyspace: &mut Keyspace) -> TxnReply {
        let mut reply = self.reply();
        let mut inner = self.inner.iter();
        for op in self.ops {
            let response = match op {
                Op::Range(query) => range(keyspace, query),
                Op::Put(put) => OpReply::Put { prev_kv: keyspace.put(put) },
                Op::DeleteRange(delete) => {
                    let (deleted, prev_kvs) = keyspace.delete_range(delete);
                    OpReply::DeleteRange { deleted, prev_kvs }
                }
                Op::Txn(_) => {
                    OpReply::Txn(inner.next().map(|p| p.run(keyspace)).unwrap_or_default())
                }
            };
            // etcd leaves the revision of a nested transaction's header out.
            let is_txn = matches!(op, Op::Txn(_));
            let revision = if is_txn { Revision(0) } else { keyspace.visible_revision() };
            reply.responses.push((revision, response));
        }
        reply
    }
}

// Its revision was checked, and so the read cannot be refused.
fn range(source: &impl Source, query: &RangeQuery) -> OpReply {
    let page = source.range(query).expect("a range is checked before the transaction runs");
    let kvs = page.iter().map(|kv| kv.to_owned()).collect();
    OpReply::Range { kvs, more: page.more, count: page.count }
}

struct Check<'a, S, L> {
    source: &'a S,
    lease_exists: &'a L,
    /// What the operations so far delete.
    deleted: Vec<&'a KeyRange>,
}

impl<'a, S: Source, L: Fn(LeaseId) -> bool> Check<'a, S, L> {
    fn plan(&mut self, plan: &Plan<'a>) -> Result<(), Refusal> {
        let mut inner = plan.inner.iter();
        plan.ops.iter().try_for_each(|op| match op {
            Op::Range(query) => self.source.check_revision(query.revision),
            Op::Put(put) => self.put(put),
            Op::DeleteRange(DeleteRange { range, .. }) => {
                self.deleted.push(range);
                Ok(())
            }
            Op::Txn(_) => inner.next().map_or(Ok(()), |plan| self.plan(plan)),
        })
    }

    fn put(&self, put: &Put) -> Result<(), Refusal> {
        if put.lease != LeaseId::NONE && !(self.lease_exists)(put.lease) {
            return Err(Refusal::LeaseNotFound);
        }
        if !put.ignore_value && !put.ignore_lease {
            return Ok(());
        }
        // A key that this transaction has deleted by then has nothing to keep. (etcd stops there.)
        let gone = self.deleted.iter().any(|range| range.contains(&put.key));
        if gone || self.source.get(&put.key).is_none() {
            return Err(Refusal::KeyNotFound);
        }
        Ok(())
    }
}

impl Txn {
    /// Whether nothing in it can write: each operation of both branches is a range. A nested transaction
    /// is taken for a write, whatever is in it.
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        self.success.iter().chain(&self.failure).all(|op| matches!(op, Op::Range(_)))
    }
}

/// Runs a transaction that [is read-only](Txn::is_read_only), without ordering it.
///
/// # Errors
/// A range of the branch taken asks for a revision that is not there.
///
/// # Panics
/// If the transaction is not read-only.
pub fn txn_read_only(view: &View, txn: &Txn) -> Result<TxnReply, Refusal> {
    assert!(txn.is_read_only(), "a transaction that writes must be ordered");
    let plan = Plan::of(view, txn);
    plan.check(view, &|_| false)?;
    let mut reply = plan.reply();
    for op in plan.ops {
        if let Op::Range(query) = op {
            reply.responses.push((view.revision(), range(view, query)));
        }
    }
    Ok(reply)
}
