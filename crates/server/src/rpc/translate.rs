//! Wire to state and back. Arguments are checked on the way in the order in which etcd looks at
//! them, so that of two faults the same one is named.

use state::{
    AlarmType, Compare, CompareResult, CompareTarget, DeleteRange, KeyRange, KeyValue, LeaseId, Op,
    OpReply, Put, RangeQuery, Refusal, Revision, Sort, SortOrder, SortTarget, Txn, TxnReply,
};

use super::header::inner_header;
use crate::wire::etcdserverpb as pb;
use crate::wire::mvccpb;
use pb::compare::TargetUnion;
use pb::request_op::Request;
use pb::response_op::Response;

/// A read, and whether it may be answered from what is applied.
pub(super) fn range(request: pb::RangeRequest) -> Result<(RangeQuery, bool), Refusal> {
    if request.key.is_empty() {
        return Err(Refusal::EmptyKey);
    }
    let order = match request.sort_order {
        0 => SortOrder::None,
        1 => SortOrder::Ascend,
        2 => SortOrder::Descend,
        _ => return Err(Refusal::InvalidSort),
    };
    let target = match request.sort_target {
        0 => SortTarget::Key,
        1 => SortTarget::Version,
        2 => SortTarget::Create,
        3 => SortTarget::Mod,
        4 => SortTarget::Value,
        _ => return Err(Refusal::InvalidSort),
    };
    let query = RangeQuery {
        range: KeyRange { key: request.key, range_end: request.range_end },
        revision: Revision(request.revision),
        limit: request.limit,
        sort: Sort { order, target },
        keys_only: request.keys_only,
        count_only: request.count_only,
        min_mod_revision: Revision(request.min_mod_revision),
        max_mod_revision: Revision(request.max_mod_revision),
        min_create_revision: Revision(request.min_create_revision),
        max_create_revision: Revision(request.max_create_revision),
    };
    Ok((query, request.serializable))
}

/// A write.
pub(crate) fn put(request: pb::PutRequest) -> Result<Put, Refusal> {
    let put = Put {
        key: request.key,
        value: request.value,
        lease: LeaseId(request.lease),
        prev_kv: request.prev_kv,
        ignore_value: request.ignore_value,
        ignore_lease: request.ignore_lease,
    };
    put.check()?;
    Ok(put)
}

/// A delete.
pub(crate) fn delete_range(request: pb::DeleteRangeRequest) -> Result<DeleteRange, Refusal> {
    let range = KeyRange { key: request.key, range_end: request.range_end };
    let delete = DeleteRange { range, prev_kv: request.prev_kv };
    delete.check()?;
    Ok(delete)
}

/// A transaction, and whether every read in it may be answered from what is applied.
pub(crate) fn txn(request: pb::TxnRequest, max_ops: usize) -> Result<(Txn, bool), Refusal> {
    let mut serializable = true;
    let txn = inner_txn(request, max_ops, &mut serializable)?;
    txn.check(max_ops)?;
    Ok((txn, serializable))
}

fn inner_txn(
    request: pb::TxnRequest,
    max_ops: usize,
    serializable: &mut bool,
) -> Result<Txn, Refusal> {
    let longest = request.compare.len().max(request.success.len()).max(request.failure.len());
    let Some(left) = max_ops.checked_sub(longest) else { return Err(Refusal::TooManyOps) };
    let compare = request.compare.into_iter().map(compare).collect::<Result<_, _>>()?;
    let mut ops = |ops: Vec<pb::RequestOp>| -> Result<Vec<Op>, Refusal> {
        ops.into_iter().map(|one| op(one, left, serializable)).collect()
    };
    let success = ops(request.success)?;
    let failure = ops(request.failure)?;
    Ok(Txn { compare, success, failure })
}

fn op(request: pb::RequestOp, max_ops: usize, serializable: &mut bool) -> Result<Op, Refusal> {
    Ok(match request.request.ok_or(Refusal::KeyNotFound)? {
        Request::RequestRange(request) => {
            let (query, from_applied) = range(request)?;
            *serializable &= from_applied;
            Op::Range(query)
        }
        Request::RequestPut(request) => Op::Put(put(request)?),
        Request::RequestDeleteRange(request) => Op::DeleteRange(delete_range(request)?),
        Request::RequestTxn(request) => Op::Txn(inner_txn(request, max_ops, serializable)?),
    })
}

