//! The naive machine's transactions.

use std::cmp::Ordering;

use state::{
    Compare, CompareResult, CompareTarget, KeyValue, Op, OpReply, RangeQuery, Refusal, Revision,
    Txn, TxnReply,
};

use super::keys::find;
use super::{Keys, Naive};

/// A transaction of which it is known how it went.
struct Decided<'a> {
    succeeded: bool,
    ops: Vec<Step<'a>>,
}

enum Step<'a> {
    Plain(&'a Op),
    Inner(Decided<'a>),
}

impl Naive {
    pub(super) fn txn(&mut self, txn: &Txn) -> Result<TxnReply, Refusal> {
        let decided = decide(txn, self.newest());
        self.check(&decided, &mut Vec::new())?;
        Ok(self.run(&decided))
    }

    fn check<'a>(&self, txn: &Decided<'a>, before: &mut Vec<&'a Op>) -> Result<(), Refusal> {
        for step in &txn.ops {
            match step {
                Step::Plain(op) => {
                    self.check_op(op, before)?;
                    before.push(op);
                }
                Step::Inner(inner) => self.check(inner, before)?,
            }
        }
        Ok(())
    }

    fn check_op(&self, op: &Op, before: &[&Op]) -> Result<(), Refusal> {
        match op {
            Op::Range(query) => match query.revision.0 {
                0 => Ok(()),
                revision if revision > self.revision() => Err(Refusal::FutureRevision),
                revision if revision < self.compacted => Err(Refusal::Compacted),
                _ => Ok(()),
            },
            Op::Put(put) => {
                self.check_put(put)?;
                let keeps = put.ignore_value || put.ignore_lease;
                let gone = before.iter().any(|op| match op {
                    Op::DeleteRange(delete) => delete.range.contains(&put.key),
                    _ => false,
                });
                if keeps && gone { Err(Refusal::KeyNotFound) } else { Ok(()) }
            }
            Op::DeleteRange(_) | Op::Txn(_) => Ok(()),
        }
    }

    fn run(&mut self, txn: &Decided<'_>) -> TxnReply {
        let mut reply = TxnReply { succeeded: txn.succeeded, responses: Vec::new() };
        for step in &txn.ops {
            let response = match step {
                Step::Inner(inner) => (Revision(0), OpReply::Txn(self.run(inner))),
                Step::Plain(op) => {
                    let response = self.op(op);
                    let changed = !self.pending.is_empty();
                    (Revision(self.revision() + i64::from(changed)), response)
                }
            };
            reply.responses.push(response);
        }
        reply
    }

    fn op(&mut self, op: &Op) -> OpReply {
        match op {
            Op::Range(query) => {
                let (kvs, more, count) = find(self.seen(query.revision), query);
                OpReply::Range { kvs, more, count }
            }
            Op::Put(put) => OpReply::Put { prev_kv: self.put(put) },
            Op::DeleteRange(delete) => {
                let prev_kvs = self.delete(delete);
                let deleted = prev_kvs.len() as i64;
                let prev_kvs = if delete.prev_kv { prev_kvs } else { Vec::new() };
                OpReply::DeleteRange { deleted, prev_kvs }
            }
            Op::Txn(_) => unreachable!("decided before"),
        }
    }
}

fn decide<'a>(txn: &'a Txn, keys: &Keys) -> Decided<'a> {
    let succeeded = txn.compare.iter().all(|compare| holds(compare, keys));
    let branch = if succeeded { &txn.success } else { &txn.failure };
    let step = |op: &'a Op| match op {
        Op::Txn(inner) => Step::Inner(decide(inner, keys)),
        _ => Step::Plain(op),
    };
    Decided { succeeded, ops: branch.iter().map(step).collect() }
}

fn holds(compare: &Compare, keys: &Keys) -> bool {
    let query = RangeQuery { range: compare.range.clone(), ..RangeQuery::default() };
    let (mut found, ..) = find(keys, &query);
    if found.is_empty() {
        if matches!(compare.target, CompareTarget::Value(_)) {
            return false;
        }
        found.push(KeyValue::default());
    }
    found.iter().all(|kv| {
        let order = match &compare.target {
            CompareTarget::Version(version) => kv.version.cmp(version),
            CompareTarget::Create(revision) => kv.create_revision.cmp(revision),
            CompareTarget::Mod(revision) => kv.mod_revision.cmp(revision),
            CompareTarget::Value(value) => kv.value.cmp(value),
            CompareTarget::Lease(lease) => kv.lease.cmp(lease),
            CompareTarget::Unknown(_) => Ordering::Equal,
        };
        match compare.result {
            CompareResult::Equal => order == Ordering::Equal,
            CompareResult::NotEqual => order != Ordering::Equal,
            CompareResult::Greater => order == Ordering::Greater,
            CompareResult::Less => order == Ordering::Less,
            CompareResult::Unknown(_) => true,
        }
    })
}
