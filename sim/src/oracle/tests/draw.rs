//! Draws right histories: clients whose calls overlap, some never hearing the end of them, watches
//! that lag, leases that run out, compactions.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::store::{Store, inside};
use crate::oracle::history::{
    Call, Compare, DigestAt, Event, EventKind, HashAt, History, KeyRange, LeaseId, Limits, Log, Op,
    Outcome, Positions, Put, Range, Relation, Revision, Target, Time, Truth, Watch, WatchResponse,
};

/// What a history is made of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    pub(super) clients: u32,
    pub(super) keys: u32,
    pub(super) steps: u32,
    /// Whether there are leases, watches, compactions and reads from the past; otherwise only puts,
    /// deletes, ranges and transactions.
    pub(super) all: bool,
}

/// Draws a history and its truth.
pub(super) fn draw(seed: u64, shape: Shape) -> (History, Truth) {
    let mut world = World {
        random: StdRng::seed_from_u64(seed),
        shape,
        store: Store::new(),
        now: 1_000_000,
        history: History {
            limits: Limits { early: 0, late: Some(3_000_000_000) },
            ..History::default()
        },
        running: (0..shape.clients).map(|_| None).collect(),
        ghosts: Vec::new(),
        lag: vec![1, 1, 1],
        open: Vec::new(),
    };
    for _ in 0..shape.steps {
        world.step();
    }
    world.finish()
}

/// A call under way: its place in the history, and whether it took effect.
struct Running {
    call: usize,
    outcome: Option<Outcome>,
}

struct World {
    random: StdRng,
    shape: Shape,
    store: Store,
    now: u64,
    history: History,
    running: Vec<Option<Running>>,
    /// Calls given up by their clients that may still take effect.
    ghosts: Vec<usize>,
    /// The revision each member has heard of.
    lag: Vec<i64>,
    /// Watches that go on, by place, and the next revision each needs.
    open: Vec<(usize, i64)>,
}

impl World {
    fn chance(&mut self, percent: u32) -> bool {
        self.random.random_range(0..100) < percent
    }

    fn below(&mut self, bound: i64) -> i64 {
        self.random.random_range(0..bound.max(1))
    }

    fn step(&mut self) {
        self.now += self.random.random_range(1..20_000_000);
        self.expire();
        for member in 0..self.lag.len() {
            if self.chance(50) {
                let heard = self.lag[member];
                self.lag[member] = heard + self.below(self.store.revision() - heard + 1);
            }
        }
        if !self.ghosts.is_empty() && self.chance(20) {
            let ghost = self.below(self.ghosts.len() as i64) as usize;
            let call = self.ghosts.swap_remove(ghost);
            if self.chance(60) {
                let op = self.history.calls[call].op.clone();
                self.store.apply(&op, self.now);
            }
        }
        if self.shape.all && self.chance(30) {
            self.watch();
        }
        let client = self.below(i64::from(self.shape.clients)) as usize;
        match self.running[client].take() {
            None => self.begin(client),
            Some(Running { call, outcome: None }) => self.effect(client, call),
            Some(Running { call, outcome }) => {
                self.history.calls[call].end = Some(Time(self.now));
                // A client that does not hear what happened.
                self.history.calls[call].outcome = outcome.filter(|_| !self.chance(5));
            }
        }
    }

    fn expire(&mut self) {
        let due = self.store.leases.iter().filter(|(_, (_, until))| *until < self.now);
        let due: Vec<LeaseId> = due.map(|(id, _)| *id).collect();
        for id in due {
            if self.chance(40) {
                self.store.leases.remove(&id);
                self.store.end(id);
            }
        }
    }

    fn begin(&mut self, client: usize) {
        let op = self.op();
        let endpoint = self.below(3) as u32;
        let (id, begin) = (self.history.calls.len() as u64, Time(self.now));
        let call =
            Call { client: client as u32, id, begin, end: None, endpoint, op, outcome: None };
        self.history.calls.push(call);
        self.running[client] = Some(Running { call: id as usize, outcome: None });
    }

    fn effect(&mut self, client: usize, place: usize) {
        if self.chance(4) {
            // Given up before it took effect, if it ever will.
            self.history.calls[place].end = Some(Time(self.now));
            self.ghosts.push(place);
            return;
        }
        let call = &self.history.calls[place];
        let outcome = match &call.op {
            Op::Range(range) if range.serializable => {
                self.store.read_at(range, self.lag[call.endpoint as usize])
            }
            Op::Range(range) => self.store.read_at(range, self.store.revision()),
            op => self.store.apply(&op.clone(), self.now),
        };
        self.running[client] = Some(Running { call: place, outcome: Some(outcome) });
    }

