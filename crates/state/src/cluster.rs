//! What the cluster keeps about itself: its members, who of them writes, and a downgrade under way.
//!
//! A file journal has one member, whose identity stands beside it: then nobody is listed here.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use bytes::{BufMut, Bytes};

use crate::codec::{DecodeError, Reader, put_string, put_unsigned};
use crate::ids::MemberId;
use crate::outcome::Refusal;

/// Longer version numbers are no versions.
const LARGEST_VERSION: u64 = i64::MAX as u64;
/// As etcd's default: a learner costs whoever serves it.
const MOST_LEARNERS: usize = 1;

/// What the cluster was told about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cluster {
    /// Of members that are not listed: those of a file journal.
    peer_urls: BTreeMap<MemberId, Vec<String>>,
    downgrade: Option<ClusterVersion>,
    members: BTreeMap<MemberId, Member>,
    removed: BTreeSet<MemberId>,
    /// Who made the newest claim, if anybody is listed.
    writer: MemberId,
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
}

/// The version that all members of a cluster can speak.
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

    /// Whether this was a member once and is not to come back.
    #[must_use]
    pub fn is_removed(&self, member: MemberId) -> bool {
        self.removed.contains(&member)
    }

    /// Who made the newest claim, if anybody is listed and has.
    #[must_use]
    pub fn writer(&self) -> Option<MemberId> {
        self.members.contains_key(&self.writer).then_some(self.writer)
    }

    /// The newest version that every member which has started can speak.
    #[must_use]
    pub fn version(&self) -> Option<ClusterVersion> {
        self.members.values().filter_map(|member| member.version).min()
    }

    /// Whether a claim of this member counts.
    pub(crate) fn may_write(&self, member: MemberId) -> bool {
        self.members.is_empty() || self.members.get(&member).is_some_and(|member| !member.learner)
    }

    pub(crate) fn claimed(&mut self, member: MemberId) {
        if !self.members.is_empty() {
            self.writer = member;
        }
    }

    pub(crate) fn add(
        &mut self,
        member: MemberId,
        peer_urls: &[String],
        learner: bool,
    ) -> Result<(), Refusal> {
        if self.members.contains_key(&member) || self.is_removed(member) {
            return Err(Refusal::MemberExists);
        }
        let mut present = self.members.values().flat_map(|member| &member.peer_urls);
        if present.any(|url| peer_urls.contains(url)) {
            return Err(Refusal::PeerUrlExists);
        }
        let learners = self.members.values().filter(|member| member.learner).count();
        if learner && learners >= MOST_LEARNERS {
            return Err(Refusal::TooManyLearners);
        }
        let peer_urls = peer_urls.to_vec();
        self.members.insert(member, Member { peer_urls, learner, ..Member::default() });
        Ok(())
    }

    pub(crate) fn remove(&mut self, member: MemberId) -> Result<(), Refusal> {
        let Some(found) = self.members.get(&member) else { return Err(Refusal::MemberNotFound) };
        let voters = self.members.values().filter(|member| !member.learner).count();
        if !found.learner && voters == 1 {
            return Err(Refusal::LastVoter);
        }
        self.members.remove(&member);
        self.removed.insert(member);
        Ok(())
    }

    pub(crate) fn promote(&mut self, member: MemberId) -> Result<(), Refusal> {
        let found = self.members.get_mut(&member).ok_or(Refusal::MemberNotFound)?;
        if !std::mem::take(&mut found.learner) {
            return Err(Refusal::NotALearner);
        }
        Ok(())
    }

    pub(crate) fn publish(
        &mut self,
        member: MemberId,
        name: &str,
        client_urls: &[String],
        version: ClusterVersion,
    ) -> Result<(), Refusal> {
        let found = self.members.get_mut(&member).ok_or(Refusal::MemberNotFound)?;
        found.name = name.to_owned();
        found.client_urls = client_urls.to_vec();
        found.version = Some(version);
        Ok(())
    }

    pub(crate) fn update(&mut self, member: MemberId, peer_urls: &[String]) {
        match self.members.get_mut(&member) {
            Some(found) => found.peer_urls = peer_urls.to_vec(),
            None => drop(self.peer_urls.insert(member, peer_urls.to_vec())),
        }
    }

    /// Begins a downgrade, or ends the one under way.
    pub(crate) fn downgrade_to(&mut self, to: Option<ClusterVersion>) -> Result<(), Refusal> {
        match (to, self.downgrade) {
            (Some(_), Some(_)) => Err(Refusal::DowngradeInProgress),
            (None, None) => Err(Refusal::NoDowngrade),
            _ => {
                self.downgrade = to;
                Ok(())
            }
        }
    }

    /// Whether nothing was ever said: then it takes no room in an image or a digest.
    pub(crate) fn is_silent(&self) -> bool {
        *self == Self::default()
    }

    pub(crate) fn encode(&self, out: &mut impl BufMut) {
        put_unsigned(out, self.peer_urls.len() as u64);
        for (member, urls) in &self.peer_urls {
            put_member(out, *member, urls);
        }
        put_downgrade(out, self.downgrade);
        put_unsigned(out, self.members.len() as u64);
        for (id, member) in &self.members {
            put_member(out, *id, &member.peer_urls);
            member.encode(out);
        }
        put_unsigned(out, self.removed.len() as u64);
        self.removed.iter().for_each(|member| put_unsigned(out, member.0));
        put_unsigned(out, self.writer.0);
    }

    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut cluster = Self::default();
        for _ in 0..reader.count()? {
            let (member, urls) = member(reader)?;
            if cluster.peer_urls.insert(member, urls).is_some() {
                return reader.damaged("a member twice");
            }
        }
        cluster.downgrade = downgrade(reader)?;
        for _ in 0..reader.count()? {
            let (id, peer_urls) = member(reader)?;
            let member = Member { peer_urls, ..Member::decode(reader)? };
            if cluster.members.insert(id, member).is_some() {
                return reader.damaged("a member twice");
            }
        }
        for _ in 0..reader.count()? {
            cluster.removed.insert(MemberId(reader.unsigned()?));
        }
        cluster.writer = MemberId(reader.unsigned()?);
        Ok(cluster)
    }
}

