//! Members, as simply as they can be kept: in a list, in the order in which they came.

use state::{Command, Level, Member, MemberId, Refusal, Reply};

use super::Naive;

impl Naive {
    pub(crate) fn may_write(&self, id: MemberId) -> bool {
        self.members.is_empty() || self.member(id).is_some_and(|member| !member.learner)
    }

    pub(crate) fn member(&self, id: MemberId) -> Option<&Member> {
        self.members.iter().find(|(one, _)| *one == id).map(|(_, member)| member)
    }

    fn member_mut(&mut self, id: MemberId) -> Result<&mut Member, Refusal> {
        let found = self.members.iter_mut().find(|(one, _)| *one == id);
        found.map(|(_, member)| member).ok_or(Refusal::MemberNotFound)
    }

    pub(crate) fn change_members(&mut self, command: &Command) -> Result<Reply, Refusal> {
        let reply = match command {
            Command::MemberAdd { member, peer_urls, learner } => {
                self.add(*member, peer_urls, *learner, 1)?;
                Reply::MemberAdd
            }
            Command::LearnerAdd { member, peer_urls, most } => {
                self.add(*member, peer_urls, true, usize::try_from(*most).unwrap())?;
                Reply::MemberAdd
            }
            Command::MemberRemove { member } => {
                let learner = self.member_mut(*member)?.learner;
                let voters = self.members.iter().filter(|(_, member)| !member.learner);
                if !learner && voters.count() < 2 {
                    return Err(Refusal::LastVoter);
                }
                self.members.retain(|(id, _)| id != member);
                self.removed.push(*member);
                Reply::MemberRemove
            }
            Command::MemberPromote { member } => {
                let found = self.member_mut(*member)?;
                if !found.learner {
                    return Err(Refusal::NotALearner);
                }
                found.learner = false;
                Reply::MemberPromote
            }
            Command::MemberPublish { member, name, client_urls, version, level } => {
                let (at_least, raised) = (self.version, self.raised);
                let found = self.member_mut(*member)?;
                if at_least.is_some_and(|at_least| *version < at_least) {
                    return Err(Refusal::VersionTooOld);
                }
                if raised && *level < Level(2) {
                    return Err(Refusal::LevelTooLow);
                }
                found.name.clone_from(name);
                found.client_urls.clone_from(client_urls);
                found.version = Some(*version);
                found.level = *level;
                Reply::MemberPublish
            }
            Command::MemberUpdate { member, peer_urls } => {
                self.update(*member, peer_urls)?;
                Reply::MemberUpdate
            }
            Command::LevelRaise { level: Level(2) } => {
                if self.members.is_empty() || self.members.iter().any(|(_, m)| m.level < Level(2)) {
                    return Err(Refusal::LevelHeldBack);
                }
                self.raised = true;
                Reply::LevelRaise
            }
            Command::Downgrade { to } => {
                match (self.downgrade, to) {
                    (Some(_), Some(_)) => return Err(Refusal::DowngradeInProgress),
                    (None, None) => return Err(Refusal::NoDowngrade),
                    _ => self.downgrade = *to,
                }
                Reply::Downgrade
            }
            _ => unreachable!("handled by the caller"),
        };
        self.settle_version();
        Ok(reply)
    }

    fn add(
        &mut self,
        id: MemberId,
        peer_urls: &[String],
        learner: bool,
        most: usize,
    ) -> Result<(), Refusal> {
        if id.0 == 0 || self.member(id).is_some() || self.removed.contains(&id) {
            return Err(Refusal::MemberExists);
        }
        if self.somebody_else_is_at(peer_urls, id) {
            return Err(Refusal::PeerUrlExists);
        }
        let others = self.members.iter().filter(|(_, member)| member.learner).count();
        if learner && (others >= most || self.members.is_empty()) {
            return Err(Refusal::TooManyLearners);
        }
        self.peer_urls.clear();
        let peer_urls = peer_urls.to_vec();
        self.members.push((id, Member { peer_urls, learner, ..Member::default() }));
        Ok(())
    }

    fn update(&mut self, id: MemberId, peer_urls: &[String]) -> Result<(), Refusal> {
        if self.members.is_empty() {
            self.peer_urls.insert(id, peer_urls.to_vec());
            return Ok(());
        }
        self.member_mut(id)?;
        if self.somebody_else_is_at(peer_urls, id) {
            return Err(Refusal::PeerUrlExists);
        }
        self.member_mut(id)?.peer_urls = peer_urls.to_vec();
        Ok(())
    }

    fn somebody_else_is_at(&self, urls: &[String], id: MemberId) -> bool {
        let taken = |url| self.members.iter().any(|(o, m)| *o != id && m.peer_urls.contains(url));
        urls.iter().any(taken)
    }

    /// Down with a downgrade, else up when all are known and speak something newer.
    fn settle_version(&mut self) {
        let versions: Option<Vec<_>> = self.members.iter().map(|(_, m)| m.version).collect();
        let oldest = versions.and_then(|versions| versions.into_iter().min());
        match (self.downgrade, self.version) {
            (Some(to), Some(version)) if to < version => self.version = Some(to),
            (None, None) => self.version = oldest,
            (None, Some(version)) if oldest.is_some_and(|oldest| oldest > version) => {
                self.version = oldest;
            }
            _ => {}
        }
    }
}
