//! What locks and elections share. A claim is a key `NAME/LEASE` attached to that lease; of all claims
//! to a name the one made first holds it, and each of the others waits, by a watch, for the one before
//! it to go. Keys and transactions are those of etcd's client library, so that its users and ours
//! contend for the same name. Everything goes the way of a client's own requests, with its context.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use engine::watch::{Create, EventKind};
use prost::Message;
use state::{KeyRange, KeyValue, LeaseId, OpReply, Revision, TxnReply};

use super::{Services, mismatched, status};
use crate::grpc::{Code, Context, Status};
use crate::wire::etcdserverpb as pb;
use pb::compare::{CompareResult, CompareTarget, TargetUnion};
use pb::request_op::Request;

/// The seconds that a lease has which the server grants for a caller without one.
const SESSION_TTL: i64 = 60;
/// How often a withdrawal is tried while the queue is full, and the pause, doubled each time: ten seconds
/// in all.
const WITHDRAWALS: u32 = 10;
const FIRST_PAUSE: Duration = Duration::from_millis(10);

/// Whether to ask, with the same request, whose claim is the oldest.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Owner {
    Asked,
    Unasked,
}

/// A caller and the lease that its claims are attached to.
#[derive(Clone)]
pub(super) struct Session {
    services: Services,
    context: Arc<Context>,
    lease: LeaseId,
}

impl Session {
    /// With a lease of its own for a caller that names none. Nobody renews it: it is the caller's.
    pub(super) async fn open(
        services: &Services,
        context: Context,
        lease: i64,
    ) -> Result<Self, Status> {
        let mut session =
            Self { services: services.clone(), context: Arc::new(context), lease: LeaseId(lease) };
        if session.lease == LeaseId::NONE {
            let request = pb::LeaseGrantRequest { ttl: SESSION_TTL, id: 0 };
            let size = request.encoded_len();
            let granted = services.grant(&session.context, request, size).await;
            session.lease = LeaseId(granted.map_err(relayed)?.id);
        }
        Ok(session)
    }

    /// For a caller that only looks.
    pub(super) fn without_lease(services: &Services, context: Context) -> Self {
        let (services, context) = (services.clone(), Arc::new(context));
        Self { services, context, lease: LeaseId::NONE }
    }

    pub(super) const fn lease(&self) -> LeaseId {
        self.lease
    }

    /// Orders a transaction.
    pub(super) async fn transact(
        &self,
        request: pb::TxnRequest,
    ) -> Result<(Revision, TxnReply), Status> {
        let size = request.encoded_len();
        self.services.transact(&self.context, request, size).await.map_err(relayed)
    }

    /// The first key of a range in its order, and the revision at which that was so.
    pub(super) async fn first(
        &self,
        request: pb::RangeRequest,
    ) -> Result<(Revision, Option<KeyValue>), Status> {
        let found = self.services.page(&self.context, request).await;
        let (revision, page) = found.map_err(relayed)?;
        Ok((revision, page.iter().next().map(|kv| kv.to_owned())))
    }

    /// Deletes a key.
    pub(super) async fn delete(&self, key: Bytes) -> Result<Revision, Status> {
        let request = pb::DeleteRangeRequest { key, ..pb::DeleteRangeRequest::default() };
        let size = request.encoded_len();
        let deleted = self.services.delete(&self.context, request, size).await;
        Ok(deleted.map_err(relayed)?.0)
    }

    /// Makes a claim to the names under `prefix`, or finds the one that this lease has made. Carried to
    /// its end even if the caller leaves, so that what was made for nobody is known and withdrawn.
    pub(super) async fn claim(
        self,
        prefix: Bytes,
        value: Bytes,
        seen: Owner,
    ) -> Result<Claim, Status> {
        let made = tokio::spawn(self.make(prefix, value, seen));
        made.await.map_err(|_| Status::fixed(Code::Internal, "meridian: a claim broke off"))?
    }

