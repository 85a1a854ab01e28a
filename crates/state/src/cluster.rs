//! What the cluster keeps about itself: its members, who of them writes, its version, and a downgrade
//! under way.
//!
//! A file journal has one member, whose identity stands beside it: then nobody is listed here. Once
//! somebody is, somebody always is, and one of those listed may write.

mod block;
mod change;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::ids::MemberId;
use crate::level::Level;

pub(crate) use block::{
    level, member, put_member, put_spoken, put_version_or_none, spoken, text, version_or_none,
};

/// What the cluster was told about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cluster {
    /// Of members that are not listed: those of a file journal. Nobody, once anybody is listed.
    peer_urls: BTreeMap<MemberId, Vec<String>>,
    downgrade: Option<ClusterVersion>,
    members: BTreeMap<MemberId, Member>,
    /// Grows by one id with each removal, which takes an addition before: so does etcd's.
    removed: BTreeSet<MemberId>,
    /// Who made the newest claim since anybody is listed; 0 is nobody.
    writer: MemberId,
    version: Option<ClusterVersion>,
    level: Level,
}

/// One replica that belongs to the cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Member {
    /// Empty until it has started.
    pub name: String,
    /// Where the others reach it.
    pub peer_urls: Vec<String>,
    /// Where clients reach it; none until it has started.
    pub client_urls: Vec<String>,
    /// Whether it may not become the writer yet.
    pub learner: bool,
    /// The newest version that it can speak; none until it has started.
    pub version: Option<ClusterVersion>,
    /// What it can apply; the first level until it has started.
    pub level: Level,
}

impl Member {
    /// How many URLs of a kind a member has at most.
    pub const MOST_URLS: usize = 16;
    /// How many bytes its name and each of its URLs have at most.
    pub const LONGEST_TEXT: usize = 1024;
}

/// A version that the members of a cluster speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ClusterVersion {
    /// As in 3.7
    pub major: u64,
    /// As in 3.7
    pub minor: u64,
}

impl fmt::Display for ClusterVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.0", self.major, self.minor)
    }
}

impl Cluster {
    /// How many members there are at most.
    pub const MOST_MEMBERS: usize = 100;
    /// How many of them are learners at most where nobody says how many. As etcd's default.
    pub const MOST_LEARNERS: u64 = 1;

    /// The peer URLs a member has, in the order in which they were named; of one that is not listed, those
    /// it was given since it joined.
    #[must_use]
    pub fn peer_urls(&self, member: MemberId) -> Option<&[String]> {
        let listed = self.members.get(&member).map(|member| &member.peer_urls);
        listed.or_else(|| self.peer_urls.get(&member)).map(Vec::as_slice)
    }

    /// The version that the members are to be exchanged for.
    #[must_use]
    pub fn downgrade(&self) -> Option<ClusterVersion> {
        self.downgrade
    }

    /// The members, by id. Nobody, if the journal has one owner.
    #[must_use]
    pub fn members(&self) -> &BTreeMap<MemberId, Member> {
        &self.members
    }

    /// Those who were members once and are not to come back, by id.
    #[must_use]
    pub fn removed(&self) -> &BTreeSet<MemberId> {
        &self.removed
    }

    /// Whether this was a member once and is not to come back.
    #[must_use]
    pub fn is_removed(&self, member: MemberId) -> bool {
        self.removed.contains(&member)
    }

    /// Who made the newest claim, if it was made when members were listed already and they still are.
    /// So whoever founds a cluster adds the members before it claims.
    #[must_use]
    pub fn writer(&self) -> Option<MemberId> {
        self.members.contains_key(&self.writer).then_some(self.writer)
    }

    /// The cluster's version, as etcd's: what every member understands, so that nothing newer may be
    /// written into the journal. None until all members have said theirs for the first time; from then
    /// on the oldest of theirs, whenever all are known. It never falls, since a member that speaks only
    /// older versions is not let in, but for a downgrade: then it is what the downgrade goes to, at once,
    /// and stays there until the downgrade is ended.
    #[must_use]
    pub fn version(&self) -> Option<ClusterVersion> {
        self.version
    }

    /// The level up to which the journal may hold entries, and checkpoints be written. Raised by a command once
    /// all members can apply more, and never falls. The first while nobody is listed: the one owner of a
    /// journal goes by its own.
    #[must_use]
    pub fn level(&self) -> Level {
        self.level
    }

    /// The member that can apply least, and what: it holds the others back. One that has not started might
    /// turn out to be of any. Nobody, while nobody is listed.
    #[must_use]
    pub fn lowest(&self) -> Option<(MemberId, &Member)> {
        let lowest =
            self.members.iter().min_by_key(|(_, member)| (member.level, member.version.is_some()));
        lowest.map(|(id, member)| (*id, member))
    }

    /// Whether a claim of this member counts.
    pub(crate) fn may_write(&self, member: MemberId) -> bool {
        self.members.is_empty() || self.members.get(&member).is_some_and(|member| !member.learner)
    }

    fn voters(&self) -> usize {
        self.members.values().filter(|member| !member.learner).count()
    }

    fn learners(&self) -> u64 {
        (self.members.len() - self.voters()) as u64
    }

    /// Whether nothing was ever said: then it takes no room in an image or a digest.
    pub(crate) fn is_silent(&self) -> bool {
        *self == Self::default()
    }
}
