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
            Fault::Unavailable(why) => {
                Self::new(Code::Unavailable, format!("etcdserver: no leader ({why})"))
            }
        }
    }
}