    async fn make(self, prefix: Bytes, value: Bytes, seen: Owner) -> Result<Claim, Status> {
        let key = Bytes::from([&prefix[..], lease_text(self.lease).as_bytes()].concat());
        let owner = (seen == Owner::Asked).then(|| op(Request::RequestRange(oldest(&prefix))));
        let put = self.put(key.clone(), value);
        let get = pb::RangeRequest { key: key.clone(), ..pb::RangeRequest::default() };
        let request = pb::TxnRequest {
            compare: vec![created_at(key.clone(), Revision(0))],
            success: [Some(op(Request::RequestPut(put))), owner.clone()]
                .into_iter()
                .flatten()
                .collect(),
            failure: [Some(op(Request::RequestRange(get))), owner].into_iter().flatten().collect(),
        };
        let (revision, reply) = self.transact(request).await?;
        let is_new = reply.succeeded;
        let mut replies = reply.responses.into_iter().map(|(_, reply)| reply);
        let found = first_of(replies.next());
        let owner = first_of(replies.next());
        let (made, value) = match found {
            None if is_new => (revision, None),
            Some(found) => (found.create_revision, Some(found.value)),
            None => return Err(mismatched()),
        };
        let is_first = owner.is_some_and(|owner| owner.create_revision == made);
        Ok(Claim {
            session: self,
            prefix,
            key,
            made,
            found: value,
            answered: revision,
            is_first,
            provisional: is_new,
        })
    }

    pub(super) fn put(&self, key: Bytes, value: Bytes) -> pb::PutRequest {
        pb::PutRequest { key, value, lease: self.lease.0, ..pb::PutRequest::default() }
    }

    /// Waits until a key that was there at `revision` is deleted, or until history is lost and it
    /// has to be looked at again.
    async fn until_deleted(&self, key: Bytes, revision: Revision) -> Result<(), Status> {
        let mut watch = self.services.engine.watch();
        watch.create(Create {
            range: KeyRange { key, range_end: Bytes::new() },
            start_revision: revision.next(),
            no_put: true,
            ..Create::default()
        });
        while let Some(response) = watch.next().await {
            let deleted = response.events.iter().any(|event| event.kind == EventKind::Delete);
            if deleted || response.canceled {
                return Ok(());
            }
        }
        Err(status::STOPPED)
    }
}

/// A claim that was made. Dropped before it is [kept](Claim::keep), it is withdrawn.
pub(super) struct Claim {
    session: Session,
    prefix: Bytes,
    pub(super) key: Bytes,
    /// Its key's create revision: its place in the queue.
    pub(super) made: Revision,
    /// The value it has, if it was there before.
    pub(super) found: Option<Bytes>,
    /// The revision at which it was made or found.
    pub(super) answered: Revision,
    /// Whether there was none before it when it was made or found; false if not asked.
    pub(super) is_first: bool,
    provisional: bool,
}

impl Claim {
    pub(super) const fn session(&self) -> &Session {
        &self.session
    }

    /// Waits until no claim is left that was made before this one. Who leaves while waiting gives the
    /// claim up, though it was made earlier.
    pub(super) async fn wait(&mut self) -> Result<(), Status> {
        self.provisional = true;
        let mut before = oldest(&self.prefix);
        before.sort_order = pb::range_request::SortOrder::Descend as i32;
        before.max_create_revision = self.made.0 - 1;
        loop {
            let (revision, found) = self.session.first(before.clone()).await?;
            let Some(last) = found else { return Ok(()) };
            self.session.until_deleted(last.key, revision).await?;
        }
    }

    /// Leaves the claim to its caller.
    pub(super) fn keep(mut self) {
        self.provisional = false;
    }

    /// Gives the claim up; it is gone when this returns, if it can be.
    pub(super) async fn give_up(mut self) {
        self.provisional = true;
        let (session, key) = (self.session.clone(), self.key.clone());
        withdraw(session, key, self.made).await;
        self.provisional = false;
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let runtime = tokio::runtime::Handle::try_current();
        if let (true, Ok(runtime)) = (self.provisional, runtime) {
            let (session, key) = (self.session.clone(), std::mem::take(&mut self.key));
            runtime.spawn(withdraw(session, key, self.made));
        }
    }
}

