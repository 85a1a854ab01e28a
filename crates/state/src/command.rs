//! Commands: etcd requests as they were asked, which is what the journal keeps.

use bytes::Bytes;

use crate::auth::{As, AuthChange};
use crate::cluster::ClusterVersion;
use crate::digest::Digest;
use crate::ids::{Epoch, LeaseId, MemberId, Position, Revision, Timestamp};
use crate::level::Level;
use crate::range::{KeyRange, RangeQuery};

/// One request that the journal orders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Set a key.
    Put(Put),
    /// Delete the keys of a range.
    DeleteRange(DeleteRange),
    /// Compare, then one of two lists of operations, in one revision.
    Txn(Txn),
    /// Forget what was overwritten or deleted up to a revision.
    Compact {
        /// The revision that stays readable; older ones do not.
        revision: Revision,
    },
    /// Make a lease. The id is chosen before ordering: the machine draws no numbers.
    LeaseGrant {
        /// Its name, never [`LeaseId::NONE`].
        id: LeaseId,
        /// Seconds, as asked for.
        ttl: i64,
    },
    /// End a lease and delete the keys attached to it, in one revision.
    LeaseRevoke {
        /// Which.
        id: LeaseId,
    },
    /// Raise an alarm or take it back.
    Alarm {
        /// Which way.
        action: AlarmAction,
        /// Whose alarm. 0 is a member like any other, as in etcd: clients that mean every member's
        /// name them one by one.
        member: MemberId,
        /// Which alarm.
        alarm: AlarmType,
    },
    /// Become the writer: from this entry on `epoch` is the current one.
    Claim {
        /// The epoch claimed; must be greater than the current one, or nothing happens.
        epoch: Epoch,
        /// Who claims it.
        member: MemberId,
    },
    /// Change who may do what.
    Auth(AuthChange),
    /// A command in somebody's name. Without one it is an anonymous client's.
    As(Box<As>),
    /// Say where a member is reached by the others. While nobody is listed, that it is a member was seen
    /// before ordering.
    MemberUpdate {
        /// Which.
        member: MemberId,
        /// As given: etcd judges them when a member is added, and no more.
        peer_urls: Vec<String>,
    },
    /// Make a replica a member.
    MemberAdd {
        /// Its id, chosen before ordering and never used before.
        member: MemberId,
        /// Where it is reached by the others.
        peer_urls: Vec<String>,
        /// Whether it may not become the writer until it is promoted.
        learner: bool,
    },
    /// Make a replica a learner. [`MemberAdd`](Self::MemberAdd) does so as long as there is none.
    LearnerAdd {
        /// Its id, chosen before ordering and never used before.
        member: MemberId,
        /// Where it is reached by the others.
        peer_urls: Vec<String>,
        /// With how many learners there is no room for it: the limit of the member that was asked.
        most: u64,
    },
    /// Take a member out of the cluster, for ever.
    MemberRemove {
        /// Which.
        member: MemberId,
    },
    /// Make a learner a member like the others.
    MemberPromote {
        /// Which.
        member: MemberId,
    },
    /// What a replica says of itself when it starts.
    MemberPublish {
        /// Which.
        member: MemberId,
        /// Its name.
        name: String,
        /// Where clients reach it.
        client_urls: Vec<String>,
        /// The newest version that it can speak.
        version: ClusterVersion,
        /// What it can apply.
        level: Level,
    },
    /// Give leases their full time again. Only a replica that cannot reach the writer asks for it this way.
    LeaseRenew {
        /// Which.
        ids: Vec<LeaseId>,
    },
    /// Compute the digest of the state as it is after this command.
    DigestDue,
    /// The digest that the writer computed: another one at the same place is damage.
    DigestIs {
        /// Of which [`Command::DigestDue`].
        position: Position,
        /// What it came to.
        digest: Digest,
    },
    /// From here on the journal may hold what takes this level: who cannot apply it is no longer let in.
    LevelRaise {
        /// Which all members can apply.
        level: Level,
    },
    /// Begin a downgrade of the cluster, or end the one under way.
    Downgrade {
        /// The version to go to; `None` ends it.
        to: Option<ClusterVersion>,
    },
}

/// One entry of the journal: what one append makes durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The writer's epoch. Not the current one at this place: the entry is void.
    pub epoch: Epoch,
    /// The writer's wall clock when it closed the batch.
    pub clock: Timestamp,
    /// In the order in which they take effect.
    pub commands: Vec<Command>,
    /// Which of them other replicas have sent, in their order. The machine does not look at it.
    pub origins: Vec<Origin>,
}

/// A run of commands in an entry that a replica has handed to the writer: so it finds them again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The first of the run among the entry's commands.
    pub at: usize,
    /// How many.
    pub count: u64,
    /// Who sent them.
    pub member: MemberId,
    /// Which start of that replica; its numbers begin anew with each.
    pub session: u64,
    /// The number the sender gave to the first; those after it follow.
    pub first: u64,
}

/// See etcd's `PutRequest`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Put {
    /// Never empty.
    pub key: Bytes,
    /// May be empty.
    pub value: Bytes,
    /// [`LeaseId::NONE`] detaches.
    pub lease: LeaseId,
    /// Return what was there.
    pub prev_kv: bool,
    /// Keep the value that is there; the key must exist.
    pub ignore_value: bool,
    /// Keep the lease that is there; the key must exist.
    pub ignore_lease: bool,
}

/// See etcd's `DeleteRangeRequest`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeleteRange {
    /// What to delete.
    pub range: KeyRange,
    /// Return what was there.
    pub prev_kv: bool,
}

/// See etcd's `TxnRequest`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Txn {
    /// All must hold for `success` to be taken.
    pub compare: Vec<Compare>,
    /// What to do then.
    pub success: Vec<Op>,
    /// What to do otherwise.
    pub failure: Vec<Op>,
}

/// One operation of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// Read.
    Range(RangeQuery),
    /// Write.
    Put(Put),
    /// Delete.
    DeleteRange(DeleteRange),
    /// A transaction inside the transaction.
    Txn(Txn),
}

/// One condition of a transaction. With a range, every key of it must satisfy the condition, and an
/// empty range counts as one missing key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compare {
    /// What to look at.
    pub range: KeyRange,
    /// How to compare; a number etcd does not know compares as true.
    pub result: CompareResult,
    /// What with.
    pub target: CompareTarget,
}

/// `stored <result> given`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompareResult {
    /// `=`
    Equal,
    /// `>`
    Greater,
    /// `<`
    Less,
    /// `!=`
    NotEqual,
    /// A number this version does not know: always true, as in etcd.
    Unknown(i32),
}

/// The field compared, with the value given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CompareTarget {
    /// How often the key was written since it was made.
    Version(i64),
    /// When it was made.
    Create(Revision),
    /// When it was last written.
    Mod(Revision),
    /// Its bytes. On a missing key always false, whatever the operator.
    Value(Bytes),
    /// Its lease.
    Lease(LeaseId),
    /// A number this version does not know.
    Unknown(i32),
}

/// Which way an alarm goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlarmAction {
    /// Raise.
    Activate,
    /// Take back.
    Deactivate,
}

/// What is alarming.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AlarmType {
    /// The quota is used up: writes are refused.
    NoSpace,
    /// Replicas disagree: everything but reads is refused.
    Corrupt,
}
