//! The Election service: who has made the oldest claim to a name is its leader, and the value of the
//! claim is what the leader has to say.

use std::collections::VecDeque;

use bytes::Bytes;
use engine::watch::{Create, EventKind, Stream};
use futures::stream;
use state::{KeyRange, KeyValue, Revision};

use super::claim::{Owner, Session, after, created_at, oldest, op, prefix, resignation};
use super::{Services, status, translate};
use crate::grpc::{Code, Context, Messages, Status, frame};
use crate::wire::etcdserverpb as pb;
use crate::wire::v3electionpb as electionpb;
use pb::request_op::Request;

const NO_LEADER: Status = Status::fixed(Code::Unknown, "election: no leader");
const NOT_LEADER: Status = Status::fixed(Code::Unknown, "election: not leader");
const NO_LEADER_KEY: Status = Status::fixed(Code::Unknown, "\"leader\" field must be provided");

impl Services {
    pub(super) async fn campaign(
        &self,
        context: Context,
        request: electionpb::CampaignRequest,
    ) -> Result<electionpb::CampaignResponse, Status> {
        let session = Session::open(self, context, request.lease).await?;
        let lease = session.lease();
        let mut claim =
            session.claim(prefix(&request.name), request.value.clone(), Owner::Unasked).await?;
        if claim.found.as_ref().is_some_and(|found| *found != request.value) {
            let (key, made) = (claim.key.clone(), claim.made);
            if let Err(status) = proclaim(claim.session(), key, made, request.value).await {
                claim.give_up().await;
                return Err(status);
            }
        }
        claim.wait().await?;
        let header = Some(self.header(claim.answered));
        let (name, key, rev) = (request.name, claim.key.clone(), claim.made.0);
        claim.keep();
        let leader = Some(electionpb::LeaderKey { name, key, rev, lease: lease.0 });
        Ok(electionpb::CampaignResponse { header, leader })
    }

    pub(super) async fn proclaim(
        &self,
        context: Context,
        request: electionpb::ProclaimRequest,
    ) -> Result<electionpb::ProclaimResponse, Status> {
        let leader = request.leader.ok_or(NO_LEADER_KEY)?;
        let session = Session::open(self, context, leader.lease).await?;
        let revision = proclaim(&session, leader.key, Revision(leader.rev), request.value).await?;
        Ok(electionpb::ProclaimResponse { header: Some(self.header(revision)) })
    }

    pub(super) async fn leader(
        &self,
        context: Context,
        request: electionpb::LeaderRequest,
    ) -> Result<electionpb::LeaderResponse, Status> {
        let session = Session::without_lease(self, context);
        let (revision, found) = session.first(oldest(&prefix(&request.name))).await?;
        Ok(self.led_by(revision, found.ok_or(NO_LEADER)?))
    }

    pub(super) async fn resign(
        &self,
        context: Context,
        request: electionpb::ResignRequest,
    ) -> Result<electionpb::ResignResponse, Status> {
        let leader = request.leader.ok_or(NO_LEADER_KEY)?;
        // With lease 0 this grants one, which nobody needs: so does etcd.
        let session = Session::open(self, context, leader.lease).await?;
        let request = resignation(leader.key, Revision(leader.rev));
        let (revision, _) = session.transact(request).await?;
        Ok(electionpb::ResignResponse { header: Some(self.header(revision)) })
    }

    /// The leader there is and each that comes after it, with all they proclaim.
    pub(super) fn observe(
        &self,
        context: Context,
        request: &electionpb::LeaderRequest,
    ) -> Messages {
        let observer = Observer {
            services: self.clone(),
            session: Session::without_lease(self, context),
            prefix: prefix(&request.name),
            watch: None,
            ready: VecDeque::new(),
        };
        Box::pin(stream::unfold(Some(observer), |observer| async move {
            let mut observer = observer?;
            match observer.next().await {
                Ok(Some(response)) => Some((Ok(frame(&response)), Some(observer))),
                Ok(None) => None,
                Err(status) => Some((Err(status), None)),
            }
        }))
    }

