//! The KV service's writes: put, delete, transaction, compaction. Reads are in `range.rs`.

use std::time::Instant;

use bytes::Bytes;
use state::{Command, KeyValue, Op, Outcome, Refusal, Reply, Revision, Txn, TxnReply};

use super::{Services, decode, mismatched, reply, translate};
use crate::grpc::{Context, Payload, Status};
use crate::observe::request;
use crate::wire::etcdserverpb as pb;
use pb::request_op::Request;

/// What etcd takes a key to need besides its bytes.
const KEY_OVERHEAD: usize = 256;

impl Services {
    pub(super) async fn put(&self, context: &Context, message: Bytes) -> Result<Payload, Status> {
        let size = message.len();
        let request: pb::PutRequest = decode(message)?;
        self.admit(put_cost(&request)).await?;
        let command = self.sized(context, Command::Put(translate::put(request)?), size)?;
        let outcome = self.commit(command).await?;
        let Reply::Put { prev_kv } = outcome.result? else { return Err(mismatched()) };
        reply(&translate::put_reply(self.header(outcome.revision), prev_kv))
    }

    pub(super) async fn delete_range(
        &self,
        context: &Context,
        message: Bytes,
    ) -> Result<Payload, Status> {
        let size = message.len();
        let (revision, deleted, prev_kvs) = self.delete(context, decode(message)?, size).await?;
        reply(&translate::delete_reply(self.header(revision), deleted, prev_kvs))
    }

    /// Orders a delete whose message has `size` bytes. Returns the revision, how many keys it deleted, and
    /// what they held if that was asked for.
    pub(super) async fn delete(
        &self,
        context: &Context,
        request: pb::DeleteRangeRequest,
        size: usize,
    ) -> Result<(Revision, i64, Vec<KeyValue>), Status> {
        let command = Command::DeleteRange(translate::delete_range(request)?);
        let command = self.sized(context, command, size)?;
        let outcome = self.commit(command).await?;
        let Reply::DeleteRange { deleted, prev_kvs } = outcome.result? else {
            return Err(mismatched());
        };
        Ok((outcome.revision, deleted, prev_kvs))
    }

    pub(super) async fn txn(&self, context: &Context, message: Bytes) -> Result<Payload, Status> {
        let size = message.len();
        let (revision, answer) = self.transact(context, decode(message)?, size).await?;
        reply(&translate::txn_reply(self.header(revision), answer))
    }

    /// Carries out a transaction whose message has `size` bytes.
    pub(super) async fn transact(
        &self,
        context: &Context,
        request: pb::TxnRequest,
        size: usize,
    ) -> Result<(Revision, TxnReply), Status> {
        self.admit(txn_cost(&request)).await?;
        let (txn, serializable) = translate::txn(request, self.limits.max_txn_ops)?;
        if txn.is_read_only() {
            return self.read_only(context, &txn, serializable).await;
        }
        let command = self.sized(context, Command::Txn(txn), size)?;
        let Outcome { revision, result } = self.commit(command).await?;
        let Reply::Txn(answer) = result? else { return Err(mismatched()) };
        Ok((revision, answer))
    }

    /// A transaction that cannot write is not ordered.
    async fn read_only(
        &self,
        context: &Context,
        txn: &Txn,
        serializable: bool,
    ) -> Result<(Revision, TxnReply), Status> {
        let began = Instant::now();
        let view = self.read_view(serializable).await?;
        self.may_read_txn(context, txn)?;
        let ranges = txn.success.iter().chain(&txn.failure);
        let heavy = ranges.into_iter().any(|op| match op {
            Op::Range(query) => super::range::is_heavy(&view, query),
            _ => false,
        });
        let revision = view.revision();
        let answer = if heavy {
            let txn = txn.clone();
            super::range::aside(move || state::txn_read_only(&view, &txn)).await?
        } else {
            state::txn_read_only(&view, txn)
        };
        let describe = || request::of_txn(txn);
        self.was_read("read-only txn ", began, answer.is_ok(), describe, String::new);
        let answer = answer?;
        self.metrics.store.operations.txn(txn, &answer);
        Ok((revision, answer))
    }

    pub(super) async fn compact(
        &self,
        context: &Context,
        request: pb::CompactionRequest,
    ) -> Result<pb::CompactionResponse, Status> {
        let revision = Revision(request.revision);
        let command = self.by(context, Command::Compact { revision })?;
        let outcome = self.commit(command).await?;
        if request.physical {
            self.engine.quiesce_compaction().await?;
        }
        let Reply::Compact = outcome.result? else { return Err(mismatched()) };
        Ok(pb::CompactionResponse { header: Some(self.header(outcome.revision)) })
    }

    /// Refuses what the quota has no room for, before anything is wrong with the request. An alarm
    /// that is on although there is room, raised by hand, is the machine's to judge, after the
    /// arguments.
    pub(super) async fn admit(&self, cost: usize) -> Result<(), Status> {
        let cost = cost as u64;
        if self.engine.admit(cost).await? {
            return Ok(());
        }
        let status = self.engine.status();
        let full = status.quota.is_some_and(|quota| status.in_use_bytes + cost >= quota);
        if full { Err(Refusal::NoSpace.into()) } else { Ok(()) }
    }
}

fn put_cost(put: &pb::PutRequest) -> usize {
    KEY_OVERHEAD + put.key.len() + put.value.len()
}

/// The dearer branch, whichever will be taken.
fn txn_cost(txn: &pb::TxnRequest) -> usize {
    let cost = |ops: &[pb::RequestOp]| -> usize {
        ops.iter()
            .map(|op| match &op.request {
                Some(Request::RequestPut(put)) => put_cost(put),
                Some(Request::RequestTxn(txn)) => txn_cost(txn),
                _ => 0,
            })
            .sum()
    };
    cost(&txn.success).max(cost(&txn.failure))
}