/// Deletes a claim's key, if it is still that claim's.
async fn withdraw(session: Session, key: Bytes, made: Revision) {
    let mut pause = FIRST_PAUSE;
    for _ in 0..WITHDRAWALS {
        match session.transact(resignation(key.clone(), made)).await {
            Err(status) if status.message == "etcdserver: too many requests" => {}
            Err(_) if session.services.engine.stopping() => return,
            Err(status) => {
                tracing::warn!(%status, "a claim that nobody waits for stays until its lease ends");
                return;
            }
            Ok(_) => return,
        }
        tokio::time::sleep(pause).await;
        pause *= 2;
    }
    tracing::warn!("a claim that nobody waits for stays until its lease ends: too many requests");
}

/// Deletes the key if it is still the one that was made at a revision.
pub(super) fn resignation(key: Bytes, made: Revision) -> pb::TxnRequest {
    let compare = vec![created_at(key.clone(), made)];
    let delete = pb::DeleteRangeRequest { key, ..pb::DeleteRangeRequest::default() };
    let success = vec![op(Request::RequestDeleteRange(delete))];
    pb::TxnRequest { compare, success, failure: Vec::new() }
}

/// Where claims to a name stand.
pub(super) fn prefix(name: &[u8]) -> Bytes {
    Bytes::from([name, b"/"].concat())
}

/// The claim under a prefix that was made first.
pub(super) fn oldest(prefix: &Bytes) -> pb::RangeRequest {
    pb::RangeRequest {
        key: prefix.clone(),
        range_end: after(prefix),
        limit: 1,
        sort_order: pb::range_request::SortOrder::Ascend as i32,
        sort_target: pb::range_request::SortTarget::Create as i32,
        ..pb::RangeRequest::default()
    }
}

/// The end of the range of a prefix, which ends in a slash.
pub(super) fn after(prefix: &[u8]) -> Bytes {
    Bytes::from([&prefix[..prefix.len().saturating_sub(1)], b"0"].concat())
}

/// The condition that a key was made at a revision; 0 is that it is not there.
pub(super) fn created_at(key: Bytes, revision: Revision) -> pb::Compare {
    pb::Compare {
        result: CompareResult::Equal as i32,
        target: CompareTarget::Create as i32,
        key,
        target_union: Some(TargetUnion::CreateRevision(revision.0)),
        ..pb::Compare::default()
    }
}

/// An operation of a transaction.
pub(super) const fn op(request: Request) -> pb::RequestOp {
    pb::RequestOp { request: Some(request) }
}

/// How Go writes a lease's number in hexadecimal.
fn lease_text(lease: LeaseId) -> String {
    let sign = if lease.0 < 0 { "-" } else { "" };
    format!("{sign}{:x}", lease.0.unsigned_abs())
}

fn first_of(reply: Option<OpReply>) -> Option<KeyValue> {
    match reply {
        Some(OpReply::Range { kvs, .. }) => kvs.into_iter().next(),
        _ => None,
    }
}

/// What etcd's services say when a request of theirs is refused: they are clients themselves, and hand
/// out the client's own error type, which gRPC shows as Unknown.
fn relayed(status: Status) -> Status {
    Status { code: Code::Unknown, ..status }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leases_are_written_as_go_writes_them() {
        for (lease, text) in [(0, "0"), (255, "ff"), (-1, "-1"), (i64::MIN, "-8000000000000000")] {
            assert_eq!(lease_text(LeaseId(lease)), text);
        }
    }

    #[test]
    fn claims_to_a_name_stand_in_a_range_of_their_own() {
        let prefix = prefix(b"a\xff");
        assert_eq!((&prefix[..], &after(&prefix)[..]), (&b"a\xff/"[..], &b"a\xff0"[..]));
    }
}
