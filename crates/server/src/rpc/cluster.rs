//! The Cluster service: for now, a cluster of one that only says who it is.

use super::Services;
use crate::grpc::Status;
use crate::wire::etcdserverpb as pb;

impl Services {
    pub(super) async fn member_list(
        &self,
        request: pb::MemberListRequest,
    ) -> Result<pb::MemberListResponse, Status> {
        if request.linearizable {
            self.engine.linearizable_view().await?;
        }
        let member = pb::Member {
            id: self.identity.member_id,
            name: self.identity.name.clone(),
            peer_ur_ls: self.identity.peer_urls.clone(),
            client_ur_ls: self.identity.client_urls.clone(),
            is_learner: false,
        };
        let header = Some(self.header_without_revision());
        Ok(pb::MemberListResponse { header, members: vec![member] })
    }
}