fn compare(request: pb::Compare) -> Result<Compare, Refusal> {
    if request.key.is_empty() {
        return Err(Refusal::EmptyKey);
    }
    let result = match request.result {
        0 => CompareResult::Equal,
        1 => CompareResult::Greater,
        2 => CompareResult::Less,
        3 => CompareResult::NotEqual,
        other => CompareResult::Unknown(other),
    };
    let target = target(request.target, request.target_union);
    let range = KeyRange { key: request.key, range_end: request.range_end };
    Ok(Compare { range, result, target })
}

/// A value of another field than the target's counts as zero or empty.
fn target(target: i32, given: Option<TargetUnion>) -> CompareTarget {
    match (target, given) {
        (0, Some(TargetUnion::Version(version))) => CompareTarget::Version(version),
        (0, _) => CompareTarget::Version(0),
        (1, Some(TargetUnion::CreateRevision(revision))) => {
            CompareTarget::Create(Revision(revision))
        }
        (1, _) => CompareTarget::Create(Revision(0)),
        (2, Some(TargetUnion::ModRevision(revision))) => CompareTarget::Mod(Revision(revision)),
        (2, _) => CompareTarget::Mod(Revision(0)),
        (3, Some(TargetUnion::Value(value))) => CompareTarget::Value(value),
        (3, _) => CompareTarget::Value(bytes::Bytes::new()),
        (4, Some(TargetUnion::Lease(lease))) => CompareTarget::Lease(LeaseId(lease)),
        (4, _) => CompareTarget::Lease(LeaseId::NONE),
        (other, _) => CompareTarget::Unknown(other),
    }
}

/// One version of a key.
pub(super) fn key_value(kv: KeyValue) -> mvccpb::KeyValue {
    mvccpb::KeyValue {
        key: kv.key,
        value: kv.value,
        create_revision: kv.create_revision.0,
        mod_revision: kv.mod_revision.0,
        version: kv.version,
        lease: kv.lease.0,
    }
}

fn key_values(kvs: Vec<KeyValue>) -> Vec<mvccpb::KeyValue> {
    kvs.into_iter().map(key_value).collect()
}

/// The reply to a delete.
pub(super) fn delete_reply(
    header: pb::ResponseHeader,
    deleted: i64,
    prev_kvs: Vec<KeyValue>,
) -> pb::DeleteRangeResponse {
    pb::DeleteRangeResponse { header: Some(header), deleted, prev_kvs: key_values(prev_kvs) }
}

/// The reply to a write.
pub(super) fn put_reply(header: pb::ResponseHeader, prev_kv: Option<KeyValue>) -> pb::PutResponse {
    pb::PutResponse { header: Some(header), prev_kv: prev_kv.map(key_value) }
}

/// The reply to a transaction.
pub(super) fn txn_reply(header: pb::ResponseHeader, reply: TxnReply) -> pb::TxnResponse {
    let responses = reply
        .responses
        .into_iter()
        .map(|(revision, reply)| pb::ResponseOp {
            response: Some(op_reply(inner_header(revision), revision, reply)),
        })
        .collect();
    pb::TxnResponse { header: Some(header), succeeded: reply.succeeded, responses }
}

fn op_reply(header: pb::ResponseHeader, revision: Revision, reply: OpReply) -> Response {
    match reply {
        OpReply::Range { kvs, more, count } => Response::ResponseRange(pb::RangeResponse {
            header: Some(header),
            kvs: key_values(kvs),
            more,
            count,
        }),
        OpReply::Put { prev_kv } => Response::ResponsePut(put_reply(header, prev_kv)),
        OpReply::DeleteRange { deleted, prev_kvs } => {
            Response::ResponseDeleteRange(delete_reply(header, deleted, prev_kvs))
        }
        OpReply::Txn(reply) => Response::ResponseTxn(txn_reply(inner_header(revision), reply)),
    }
}

/// An alarm's number, for etcd's 0 (none) and numbers it does not know: nothing.
pub(crate) const fn alarm_type(number: i32) -> Option<AlarmType> {
    match number {
        1 => Some(AlarmType::NoSpace),
        2 => Some(AlarmType::Corrupt),
        _ => None,
    }
}

/// An alarm that is on.
pub(super) const fn alarm_member(alarm: &state::Alarm) -> pb::AlarmMember {
    let number = match alarm.alarm {
        AlarmType::NoSpace => pb::AlarmType::Nospace,
        AlarmType::Corrupt => pb::AlarmType::Corrupt,
    };
    pb::AlarmMember { member_id: alarm.member.0, alarm: number as i32 }
}