impl Member {
    /// All but the peer URLs.
    fn encode(&self, out: &mut impl BufMut) {
        put_string(out, self.name.as_bytes());
        put_unsigned(out, self.client_urls.len() as u64);
        self.client_urls.iter().for_each(|url| put_string(out, url.as_bytes()));
        out.put_u8(u8::from(self.learner));
        put_downgrade(out, self.version);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let name = text(reader)?;
        let client_urls = texts(reader)?;
        let (learner, version) = (reader.flag()?, downgrade(reader)?);
        Ok(Self { name, client_urls, learner, version, ..Self::default() })
    }
}

/// A member and its peer URLs.
pub(crate) fn put_member(out: &mut impl BufMut, member: MemberId, urls: &[String]) {
    put_unsigned(out, member.0);
    put_unsigned(out, urls.len() as u64);
    urls.iter().for_each(|url| put_string(out, url.as_bytes()));
}

/// See [`put_member`].
pub(crate) fn member(reader: &mut Reader<'_>) -> Result<(MemberId, Vec<String>), DecodeError> {
    Ok((MemberId(reader.unsigned()?), texts(reader)?))
}

fn texts(reader: &mut Reader<'_>) -> Result<Vec<String>, DecodeError> {
    let count = reader.count()?;
    let mut texts = Vec::with_capacity(count.min(16));
    for _ in 0..count {
        texts.push(text(reader)?);
    }
    Ok(texts)
}

/// A string that is text.
pub(crate) fn text(reader: &mut Reader<'_>) -> Result<String, DecodeError> {
    let bytes: Bytes = reader.string()?;
    match std::str::from_utf8(&bytes) {
        Ok(text) => Ok(text.to_owned()),
        Err(_) => reader.damaged("a name or URL that is no text"),
    }
}

/// A version's two numbers.
pub(crate) fn put_version(out: &mut impl BufMut, version: ClusterVersion) {
    put_unsigned(out, version.major);
    put_unsigned(out, version.minor);
}

/// See [`put_version`].
pub(crate) fn version(reader: &mut Reader<'_>) -> Result<ClusterVersion, DecodeError> {
    let (major, minor) = (reader.unsigned()?, reader.unsigned()?);
    if major.max(minor) > LARGEST_VERSION {
        return reader.damaged("a version out of range");
    }
    Ok(ClusterVersion { major, minor })
}

/// A byte that says whether there is one, and its version.
pub(crate) fn put_downgrade(out: &mut impl BufMut, to: Option<ClusterVersion>) {
    out.put_u8(u8::from(to.is_some()));
    if let Some(to) = to {
        put_version(out, to);
    }
}

/// See [`put_downgrade`].
pub(crate) fn downgrade(reader: &mut Reader<'_>) -> Result<Option<ClusterVersion>, DecodeError> {
    match reader.byte()? {
        0 => Ok(None),
        1 => version(reader).map(Some),
        _ => reader.damaged("neither a version nor none"),
    }
}
