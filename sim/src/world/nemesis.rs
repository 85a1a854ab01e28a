//! Trouble: what goes wrong, when and for how long, drawn from the seed; and its end.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use state::{Command, Outcome};

use super::dice::Dice;
use super::journal::Odds;
use super::members::Member;
use super::{JOURNAL, MILLISECOND, Nanos, SECOND, Site, World};

/// What ends a trouble that lasts.
enum Relief {
    /// These ways are open again.
    Open(Vec<(Site, Site)>),
    /// This way is as fast as before.
    Quicken(Site, Site),
    /// The journal answers again.
    JournalBack,
    /// The journal does nothing strange any more.
    JournalCalm,
    /// The wall clock is right again.
    ClockRight(usize),
}

/// What begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    Crash,
    Pause,
    Cut,
    /// Replicas are cut from one another for long, and all reach the journal.
    Divide,
    /// One is cut from the others and the journal, and clients go on calling it.
    Depose,
    Slow,
    ShakeJournal,
    JournalOutage,
    Jump,
    Terminate,
    HandOver,
    ChangeMembers,
}

impl Trouble {
    /// Each, and how often it happens in a world of all.
    pub(crate) const ALL: [(Self, u64); 12] = [
        (Self::Crash, 22),
        (Self::Pause, 16),
        (Self::Cut, 18),
        (Self::Divide, 6),
        (Self::Depose, 6),
        (Self::Slow, 6),
        (Self::ShakeJournal, 10),
        (Self::JournalOutage, 4),
        (Self::Jump, 6),
        (Self::Terminate, 5),
        (Self::HandOver, 4),
        (Self::ChangeMembers, 3),
    ];
}

/// See the module.
pub(crate) struct Nemesis {
    pub(super) dice: Dice,
    troubles: Vec<(Trouble, u64)>,
    next: Nanos,
    /// The most between two troubles; less is a worse world.
    every: Nanos,
    reliefs: Vec<(Nanos, Relief)>,
    healed: Nanos,
}

impl Nemesis {
    pub(crate) fn new(mut dice: Dice, troubles: Vec<(Trouble, u64)>, active: bool) -> Self {
        let every = *dice.pick(&[SECOND, 4 * SECOND, 4 * SECOND, 15 * SECOND]);
        let next = if active { dice.between(SECOND, 5 * SECOND) } else { Nanos::MAX };
        Self { dice, troubles, next, every, reliefs: Vec::new(), healed: 0 }
    }
}

impl World {
    /// Begins what is due, and ends what is over.
    pub(crate) fn trouble(&mut self) {
        let now = self.now();
        self.relieve(now);
        self.replace_programs(now);
        if now >= self.nemesis.next {
            let pause = self.nemesis.dice.below(self.nemesis.every);
            self.nemesis.next = now + pause;
            self.strike(now);
        }
    }

    fn relieve(&mut self, now: Nanos) {
        let over: Vec<_> = self.nemesis.reliefs.extract_if(.., |(at, _)| *at <= now).collect();
        for (_, relief) in over {
            self.carry_out(relief);
        }
    }

    fn carry_out(&mut self, relief: Relief) {
        let mut net = self.net.0.lock();
        match relief {
            Relief::Open(ways) => {
                net.trace.say(JOURNAL, format_args!("open again: {ways:?}"));
                for way in ways {
                    net.ways.cut.remove(&way);
                }
            }
            Relief::Quicken(from, to) => {
                net.ways.slow.remove(&(from, to));
            }
            Relief::JournalBack => {
                net.trace.say(JOURNAL, format_args!("answers again"));
                self.depot.lock().is_down = false;
            }
            Relief::JournalCalm => self.depot.lock().odds = Odds::default(),
            Relief::ClockRight(at) => *self.members[at].spec.skew.lock() = 0,
        }
    }

