//! A tiny store to check the oracle with: every state kept whole, nothing shared with the oracle's
//! own reckoning.

use std::collections::BTreeMap;

use crate::oracle::history::{
    Compare, Event, EventKind, KeyRange, Kv, LeaseId, Op, Outcome, Put, Range, Refusal, Relation,
    Reply, Revision, Target,
};

type Keys = BTreeMap<Vec<u8>, Kv>;

/// The store, and every state it ever had.
#[derive(Clone, Debug)]
pub(super) struct Store {
    /// `states[r]` is the state at revision r; 0 and 1 are empty.
    pub(super) states: Vec<Keys>,
    pub(super) events: Vec<Event>,
    pub(super) compacted: i64,
    /// Lease, seconds, when its time is up.
    pub(super) leases: BTreeMap<LeaseId, (i64, u64)>,
}

impl Store {
    pub(super) fn new() -> Self {
        let states = vec![Keys::new(), Keys::new()];
        Self { states, events: Vec::new(), compacted: 0, leases: BTreeMap::new() }
    }

    pub(super) fn revision(&self) -> i64 {
        self.states.len() as i64 - 1
    }

    pub(super) fn keys(&self) -> &Keys {
        self.states.last().unwrap()
    }

    /// Carries out a request on the newest state.
    pub(super) fn apply(&mut self, op: &Op, now: u64) -> Outcome {
        match op {
            Op::Compact { revision } => self.compact(revision.0),
            Op::Grant { .. } | Op::KeepAlive { .. } | Op::TimeToLive { .. } => self.lease(op, now),
            Op::Revoke { id } => match self.leases.remove(id) {
                None => Outcome::Refused(Refusal::LeaseNotFound),
                Some(_) => {
                    self.end(*id);
                    self.done(Reply::Revoke)
                }
            },
            _ => {
                let before = self.keys().clone();
                let mut draft = Draft {
                    store: self,
                    before: &before,
                    keys: before.clone(),
                    events: Vec::new(),
                };
                let reply = match draft.op(op) {
                    Ok(reply) => reply,
                    Err(refusal) => return Outcome::Refused(refusal),
                };
                let (keys, events) = (draft.keys, draft.events);
                if !events.is_empty() {
                    self.states.push(keys);
                    self.events.extend(events);
                }
                self.done(reply)
            }
        }
    }

    /// Answers a range from the state of a member that has not heard of more than `at`.
    pub(super) fn read_at(&self, range: &Range, at: i64) -> Outcome {
        let asked = if range.revision.0 > 0 { range.revision.0 } else { at };
        if asked > at {
            return Outcome::Refused(Refusal::Future);
        }
        if asked < self.compacted && range.revision.0 > 0 {
            return Outcome::Refused(Refusal::Compacted);
        }
        let reply = page(&self.states[asked as usize], range);
        Outcome::Done { revision: Revision(at), reply }
    }

    /// Deletes the keys of a lease.
    pub(super) fn end(&mut self, id: LeaseId) {
        let mut keys = self.keys().clone();
        let revision = Revision(self.revision() + 1);
        let gone: Vec<Vec<u8>> =
            keys.values().filter(|kv| kv.lease == id).map(|kv| kv.key.clone()).collect();
        for key in &gone {
            keys.remove(key);
            self.events.push(deletion(key, revision));
        }
        if !gone.is_empty() {
            self.states.push(keys);
        }
    }

    fn done(&self, reply: Reply) -> Outcome {
        Outcome::Done { revision: Revision(self.revision()), reply }
    }

    fn compact(&mut self, revision: i64) -> Outcome {
        if revision > self.revision() {
            return Outcome::Refused(Refusal::Future);
        }
        if revision <= self.compacted {
            return Outcome::Refused(Refusal::Compacted);
        }
        self.compacted = revision;
        self.done(Reply::Compact)
    }

    fn lease(&mut self, op: &Op, now: u64) -> Outcome {
        let until = |ttl: i64| now + ttl as u64 * 1_000_000_000;
        match op {
            Op::Grant { id, .. } if self.leases.contains_key(id) => {
                Outcome::Refused(Refusal::LeaseExists)
            }
            Op::Grant { id, ttl } => {
                let ttl = (*ttl).max(2);
                self.leases.insert(*id, (ttl, until(ttl)));
                self.done(Reply::Grant { id: *id, ttl })
            }
            Op::KeepAlive { id } => {
                let ttl = self.leases.get(id).map_or(0, |lease| lease.0);
                if ttl > 0 {
                    self.leases.insert(*id, (ttl, until(ttl)));
                }
                self.done(Reply::KeepAlive { ttl })
            }
            Op::TimeToLive { id } => self.done(match self.leases.get(id) {
                None => Reply::TimeToLive { ttl: -1, granted: 0 },
                Some((granted, until)) => {
                    let ttl = (until.saturating_sub(now) / 1_000_000_000) as i64;
                    Reply::TimeToLive { ttl, granted: *granted }
                }
            }),
            _ => unreachable!("not about leases"),
        }
    }
}

