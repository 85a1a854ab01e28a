//! Mixed versions: replicas that say they can apply less, as the program before this one, are replaced by ones that do
//! not, and back, and at last forward; learners come by the command that the newest level brought.

use state::{Command, Level, MemberId};

use super::dice::Dice;
use super::members::Member;
use super::{Nanos, SECOND, Site, World};

/// The program before this one.
const HELD: Level = Level::FIRST;
/// So long after a learner was added it starts.
const LEARNER_STARTS: Nanos = 2 * SECOND;
/// Between two attempts to make voters of learners.
const PROMOTE_AGAIN: Nanos = 2 * SECOND;

/// See the module.
pub(crate) struct Levels {
    dice: Dice,
    next: Nanos,
    /// When learners are made voters again, after all trouble.
    promote_at: Nanos,
    /// Of a thousand replacements so many go forward: at the beginning, after that, at the end.
    forward: [u64; 3],
}

impl Levels {
    pub(crate) fn new(mut dice: Dice, active: bool) -> Self {
        let next = if active { dice.below(6 * SECOND) } else { Nanos::MAX };
        let forward = [dice.between(300, 1000), dice.below(500), dice.between(950, 1000)];
        Self { dice, next, promote_at: 0, forward }
    }

    /// What a replica starts with.
    pub(crate) fn draw(&mut self) -> Level {
        if self.dice.chance(600) { HELD } else { Level::NEWEST }
    }

    fn replaced_by(&mut self, now: Nanos, length: Nanos) -> Level {
        let stage = (now * 4 / length.max(1)).min(3);
        let forward = self.forward[[0, 1, 2, 2][stage as usize]];
        if self.dice.chance(forward) { Level::NEWEST } else { HELD }
    }
}

impl World {
    /// Replaces what is due to be replaced.
    pub(crate) fn replace_programs(&mut self, now: Nanos) {
        if now < self.levels.next {
            return;
        }
        self.levels.next = now + self.levels.dice.below(3 * SECOND);
        if self.levels.dice.chance(200) {
            return self.change_learners(now);
        }
        let at = self.levels.dice.below(self.members.len() as u64) as usize;
        let level = self.levels.replaced_by(now, self.plan.length.as_nanos() as Nanos);
        let member = &mut self.members[at];
        if member.is_removed() || member.spec.level == level {
            return;
        }
        member.spec.level = level;
        let site = member.site;
        self.net.0.lock().counts.level_changes += 1;
        self.say(site, format_args!("is replaced by one of level {level}"));
        if self.levels.dice.chance(700) {
            self.terminate(at);
        } else if self.members[at].is_running() {
            self.members[at].crash(false);
            self.members[at].back_at = Some(now + self.levels.dice.below(5 * SECOND));
        }
    }

    fn change_learners(&mut self, now: Nanos) {
        if self.levels.dice.chance(300) || self.members.len() >= 7 {
            return self.promote_learners();
        }
        let site = Site(self.members.len() as u8 + 1);
        let member = MemberId(100 + u64::from(site.0));
        let peer_urls = vec![super::replica::peer_url(site)];
        if !self.order(Command::LearnerAdd { member, peer_urls, most: 5 }, true) {
            return;
        }
        let folder = self.folder.path();
        let mut added = Member::new(site, &self.net, &self.depot, folder, &self.replica_habits);
        added.back_at = Some(now + LEARNER_STARTS);
        added.spec.level = self.levels.draw();
        self.members.push(added);
        self.office.replicas.lock().push(site);
        self.say(site, format_args!("joins, as a learner if that may be"));
    }

    /// Has a replica that runs order a command.
    fn order(&self, command: Command, counts: bool) -> bool {
        let mut running = self.members.iter().filter(|member| !member.is_removed());
        let found = running.find_map(|one| Some((one.site, one.life.as_ref()?, one.engine()?)));
        let Some((site, life, engine)) = found else { return false };
        let net = self.net.clone();
        life.host.spawn(async move {
            let done = engine.commit(command.clone()).await;
            let added = matches!(&done, Ok(outcome) if outcome.result.is_ok());
            let mut net = net.0.lock();
            net.counts.learners += u64::from(added && counts);
            net.trace.say(site, format_args!("{command:?} came to {done:?}"));
        });
        true
    }

    fn promote_learners(&self) {
        let mut engines = self.members.iter().filter_map(Member::engine);
        let Some(engine) = engines.next() else { return };
        let cluster = engine.status().cluster;
        let learners = cluster.members().iter().filter(|(_, member)| member.learner);
        for member in learners.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.order(Command::MemberPromote { member }, false);
        }
    }

    /// After all trouble clients are to be served by everybody, and learners refuse most calls.
    pub(crate) fn promote_all(&mut self) {
        let now = self.now();
        if self.kind == super::Kind::Mixed && now >= self.levels.promote_at {
            self.levels.promote_at = now + PROMOTE_AGAIN;
            self.promote_learners();
        }
    }

    /// A replica has ended by itself: one that a cluster which has gone up refuses is started as what it is.
    pub(crate) fn unhold(&mut self, at: usize, why: &str) {
        if why.contains("start it without --hold-level") {
            self.members[at].spec.level = Level::NEWEST;
            self.net.0.lock().counts.held_refused += 1;
        }
    }
}
