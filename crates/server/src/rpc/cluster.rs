//! The Cluster service of a cluster of one: what can be said about members is said and kept, and a
//! second member is refused, since a journal in a file has no place for one.

use bytes::Bytes;
use state::{Command, MemberId, Reply};

use super::{Services, decode, mismatched, status};
use crate::config::Url;
use crate::grpc::{Context, Status};
use crate::wire::etcdserverpb as pb;

impl Services {
    pub(super) async fn member_list(
        &self,
        request: pb::MemberListRequest,
    ) -> Result<pb::MemberListResponse, Status> {
        if request.linearizable {
            self.engine.linearizable_view().await?;
        }
        let header = Some(self.header_without_revision());
        Ok(pb::MemberListResponse { header, members: vec![self.member()] })
    }

    /// Always refused, with etcd's reason if it has one.
    pub(super) fn member_add(
        &self,
        request: &pb::MemberAddRequest,
    ) -> Result<pb::MemberAddResponse, Status> {
        let urls: Result<Vec<Url>, _> = request.peer_ur_ls.iter().map(|u| Url::parse(u)).collect();
        let urls = urls.unwrap_or_default();
        if urls.is_empty() {
            return Err(status::BAD_MEMBER_URLS);
        }
        let present = self.member().peer_ur_ls;
        if urls.iter().any(|url| present.iter().any(|there| there == url.as_str())) {
            return Err(status::PEER_URL_EXISTS);
        }
        Err(status::ONE_MEMBER)
    }

    /// Always refused: there is nobody else to remove.
    pub(super) fn member_remove(
        &self,
        request: &pb::MemberRemoveRequest,
    ) -> Result<pb::MemberRemoveResponse, Status> {
        self.known(request.id)?;
        Err(status::NOT_ENOUGH_MEMBERS)
    }

    pub(super) async fn member_update(
        &self,
        context: &Context,
        message: Bytes,
    ) -> Result<pb::MemberUpdateResponse, Status> {
        let size = message.len();
        let request: pb::MemberUpdateRequest = decode(message)?;
        self.known(request.id)?;
        self.check_size(size)?;
        let (member, peer_urls) = (MemberId(request.id), request.peer_ur_ls);
        let command = self.by(context, Command::MemberUpdate { member, peer_urls })?;
        let outcome = self.commit(command).await?;
        let Reply::MemberUpdate = outcome.result? else { return Err(mismatched()) };
        let header = Some(self.header_without_revision());
        Ok(pb::MemberUpdateResponse { header, members: vec![self.member()] })
    }

    /// Always refused: the one member votes.
    pub(super) fn member_promote(
        &self,
        request: &pb::MemberPromoteRequest,
    ) -> Result<pb::MemberPromoteResponse, Status> {
        self.known(request.id)?;
        Err(status::NOT_A_LEARNER)
    }

    pub(super) fn known(&self, member: u64) -> Result<(), Status> {
        if member == self.identity.member_id { Ok(()) } else { Err(status::MEMBER_NOT_FOUND) }
    }

    /// This member, with the peer URLs it was given last.
    pub(super) fn member(&self) -> pb::Member {
        let id = self.identity.member_id;
        let cluster = self.engine.status().cluster;
        let given = cluster.peer_urls(MemberId(id));
        pb::Member {
            id,
            name: self.identity.name.clone(),
            peer_ur_ls: given.unwrap_or(&self.identity.peer_urls).to_vec(),
            client_ur_ls: self.identity.client_urls.clone(),
            is_learner: false,
        }
    }
}
