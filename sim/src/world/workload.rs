//! What clients do all the time: calls of every kind, on whichever replica, each recorded with what became
//! of it as far as the client knows.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use super::calls::{carry_out, refusal};
use super::client::Client;
use super::climate::{Habits, Mix};
use super::dice::Dice;
use super::net::Net;
use super::replica::moment;
use super::stream::Outlet;
use super::{Nanos, Site};
use crate::oracle::history::{
    Call, Compare, History, KeyRange, LeaseId, Op, Outcome, Put, Range, Relation, Reply, Revision,
    Target,
};

/// Leases that clients know of at once.
const MOST_LEASES: usize = 12;

/// What all clients share.
#[derive(Clone)]
pub(crate) struct Office {
    pub(crate) net: Net,
    pub(crate) history: Arc<Mutex<History>>,
    /// Whom clients call.
    pub(crate) replicas: Arc<Mutex<Vec<Site>>>,
    pub(crate) leases: Arc<Mutex<Vec<LeaseId>>>,
    /// The newest revision that anybody was shown.
    pub(crate) newest: Arc<Mutex<i64>>,
    /// The last revision that is known to have deleted something; 0 is none.
    pub(crate) deleted: Arc<AtomicI64>,
    /// The last revision that somebody asked to be compacted at; 0 is none.
    pub(crate) compacted: Arc<AtomicI64>,
    pub(crate) numbers: Arc<AtomicU64>,
    /// All trouble is over: everybody calls everybody.
    pub(crate) healed: Arc<AtomicBool>,
    /// Nobody begins anything more.
    pub(crate) closed: Arc<AtomicBool>,
    /// The newest revision there will be, once everything is quiet.
    pub(crate) last: Arc<AtomicI64>,
    /// Clients that are still at work.
    pub(crate) at_work: Arc<AtomicU64>,
    /// Clients that still watch.
    pub(crate) watching: Arc<AtomicU64>,
    /// Calls that were answered.
    pub(crate) answered: Arc<AtomicU64>,
    pub(crate) habits: Habits,
}

/// Of a thousand calls so many begin to hold something.
const HOLDS: u64 = 3;
/// The ids of the leases that one client keeps to itself are above this.
const PRIVATE: i64 = 1_000_000_000;

impl Office {
    pub(crate) fn now(&self) -> Nanos {
        self.net.0.lock().now
    }

    pub(crate) fn number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    /// The newest revision, once that is certain.
    pub(crate) fn last(&self) -> Option<Revision> {
        Some(self.last.load(Ordering::Relaxed)).filter(|last| *last > 0).map(Revision)
    }

    pub(crate) fn seen(&self, revision: Revision) {
        let mut newest = self.newest.lock();
        *newest = (*newest).max(revision.0);
    }

    pub(crate) fn say(&self, site: Site, what: std::fmt::Arguments<'_>) {
        self.net.0.lock().trace.say(site, what);
    }
}

/// One client, with a machine of its own.
pub(crate) struct Worker {
    pub(crate) office: Office,
    pub(crate) site: Site,
    pub(crate) dice: Dice,
    clients: BTreeMap<Site, Client>,
    /// What was last seen of each key.
    known: BTreeMap<Vec<u8>, i64>,
    values: u64,
    /// Whether it calls the same replica for as long as that answers.
    stays: bool,
    home: Option<Site>,
}

impl Worker {
    pub(crate) fn new(office: &Office, site: Site, mut dice: Dice) -> Self {
        Self {
            office: office.clone(),
            site,
            stays: dice.chance(400),
            dice,
            clients: BTreeMap::new(),
            known: BTreeMap::new(),
            values: 0,
            home: None,
        }
    }

    /// Calls until the office is closed.
    pub(crate) async fn run(mut self) {
        self.office.at_work.fetch_add(1, Ordering::Relaxed);
        while !self.office.is_closed() {
            let most = self.office.habits.pause.as_micros() as u64;
            let pause = Duration::from_micros(self.dice.below(most));
            tokio::time::sleep(pause).await;
            let replica = self.whom();
            if self.office.habits.mix.leases > 0 && self.dice.chance(HOLDS) {
                self.hold(replica).await;
                continue;
            }
            let op = self.draw();
            self.call(replica, op).await;
        }
        self.office.at_work.fetch_sub(1, Ordering::Relaxed);
    }

    /// Holds one lease after the other until the office is closed.
    pub(crate) async fn hold_on(mut self) {
        self.office.at_work.fetch_add(1, Ordering::Relaxed);
        while !self.office.is_closed() {
            let pause = Duration::from_millis(self.dice.below(200));
            tokio::time::sleep(pause).await;
            let replica = self.whom();
            self.hold(replica).await;
        }
        self.office.at_work.fetch_sub(1, Ordering::Relaxed);
    }

