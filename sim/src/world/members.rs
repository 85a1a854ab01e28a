//! The replicas of a world, as machines: up, down, paused; what is left of them when they come back.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use engine::Engine;
use parking_lot::Mutex;
use state::Level;

use super::dice::Dice;
use super::host::Host;
use super::journal::Depot;
use super::net::Net;
use super::replica::{Habits, Process, Spec};
use super::{Nanos, SECOND, Site, World, listen};

/// How long somebody takes to start what has ended by itself.
const RESTART: Nanos = 2 * SECOND;

/// One replica's machine.
pub(crate) struct Member {
    pub(crate) site: Site,
    pub(crate) spec: Spec,
    pub(crate) life: Option<Life>,
    /// When it is started again.
    pub(crate) back_at: Option<Nanos>,
    /// It stands still until then.
    pub(crate) paused_until: Option<Nanos>,
    /// Taken out of the cluster for good.
    pub(crate) removed: Arc<AtomicBool>,
}

/// What there is only while a process runs.
pub(crate) struct Life {
    pub(crate) host: Host,
    pub(crate) process: Process,
}

impl Member {
    pub(crate) fn new(
        site: Site,
        net: &Net,
        depot: &Arc<Mutex<Depot>>,
        folder: &Path,
        habits: &Habits,
    ) -> Self {
        let spec = Spec {
            site,
            net: net.clone(),
            depot: Arc::clone(depot),
            member: None,
            founders: Vec::new(),
            folder: folder.join(site.to_string()),
            habits: habits.clone(),
            skew: Arc::default(),
            level: Level::NEWEST,
            single: None,
        };
        let (life, back_at, paused_until) = (None, None, None);
        Self { site, spec, life, back_at, paused_until, removed: Arc::default() }
    }

    pub(crate) fn start(&mut self, now: Nanos, dice: &mut Dice) {
        self.spec.net.0.lock().boot(self.site);
        let host = Host::new(now, dice);
        let (process, run) = self.spec.clone().start();
        host.spawn(run);
        self.life = Some(Life { host, process });
        (self.back_at, self.paused_until) = (None, None);
    }

    /// Ends the process at whatever it was waiting for.
    pub(crate) fn crash(&mut self, with_machine: bool) {
        self.spec.net.0.lock().crash(self.site, with_machine);
        self.paused_until = None;
        if let Some(life) = self.life.take() {
            self.keep_id(&life.process);
            listen::at(self.site);
            drop(life);
        }
        if let Some(single) = &self.spec.single {
            single.crashed(with_machine);
        }
    }

    /// The id that its directory keeps from its first start on.
    fn keep_id(&mut self, process: &Process) {
        if let Some(engine) = &process.outside.lock().engine {
            self.spec.member = Some(engine.status().member.0);
        }
    }

    pub(crate) fn engine(&self) -> Option<Engine> {
        self.life.as_ref()?.process.outside.lock().engine.clone()
    }

    pub(crate) fn is_removed(&self) -> bool {
        self.removed.load(Ordering::Relaxed)
    }

    pub(crate) fn is_running(&self) -> bool {
        self.life.is_some()
    }
}

impl World {
    /// One replica's share of a millisecond.
    pub(crate) fn step_member(&mut self, at: usize, now: Nanos) {
        let member = &mut self.members[at];
        if member.back_at.is_some_and(|back| back <= now) && member.life.is_none() {
            self.net.0.lock().trace.say(member.site, format_args!("starts"));
            member.start(now, &mut self.dice);
        }
        if member.paused_until.is_some_and(|until| until > now) {
            return;
        }
        member.paused_until = None;
        let Some(life) = &mut member.life else { return };
        listen::at(member.site);
        let skew = *member.spec.skew.lock();
        life.process.errands.carry_out(now);
        let hand = life.process.outside.lock().hand.take();
        if let Some(mut hand) = hand {
            self.findings.extend(hand.step(now));
            life.process.outside.lock().hand = Some(hand);
        }
        life.host.step(now, skew);
        let ended = life.process.outside.lock().ended.take();
        let is_dead = self.net.0.lock().machine(member.site).is_dead;
        if is_dead {
            self.net.0.lock().trace.say(member.site, format_args!("crashes inside a step"));
            let single = member.spec.single.as_ref();
            let machine =
                single.is_some_and(|single| single.takes_machine.swap(false, Ordering::Relaxed));
            member.crash(machine);
            let delay = self.dice.below(10 * SECOND);
            self.members[at].back_at = Some(now + delay);
        } else if let Some(why) = ended {
            self.ended(at, &why, now);
        }
    }

    /// A process has come to its end by itself.
    fn ended(&mut self, at: usize, why: &str, now: Nanos) {
        let member = &mut self.members[at];
        self.net.0.lock().trace.say(member.site, format_args!("ends: {why}"));
        let life = member.life.as_ref();
        let hand = life.and_then(|life| life.process.outside.lock().hand.take());
        self.findings.extend(hand.map(|hand| hand.finish(now)).into_iter().flatten());
        member.crash(false);
        if why.contains("was removed from the cluster") {
            member.removed.store(true, Ordering::Relaxed);
            member.back_at = None;
            let gone = member.site;
            self.office.replicas.lock().retain(|site| *site != gone);
        } else if member.back_at.is_none() {
            member.back_at = Some(now + RESTART);
        }
        self.unhold(at, why);
    }
}