struct Draft<'a> {
    store: &'a Store,
    before: &'a Keys,
    keys: Keys,
    events: Vec<Event>,
}

impl Draft<'_> {
    fn op(&mut self, op: &Op) -> Result<Reply, Refusal> {
        match op {
            Op::Put(put) => self.put(put),
            Op::Delete { range, prev_kv } => {
                let gone: Vec<Kv> = select(&self.keys, range).cloned().collect();
                for kv in &gone {
                    self.keys.remove(&kv.key);
                    self.events.push(deletion(&kv.key, self.next()));
                }
                let deleted = gone.len() as i64;
                Ok(Reply::Delete { deleted, prev: if *prev_kv { gone } else { vec![] } })
            }
            Op::Range(range) => match range.revision.0 {
                0 => Ok(page(&self.keys, range)),
                past if past > self.store.revision() => Err(Refusal::Future),
                past if past < self.store.compacted => Err(Refusal::Compacted),
                past => Ok(page(&self.store.states[past as usize], range)),
            },
            Op::Txn { compares, success, failure } => {
                let succeeded = compares.iter().all(|compare| holds(self.before, compare));
                let branch = if succeeded { success } else { failure };
                let replies = branch.iter().map(|op| self.op(op)).collect::<Result<_, _>>()?;
                Ok(Reply::Txn { succeeded, replies })
            }
            _ => unreachable!("not about keys"),
        }
    }

    fn next(&self) -> Revision {
        Revision(self.store.revision() + 1)
    }

    fn put(&mut self, put: &Put) -> Result<Reply, Refusal> {
        if put.lease != LeaseId(0) && !self.store.leases.contains_key(&put.lease) {
            return Err(Refusal::LeaseNotFound);
        }
        let mut kv = Kv {
            key: put.key.clone(),
            value: put.value.clone(),
            create_revision: self.next(),
            mod_revision: self.next(),
            version: 1,
            lease: put.lease,
        };
        let prev = self.keys.get(&put.key).cloned();
        if let Some(prev) = &prev {
            kv.create_revision = prev.create_revision;
            kv.version = prev.version + 1;
        }
        self.keys.insert(put.key.clone(), kv.clone());
        self.events.push(Event { kind: EventKind::Put, kv, prev: None });
        Ok(Reply::Put { prev: if put.prev_kv { prev } else { None } })
    }
}

pub(super) fn deletion(key: &[u8], revision: Revision) -> Event {
    let kv = Kv { key: key.to_vec(), mod_revision: revision, ..Kv::default() };
    Event { kind: EventKind::Delete, kv, prev: None }
}

pub(super) fn inside(range: &KeyRange, key: &[u8]) -> bool {
    match range.end.as_slice() {
        b"" => key == range.key,
        b"\0" => key >= range.key.as_slice(),
        end => key >= range.key.as_slice() && key < end,
    }
}

fn select<'a>(keys: &'a Keys, range: &'a KeyRange) -> impl Iterator<Item = &'a Kv> {
    keys.values().filter(|kv| inside(range, &kv.key))
}

fn page(keys: &Keys, range: &Range) -> Reply {
    let mut kvs: Vec<Kv> = select(keys, &range.range).cloned().collect();
    let count = kvs.len() as i64;
    if range.count_only {
        return Reply::Range { kvs: vec![], count, more: false };
    }
    let mut more = false;
    if range.limit > 0 && count > range.limit {
        kvs.truncate(range.limit as usize);
        more = true;
    }
    if range.keys_only {
        for kv in &mut kvs {
            kv.value = vec![];
        }
    }
    Reply::Range { kvs, count, more }
}

fn holds(keys: &Keys, compare: &Compare) -> bool {
    fn related<T: Ord>(relation: Relation, left: &T, right: &T) -> bool {
        match relation {
            Relation::Equal => left == right,
            Relation::NotEqual => left != right,
            Relation::Less => left < right,
            Relation::Greater => left > right,
        }
    }
    let kv = keys.get(&compare.key);
    let relation = compare.relation;
    match &compare.target {
        Target::Value(value) => kv.is_some_and(|kv| related(relation, &kv.value, value)),
        Target::Version(want) => related(relation, &kv.map_or(0, |kv| kv.version), want),
        Target::Lease(want) => related(relation, &kv.map_or(LeaseId(0), |kv| kv.lease), want),
        Target::Create(want) => {
            related(relation, &kv.map_or(Revision(0), |kv| kv.create_revision), want)
        }
        Target::Mod(want) => related(relation, &kv.map_or(Revision(0), |kv| kv.mod_revision), want),
    }
}
