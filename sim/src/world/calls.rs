//! Calls of the workload: from the oracle's words to etcd's messages, and back.

use std::time::Duration;

use bytes::Bytes;
use prost::Message;
use server::wire::etcdserverpb as pb;
use server::wire::mvccpb;
use tonic::{Code, Status};

use super::client::Client;
use crate::oracle::history::{
    Compare, Event, EventKind, KeyRange, Kv, LeaseId, Op, Outcome, Put, Range, Refusal, Relation,
    Reply, Revision, Target,
};

/// Carries out a call; `None` if its outcome is not known.
pub(crate) async fn carry_out(
    client: &mut Client,
    op: &Op,
    patience: Duration,
) -> Result<Outcome, Status> {
    match op {
        Op::Put(put) => {
            let reply: pb::PutResponse =
                client.call("/etcdserverpb.KV/Put", put_request(put), patience).await?;
            Ok(done(reply.header.as_ref(), put_reply(&reply)))
        }
        Op::Delete { range, prev_kv } => {
            let request = delete_request(range, *prev_kv);
            let reply: pb::DeleteRangeResponse =
                client.call("/etcdserverpb.KV/DeleteRange", request, patience).await?;
            Ok(done(reply.header.as_ref(), delete_reply(&reply)))
        }
        Op::Range(range) => {
            let reply: pb::RangeResponse =
                client.call("/etcdserverpb.KV/Range", range_request(range), patience).await?;
            Ok(done(reply.header.as_ref(), range_reply(&reply)))
        }
        Op::Txn { compares, success, failure } => {
            let request = txn_request(compares, success, failure);
            let reply: pb::TxnResponse =
                client.call("/etcdserverpb.KV/Txn", request, patience).await?;
            Ok(done(reply.header.as_ref(), txn_reply(&reply)))
        }
        Op::Compact { revision } => {
            let request = pb::CompactionRequest { revision: revision.0, physical: false };
            let reply: pb::CompactionResponse =
                client.call("/etcdserverpb.KV/Compact", request, patience).await?;
            Ok(done(reply.header.as_ref(), Reply::Compact))
        }
        lease => on_lease(client, lease, patience).await,
    }
}

async fn on_lease(client: &mut Client, op: &Op, patience: Duration) -> Result<Outcome, Status> {
    match op {
        Op::Grant { id, ttl } => {
            let request = pb::LeaseGrantRequest { id: id.0, ttl: *ttl };
            let reply: pb::LeaseGrantResponse =
                client.call("/etcdserverpb.Lease/LeaseGrant", request, patience).await?;
            let granted = Reply::Grant { id: LeaseId(reply.id), ttl: reply.ttl };
            Ok(done(reply.header.as_ref(), granted))
        }
        Op::Revoke { id } => {
            let request = pb::LeaseRevokeRequest { id: id.0 };
            let reply: pb::LeaseRevokeResponse =
                client.call("/etcdserverpb.Lease/LeaseRevoke", request, patience).await?;
            Ok(done(reply.header.as_ref(), Reply::Revoke))
        }
        Op::TimeToLive { id } => {
            let request = pb::LeaseTimeToLiveRequest { id: id.0, keys: false };
            let reply: pb::LeaseTimeToLiveResponse =
                client.call("/etcdserverpb.Lease/LeaseTimeToLive", request, patience).await?;
            let left = Reply::TimeToLive { ttl: reply.ttl, granted: reply.granted_ttl };
            Ok(done(reply.header.as_ref(), left))
        }
        Op::KeepAlive { id } => keep_alive(client, *id, patience).await,
        _ => Err(Status::unimplemented("no call")),
    }
}

async fn keep_alive(
    client: &mut Client,
    id: LeaseId,
    patience: Duration,
) -> Result<Outcome, Status> {
    let talk = async {
        let path = "/etcdserverpb.Lease/LeaseKeepAlive";
        let (sender, mut replies) = client
            .talk::<pb::LeaseKeepAliveRequest, pb::LeaseKeepAliveResponse>(path, patience)
            .await?;
        let sent = sender.send(pb::LeaseKeepAliveRequest { id: id.0 }).await;
        sent.map_err(|_| Status::unavailable("the stream ended"))?;
        let reply = replies.message().await?;
        let reply = reply.ok_or_else(|| Status::unavailable("the stream ended"))?;
        Ok(done(reply.header.as_ref(), Reply::KeepAlive { ttl: reply.ttl }))
    };
    let talked = tokio::time::timeout(patience, talk).await;
    talked.unwrap_or_else(|_| Err(Status::deadline_exceeded("the client waits no longer")))
}

/// What a status means for a call: refused for certain, or `None` for unknown.
pub(crate) fn refusal(status: &Status) -> Option<Refusal> {
    let text = status.message();
    let certain = matches!(
        status.code(),
        Code::OutOfRange
            | Code::NotFound
            | Code::FailedPrecondition
            | Code::InvalidArgument
            | Code::AlreadyExists
            | Code::ResourceExhausted
    );
    certain.then(|| match text {
        text if text.ends_with("required revision has been compacted") => Refusal::Compacted,
        text if text.ends_with("required revision is a future revision") => Refusal::Future,
        text if text.ends_with("requested lease not found") => Refusal::LeaseNotFound,
        text if text.ends_with("lease already exists") => Refusal::LeaseExists,
        other => Refusal::Other(other.to_owned()),
    })
}

fn done(header: Option<&pb::ResponseHeader>, reply: Reply) -> Outcome {
    Outcome::Done { revision: Revision(header.map_or(0, |header| header.revision)), reply }
}