    /// Ends all trouble.
    pub(crate) fn heal(&mut self) {
        self.nemesis.next = Nanos::MAX;
        self.say(JOURNAL, format_args!("all is healed"));
        for (_, relief) in std::mem::take(&mut self.nemesis.reliefs) {
            self.carry_out(relief);
        }
        let now = self.now();
        self.nemesis.healed = now;
        self.single().into_iter().for_each(super::single::Single::heal);
        self.office.healed.store(true, Ordering::Relaxed);
        for member in &mut self.members {
            self.net.0.lock().machine(member.site).dies_after = None;
            member.paused_until = None;
            if member.life.is_none() && !member.is_removed() {
                member.back_at = Some(now);
            }
        }
    }

    /// When all trouble ended.
    pub(crate) fn healed_at(&self) -> Nanos {
        self.nemesis.healed
    }

    fn last(&mut self, from: Nanos, to: Nanos, relief: Relief) -> Nanos {
        let lasts = self.nemesis.dice.between(from, to);
        let at = self.now() + lasts;
        self.nemesis.reliefs.push((at, relief));
        lasts
    }

    fn strike(&mut self, now: Nanos) {
        if self.kind.is_single() {
            return self.strike_single(now);
        }
        let at = self.nemesis.dice.below(self.members.len() as u64) as usize;
        match self.nemesis.dice.weighted(&self.nemesis.troubles) {
            Trouble::Crash => self.crash(at, now),
            Trouble::Pause => self.pause(at, now),
            Trouble::Cut => self.cut(at),
            Trouble::Divide => self.divide(),
            Trouble::Depose => self.depose(at),
            Trouble::Slow => self.slow(at),
            Trouble::ShakeJournal => self.shake_journal(),
            Trouble::JournalOutage => self.journal_outage(),
            Trouble::Jump => self.jump(at),
            Trouble::Terminate => self.terminate(at),
            Trouble::HandOver => self.hand_over(at),
            Trouble::ChangeMembers => self.change_members(),
        }
    }

    fn crash(&mut self, at: usize, now: Nanos) {
        if !self.members[at].is_running() {
            return;
        }
        let site = self.members[at].site;
        let dice = &mut self.nemesis.dice;
        let back = now + dice.between(MILLISECOND, 8 * SECOND);
        let loses = dice.chance(120);
        let kind = dice.below(3);
        if kind == 0 {
            let effects = dice.between(1, 60);
            let mut net = self.net.0.lock();
            net.counts.crashes_inside += 1;
            net.trace.say(site, format_args!("will crash after {effects} effects"));
            net.machine(site).dies_after = Some(effects);
            return;
        }
        self.say(site, format_args!("crashes, machine: {}, loses directory: {loses}", kind == 1));
        self.members[at].crash(kind == 1);
        self.members[at].back_at = Some(back);
        let mut net = self.net.0.lock();
        *(if kind == 1 { &mut net.counts.machine_crashes } else { &mut net.counts.crashes }) += 1;
        if loses {
            net.counts.directories_lost += 1;
            drop(net);
            self.members[at].spec.member = None;
            // If there is none, it is lost as well.
            drop(std::fs::remove_dir_all(&self.members[at].spec.folder));
        }
    }

    pub(super) fn pause(&mut self, at: usize, now: Nanos) {
        let member = &self.members[at];
        if !member.is_running() || member.paused_until.is_some() {
            return;
        }
        let long = self.nemesis.dice.chance(250);
        let lasts = match long {
            true => self.nemesis.dice.between(3 * SECOND, 90 * SECOND),
            false => self.nemesis.dice.between(20 * MILLISECOND, 3 * SECOND),
        };
        self.members[at].paused_until = Some(now + lasts);
        let mut net = self.net.0.lock();
        *(if long { &mut net.counts.long_pauses } else { &mut net.counts.short_pauses }) += 1;
        let site = self.members[at].site;
        net.trace.say(site, format_args!("stands still for {} ms", lasts / MILLISECOND));
    }

