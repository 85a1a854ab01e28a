//! The Lock service: who has made the oldest claim to a name has its lock.

use bytes::Bytes;

use super::Services;
use super::claim::{Owner, Session, prefix};
use crate::grpc::{Code, Context, Status};
use crate::wire::etcdserverpb as pb;
use crate::wire::v3lockpb as lockpb;

/// The lease ended while the caller waited.
const EXPIRED: Status = Status::fixed(Code::Unknown, "mutex: session is expired");

impl Services {
    pub(super) async fn lock(
        &self,
        context: Context,
        request: lockpb::LockRequest,
    ) -> Result<lockpb::LockResponse, Status> {
        let session = Session::open(self, context, request.lease).await?;
        let mut claim = session.claim(prefix(&request.name), Bytes::new(), Owner::Asked).await?;
        let mut revision = claim.answered;
        if !claim.is_first {
            claim.wait().await?;
            let key = claim.key.clone();
            let mine = pb::RangeRequest { key, ..pb::RangeRequest::default() };
            let found;
            (revision, found) = claim.session().first(mine).await?;
            if found.is_none() {
                return Err(EXPIRED);
            }
        }
        let key = claim.key.clone();
        claim.keep();
        Ok(lockpb::LockResponse { header: Some(self.header(revision)), key })
    }

    pub(super) async fn unlock(
        &self,
        context: Context,
        request: lockpb::UnlockRequest,
    ) -> Result<lockpb::UnlockResponse, Status> {
        let revision = Session::without_lease(self, context).delete(request.key).await?;
        Ok(lockpb::UnlockResponse { header: Some(self.header(revision)) })
    }
}