fn put_request(put: &Put) -> pb::PutRequest {
    pb::PutRequest {
        key: Bytes::copy_from_slice(&put.key),
        value: Bytes::copy_from_slice(&put.value),
        lease: put.lease.0,
        prev_kv: put.prev_kv,
        ..Default::default()
    }
}

fn delete_request(range: &KeyRange, prev_kv: bool) -> pb::DeleteRangeRequest {
    let (key, range_end) = bounds(range);
    pb::DeleteRangeRequest { key, range_end, prev_kv }
}

pub(crate) fn bounds(range: &KeyRange) -> (Bytes, Bytes) {
    (Bytes::copy_from_slice(&range.key), Bytes::copy_from_slice(&range.end))
}

fn range_request(range: &Range) -> pb::RangeRequest {
    let (key, range_end) = bounds(&range.range);
    pb::RangeRequest {
        key,
        range_end,
        revision: range.revision.0,
        limit: range.limit,
        count_only: range.count_only,
        keys_only: range.keys_only,
        serializable: range.serializable,
        ..Default::default()
    }
}

fn txn_request(compares: &[Compare], success: &[Op], failure: &[Op]) -> pb::TxnRequest {
    pb::TxnRequest {
        compare: compares.iter().map(compare).collect(),
        success: success.iter().filter_map(operation).collect(),
        failure: failure.iter().filter_map(operation).collect(),
    }
}

fn operation(op: &Op) -> Option<pb::RequestOp> {
    use pb::request_op::Request;
    let request = match op {
        Op::Put(put) => Request::RequestPut(put_request(put)),
        Op::Delete { range, prev_kv } => {
            Request::RequestDeleteRange(delete_request(range, *prev_kv))
        }
        Op::Range(range) => Request::RequestRange(range_request(range)),
        Op::Txn { compares, success, failure } => {
            Request::RequestTxn(txn_request(compares, success, failure))
        }
        _ => return None,
    };
    Some(pb::RequestOp { request: Some(request) })
}

fn compare(compare: &Compare) -> pb::Compare {
    use pb::compare::{CompareResult, CompareTarget, TargetUnion};
    let result = match compare.relation {
        Relation::Equal => CompareResult::Equal,
        Relation::NotEqual => CompareResult::NotEqual,
        Relation::Less => CompareResult::Less,
        Relation::Greater => CompareResult::Greater,
    };
    let (target, union) = match &compare.target {
        Target::Version(n) => (CompareTarget::Version, TargetUnion::Version(*n)),
        Target::Create(at) => (CompareTarget::Create, TargetUnion::CreateRevision(at.0)),
        Target::Mod(at) => (CompareTarget::Mod, TargetUnion::ModRevision(at.0)),
        Target::Value(value) => {
            (CompareTarget::Value, TargetUnion::Value(Bytes::copy_from_slice(value)))
        }
        Target::Lease(id) => (CompareTarget::Lease, TargetUnion::Lease(id.0)),
    };
    pb::Compare {
        result: result.into(),
        target: target.into(),
        key: Bytes::copy_from_slice(&compare.key),
        target_union: Some(union),
        ..Default::default()
    }
}

fn put_reply(reply: &pb::PutResponse) -> Reply {
    Reply::Put { prev: reply.prev_kv.as_ref().map(kv) }
}

fn delete_reply(reply: &pb::DeleteRangeResponse) -> Reply {
    Reply::Delete { deleted: reply.deleted, prev: reply.prev_kvs.iter().map(kv).collect() }
}

fn range_reply(reply: &pb::RangeResponse) -> Reply {
    let kvs = reply.kvs.iter().map(kv).collect();
    Reply::Range { kvs, count: reply.count, more: reply.more }
}

fn txn_reply(reply: &pb::TxnResponse) -> Reply {
    use pb::response_op::Response;
    let one = |one: &pb::ResponseOp| match &one.response {
        Some(Response::ResponseRange(reply)) => range_reply(reply),
        Some(Response::ResponsePut(reply)) => put_reply(reply),
        Some(Response::ResponseDeleteRange(reply)) => delete_reply(reply),
        Some(Response::ResponseTxn(reply)) => txn_reply(reply),
        None => Reply::Other,
    };
    Reply::Txn { succeeded: reply.succeeded, replies: reply.responses.iter().map(one).collect() }
}

pub(crate) fn kv(kv: &mvccpb::KeyValue) -> Kv {
    Kv {
        key: kv.key.to_vec(),
        value: kv.value.to_vec(),
        create_revision: Revision(kv.create_revision),
        mod_revision: Revision(kv.mod_revision),
        version: kv.version,
        lease: LeaseId(kv.lease),
    }
}

pub(crate) fn event(event: &mvccpb::Event) -> Event {
    let kind = match event.r#type() {
        mvccpb::event::EventType::Put => EventKind::Put,
        mvccpb::event::EventType::Delete => EventKind::Delete,
    };
    Event {
        kind,
        kv: event.kv.as_ref().map(kv).unwrap_or_default(),
        prev: event.prev_kv.as_ref().map(kv),
    }
}

/// One request without anything to record.
pub(crate) async fn ask<Q, R>(
    client: &mut Client,
    path: &'static str,
    request: Q,
    patience: Duration,
) -> Result<R, Status>
where
    Q: Message + Default + Send + 'static,
    R: Message + Default + Send + 'static,
{
    client.call(path, request, patience).await
}
