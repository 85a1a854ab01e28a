//! A world: replicas, clients, a network and a journal on one thread, moved on a millisecond at a time. All
//! chance comes from the seed, all time from the world: the same seed is the same run, to the byte.

mod breakdown;
mod calls;
mod client;
mod climate;
mod counts;
pub mod dice;
mod disk;
mod ending;
mod entropy;
mod errands;
mod hand;
mod host;
mod journal;
mod levels;
mod listen;
mod members;
mod nemesis;
mod net;
mod replica;
mod shelf;
mod single;
mod stream;
mod trace;
mod truth;
mod watcher;
mod workload;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tempfile::TempDir;

use climate::Climate;
pub use counts::Counts;
use dice::Dice;
use host::Host;
use journal::Depot;
use levels::Levels;
use members::Member;
use nemesis::Nemesis;
use net::{Event, Net, Ways};
use single::Single;
use trace::Trace;
use watcher::Watcher;
use workload::{Office, Worker};

use crate::oracle::history::{Positions, Time};

/// Nanoseconds since a world began.
pub(crate) type Nanos = u64;
pub(crate) const MILLISECOND: Nanos = 1_000_000;
pub(crate) const SECOND: Nanos = 1_000 * MILLISECOND;
/// What a world moves on by.
const TICK: Nanos = MILLISECOND;
/// How often replicas are looked at from outside.
const SAMPLE: Nanos = 100 * MILLISECOND;

/// The journal's engine.
pub(crate) const JOURNAL: Site = Site(0);
/// All clients, where it does not matter which.
const CLIENTS: Site = Site(10);

/// A machine of a world: the journal's is 0, replicas are 1 to 9, clients from 11 on.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Site(pub(crate) u8);

impl Site {
    fn named(name: &str) -> Option<Self> {
        name.strip_prefix('r')?.parse().ok().map(Self)
    }
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self.0 {
            0 => "journal".to_owned(),
            n @ 1..=9 => format!("r{n}"),
            10 => "clients".to_owned(),
            n => format!("c{}", n - 10),
        };
        f.pad(&text)
    }
}

impl fmt::Debug for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What is to be run.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// All chance comes from it.
    pub seed: u64,
    /// How long clients and faults go on, in the world's time.
    pub length: Duration,
    /// Whether to keep the trace's lines.
    pub readable: bool,
    /// Whether anything goes wrong at all.
    pub faults: bool,
    /// Which kind of world it is to be; drawn from the seed, if nobody asks for one.
    pub kind: Option<Kind>,
}

/// The kinds of worlds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Replicas of one version that share a journal.
    Replicas,
    /// Replicas that are replaced by ones of another level, forth and back.
    Mixed,
    /// One server with the journal in its own files, on a disk that keeps its word.
    Disk,
    /// The same on a disk that lies about syncs.
    Lies,
}

impl Kind {
    fn of(plan: &Plan) -> Self {
        let drawn = match Dice::new(plan.seed, 4).below(20) {
            0..4 => Self::Disk,
            4 => Self::Lies,
            5..10 => Self::Mixed,
            _ => Self::Replicas,
        };
        plan.kind.unwrap_or(drawn)
    }

    const fn is_single(self) -> bool {
        matches!(self, Self::Disk | Self::Lies)
    }
}

impl Plan {
    /// A minute of everything.
    #[must_use]
    pub fn of(seed: u64) -> Self {
        Self { seed, length: Duration::from_secs(60), readable: false, faults: true, kind: None }
    }
}

/// What became of a seed.
#[derive(Clone, Debug)]
pub struct Report {
    /// Which.
    pub seed: u64,
    /// What all that happened comes to, and how many events that is.
    pub digest: (u64, u64),
    /// What was done to the world.
    pub counts: Counts,
    /// What was wrong.
    pub findings: Vec<String>,
    /// How much time went by in the world.
    pub simulated: Duration,
    /// Calls of clients, and those that were answered.
    pub calls: (u64, u64),
    /// Events that watches were told.
    pub watched: u64,
    /// The readable trace, if it was asked for.
    pub trace: Vec<String>,
}