    /// Whom to call: anybody, or for a client that stays where it is answered, whoever answered last.
    fn whom(&mut self) -> Site {
        let replicas = self.office.replicas.lock();
        let stays = self.stays && !self.office.healed.load(Ordering::Relaxed);
        let home = self.home.filter(|home| stays && replicas.contains(home));
        let chosen = home.unwrap_or_else(|| self.dice.pick_or(&replicas, Site(1)));
        self.home = Some(chosen);
        chosen
    }

    /// Holds something on a lease that nobody else renews, and renews it in its last moment or too late.
    async fn hold(&mut self, at: Site) {
        let id = LeaseId(PRIVATE + self.office.number() as i64);
        let ttl = self.dice.between(1, 3);
        let granted = self.call(at, Op::Grant { id, ttl: ttl as i64 }).await;
        let Some(Outcome::Done { reply: Reply::Grant { ttl, .. }, .. }) = granted else { return };
        let lasts = Duration::from_secs(ttl.unsigned_abs());
        let (key, value) = (format!("kh{}", self.site).into_bytes(), self.value());
        self.call(at, Op::Put(Put { key, value, lease: id, prev_kv: false })).await;
        while !self.office.is_closed() {
            let most = *self.dice.pick(&[300, 500, 1000]);
            let before = Duration::from_millis(self.dice.below(most));
            let pause = (lasts + Duration::from_millis(200)).saturating_sub(before);
            tokio::time::sleep(pause).await;
            let renewed = loop {
                let replica = self.whom();
                let renewed = self.call(replica, Op::KeepAlive { id }).await;
                if renewed.is_some() || self.office.is_closed() {
                    break renewed;
                }
                // As etcd's client does: on with the next.
                tokio::time::sleep(Duration::from_millis(20)).await;
            };
            match renewed {
                Some(Outcome::Done { reply: Reply::KeepAlive { ttl }, .. }) if ttl > 0 => {}
                _ => return,
            }
        }
    }

    /// Carries out a call and records it.
    pub(crate) async fn call(&mut self, replica: Site, op: Op) -> Option<Outcome> {
        let outlet = Outlet { net: self.office.net.clone(), site: self.site };
        let client = self.clients.entry(replica).or_insert_with(|| Client::new(&outlet, replica));
        let id = self.office.number();
        let begin = moment(self.office.now());
        self.office.say(self.site, format_args!("#{id} asks {replica} {op:?}"));
        let answered = carry_out(client, &op, self.office.habits.patience).await;
        let end = Some(moment(self.office.now()));
        let outcome = match answered {
            Ok(outcome) => Some(outcome),
            Err(status) => {
                let refused = refusal(&status);
                let (code, text) = (status.code(), status.message());
                self.office.say(self.site, format_args!("#{id} failed: {code:?} {text}"));
                refused.map(Outcome::Refused)
            }
        };
        if outcome.is_none() {
            self.home = None;
        }
        if let Some(outcome) = &outcome {
            self.office.answered.fetch_add(1, Ordering::Relaxed);
            self.office.say(self.site, format_args!("#{id} came to {outcome:?}"));
            self.learn(outcome);
        }
        let (client, endpoint) = (u32::from(self.site.0), u32::from(replica.0));
        let call = Call { client, id, begin, end, endpoint, op, outcome: outcome.clone() };
        self.office.history.lock().calls.push(call);
        outcome
    }

    fn learn(&mut self, outcome: &Outcome) {
        let Outcome::Done { revision, reply } = outcome else { return };
        self.office.seen(*revision);
        match reply {
            Reply::Delete { deleted: 1.., .. } => {
                self.office.deleted.store(revision.0, Ordering::Relaxed);
            }
            Reply::Range { kvs, .. } => {
                for kv in kvs {
                    self.known.insert(kv.key.clone(), kv.mod_revision.0);
                }
            }
            Reply::Grant { id, .. } if !(PRIVATE..2 * PRIVATE).contains(&id.0) => {
                let mut leases = self.office.leases.lock();
                leases.push(*id);
                if leases.len() > MOST_LEASES {
                    leases.remove(0);
                }
            }
            _ => {}
        }
    }

    fn key(&mut self) -> Vec<u8> {
        format!("k{:02}", self.dice.below(self.office.habits.keys)).into_bytes()
    }

    fn range(&mut self) -> KeyRange {
        match self.dice.below(4) {
            0 => KeyRange { key: b"k".to_vec(), end: b"l".to_vec() },
            1 => {
                let (one, other) = (self.key(), self.key());
                let (key, end) = if one <= other { (one, other) } else { (other, one) };
                if key == end { KeyRange { key, end: Vec::new() } } else { KeyRange { key, end } }
            }
            _ => KeyRange { key: self.key(), end: Vec::new() },
        }
    }

