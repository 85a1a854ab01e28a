//! What a simulation records for the oracle: calls, watches, samples of the members, and at the end
//! the truth.
//!
//! Plain data. Times are nanoseconds of one simulated clock that everybody shares; they say when a
//! client began to wait and when it stopped, nothing else is known of the order of things.

/// Nanoseconds since the simulation began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(pub u64);

/// A revision of the store. The empty store has 1; 0 stands for none, or the newest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(pub i64);

/// A lease's id; 0 is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeaseId(pub i64);

/// All that was recorded of one run.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// Every call of every client, in any order. Whoever writes must be in here: a revision that no
    /// recorded call explains is a finding.
    pub calls: Vec<Call>,
    /// Every watch; a watch that was resumed is several, each naming the one before.
    pub watches: Vec<Watch>,
    /// Positions that members were seen at.
    pub positions: Vec<Positions>,
    /// Digests of state that members computed.
    pub digests: Vec<DigestAt>,
    /// What time may do to leases in this run.
    pub limits: Limits,
}

/// How far a lease may stray from its time.
#[derive(Clone, Copy, Debug, Default)]
pub struct Limits {
    /// How much too early an end may be, and how long a lease that ended may still be renewed: what
    /// the clocks of this run are wrong by. In nanoseconds.
    pub early: u64,
    /// How long after its time a lease must be gone: the clock's round, changes of writer, pauses.
    /// `None` does not ask.
    pub late: Option<u64>,
}

/// One request and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Who asked.
    pub client: u32,
    /// Unique among all calls of the run.
    pub id: u64,
    /// When it was sent.
    pub begin: Time,
    /// When the client stopped waiting; `None` while it still did at the end of the run.
    pub end: Option<Time>,
    /// The member that was asked.
    pub endpoint: u32,
    /// What was asked.
    pub op: Op,
    /// `None` is unknown (time-out, lost connection, `Unavailable`): it took effect once, later
    /// than its begin, or never.
    pub outcome: Option<Outcome>,
}

/// A request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// Set a key.
    Put(Put),
    /// Delete the keys of a range.
    Delete {
        /// Which keys.
        range: KeyRange,
        /// Whether the reply shows what was deleted.
        prev_kv: bool,
    },
    /// Read the keys of a range.
    Range(Range),
    /// Compare, then one of two lists of puts, deletes and ranges.
    Txn {
        /// All must hold for the first list.
        compares: Vec<Compare>,
        /// If they do.
        success: Vec<Op>,
        /// If they do not.
        failure: Vec<Op>,
    },
    /// Forget what was overwritten or deleted up to a revision.
    Compact {
        /// The revision that stays readable.
        revision: Revision,
    },
    /// Make a lease.
    Grant {
        /// Its id; 0 lets the server choose.
        id: LeaseId,
        /// Seconds.
        ttl: i64,
    },
    /// One keep-alive.
    KeepAlive {
        /// Of which lease.
        id: LeaseId,
    },
    /// End a lease and delete its keys.
    Revoke {
        /// Which.
        id: LeaseId,
    },
    /// How long a lease has.
    TimeToLive {
        /// Which.
        id: LeaseId,
    },
    /// Anything that neither reads nor changes keys and leases; for the trace only.
    Other(String),
}

/// See etcd's `PutRequest`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Put {
    /// Which key.
    pub key: Vec<u8>,
    /// Its new value: unique among all values put in the run, so that what took effect can be told.
    pub value: Vec<u8>,
    /// Attached to which lease.
    pub lease: LeaseId,
    /// Whether the reply shows what was overwritten.
    pub prev_kv: bool,
}

/// A key or a range of keys, in etcd's notation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyRange {
    /// Where it begins.
    pub key: Vec<u8>,
    /// Where it ends: empty is the one key, `"\0"` is no end.
    pub end: Vec<u8>,
}

/// See etcd's `RangeRequest`; order is always that of the keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Range {
    /// Which keys.
    pub range: KeyRange,
    /// At which revision; 0 is the newest.
    pub revision: Revision,
    /// At most so many; 0 is no limit.
    pub limit: i64,
    /// Leave everything out but the count.
    pub count_only: bool,
    /// Leave the values out.
    pub keys_only: bool,
    /// Whether the member may answer from what it has.
    pub serializable: bool,
}

/// A condition on one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compare {
    /// Which key.
    pub key: Vec<u8>,
    /// How what it has must stand to the target.
    pub relation: Relation,
    /// What is compared.
    pub target: Target,
}

/// How two values stand to one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `>`
    Greater,
}

/// What of a key is compared, and with what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// How often it was written since it was made; 0 is no key.
    Version(i64),
    /// The revision that made it.
    Create(Revision),
    /// The revision that wrote it last.
    Mod(Revision),
    /// Its value; a key that is not there fails whatever the relation.
    Value(Vec<u8>),
    /// Its lease.
    Lease(LeaseId),
}

/// How a call ended, if that is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was carried out.
    Done {
        /// The reply's header revision.
        revision: Revision,
        /// The rest of the reply.
        reply: Reply,
    },
    /// It was refused and had no effect, for certain.
    Refused(Refusal),
}