/// Runs a seed on a thread of its own, so that nothing is left of the one before.
///
/// # Panics
/// If no thread is to be had.
#[must_use]
pub fn run(plan: Plan) -> Report {
    listen::once();
    let thread = std::thread::Builder::new().name(format!("seed {}", plan.seed));
    let running = thread.spawn(move || {
        entropy::enter(plan.seed);
        let trace = Trace::new(plan.readable);
        let report = listen::to(&trace, || World::new(plan, trace.clone()).run());
        entropy::on_sync(None);
        entropy::leave();
        report
    });
    let ended = running.expect("a thread").join();
    ended.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map_or("?", String::as_str);
        let text = panic.downcast_ref::<&str>().copied().unwrap_or(text);
        Report {
            seed: plan.seed,
            digest: (0, 0),
            counts: Counts::default(),
            findings: vec![format!("the world broke: {text}")],
            simulated: Duration::ZERO,
            calls: (0, 0),
            watched: 0,
            trace: Vec::new(),
        }
    })
}

/// See the module.
struct World {
    plan: Plan,
    net: Net,
    depot: Arc<Mutex<Depot>>,
    /// Decides in which order those run that can.
    dice: Dice,
    members: Vec<Member>,
    clients: Host,
    office: Office,
    nemesis: Nemesis,
    findings: Vec<String>,
    /// Holds the directories of all replicas.
    folder: TempDir,
    replica_habits: replica::Habits,
    kind: Kind,
    /// Clients that do nothing but hold leases.
    holders: u8,
    levels: Levels,
}

impl World {
    fn new(plan: Plan, trace: Trace) -> Self {
        let mut dice = Dice::new(plan.seed, 1);
        let climate = Climate::of(&mut Dice::new(plan.seed, 4));
        let quick = dice.between(50, 1000) * 1_000;
        let ways = Ways {
            usual: (quick, quick + dice.between(100, 3000) * 1_000),
            far: climate.far,
            held_up: (dice.below(20), dice.between(5, 400) * MILLISECOND),
            cut: Default::default(),
            slow: Default::default(),
        };
        let net = Net(Arc::new(Mutex::new(net::State::new(Dice::new(plan.seed, 2), ways, trace))));
        let depot = Arc::new(Mutex::new(Depot::default()));
        let shared_memory = std::path::Path::new("/dev/shm");
        let folder = if shared_memory.is_dir() {
            tempfile::tempdir_in(shared_memory)
        } else {
            tempfile::tempdir()
        };
        let folder = folder.expect("a directory for the replicas");
        let replica_habits = replica::Habits {
            patience: Duration::from_secs(1),
            digest_every: Duration::from_millis(dice.between(500, 10_000)),
            checkpoint_after: dice.between(2, 64) << 10,
            progress_every: Duration::from_millis(dice.between(500, 5_000)),
            limits: climate.limits,
        };
        let kind = Kind::of(&plan);
        let count = *dice.pick(&[1, 2, 3, 3, 3, 3, 3, 4, 5]);
        let count = if kind.is_single() { 1 } else { count };
        let founders: Vec<Site> = (1..=count).map(Site).collect();
        let mut members: Vec<Member> = founders
            .iter()
            .map(|site| Member::new(*site, &net, &depot, folder.path(), &replica_habits))
            .collect();
        for member in &mut members {
            member.spec.founders.clone_from(&founders);
        }
        let mixed = kind == Kind::Mixed;
        let mut levels = Levels::new(Dice::new(plan.seed, 6), mixed && plan.faults);
        if mixed {
            members.iter_mut().for_each(|member| member.spec.level = levels.draw());
        }
        if kind.is_single() {
            let luck = (Dice::new(plan.seed, 5), kind == Kind::Lies);
            let spec = &mut members[0].spec;
            let single = Single::new(spec.site, &net, &depot, &spec.folder, luck);
            spec.single = Some(single);
        }
        let office = Office::new(&net, founders, climate.habits);
        let clients = Host::new(0, &mut dice);
        let nemesis = Nemesis::new(Dice::new(plan.seed, 3), climate.troubles, plan.faults);
        let findings = Vec::new();
        Self {
            plan,
            net,
            depot,
            dice,
            members,
            clients,
            office,
            nemesis,
            findings,
            folder,
            holders: climate.holders,
            replica_habits,
            kind,
            levels,
        }
    }