    /// No other is like it.
    fn value(&mut self) -> Vec<u8> {
        self.values += 1;
        let mut value = format!("{}-{}", self.site, self.values).into_bytes();
        let padding = self.dice.below(self.office.habits.padding + 1) as usize;
        value.resize(value.len() + padding, b'.');
        value
    }

    fn put(&mut self) -> Put {
        let value = self.value();
        let lease = self.lease().filter(|_| self.dice.chance(150)).unwrap_or_default();
        Put { key: self.key(), value, lease, prev_kv: self.dice.chance(300) }
    }

    fn lease(&mut self) -> Option<LeaseId> {
        let leases = self.office.leases.lock();
        (!leases.is_empty()).then(|| *self.dice.pick(&leases))
    }

    fn read(&mut self) -> Range {
        let newest = *self.office.newest.lock();
        let past = self.dice.chance(150) && newest > 2;
        let revision =
            if past { newest - self.dice.below(20.min(newest as u64 - 1)) as i64 } else { 0 };
        Range {
            range: self.range(),
            revision: Revision(revision),
            limit: if self.dice.chance(200) { self.dice.between(1, 3) as i64 } else { 0 },
            count_only: self.dice.chance(50),
            keys_only: self.dice.chance(50),
            serializable: self.dice.chance(250),
        }
    }

    /// As a lock or a counter would: only if nobody was there before.
    fn compare_and_swap(&mut self) -> Op {
        let mut put = self.put();
        let known = self.known.get(&put.key).copied().unwrap_or(0);
        let compare = |target| Compare { key: put.key.clone(), relation: Relation::Equal, target };
        let compares = match self.dice.below(3) {
            0 => vec![compare(Target::Version(0))],
            _ => vec![compare(Target::Mod(Revision(known)))],
        };
        put.prev_kv = false;
        let range = KeyRange { key: put.key.clone(), end: Vec::new() };
        let read = Range { range: range.clone(), ..Range::default() };
        let mut success = vec![Op::Put(put)];
        if self.dice.chance(200) {
            let mut other = self.put();
            if success.iter().all(|op| !matches!(op, Op::Put(put) if put.key == other.key)) {
                other.prev_kv = false;
                success.push(Op::Put(other));
            }
        }
        if self.dice.chance(100) {
            success = vec![Op::Delete { range, prev_kv: false }];
        }
        Op::Txn { compares, success, failure: vec![Op::Range(read)] }
    }

    fn draw(&mut self) -> Op {
        let Mix { puts, deletes, swaps, compactions, leases, reads } = self.office.habits.mix;
        let kinds = [puts, deletes, swaps, compactions, leases, reads];
        let kinds: Vec<_> = (0..6).zip(kinds).collect();
        match self.dice.weighted(&kinds) {
            0 => Op::Put(self.put()),
            1 => Op::Delete { range: self.range(), prev_kv: self.dice.chance(300) },
            2 => self.compare_and_swap(),
            3 => self.compact(),
            4 => self.about_leases(),
            _ => Op::Range(self.read()),
        }
    }

    /// Somewhere in the near past, often where something was deleted: that event is to be kept.
    fn compact(&mut self) -> Op {
        let newest = (*self.office.newest.lock()).max(2) as u64;
        let back = self.dice.below(newest.min(40));
        let deleted = self.office.deleted.load(Ordering::Relaxed);
        let at_deletion = deleted > 0 && self.dice.chance(500);
        let revision = if at_deletion { deleted } else { (newest - back) as i64 };
        self.office.compacted.store(revision, Ordering::Relaxed);
        Op::Compact { revision: Revision(revision) }
    }

    fn about_leases(&mut self) -> Op {
        let Some(id) = self.lease().filter(|_| !self.dice.chance(250)) else {
            let id = if self.dice.chance(500) { 1000 + self.office.number() as i64 } else { 0 };
            return Op::Grant { id: LeaseId(id), ttl: self.dice.between(1, 12) as i64 };
        };
        match self.dice.below(10) {
            0 => Op::Revoke { id },
            1..3 => Op::TimeToLive { id },
            _ => Op::KeepAlive { id },
        }
    }
}

impl Office {
    pub(crate) fn new(net: &Net, replicas: Vec<Site>, habits: Habits) -> Self {
        Self {
            net: net.clone(),
            history: Arc::default(),
            replicas: Arc::new(Mutex::new(replicas)),
            leases: Arc::default(),
            newest: Arc::new(Mutex::new(1)),
            deleted: Arc::default(),
            compacted: Arc::default(),
            numbers: Arc::new(AtomicU64::new(1)),
            healed: Arc::default(),
            closed: Arc::default(),
            last: Arc::default(),
            at_work: Arc::default(),
            watching: Arc::default(),
            answered: Arc::default(),
            habits,
        }
    }
}
