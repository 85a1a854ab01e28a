//! The one place where refusals and faults become gRPC codes and etcd's exact words: Go clients
//! tell errors apart by their words, the others by their codes.

use engine::Fault;
use state::Refusal;

use crate::grpc::{Code, Status};

/// More than `--max-request-bytes` once marshalled.
pub(crate) const REQUEST_TOO_LARGE: Status =
    Status::fixed(Code::InvalidArgument, "etcdserver: request is too large");
/// A number for a sort order or target that is none.
pub(crate) const INVALID_SORT: Status =
    Status::fixed(Code::InvalidArgument, "etcdserver: invalid sort option");
/// `client-api-version` is not text.
pub(crate) const INVALID_CLIENT_VERSION: Status =
    Status::fixed(Code::InvalidArgument, "etcdserver: invalid client api version");
/// `hasleader` was asked for and there is none.
pub(crate) const NO_LEADER: Status = Status::fixed(Code::Unavailable, "etcdserver: no leader");
/// How a watch stream ends when its client goes.
pub(crate) const WATCH_CANCELED: Status =
    Status::fixed(Code::Canceled, "etcdserver: watch canceled");
/// How streams end when the server does.
pub(crate) const STOPPED: Status = Status::fixed(Code::Unavailable, "etcdserver: server stopped");
/// The URLs of a new member are none.
pub(crate) const BAD_MEMBER_URLS: Status =
    Status::fixed(Code::InvalidArgument, "etcdserver: given member URLs are invalid");
/// Another member is reached there.
pub(crate) const PEER_URL_EXISTS: Status =
    Status::fixed(Code::FailedPrecondition, "etcdserver: Peer URLs already exists");
/// No member has this id.
pub(crate) const MEMBER_NOT_FOUND: Status =
    Status::fixed(Code::NotFound, "etcdserver: member not found");
/// It was not promoted.
pub(crate) const NOT_A_LEARNER: Status =
    Status::fixed(Code::FailedPrecondition, "etcdserver: can only promote a learner member");
/// Without the only member there would be none. etcd hands out the client's own error type here.
pub(crate) const NOT_ENOUGH_MEMBERS: Status = Status::fixed(
    Code::Unknown,
    "etcdserver: re-configuration failed due to not enough started members",
);
/// It has to have started before.
pub(crate) const LEARNER_NOT_READY: Status = Status::fixed(
    Code::FailedPrecondition,
    "etcdserver: can only promote a learner member which is in sync with leader",
);
/// Ask another member.
pub(crate) const NOT_FOR_LEARNERS: Status =
    Status::fixed(Code::FailedPrecondition, "etcdserver: rpc not supported for learner");
/// Ask the writer.
pub(crate) const NOT_LEADER: Status =
    Status::fixed(Code::FailedPrecondition, "etcdserver: not leader");
/// The other did not take over. etcd has no error of the API for this one.
pub(crate) const TRANSFER_TOO_LONG: Status =
    Status::fixed(Code::Unknown, "etcdserver: request timed out, leader transfer took too long");
/// A member is asked for that this journal cannot have.
pub(crate) const ONE_MEMBER: Status = Status::fixed(
    Code::FailedPrecondition,
    "meridian: a journal in a file has one member; replicas share a journal such as \
     --journal postgres://... or cosmos://...",
);
/// Nobody who could lead.
pub(crate) const BAD_TRANSFEREE: Status =
    Status::fixed(Code::FailedPrecondition, "etcdserver: bad leader transferee");
/// Not a version.
pub(crate) const BAD_VERSION: Status =
    Status::fixed(Code::InvalidArgument, "etcdserver: wrong downgrade target version format");
/// Not the version before this one.
pub(crate) const NOT_A_DOWNGRADE: Status =
    Status::fixed(Code::InvalidArgument, "etcdserver: invalid downgrade target version");
/// An action that is none.
pub(crate) const UNKNOWN_ACTION: Status =
    Status::fixed(Code::Unknown, "etcdserver: unknown method");
/// RangeStream sorts nothing.
pub(crate) const STREAM_SORTS: Status =
    Status::fixed(Code::Unimplemented, "RangeStream does not support custom sort orders");
