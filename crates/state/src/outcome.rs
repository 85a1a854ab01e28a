//! Outcomes: what a command came to. A refusal is an outcome, not an error.

use bytes::Bytes;

use crate::command::AlarmType;
use crate::ids::{LeaseId, MemberId, Revision};

/// What one command came to, and the revision it was judged at (etcd's `header.revision`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// For a command that changed a key: the revision of that change. Otherwise: the current one.
    pub revision: Revision,
    /// What the client is told.
    pub result: Result<Reply, Refusal>,
}

/// The reply to a command that was carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// To `Put`.
    Put {
        /// What was there, if asked for and anything was.
        prev_kv: Option<KeyValue>,
    },
    /// To `DeleteRange`.
    DeleteRange {
        /// How many keys were deleted.
        deleted: i64,
        /// What they held, if asked for, in the order of the keys.
        prev_kvs: Vec<KeyValue>,
    },
    /// To `Txn`.
    Txn(TxnReply),
    /// To `Compact`.
    Compact,
    /// To `LeaseGrant`.
    LeaseGrant {
        /// Its name.
        id: LeaseId,
        /// Seconds, as granted.
        ttl: i64,
    },
    /// To `LeaseRevoke`.
    LeaseRevoke,
    /// To `Alarm`: the alarms that this raised or took back.
    Alarm(Vec<Alarm>),
    /// To `Claim`: whether the epoch is now the claimed one.
    Claim {
        /// Whether it was granted.
        granted: bool,
    },
    /// To `Auth`.
    Auth,
    /// To `MemberAdd` and `LearnerAdd`.
    MemberAdd,
    /// To `MemberRemove`.
    MemberRemove,
    /// To `MemberPromote`.
    MemberPromote,
    /// To `MemberPublish`.
    MemberPublish,
    /// To `LevelRaise`.
    LevelRaise,
    /// To `MemberUpdate`.
    MemberUpdate,
    /// To `LeaseRenew`: the seconds that each was granted, 0 if it is not there.
    LeaseRenew(Vec<i64>),
    /// To `DigestDue` and `DigestIs`.
    Digest,
    /// To `Downgrade`.
    Downgrade,
    /// The whole entry was void: its epoch is not the current one. Offer it again.
    Void,
}

/// The reply to a transaction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TxnReply {
    /// Which branch was taken.
    pub succeeded: bool,
    /// One for each operation of that branch, with the revision visible after it.
    pub responses: Vec<(Revision, OpReply)>,
}

/// The reply to one operation of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OpReply {
    /// To a read.
    Range {
        /// The keys.
        kvs: Vec<KeyValue>,
        /// Whether the limit cut it.
        more: bool,
        /// How many keys the range holds.
        count: i64,
    },
    /// To a write.
    Put {
        /// As in [`Reply::Put`].
        prev_kv: Option<KeyValue>,
    },
    /// To a delete.
    DeleteRange {
        /// As in [`Reply::DeleteRange`].
        deleted: i64,
        /// As in [`Reply::DeleteRange`].
        prev_kvs: Vec<KeyValue>,
    },
    /// To a transaction.
    Txn(TxnReply),
}

/// One version of a key. A tombstone has only `key` and `mod_revision`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyValue {
    /// Its name.
    pub key: Bytes,
    /// Its bytes.
    pub value: Bytes,
    /// When this generation of the key was made.
    pub create_revision: Revision,
    /// When this version was written.
    pub mod_revision: Revision,
    /// How many times the key was written since it was made, from 1.
    pub version: i64,
    /// What it is attached to.
    pub lease: LeaseId,
}

/// An alarm that is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Alarm {
    /// Whose.
    pub member: MemberId,
    /// What.
    pub alarm: AlarmType,
}

/// Why a command was not carried out. `server/rpc/status.rs` gives each etcd's code and words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No key was given.
    EmptyKey,
    /// `ignore_value` or `ignore_lease` of a key that is not there; also an empty `RequestOp`.
    KeyNotFound,
    /// `ignore_value` with a value.
    ValueProvided,
    /// `ignore_lease` with a lease.
    LeaseProvided,
    /// More operations than allowed.
    TooManyOps,
    /// A key is written twice.
    DuplicateKey,
    /// A sort order or target etcd does not know.
    InvalidSort,
    /// The revision was compacted.
    Compacted,
    /// The revision is yet to come.
    FutureRevision,
    /// The lease is not there.
    LeaseNotFound,
    /// The lease is there already.
    LeaseExists,
    /// The time to live is over the limit.
    LeaseTtlTooLarge,
    /// The quota is used up.
    NoSpace,
    /// Replicas disagree.
    Corrupt,
    /// Who asks is nobody; or a user is to be made without a name.
    UserEmpty,
    /// The user is there already.
    UserAlreadyExists,
    /// There is no such user.
    UserNotFound,
    /// A role is to be made without a name.
    RoleEmpty,
    /// The role is there already.
    RoleAlreadyExists,
    /// There is no such role.
    RoleNotFound,
    /// The user does not have the role.
    RoleNotGranted,
    /// No permission was given to grant.
    PermissionNotGiven,
    /// The role does not have the permission.
    PermissionNotGranted,
    /// Who asks may not.
    PermissionDenied,
    /// There is no user `root` to begin with.
    RootUserNotExist,
    /// The user `root` does not have the role `root`.
    RootRoleNotExist,
    /// No such user, or another password.
    AuthFailed,
    /// A password was given for a user that has none.
    NoPasswordUser,
    /// There are no tokens, since nobody is asked.
    AuthNotEnabled,
    /// Rights have changed since who asks was identified.
    AuthOldRevision,
    /// The token stands for nobody.
    InvalidAuthToken,
    /// What would lock everybody out, or a permission on nothing.
    InvalidAuthManagement,
    /// As many tokens as there may be at once.
    TooManyTokens,
    /// The id belongs to a member, or did, or is 0, which is nobody's.
    MemberExists,
    /// Another member is reached there.
    PeerUrlExists,
    /// There is no such member.
    MemberNotFound,
    /// The last member that may be the writer cannot go.
    LastVoter,
    /// The member may become the writer already.
    NotALearner,
    /// As many learners as there may be; or a learner is to be the first member.
    TooManyLearners,
    /// As many members as there may be.
    TooManyMembers,
    /// A longer name, or more or longer URLs, than a member may have.
    MemberTooLarge,
    /// The member speaks only versions older than the cluster's.
    VersionTooOld,
    /// The member cannot apply what the journal may hold already.
    LevelTooLow,
    /// Some member cannot apply that much.
    LevelHeldBack,
    /// A downgrade is under way already.
    DowngradeInProgress,
    /// There is no downgrade to end.
    NoDowngrade,
}
