//! The Cluster service. Members that share a journal are listed in it; a journal in a file has one, of which
//! is said and kept what can be, and a second is refused.

use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use state::{Cluster, Command, Member, MemberId, Reply};

use super::{Services, decode, mismatched, status};
use crate::config::{Url, identity};
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
        Ok(pb::MemberListResponse { header, members: self.members() })
    }

    /// Where nobody shares the journal it is always refused, with etcd's reason if it has one.
    pub(super) async fn member_add(
        &self,
        context: &Context,
        request: pb::MemberAddRequest,
    ) -> Result<pb::MemberAddResponse, Status> {
        let urls: Result<Vec<Url>, _> = request.peer_ur_ls.iter().map(|u| Url::parse(u)).collect();
        let mut urls = urls.unwrap_or_default();
        if urls.is_empty() {
            return Err(status::BAD_MEMBER_URLS);
        }
        urls.sort();
        if !self.are_listed() {
            let present = self.member().peer_ur_ls;
            if urls.iter().any(|url| present.iter().any(|there| there == url.as_str())) {
                return Err(status::PEER_URL_EXISTS);
            }
            return Err(status::ONE_MEMBER);
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let member = MemberId(identity::added_member_id(&urls, now.as_secs()));
        let peer_urls: Vec<String> = urls.iter().map(|url| url.as_str().to_owned()).collect();
        let learner = request.is_learner;
        let added = pb::Member {
            id: member.0,
            peer_ur_ls: peer_urls.clone(),
            is_learner: learner,
            ..pb::Member::default()
        };
        // Whoever is of level 1 knows no limit but the default.
        let command = match self.limits.max_learners {
            most if learner && most != Cluster::MOST_LEARNERS => {
                Command::LearnerAdd { member, peer_urls, most }
            }
            _ => Command::MemberAdd { member, peer_urls, learner },
        };
        let command = self.by(context, command)?;
        let Reply::MemberAdd = self.commit(command).await?.result? else {
            return Err(mismatched());
        };
        let header = Some(self.header_without_revision());
        Ok(pb::MemberAddResponse { header, member: Some(added), members: self.members() })
    }

    /// The last that may write stays.
    pub(super) async fn member_remove(
        &self,
        context: &Context,
        request: pb::MemberRemoveRequest,
    ) -> Result<pb::MemberRemoveResponse, Status> {
        if !self.are_listed() {
            self.known(request.id)?;
            return Err(status::NOT_ENOUGH_MEMBERS);
        }
        let member = MemberId(request.id);
        let command = self.by(context, Command::MemberRemove { member })?;
        let Reply::MemberRemove = self.commit(command).await?.result? else {
            return Err(mismatched());
        };
        let header = Some(self.header_without_revision());
        Ok(pb::MemberRemoveResponse { header, members: self.members() })
    }

    pub(super) async fn member_update(
        &self,
        context: &Context,
        message: Bytes,
    ) -> Result<pb::MemberUpdateResponse, Status> {
        let size = message.len();
        let request: pb::MemberUpdateRequest = decode(message)?;
        self.check_size(size)?;
        let member = MemberId(request.id);
        self.engine.linearizable_view().await?;
        let cluster = self.engine.status().cluster;
        if cluster.members().is_empty() {
            self.known(request.id)?;
        } else if !cluster.members().contains_key(&member) {
            return Err(status::MEMBER_NOT_FOUND);
        }
        let others = cluster.members().iter().filter(|(id, _)| **id != member);
        let mut taken = others.flat_map(|(_, other)| &other.peer_urls);
        if taken.any(|url| request.peer_ur_ls.contains(url)) {
            return Err(status::PEER_URL_EXISTS);
        }
        let peer_urls = request.peer_ur_ls;
        let command = self.by(context, Command::MemberUpdate { member, peer_urls })?;
        let Reply::MemberUpdate = self.commit(command).await?.result? else {
            return Err(mismatched());
        };
        let header = Some(self.header_without_revision());
        Ok(pb::MemberUpdateResponse { header, members: self.members() })
    }

    /// One that has never started is not in sync with anybody; all others are as far as they read.
    pub(super) async fn member_promote(
        &self,
        context: &Context,
        request: pb::MemberPromoteRequest,
    ) -> Result<pb::MemberPromoteResponse, Status> {
        if !self.are_listed() {
            self.known(request.id)?;
            return Err(status::NOT_A_LEARNER);
        }
        let member = MemberId(request.id);
        // It may have told the journal of its start, and nobody else yet.
        self.engine.linearizable_view().await?;
        let cluster = self.engine.status().cluster;
        let found = cluster.members().get(&member).ok_or(status::MEMBER_NOT_FOUND)?;
        if found.version.is_none() {
            return Err(status::LEARNER_NOT_READY);
        }
        let command = self.by(context, Command::MemberPromote { member })?;
        let Reply::MemberPromote = self.commit(command).await?.result? else {
            return Err(mismatched());
        };
        let header = Some(self.header_without_revision());
        Ok(pb::MemberPromoteResponse { header, members: self.members() })
    }

    pub(super) fn known(&self, member: u64) -> Result<(), Status> {
        if member == self.identity.member_id { Ok(()) } else { Err(status::MEMBER_NOT_FOUND) }
    }

    fn are_listed(&self) -> bool {
        !self.engine.status().cluster.members().is_empty()
    }

    /// All members, by their ids.
    fn members(&self) -> Vec<pb::Member> {
        let cluster = self.engine.status().cluster;
        if cluster.members().is_empty() {
            return vec![self.member()];
        }
        cluster.members().iter().map(|(id, member)| listed(*id, member)).collect()
    }

    /// This member, with the peer URLs it was given last.
    pub(super) fn member(&self) -> pb::Member {
        let id = self.identity.member_id;
        let cluster = self.engine.status().cluster;
        if let Some(member) = cluster.members().get(&MemberId(id)) {
            return listed(MemberId(id), member);
        }
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

fn listed(id: MemberId, member: &Member) -> pb::Member {
    pb::Member {
        id: id.0,
        name: member.name.clone(),
        peer_ur_ls: member.peer_urls.clone(),
        client_ur_ls: member.client_urls.clone(),
        is_learner: member.learner,
    }
}