    fn key(&mut self) -> Vec<u8> {
        format!("k{:02}", self.random.random_range(0..self.shape.keys)).into_bytes()
    }

    fn keys(&mut self) -> KeyRange {
        let key = self.key();
        match self.below(4) {
            0 => KeyRange { key: b"k".to_vec(), end: b"l".to_vec() },
            1 => KeyRange { key, end: b"\0".to_vec() },
            2 => KeyRange { key, end: self.key() },
            _ => KeyRange { key, end: vec![] },
        }
    }

    fn put(&mut self, branch: u32) -> Op {
        let value = format!("{}.{branch}", self.history.calls.len()).into_bytes();
        let some = self.shape.all && self.chance(20);
        let lease = LeaseId(if some { self.below(12) } else { 0 });
        Op::Put(Put { key: self.key(), value, lease, prev_kv: self.chance(30) })
    }

    fn range(&mut self) -> Range {
        let mut range = Range { range: self.keys(), ..Range::default() };
        range.count_only = self.chance(15);
        range.keys_only = self.chance(15);
        range.limit = if self.chance(30) { self.below(4) } else { 0 };
        if self.shape.all {
            range.serializable = self.chance(25);
            let past = self.store.revision() + 2 - self.below(30);
            range.revision = Revision(if self.chance(25) { past.max(0) } else { 0 });
        }
        range
    }

    fn txn(&mut self) -> Op {
        let key = self.key();
        let known = self.store.keys().get(&key).cloned().unwrap_or_default();
        let target = match self.below(5) {
            0 => Target::Version(known.version),
            1 => Target::Create(known.create_revision),
            2 => Target::Value(known.value),
            3 => Target::Lease(known.lease),
            _ => Target::Mod(known.mod_revision),
        };
        let relation = if self.chance(80) { Relation::Equal } else { Relation::Greater };
        let mut success = vec![self.put(1)];
        if self.chance(30) {
            success.push(Op::Range(Range { range: self.keys(), ..Range::default() }));
        }
        let range = self.keys();
        // etcd refuses a put of a key that the same transaction deletes.
        let apart = matches!(&success[0], Op::Put(put) if !inside(&range, &put.key));
        if apart && self.chance(40) {
            success.insert(0, Op::Delete { range, prev_kv: self.chance(50) });
        }
        let failure = vec![Op::Range(Range { range: self.keys(), ..Range::default() })];
        Op::Txn { compares: vec![Compare { key, relation, target }], success, failure }
    }

    fn op(&mut self) -> Op {
        let kinds = if self.shape.all { 110 } else { 80 };
        match self.below(kinds) {
            0..30 => self.put(0),
            30..40 => Op::Delete { range: self.keys(), prev_kv: self.chance(50) },
            40..60 => Op::Range(self.range()),
            60..80 => self.txn(),
            80..84 => {
                Op::Compact { revision: Revision(self.store.revision() + 1 - self.below(40)) }
            }
            84..90 => Op::Grant { id: LeaseId(self.below(12) + 1), ttl: self.below(4) },
            90..98 => Op::KeepAlive { id: LeaseId(self.below(12) + 1) },
            98..101 => Op::Revoke { id: LeaseId(self.below(12) + 1) },
            101..105 => Op::TimeToLive { id: LeaseId(self.below(12) + 1) },
            _ => Op::Range(self.range()),
        }
    }

    fn watch(&mut self) {
        if self.open.len() < 4 && self.chance(20) {
            self.open_watch(None);
        } else if !self.open.is_empty() {
            let which = self.below(self.open.len() as i64) as usize;
            if self.chance(3) {
                let (place, _) = self.open.swap_remove(which);
                self.open_watch(Some(place));
            } else {
                self.deliver(which, false);
            }
        }
    }