    fn now(&self) -> Nanos {
        self.net.0.lock().now
    }

    fn say(&self, site: Site, what: fmt::Arguments<'_>) {
        self.net.0.lock().trace.say(site, what);
    }

    /// The one server with a journal of its own, if that is what there is.
    fn single(&self) -> Option<&Single> {
        self.members[0].spec.single.as_ref()
    }

    /// Whether the server found out a lie of its disk, and there is nothing more to see.
    fn is_refused(&self) -> bool {
        self.single().is_some_and(Single::is_refused)
    }

    fn run(mut self) -> Report {
        self.net.0.lock().boot(CLIENTS);
        for member in 0..self.members.len() {
            let delay = self.dice.below(2 * SECOND);
            self.members[member].back_at = Some(delay);
        }
        self.hire();
        let until = self.plan.length.as_nanos() as Nanos;
        while self.now() < until && self.findings.is_empty() && !self.is_refused() {
            self.trouble();
            self.tick();
        }
        if self.findings.is_empty() && !self.is_refused() {
            self.end();
        }
        self.report()
    }

    /// Clients begin their work.
    fn hire(&mut self) {
        let workers = self.dice.between(2, 6) as u8;
        let watchers = self.dice.between(1, 4) as u8;
        let others = workers + watchers;
        for n in 1..=others + self.holders {
            let site = Site(CLIENTS.0 + n);
            self.net.0.lock().boot(site);
            let dice = Dice::new(self.plan.seed, 1000 + u64::from(n));
            if n <= workers {
                self.clients.spawn(Worker::new(&self.office, site, dice).run());
            } else if n > others {
                self.clients.spawn(Worker::new(&self.office, site, dice).hold_on());
            } else {
                self.clients.spawn(Watcher::new(&self.office, site, dice).run());
            }
        }
    }

    /// Everything that happens in a millisecond.
    fn tick(&mut self) {
        let now = {
            let mut net = self.net.0.lock();
            net.now += TICK;
            let now = net.now;
            net.trace.at(now);
            now
        };
        entropy::set_time(now, 0);
        self.deliver();
        let mut order: Vec<usize> = (0..=self.members.len()).collect();
        self.dice.shuffle(&mut order);
        for at in order {
            if at == self.members.len() {
                listen::at(CLIENTS);
                self.clients.step(now, 0);
            } else {
                self.step_member(at, now);
            }
        }
        listen::at(JOURNAL);
        self.findings.extend(listen::complaints());
        self.findings.extend(self.single().map(Single::findings).unwrap_or_default());
        if now.is_multiple_of(SAMPLE) {
            self.sample(now);
        }
    }

    /// Notes how far every replica is.
    fn sample(&self, now: Nanos) {
        for member in &self.members {
            let Some(engine) = member.engine() else { continue };
            let status = engine.status();
            let sample = Positions {
                member: u32::from(member.site.0),
                time: Time(now),
                applied: status.applied.0,
                durable: status.durable.0,
                tail: self.depot.lock().tail().0.saturating_sub(1),
            };
            self.office.history.lock().positions.push(sample);
        }
    }

    /// Hands out what has arrived.
    fn deliver(&mut self) {
        let mut wakers = Vec::new();
        {
            let mut net = self.net.0.lock();
            while let Some(event) = net.due() {
                match event {
                    Event::Packet(packet) => net.arrive(packet, &mut wakers),
                    Event::Journal(errand) => self.depot.lock().arrive(errand, &mut net),
                }
            }
        }
        wakers.into_iter().for_each(std::task::Waker::wake);
    }

    fn report(self) -> Report {
        let net = self.net.0.lock();
        let history = self.office.history.lock();
        let answered = history.calls.iter().filter(|call| call.outcome.is_some()).count();
        let responses = history.watches.iter().flat_map(|watch| &watch.responses);
        Report {
            seed: self.plan.seed,
            digest: net.trace.digest(),
            counts: net.counts,
            findings: self.findings.clone(),
            simulated: Duration::from_nanos(net.now),
            calls: (history.calls.len() as u64, answered as u64),
            watched: responses.map(|response| response.events.len() as u64).sum(),
            trace: net.trace.lines(),
        }
    }
}