/// What a reply says besides its header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// Of a put.
    Put {
        /// What was overwritten, if asked for.
        prev: Option<Kv>,
    },
    /// Of a delete.
    Delete {
        /// How many keys.
        deleted: i64,
        /// Which, if asked for.
        prev: Vec<Kv>,
    },
    /// Of a range.
    Range {
        /// The page.
        kvs: Vec<Kv>,
        /// How many keys the range has.
        count: i64,
        /// Whether the limit left some out.
        more: bool,
    },
    /// Of a transaction.
    Txn {
        /// Which list was taken.
        succeeded: bool,
        /// One for each of its operations.
        replies: Vec<Reply>,
    },
    /// Of a compaction.
    Compact,
    /// Of a grant.
    Grant {
        /// The lease.
        id: LeaseId,
        /// Seconds, as raised by the server.
        ttl: i64,
    },
    /// Of a keep-alive.
    KeepAlive {
        /// Seconds; 0 or less says that there is no such lease.
        ttl: i64,
    },
    /// Of a revocation.
    Revoke,
    /// Of the question how long a lease has.
    TimeToLive {
        /// Seconds that are left; -1 says that there is no such lease.
        ttl: i64,
        /// Seconds that it was granted.
        granted: i64,
    },
    /// Of anything else.
    Other,
}

/// Why a call was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// `mvcc: required revision has been compacted`
    Compacted,
    /// `mvcc: required revision is a future revision`
    Future,
    /// `requested lease not found`
    LeaseNotFound,
    /// `lease already exists`
    LeaseExists,
    /// Anything else that is certain to have had no effect.
    Other(String),
}

/// A key at a revision.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kv {
    /// Its name.
    pub key: Vec<u8>,
    /// Its value.
    pub value: Vec<u8>,
    /// The revision that made it.
    pub create_revision: Revision,
    /// The revision that wrote it last.
    pub mod_revision: Revision,
    /// How often it was written since it was made.
    pub version: i64,
    /// The lease it is attached to.
    pub lease: LeaseId,
}

/// A change of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Which kind.
    pub kind: EventKind,
    /// The key after it; of a delete only the name and `mod_revision`.
    pub kv: Kv,
    /// The key before it, where it was asked for.
    pub prev: Option<Kv>,
}

/// Kinds of changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// It was set.
    Put,
    /// It was deleted.
    Delete,
}

/// One watch, from its request to the end of its stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Watch {
    /// Who watched.
    pub client: u32,
    /// Unique among all watches of the run.
    pub id: u64,
    /// The member that was asked.
    pub endpoint: u32,
    /// When the request was sent.
    pub begin: Time,
    /// Which keys.
    pub range: KeyRange,
    /// From which revision on; 0 is behind the header of the first response.
    pub start: Revision,
    /// Whether events show what was there before.
    pub prev_kv: bool,
    /// Leave puts out.
    pub no_put: bool,
    /// Leave deletes out.
    pub no_delete: bool,
    /// Whether a response may come in pieces.
    pub fragment: bool,
    /// Whether the server's queues hold all that this one may leave unread: if it was up to date
    /// once, it is never behind.
    pub wide: bool,
    /// The watch that this one goes on with.
    pub resumes: Option<u64>,
    /// What came, in order. Answers to a progress request (`watch_id` -1) stand in every watch of
    /// the stream.
    pub responses: Vec<WatchResponse>,
    /// Everything up to here must have come before the run ended: set on watches that were left
    /// open until the cluster was quiet.
    pub settled: Option<Revision>,
}

/// One message of a watch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WatchResponse {
    /// When it came.
    pub time: Time,
    /// Its header revision.
    pub revision: Revision,
    /// Whether it says that the watch was made.
    pub created: bool,
    /// Whether it says that the watch is over.
    pub canceled: bool,
    /// Why, if it was for a compaction; 0 otherwise.
    pub compact_revision: Revision,
    /// Whether more of the same revision follows in the next message.
    pub fragment: bool,
    /// What happened. None, and neither created nor canceled, is a progress notice.
    pub events: Vec<Event>,
}

/// Slots of the journal that a member was seen at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Positions {
    /// Which member.
    pub member: u32,
    /// When.
    pub time: Time,
    /// The last one its state holds.
    pub applied: u64,
    /// The last one it knows to be durable.
    pub durable: u64,
    /// The end of the journal, asked for after the other two.
    pub tail: u64,
}

/// The digest of a member's state at a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DigestAt {
    /// Which member.
    pub member: u32,
    /// When.
    pub time: Time,
    /// Slots applied.
    pub position: u64,
    /// What they came to.
    pub digest: u64,
}

/// What is known when everything is quiet: which events made which revision.
#[derive(Clone, Debug, Default)]
pub struct Truth {
    /// When the last of it was read.
    pub read_at: Time,
    /// What was read of it, from each member, in as many pieces as compactions made of it. Where
    /// pieces overlap they must agree; together they must reach from revision 2 to the newest.
    pub logs: Vec<Log>,
    /// `HashKV` of every member, asked for at one revision.
    pub hashes: Vec<HashAt>,
}

/// All events of a stretch of revisions, as one member tells them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Log {
    /// Which member.
    pub member: u32,
    /// The first revision that it covers.
    pub from: Revision,
    /// The last one.
    pub to: Revision,
    /// In order; `prev` is not looked at.
    pub events: Vec<Event>,
}

/// A reply of `HashKV`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashAt {
    /// Which member.
    pub member: u32,
    /// At which revision.
    pub revision: Revision,
    /// Compacted up to where.
    pub compact_revision: Revision,
    /// What it came to.
    pub hash: u32,
}
