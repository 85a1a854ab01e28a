//! Slow requests, in the log: what was asked, how much came back, who waited. Values are not shown.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use prost::Message;

use super::{Method, translate};
use crate::config::go_duration;
use crate::grpc::{PREFIX, Payload, Status};
use crate::observe::logs::timestamp;
use crate::observe::request;
use crate::wire::etcdserverpb as pb;

/// What etcd says of a request it has no words for.
const UNTOLD: Told = Told { count: -1, size: -1, content: String::new() };

/// A request as the log has it.
struct Told {
    count: i64,
    size: i64,
    content: String,
}

/// Writes etcd's line about a request that took longer than `--warning-unary-request-duration`.
pub(super) fn warn_of_slow_request(
    method: Method,
    peer: Option<SocketAddr>,
    took: Duration,
    message: &Bytes,
    answer: &Result<Payload, Status>,
) {
    let reply = match answer {
        Ok(Payload::Whole(bytes)) => bytes.slice(PREFIX.min(bytes.len())..),
        _ => Bytes::new(),
    };
    let began = SystemTime::now().checked_sub(took).unwrap_or(SystemTime::UNIX_EPOCH);
    let told = tell(method, message, &reply).unwrap_or(UNTOLD);
    let (count, size) = match (answer, told.count) {
        (Ok(Payload::Pieces(_)), _) | (_, -1) => (-1, -1),
        _ => (count(method, &reply), reply.len() as i64),
    };
    let remote = peer.map_or_else(|| "No remote client info.".to_owned(), |peer| peer.to_string());
    let name = method.name();
    tracing::warn!(
        "start time" = timestamp(began),
        "time spent" = go_duration(took),
        remote,
        "response type" = format!("/{}/{}", name.service, name.method),
        "request count" = told.count,
        "request size" = told.size,
        "response count" = count,
        "response size" = size,
        "request content" = told.content,
        "request stats"
    );
}

/// What was asked; nothing, if it cannot be read.
fn tell(method: Method, message: &Bytes, reply: &Bytes) -> Option<Told> {
    let (message, size) = (message.clone(), message.len() as i64);
    let told = |count, content| Some(Told { count, size, content });
    match method {
        Method::Range => {
            let (query, _) = translate::range(pb::RangeRequest::decode(message).ok()?).ok()?;
            told(0, request::of_range(&query))
        }
        Method::Put => {
            let put = translate::put(pb::PutRequest::decode(message).ok()?).ok()?;
            told(1, request::of_put(&put))
        }
        Method::DeleteRange => {
            let delete = pb::DeleteRangeRequest::decode(message).ok()?;
            told(0, request::of_delete(&translate::delete_range(delete).ok()?))
        }
        Method::Txn => {
            let asked = pb::TxnRequest::decode(message).ok()?;
            let succeeded = pb::TxnResponse::decode(reply.clone()).ok()?.succeeded;
            let branch = if succeeded { &asked.success } else { &asked.failure };
            let size = branch.iter().map(|op| op.encoded_len() as i64).sum();
            let count = branch.len() as i64;
            let (txn, _) = translate::txn(asked, usize::MAX).ok()?;
            Some(Told { count, size, content: request::of_txn(&txn) })
        }
        _ => None,
    }
}

/// How many keys came back or went.
fn count(method: Method, reply: &Bytes) -> i64 {
    let reply = reply.clone();
    match method {
        Method::Range => pb::RangeResponse::decode(reply).map_or(0, |reply| reply.count),
        Method::DeleteRange => pb::DeleteRangeResponse::decode(reply).map_or(0, |r| r.deleted),
        _ => 0,
    }
}