    /// Opens a watch, or goes on with one that broke.
    fn open_watch(&mut self, resumed: Option<usize>) {
        let current = self.store.revision();
        let mut watch = Watch { id: self.history.watches.len() as u64, ..Watch::default() };
        watch.range = self.keys();
        watch.prev_kv = self.chance(50);
        watch.no_put = self.chance(10);
        watch.no_delete = self.chance(10);
        let some = current + 3 - self.below(20);
        watch.start = Revision(if self.chance(60) { some.max(0) } else { 0 });
        if let Some(place) = resumed {
            let next = needed(&self.history.watches[place]);
            watch = Watch { responses: vec![], ..self.history.watches[place].clone() };
            (watch.start, watch.resumes) = (Revision(next), Some(watch.id));
            watch.id = self.history.watches.len() as u64;
        }
        watch.begin = Time(self.now);
        let (time, revision) = (Time(self.now + 1), Revision(current));
        watch.responses.push(WatchResponse { time, revision, created: true, ..Default::default() });
        let next = if watch.start.0 > 0 { watch.start.0 } else { current + 1 };
        self.open.push((self.history.watches.len(), next));
        self.history.watches.push(watch);
    }

    /// Delivers some of what is due, or a notice if nothing is.
    fn deliver(&mut self, which: usize, all: bool) {
        let (place, next) = self.open[which];
        let current = self.store.revision();
        let mut response = WatchResponse {
            time: Time(self.now),
            revision: Revision(current),
            ..Default::default()
        };
        if next < self.store.compacted && (all || self.chance(50)) {
            response.canceled = true;
            response.revision = Revision(0);
            response.compact_revision = Revision(self.store.compacted);
            self.history.watches[place].responses.push(response);
            self.open.swap_remove(which);
            return;
        }
        let upto = if all { current } else { next - 1 + self.below(current - next + 2) };
        response.events = self.events(place, next, upto);
        let early = self.history.watches[place].start.0 > current;
        if response.events.is_empty() && (all || upto < current || early) {
            return;
        }
        self.open[which].1 = (upto + 1).max(next);
        self.history.watches[place].responses.push(response);
    }

    fn events(&self, place: usize, from: i64, upto: i64) -> Vec<Event> {
        let watch = &self.history.watches[place];
        let wanted = |event: &&Event| {
            let revision = event.kv.mod_revision.0;
            let filtered = match event.kind {
                EventKind::Put => watch.no_put,
                EventKind::Delete => watch.no_delete,
            };
            from <= revision && revision <= upto && !filtered && inside(&watch.range, &event.kv.key)
        };
        let shown = self.store.events.iter().filter(wanted).map(|event| {
            let before = event.kv.mod_revision.0 - 1;
            let kept = watch.prev_kv && before >= self.store.compacted;
            let state = &self.store.states[before as usize];
            let prev = state.get(&event.kv.key).filter(|_| kept).cloned();
            Event { prev, ..event.clone() }
        });
        shown.collect()
    }

    fn finish(mut self) -> (History, Truth) {
        self.now += 1_000_000;
        while !self.open.is_empty() {
            let place = self.open[0].0;
            self.deliver(0, true);
            if self.open.first().is_some_and(|open| open.0 == place) {
                self.history.watches[place].settled = Some(Revision(self.store.revision()));
                self.open.remove(0);
            }
        }
        let end = self.store.revision();
        for member in 0..3 {
            let position = end as u64 * 2;
            let (time, applied) = (Time(self.now), position);
            let (durable, tail) = (position + 1, position + 2);
            self.history.positions.push(Positions { member, time, applied, durable, tail });
            self.history.digests.push(DigestAt { member, time, position, digest: 77 });
        }
        let log = |member, from, to| {
            let held = |event: &&Event| (from..=to).contains(&event.kv.mod_revision.0);
            let events = self.store.events.iter().filter(held).cloned().collect();
            Log { member, from: Revision(from), to: Revision(to), events }
        };
        let half = end / 2;
        let logs = if half > 8 {
            vec![log(0, 1, half), log(0, half + 1, end), log(1, half - 2, end), log(2, 2, half)]
        } else {
            vec![log(0, 1, end)]
        };
        let hash = |member| HashAt {
            member,
            revision: Revision(end),
            compact_revision: Revision(self.store.compacted),
            hash: 99,
        };
        let hashes = (0..3).map(hash).collect();
        (self.history, Truth { read_at: Time(self.now), logs, hashes })
    }
}

/// From where on a client goes on with a watch.
fn needed(watch: &Watch) -> i64 {
    let told = |response: &WatchResponse| match response.events.last() {
        Some(event) => event.kv.mod_revision.0 + 1,
        None => response.revision.0 + 1,
    };
    let first = if watch.start.0 > 0 { watch.start.0 } else { told(&watch.responses[0]) };
    watch.responses[1..].iter().map(told).fold(first, i64::max)
}