    pub(super) fn cut(&mut self, at: usize) {
        let one = self.members[at].site;
        let others: Vec<Site> = self.members.iter().map(|member| member.site).collect();
        let other = *self.nemesis.dice.pick(&others);
        let clients: Vec<Site> = (11..40).map(Site).collect();
        let both = |with: &[Site]| {
            let with = with.iter().filter(|with| **with != one);
            with.flat_map(|with| [(one, *with), (*with, one)]).collect::<Vec<_>>()
        };
        let kind = self.nemesis.dice.below(5);
        let ways = match kind {
            0 => both(&[other]),
            1 => {
                let ways = both(&[other, JOURNAL]);
                vec![*self.nemesis.dice.pick(&ways)]
            }
            2 => both(&clients),
            3 => both(&[JOURNAL]),
            _ => both(&[&others[..], &clients[..], &[JOURNAL]].concat()),
        };
        if ways.is_empty() {
            return;
        }
        let lasts = self.last(50 * MILLISECOND, 20 * SECOND, Relief::Open(ways.clone()));
        let mut net = self.net.0.lock();
        let count = match kind {
            0 => &mut net.counts.cuts_between,
            1 => &mut net.counts.cuts_one_way,
            2 => &mut net.counts.cuts_clients,
            3 => &mut net.counts.cuts_journal,
            _ => &mut net.counts.isolations,
        };
        *count += 1;
        net.trace.say(one, format_args!("cut for {} ms: {ways:?}", lasts / MILLISECOND));
        net.ways.cut.extend(ways);
    }

    /// Cuts some or all pairs of replicas.
    fn divide(&mut self) {
        let sites: Vec<Site> = self.members.iter().map(|member| member.site).collect();
        let share = *self.nemesis.dice.pick(&[1000, 600]);
        let mut ways = Vec::new();
        for (nth, one) in sites.iter().enumerate() {
            for other in &sites[nth + 1..] {
                if self.nemesis.dice.chance(share) {
                    ways.extend([(*one, *other), (*other, *one)]);
                }
            }
        }
        if ways.is_empty() {
            return;
        }
        let lasts = self.last(2 * SECOND, 40 * SECOND, Relief::Open(ways.clone()));
        let mut net = self.net.0.lock();
        net.counts.divisions += 1;
        net.trace.say(JOURNAL, format_args!("divided for {} ms: {ways:?}", lasts / MILLISECOND));
        net.ways.cut.extend(ways);
    }

    fn depose(&mut self, at: usize) {
        let one = self.members[at].site;
        let others = self.members.iter().map(|member| member.site).filter(|site| *site != one);
        let others: Vec<Site> = others.chain([JOURNAL]).collect();
        let ways: Vec<_> = others.iter().flat_map(|other| [(one, *other), (*other, one)]).collect();
        let lasts = self.last(SECOND, 25 * SECOND, Relief::Open(ways.clone()));
        let mut net = self.net.0.lock();
        net.counts.depositions += 1;
        net.trace.say(one, format_args!("only clients reach it for {} ms", lasts / MILLISECOND));
        net.ways.cut.extend(ways);
    }

    fn slow(&mut self, at: usize) {
        let one = self.members[at].site;
        let mut others: Vec<Site> = self.members.iter().map(|member| member.site).collect();
        others.push(JOURNAL);
        let other = *self.nemesis.dice.pick(&others);
        let by = self.nemesis.dice.between(5 * MILLISECOND, 1500 * MILLISECOND);
        let (from, to) = if self.nemesis.dice.chance(500) { (one, other) } else { (other, one) };
        self.last(SECOND, 20 * SECOND, Relief::Quicken(from, to));
        let mut net = self.net.0.lock();
        net.counts.slow_ways += 1;
        net.trace.say(one, format_args!("way {from} to {to} slowed by {} ms", by / MILLISECOND));
        net.ways.slow.insert((from, to), by);
    }

    fn shake_journal(&mut self) {
        let dice = &mut self.nemesis.dice;
        let mut some = || if dice.chance(500) { dice.below(250) } else { 0 };
        let odds = Odds {
            lost: some(),
            unanswered: some(),
            late: some() / 2,
            doubled: some(),
            refused: some() / 4,
            other: some(),
        };
        let lasts = self.last(SECOND, 15 * SECOND, Relief::JournalCalm);
        self.say(JOURNAL, format_args!("shaken for {} ms: {odds:?}", lasts / MILLISECOND));
        self.depot.lock().odds = odds;
    }