    fn led_by(&self, revision: Revision, kv: KeyValue) -> electionpb::LeaderResponse {
        let header = Some(self.header(revision));
        electionpb::LeaderResponse { header, kv: Some(translate::key_value(kv)) }
    }
}

/// Gives the claim `key` that was made at `made` another value. Returns the revision of that.
async fn proclaim(
    session: &Session,
    key: Bytes,
    made: Revision,
    value: Bytes,
) -> Result<Revision, Status> {
    let compare = vec![created_at(key.clone(), made)];
    let success = vec![op(Request::RequestPut(session.put(key, value)))];
    let request = pb::TxnRequest { compare, success, failure: Vec::new() };
    let (revision, reply) = session.transact(request).await?;
    if reply.succeeded { Ok(revision) } else { Err(NOT_LEADER) }
}

/// One client that follows an election.
struct Observer {
    services: Services,
    session: Session,
    prefix: Bytes,
    /// What the leader says, or the first claim; none when the leader has to be looked up.
    watch: Option<(Stream, Followed)>,
    ready: VecDeque<electionpb::LeaderResponse>,
}

#[derive(Clone, Copy, PartialEq)]
enum Followed {
    /// One leader's key.
    Leader,
    /// All claims, of which the next is the leader's.
    Claims,
}

impl Observer {
    /// What there is to tell next; nothing at the end.
    async fn next(&mut self) -> Result<Option<electionpb::LeaderResponse>, Status> {
        loop {
            if let Some(response) = self.ready.pop_front() {
                return Ok(Some(response));
            }
            match self.watch.take() {
                Some((watch, followed)) => self.follow(watch, followed).await?,
                // As in etcd, a reader without the right to look is shown the end and no reason.
                None if self.look().await.is_err() => return Ok(None),
                None => {}
            }
        }
    }

    /// Finds the leader, or waits for the first claim.
    async fn look(&mut self) -> Result<(), Status> {
        let (revision, found) = self.session.first(oldest(&self.prefix)).await?;
        match found {
            Some(leader) => {
                self.attend(leader.key.clone(), revision);
                self.ready.push_back(self.services.led_by(revision, leader));
            }
            None => {
                let range = KeyRange { key: self.prefix.clone(), range_end: after(&self.prefix) };
                self.watch_from(range, revision.next(), Followed::Claims);
            }
        }
        Ok(())
    }

    /// Follows what a leader says after a revision.
    fn attend(&mut self, key: Bytes, revision: Revision) {
        let range = KeyRange { key, range_end: Bytes::new() };
        self.watch_from(range, revision.next(), Followed::Leader);
    }

    fn watch_from(&mut self, range: KeyRange, start_revision: Revision, followed: Followed) {
        let mut watch = self.services.engine.watch();
        watch.create(Create { range, start_revision, ..Create::default() });
        self.watch = Some((watch, followed));
    }

    /// Takes what the watch says next. The watch is put back unless the leader has to be looked up.
    async fn follow(&mut self, mut watch: Stream, followed: Followed) -> Result<(), Status> {
        let response = watch.next().await.ok_or(status::STOPPED)?;
        if response.canceled {
            // History was compacted before it was read: the leader of today will do.
            return Ok(());
        }
        for event in response.events {
            match (event.kind, followed) {
                (EventKind::Put, Followed::Claims) => {
                    let (key, revision) = (event.kv.key.clone(), event.kv.mod_revision);
                    self.ready.push_back(self.services.led_by(revision, event.kv));
                    self.attend(key, revision);
                    return Ok(());
                }
                (EventKind::Put, Followed::Leader) => {
                    self.ready.push_back(self.services.led_by(response.revision, event.kv));
                }
                (EventKind::Delete, Followed::Leader) => return Ok(()),
                (EventKind::Delete, Followed::Claims) => {}
            }
        }
        self.watch = Some((watch, followed));
        Ok(())
    }
}
