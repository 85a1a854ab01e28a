//! The Lease service. Grants and ends are ordered; renewals only move a deadline in memory.

use std::sync::atomic::Ordering::Relaxed;

use bytes::Bytes;
use futures::{StreamExt, stream};
use state::{Command, LeaseId, Reply};

use super::authorize::Shown;
use super::{Services, decode, mismatched};
use crate::grpc::{Context, Messages, Requests, Status, frame};
use crate::wire::etcdserverpb as pb;

/// What etcd takes a lease to need.
const LEASE_COST: usize = 64;

impl Services {
    pub(super) async fn lease_grant(
        &self,
        context: &Context,
        message: Bytes,
    ) -> Result<pb::LeaseGrantResponse, Status> {
        let size = message.len();
        self.grant(context, decode(message)?, size).await
    }

    /// Grants a lease; the request's message has `size` bytes.
    pub(super) async fn grant(
        &self,
        context: &Context,
        request: pb::LeaseGrantRequest,
        size: usize,
    ) -> Result<pb::LeaseGrantResponse, Status> {
        self.admit(LEASE_COST).await?;
        let id = match LeaseId(request.id) {
            LeaseId::NONE => self.engine.draw_lease_id(),
            chosen => chosen,
        };
        let ttl = request.ttl.max(self.limits.min_lease_ttl);
        let command = self.sized(context, Command::LeaseGrant { id, ttl }, size)?;
        let outcome = self.commit(command).await?;
        let Reply::LeaseGrant { id, ttl } = outcome.result? else { return Err(mismatched()) };
        self.metrics.leases.granted.fetch_add(1, Relaxed);
        let header = Some(self.header(outcome.revision));
        Ok(pb::LeaseGrantResponse { header, id: id.0, ttl, error: String::new() })
    }

    pub(super) async fn lease_revoke(
        &self,
        context: &Context,
        request: pb::LeaseRevokeRequest,
    ) -> Result<pb::LeaseRevokeResponse, Status> {
        let id = LeaseId(request.id);
        let command = self.by(context, Command::LeaseRevoke { id })?;
        let outcome = self.commit(command).await?;
        let Reply::LeaseRevoke = outcome.result? else { return Err(mismatched()) };
        self.metrics.leases.revoked.fetch_add(1, Relaxed);
        Ok(pb::LeaseRevokeResponse { header: Some(self.header(outcome.revision)) })
    }

    pub(super) async fn lease_time_to_live(
        &self,
        context: &Context,
        request: pb::LeaseTimeToLiveRequest,
    ) -> Result<pb::LeaseTimeToLiveResponse, Status> {
        let found = self.engine.time_to_live(LeaseId(request.id), request.keys).await?;
        let header = Some(self.header_now());
        let (ttl, granted_ttl, keys) = match found {
            Some(lease) => {
                self.may_read_keys(context, &lease.keys)?;
                (lease.ttl, lease.granted_ttl, lease.keys)
            }
            None => (-1, 0, Vec::new()),
        };
        Ok(pb::LeaseTimeToLiveResponse { header, id: request.id, ttl, granted_ttl, keys })
    }

    pub(super) async fn lease_leases(
        &self,
        context: &Context,
    ) -> Result<pb::LeaseLeasesResponse, Status> {
        let leases = self.engine.list_leases().await;
        self.may_list_leases(context).await?;
        let leases = leases.into_iter().map(|id| pb::LeaseStatus { id: id.0 }).collect();
        Ok(pb::LeaseLeasesResponse { header: Some(self.header_now()), leases })
    }

    pub(super) fn lease_keep_alive(&self, context: &Context, requests: Requests) -> Messages {
        let start = Some((self.clone(), self.shown(context), requests));
        Box::pin(stream::unfold(start, |state| async move {
            let (services, shown, mut requests) = state?;
            let request = requests.next().await?;
            match services.renew(&shown, request).await {
                Ok(message) => Some((Ok(message), Some((services, shown, requests)))),
                Err(status) => Some((Err(status), None)),
            }
        }))
    }

    async fn renew(&self, shown: &Shown, request: Result<Bytes, Status>) -> Result<Bytes, Status> {
        let request: pb::LeaseKeepAliveRequest = decode(request?)?;
        // Before the renewal: the client must not read out of a later revision that the lease
        // was still alive then.
        let header = Some(self.header_now());
        let id = LeaseId(request.id);
        self.may_renew(shown, id).await?;
        let ttl = self.engine.keep_alive(id).await?;
        self.metrics.leases.renewed.fetch_add(u64::from(ttl != 0), Relaxed);
        Ok(frame(&pb::LeaseKeepAliveResponse { header, id: request.id, ttl }))
    }
}
