//! How what the cluster keeps about itself changes, and what of it is refused: for the same reasons and
//! in the same order as in etcd; behind them the limits, which etcd does not have.

use super::{Cluster, ClusterVersion, Member};
use crate::command::Command;
use crate::ids::MemberId;
use crate::level::Level;
use crate::outcome::{Refusal, Reply};

impl Cluster {
    /// Carries out a command that is about the cluster.
    pub(crate) fn change(&mut self, command: &Command) -> Result<Reply, Refusal> {
        let reply = match command {
            Command::MemberAdd { member, peer_urls, learner } => {
                self.add(*member, peer_urls, learner.then_some(Self::MOST_LEARNERS))?;
                Reply::MemberAdd
            }
            Command::LearnerAdd { member, peer_urls, most } => {
                self.add(*member, peer_urls, Some(*most))?;
                Reply::MemberAdd
            }
            Command::MemberRemove { member } => {
                self.remove(*member)?;
                Reply::MemberRemove
            }
            Command::MemberPromote { member } => {
                self.promote(*member)?;
                Reply::MemberPromote
            }
            Command::MemberPublish { member, name, client_urls, version, level } => {
                self.publish(*member, name, client_urls, (*version, *level))?;
                Reply::MemberPublish
            }
            Command::MemberUpdate { member, peer_urls } => {
                self.update(*member, peer_urls)?;
                Reply::MemberUpdate
            }
            Command::LevelRaise { level } => {
                self.raise_level(*level)?;
                Reply::LevelRaise
            }
            Command::Downgrade { to } => {
                self.downgrade_to(*to)?;
                Reply::Downgrade
            }
            _ => unreachable!("it is not about the cluster"),
        };
        assert!(self.members.is_empty() || self.voters() > 0, "somebody may write");
        Ok(reply)
    }

    /// Notes who made a claim that counts.
    pub(crate) fn claimed(&mut self, member: MemberId) {
        if !self.members.is_empty() {
            self.writer = member;
        }
    }

    /// Lets go of who took part in one journal: another has members of its own.
    pub(crate) fn disband(&mut self) {
        let (peer_urls, downgrade) = (std::mem::take(&mut self.peer_urls), self.downgrade);
        *self = Self { peer_urls, downgrade, ..Self::default() };
    }

    /// `most` is of a learner: with so many there is no room for it.
    fn add(
        &mut self,
        member: MemberId,
        peer_urls: &[String],
        most: Option<u64>,
    ) -> Result<(), Refusal> {
        // 0 is nobody.
        let known = self.members.contains_key(&member) || self.is_removed(member);
        if known || member == MemberId(0) {
            return Err(Refusal::MemberExists);
        }
        if self.is_taken(peer_urls, member) {
            return Err(Refusal::PeerUrlExists);
        }
        // One who may write comes first.
        if most.is_some_and(|most| self.learners() >= most || self.members.is_empty()) {
            return Err(Refusal::TooManyLearners);
        }
        if self.members.len() >= Self::MOST_MEMBERS {
            return Err(Refusal::TooManyMembers);
        }
        fits(peer_urls)?;
        let (peer_urls, learner) = (peer_urls.to_vec(), most.is_some());
        self.members.insert(member, Member { peer_urls, learner, ..Member::default() });
        self.peer_urls.clear();
        Ok(())
    }

    fn remove(&mut self, member: MemberId) -> Result<(), Refusal> {
        let found = self.members.get(&member).ok_or(Refusal::MemberNotFound)?;
        if !found.learner && self.voters() == 1 {
            return Err(Refusal::LastVoter);
        }
        self.members.remove(&member);
        self.removed.insert(member);
        self.raise_version();
        Ok(())
    }

    fn promote(&mut self, member: MemberId) -> Result<(), Refusal> {
        let found = self.members.get_mut(&member).ok_or(Refusal::MemberNotFound)?;
        if !std::mem::take(&mut found.learner) {
            return Err(Refusal::NotALearner);
        }
        Ok(())
    }

    fn publish(
        &mut self,
        member: MemberId,
        name: &str,
        client_urls: &[String],
        (version, level): (ClusterVersion, Level),
    ) -> Result<(), Refusal> {
        let (oldest, lowest) = (self.version, self.level);
        let found = self.members.get_mut(&member).ok_or(Refusal::MemberNotFound)?;
        if Some(version) < oldest {
            return Err(Refusal::VersionTooOld);
        }
        if level < lowest {
            return Err(Refusal::LevelTooLow);
        }
        fits(client_urls)?;
        if name.len() > Member::LONGEST_TEXT {
            return Err(Refusal::MemberTooLarge);
        }
        found.name = name.to_owned();
        found.client_urls = client_urls.to_vec();
        found.version = Some(version);
        found.level = level;
        self.raise_version();
        Ok(())
    }

    fn update(&mut self, member: MemberId, peer_urls: &[String]) -> Result<(), Refusal> {
        if self.members.is_empty() {
            self.peer_urls.insert(member, peer_urls.to_vec());
            return Ok(());
        }
        if !self.members.contains_key(&member) {
            return Err(Refusal::MemberNotFound);
        }
        if self.is_taken(peer_urls, member) {
            return Err(Refusal::PeerUrlExists);
        }
        fits(peer_urls)?;
        let found = self.members.get_mut(&member).ok_or(Refusal::MemberNotFound)?;
        found.peer_urls = peer_urls.to_vec();
        Ok(())
    }

    /// Goes up, if all members can; never down.
    fn raise_level(&mut self, level: Level) -> Result<(), Refusal> {
        let common = self.lowest().map(|(_, member)| member.level);
        if common.is_none_or(|common| level > common) {
            return Err(Refusal::LevelHeldBack);
        }
        self.level = self.level.max(level);
        Ok(())
    }

    /// Begins a downgrade, or ends the one under way.
    fn downgrade_to(&mut self, to: Option<ClusterVersion>) -> Result<(), Refusal> {
        match (to, self.downgrade) {
            (Some(_), Some(_)) => return Err(Refusal::DowngradeInProgress),
            (None, None) => return Err(Refusal::NoDowngrade),
            (Some(to), None) => self.version = self.version.map(|version| version.min(to)),
            (None, Some(_)) => {}
        }
        self.downgrade = to;
        self.raise_version();
        Ok(())
    }

    /// To the oldest of the members' versions. One that has not started could speak any: then it stays.
    fn raise_version(&mut self) {
        let oldest = self.members.values().map(|member| member.version).min().flatten();
        if self.downgrade.is_none() {
            self.version = self.version.max(oldest);
        }
    }

    /// Whether somebody other than `member` is reached at any of these.
    fn is_taken(&self, peer_urls: &[String], member: MemberId) -> bool {
        let others = self.members.iter().filter(|(id, _)| **id != member);
        others.flat_map(|(_, other)| &other.peer_urls).any(|url| peer_urls.contains(url))
    }
}

fn fits(urls: &[String]) -> Result<(), Refusal> {
    let long = urls.iter().any(|url| url.len() > Member::LONGEST_TEXT);
    if long || urls.len() > Member::MOST_URLS { Err(Refusal::MemberTooLarge) } else { Ok(()) }
}