    fn journal_outage(&mut self) {
        let lasts = self.last(200 * MILLISECOND, 20 * SECOND, Relief::JournalBack);
        self.net.0.lock().counts.journal_outages += 1;
        self.say(JOURNAL, format_args!("answers nobody for {} ms", lasts / MILLISECOND));
        self.depot.lock().is_down = true;
    }

    pub(super) fn jump(&mut self, at: usize) {
        let hour = 3_600 * SECOND as i64;
        let most = *self.nemesis.dice.pick(&[SECOND as i64, hour, 24 * 365 * hour]);
        let by = self.nemesis.dice.below(2 * most as u64) as i64 - most;
        *self.members[at].spec.skew.lock() = by;
        self.last(SECOND, 30 * SECOND, Relief::ClockRight(at));
        self.net.0.lock().counts.clock_jumps += 1;
        let site = self.members[at].site;
        self.say(site, format_args!("wall clock is off by {} ms", by / MILLISECOND as i64));
    }

    pub(super) fn terminate(&mut self, at: usize) {
        let back = self.now() + self.nemesis.dice.between(SECOND, 10 * SECOND);
        let member = &mut self.members[at];
        let Some(life) = &mut member.life else { return };
        let Some(terminate) = life.process.terminate.take() else { return };
        self.net.0.lock().counts.terminations += 1;
        self.net.0.lock().trace.say(member.site, format_args!("is asked to stop"));
        terminate.send(()).unwrap_or_default();
        member.back_at = Some(back);
    }

    /// By whoever operates it, at this replica.
    fn hand_over(&mut self, at: usize) {
        let Some(engine) = self.members[at].engine() else { return };
        let Some(life) = &self.members[at].life else { return };
        let site = self.members[at].site;
        self.net.0.lock().counts.hand_overs += 1;
        let net = self.net.clone();
        net.0.lock().trace.say(site, format_args!("is asked to hand over"));
        life.host.spawn(async move {
            let handed = engine.hand_over(None).await;
            let to = handed.map(|to| to.0).map_err(|why| why.to_string());
            net.0.lock().trace.say(site, format_args!("handed over: {to:?}"));
        });
    }

    /// Adds a member, or takes one out for good, through another one.
    fn change_members(&mut self) {
        let left: Vec<usize> =
            (0..self.members.len()).filter(|at| !self.members[*at].is_removed()).collect();
        let others_run = left.iter().filter(|at| self.members[**at].engine().is_some()).count();
        if others_run < 2 {
            return;
        }
        if self.nemesis.dice.chance(500) && self.members.len() < 7 {
            self.add_member();
        } else if left.len() > 2 {
            let at = *self.nemesis.dice.pick(&left);
            self.remove_member(at);
        }
    }

    fn add_member(&mut self) {
        let site = Site(self.members.len() as u8 + 1);
        let folder = self.folder.path();
        let mut member = Member::new(site, &self.net, &self.depot, folder, &self.replica_habits);
        member.back_at = Some(self.now());
        self.members.push(member);
        self.office.replicas.lock().push(site);
        self.net.0.lock().counts.members_added += 1;
        self.say(site, format_args!("joins"));
    }

    fn remove_member(&mut self, at: usize) {
        let site = self.members[at].site;
        let id = self.members[at].engine().map(|engine| engine.status().member);
        let Some(id) = id else { return };
        let mut others =
            self.members.iter().filter(|other| other.site != site && !other.is_removed());
        let Some((host, engine)) =
            others.find_map(|other| Some((&other.life.as_ref()?.host, other.engine()?)))
        else {
            return;
        };
        let (net, replicas) = (self.net.clone(), Arc::clone(&self.office.replicas));
        let removed = Arc::clone(&self.members[at].removed);
        net.0.lock().trace.say(site, format_args!("is to be removed"));
        host.spawn(async move {
            let command = Command::MemberRemove { member: id };
            let done = engine.commit(command).await;
            let refused = matches!(&done, Ok(Outcome { result: Err(_), .. }));
            net.0.lock().trace.say(site, format_args!("removed: {done:?}"));
            if !refused {
                // Known or not: whoever may be gone is not called any more.
                replicas.lock().retain(|other| *other != site);
                removed.store(true, Ordering::Relaxed);
            }
        });
        self.net.0.lock().counts.members_removed += 1;
    }
}
