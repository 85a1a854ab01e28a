//! Response headers: who answered, at which revision, in which term.

use state::Revision;

use super::Services;
use crate::wire::etcdserverpb::ResponseHeader;

impl Services {
    /// A header at the revision of the operation it answers.
    pub(super) fn header(&self, revision: Revision) -> ResponseHeader {
        ResponseHeader {
            cluster_id: self.identity.cluster_id,
            member_id: self.identity.member_id,
            revision: revision.0,
            raft_term: self.engine.epoch().0,
        }
    }

    /// A header at the newest revision.
    pub(super) fn header_now(&self) -> ResponseHeader {
        self.header(self.engine.view().revision())
    }

    /// The header of the cluster service, which has no revision.
    pub(super) fn header_without_revision(&self) -> ResponseHeader {
        self.header(Revision(0))
    }
}

/// The header inside a transaction's reply: a revision and nothing else.
pub(super) const fn inner_header(revision: Revision) -> ResponseHeader {
    ResponseHeader { cluster_id: 0, member_id: 0, revision: revision.0, raft_term: 0 }
}