/// RangeStream filters nothing.
pub(crate) const STREAM_FILTERS: Status =
    Status::fixed(Code::Unimplemented, "RangeStream does not support revision filters");

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Self {
        use Code::{DataLoss, FailedPrecondition, InvalidArgument, NotFound, OutOfRange};
        let (code, words) = match refusal {
            Refusal::EmptyKey => (InvalidArgument, "etcdserver: key is not provided"),
            Refusal::KeyNotFound => (InvalidArgument, "etcdserver: key not found"),
            Refusal::ValueProvided => (InvalidArgument, "etcdserver: value is provided"),
            Refusal::LeaseProvided => (InvalidArgument, "etcdserver: lease is provided"),
            Refusal::TooManyOps => {
                (InvalidArgument, "etcdserver: too many operations in txn request")
            }
            Refusal::DuplicateKey => {
                (InvalidArgument, "etcdserver: duplicate key given in txn request")
            }
            Refusal::InvalidSort => return INVALID_SORT,
            Refusal::Compacted => {
                (OutOfRange, "etcdserver: mvcc: required revision has been compacted")
            }
            Refusal::FutureRevision => {
                (OutOfRange, "etcdserver: mvcc: required revision is a future revision")
            }
            Refusal::LeaseNotFound => (NotFound, "etcdserver: requested lease not found"),
            Refusal::LeaseExists => (FailedPrecondition, "etcdserver: lease already exists"),
            Refusal::LeaseTtlTooLarge => (OutOfRange, "etcdserver: too large lease TTL"),
            Refusal::NoSpace => {
                (Code::ResourceExhausted, "etcdserver: mvcc: database space exceeded")
            }
            Refusal::DowngradeInProgress => {
                (FailedPrecondition, "etcdserver: cluster has a downgrade job in progress")
            }
            Refusal::NoDowngrade => (FailedPrecondition, "etcdserver: no inflight downgrade job"),
            Refusal::MemberExists => (FailedPrecondition, "etcdserver: member ID already exist"),
            Refusal::PeerUrlExists => return PEER_URL_EXISTS,
            Refusal::MemberNotFound => return MEMBER_NOT_FOUND,
            Refusal::LastVoter => return NOT_ENOUGH_MEMBERS,
            Refusal::NotALearner => return NOT_A_LEARNER,
            Refusal::TooManyLearners => {
                (FailedPrecondition, "etcdserver: too many learner members in cluster")
            }
            Refusal::TooManyMembers => {
                (FailedPrecondition, "meridian: too many members in cluster")
            }
            Refusal::MemberTooLarge => return BAD_MEMBER_URLS,
            Refusal::VersionTooOld => {
                (FailedPrecondition, "meridian: the cluster is of a newer version than the member")
            }
            Refusal::LevelTooLow => {
                (FailedPrecondition, "meridian: the cluster is of a higher level than the member")
            }
            Refusal::LevelHeldBack => {
                (FailedPrecondition, "meridian: a member holds the cluster's level back")
            }
            Refusal::Corrupt => (DataLoss, "etcdserver: corrupt cluster"),
            refused => return auth(refused),
        };
        Self::fixed(code, words)
    }
}

/// The refusals of users, roles and rights.
fn auth(refusal: Refusal) -> Status {
    use Code::{FailedPrecondition, InvalidArgument};
    let (code, words) = match refusal {
        Refusal::UserEmpty => (InvalidArgument, "etcdserver: user name is empty"),
        Refusal::UserAlreadyExists => (FailedPrecondition, "etcdserver: user name already exists"),
        Refusal::UserNotFound => (FailedPrecondition, "etcdserver: user name not found"),
        Refusal::RoleEmpty => (InvalidArgument, "etcdserver: role name is empty"),
        Refusal::RoleAlreadyExists => (FailedPrecondition, "etcdserver: role name already exists"),
        Refusal::RoleNotFound => (FailedPrecondition, "etcdserver: role name not found"),
        Refusal::RoleNotGranted => {
            (FailedPrecondition, "etcdserver: role is not granted to the user")
        }
        Refusal::PermissionNotGiven => (InvalidArgument, "etcdserver: permission not given"),
        Refusal::PermissionNotGranted => {
            (FailedPrecondition, "etcdserver: permission is not granted to the role")
        }
        Refusal::PermissionDenied => (Code::PermissionDenied, "etcdserver: permission denied"),
        Refusal::RootUserNotExist => (FailedPrecondition, "etcdserver: root user does not exist"),
        Refusal::RootRoleNotExist => {
            (FailedPrecondition, "etcdserver: root user does not have root role")
        }
        Refusal::AuthFailed => {
            (InvalidArgument, "etcdserver: authentication failed, invalid user ID or password")
        }
        // etcd has no error of the API for this one, and so gRPC shows its own words.
        Refusal::NoPasswordUser => {
            (Code::Unknown, "auth: authentication failed, password was given for no password user")
        }
        Refusal::AuthNotEnabled => {
            (FailedPrecondition, "etcdserver: authentication is not enabled")
        }
        Refusal::AuthOldRevision => (InvalidArgument, "etcdserver: revision of auth store is old"),
        Refusal::InvalidAuthToken => (Code::Unauthenticated, "etcdserver: invalid auth token"),
        Refusal::InvalidAuthManagement => (InvalidArgument, "etcdserver: invalid auth management"),
        Refusal::TooManyTokens => (Code::ResourceExhausted, "meridian: too many tokens are in use"),
        Refusal::EmptyKey
        | Refusal::KeyNotFound
        | Refusal::ValueProvided
        | Refusal::LeaseProvided
        | Refusal::TooManyOps
        | Refusal::DuplicateKey
        | Refusal::InvalidSort
        | Refusal::Compacted
        | Refusal::FutureRevision
        | Refusal::MemberExists
        | Refusal::PeerUrlExists
        | Refusal::MemberNotFound
        | Refusal::LastVoter
        | Refusal::NotALearner
        | Refusal::TooManyLearners
        | Refusal::TooManyMembers
        | Refusal::MemberTooLarge
        | Refusal::VersionTooOld
        | Refusal::LevelTooLow
        | Refusal::LevelHeldBack
        | Refusal::DowngradeInProgress
        | Refusal::NoDowngrade
        | Refusal::LeaseNotFound
        | Refusal::LeaseExists
        | Refusal::LeaseTtlTooLarge
        | Refusal::NoSpace
        | Refusal::Corrupt => return refusal.into(),
    };
    Status::fixed(code, words)
}

impl From<Fault> for Status {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Stopped => STOPPED,
            // etcd hands out the client's own error type here, which gRPC shows as Unknown.
            Fault::TooManyRequests => Self::fixed(Code::Unknown, "etcdserver: too many requests"),
            Fault::Timeout => Self::fixed(Code::Unavailable, "etcdserver: request timed out"),
            Fault::NoSpace => Refusal::NoSpace.into(),
            Fault::HeldBack(why) => Self::new(Code::FailedPrecondition, format!("meridian: {why}")),
            Fault::Unavailable(why) => {
                Self::new(Code::Unavailable, format!("etcdserver: no leader ({why})"))
            }
        }
    }
}
