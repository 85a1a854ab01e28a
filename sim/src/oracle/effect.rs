//! What a request does to a known state: the events it makes and the reply it gives.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use super::history::{
    Compare, Event, EventKind, KeyRange, Kv, LeaseId, Op, Put, Range, Refusal, Relation, Reply,
    Revision, Target,
};
use super::show;
use super::timeline::Timeline;

/// What a request comes to.
#[derive(Debug, Default)]
pub(super) struct Effect {
    /// The changes, in order; none if it changes nothing.
    pub(super) events: Vec<Event>,
    /// One reply for each operation.
    pub(super) replies: Vec<Reply>,
}

/// Carries out a request on the state at `base`.
pub(super) fn of(op: &Op, timeline: &Timeline, base: Revision) -> Result<Effect, Refusal> {
    let mut run = Run { timeline, base, changed: BTreeMap::new(), effect: Effect::default() };
    let reply = run.op(op)?;
    run.effect.replies.push(reply);
    Ok(run.effect)
}

/// The deletion of all keys attached to a lease in the state at `base`, in the order of the keys.
pub(super) fn of_lease_end(id: LeaseId, timeline: &Timeline, base: Revision) -> Vec<Event> {
    let everything = KeyRange { key: Vec::new(), end: b"\0".to_vec() };
    let keys = timeline.range(&everything, base);
    let attached = keys.into_iter().filter(|kv| kv.lease == id);
    attached.map(|kv| deletion(&kv.key, Revision(base.0 + 1))).collect()
}

/// Whether a request may change keys.
pub(super) fn may_write(op: &Op) -> bool {
    match op {
        Op::Put(_) | Op::Delete { .. } | Op::Revoke { .. } => true,
        Op::Txn { success, failure, .. } => success.iter().chain(failure).any(may_write),
        _ => false,
    }
}

/// Whether a request that only reads may be answered from the past.
pub(super) fn is_serializable(op: &Op) -> bool {
    match op {
        Op::Range(range) => range.serializable,
        Op::Txn { success, failure, .. } => success.iter().chain(failure).all(is_serializable),
        _ => false,
    }
}

/// Whether a request may delete this key; of a revocation that is not known here.
pub(super) fn may_delete(op: &Op, key: &[u8]) -> bool {
    match op {
        Op::Delete { range, .. } => range.contains(key),
        Op::Revoke { .. } => true,
        Op::Txn { success, failure, .. } => {
            success.iter().chain(failure).any(|op| may_delete(op, key))
        }
        _ => false,
    }
}

/// Whether the answer to a request tells that nothing newer than its revision was there when it
/// began.
pub(super) fn reads_the_newest(op: &Op) -> bool {
    match op {
        Op::Put(_) | Op::Delete { .. } => true,
        Op::Range(range) => !range.serializable,
        Op::Txn { .. } => may_write(op) || !is_serializable(op),
        _ => false,
    }
}

/// Whether a request changed keys, by its reply.
pub(super) fn changed(op: &Op, reply: &Reply) -> bool {
    match (op, reply) {
        (Op::Put(_), _) => true,
        (Op::Delete { .. }, Reply::Delete { deleted, .. }) => *deleted > 0,
        (Op::Txn { success, failure, .. }, Reply::Txn { succeeded, replies }) => {
            let branch = if *succeeded { success } else { failure };
            branch.iter().zip(replies).any(|(op, reply)| changed(op, reply))
        }
        _ => false,
    }
}

/// The values that a request may write.
pub(super) fn values<'a>(op: &'a Op, found: &mut Vec<&'a [u8]>) {
    match op {
        Op::Put(put) => found.push(&put.value),
        Op::Txn { success, failure, .. } => {
            success.iter().chain(failure).for_each(|op| values(op, found));
        }
        _ => {}
    }
}

/// Whether two lists of events say the same, whatever they show of before.
pub(super) fn alike(left: &[Event], right: &[Event]) -> bool {
    let same = |(left, right): (&Event, &Event)| left.kind == right.kind && left.kv == right.kv;
    left.len() == right.len() && left.iter().zip(right).all(same)
}

/// What a reply says that it should not, if anything.
pub(super) fn difference(expected: &Reply, got: &Reply) -> Option<String> {
    (expected != got).then(|| match (expected, got) {
        (
            Reply::Txn { succeeded, replies },
            Reply::Txn { succeeded: got_succeeded, replies: got_replies },
        ) if succeeded == got_succeeded && replies.len() == got_replies.len() => {
            let pairs = replies.iter().zip(got_replies).enumerate();
            let told = pairs.filter_map(|(place, (expected, got))| {
                difference(expected, got).map(|text| format!("operation {place}: {text}"))
            });
            told.collect::<Vec<_>>().join("; ")
        }
        (
            Reply::Range { kvs, count, more },
            Reply::Range { kvs: got_kvs, count: got_count, more: got_more },
        ) => page_difference((kvs, *count, *more), (got_kvs, *got_count, *got_more)),
        _ => format!("expected {expected}, got {got}"),
    })
}

type Page<'a> = (&'a [Kv], i64, bool);

fn page_difference(expected: Page<'_>, got: Page<'_>) -> String {
    let mut told = Vec::new();
    if expected.1 != got.1 {
        told.push(format!("count must be {}, is {}", expected.1, got.1));
    }
    if expected.2 != got.2 {
        told.push(format!("more must be {}, is {}", expected.2, got.2));
    }
    let missing = expected.0.iter().filter(|kv| !got.0.contains(kv)).take(3);
    told.extend(missing.map(|kv| format!("({kv}) is missing")));
    let surplus = got.0.iter().filter(|kv| !expected.0.contains(kv)).take(3);
    told.extend(surplus.map(|kv| format!("({kv}) is not so")));
    if told.is_empty() {
        told.push(format!("the order must be {}", show::list(expected.0)));
    }
    told.join("; ")
}

struct Run<'a> {
    timeline: &'a Timeline,
    base: Revision,
    /// What this request has written so far; `None` is deleted.
    changed: BTreeMap<Vec<u8>, Option<Kv>>,
    effect: Effect,
}

impl Run<'_> {
    fn op(&mut self, op: &Op) -> Result<Reply, Refusal> {
        match op {
            Op::Put(put) => Ok(self.put(put)),
            Op::Delete { range, prev_kv } => Ok(self.delete(range, *prev_kv)),
            Op::Range(range) => self.range(range),
            Op::Txn { compares, success, failure } => {
                let succeeded = compares.iter().all(|compare| self.holds(compare));
                let branch = if succeeded { success } else { failure };
                let replies = branch.iter().map(|op| self.op(op)).collect::<Result<_, _>>()?;
                Ok(Reply::Txn { succeeded, replies })
            }
            _ => Err(Refusal::Other("not an operation on keys".to_owned())),
        }
    }

    fn next(&self) -> Revision {
        Revision(self.base.0 + 1)
    }

    fn get(&self, key: &[u8]) -> Option<Kv> {
        match self.changed.get(key) {
            Some(changed) => changed.clone(),
            None => self.timeline.at(key, self.base).cloned(),
        }
    }

    fn keys(&self, range: &KeyRange) -> Vec<Kv> {
        let kept = self.timeline.range(range, self.base).into_iter();
        let kept = kept.filter(|kv| !self.changed.contains_key(&kv.key)).cloned();
        let made = self.changed.iter().filter(|(key, _)| range.contains(key));
        let mut keys: Vec<Kv> = kept.chain(made.filter_map(|(_, kv)| kv.clone())).collect();
        if !self.changed.is_empty() {
            keys.sort_by(|left, right| left.key.cmp(&right.key));
        }
        keys
    }

    fn put(&mut self, put: &Put) -> Reply {
        let revision = self.next();
        let prev = self.get(&put.key);
        let kv = Kv {
            key: put.key.clone(),
            value: put.value.clone(),
            create_revision: prev.as_ref().map_or(revision, |prev| prev.create_revision),
            mod_revision: revision,
            version: prev.as_ref().map_or(0, |prev| prev.version) + 1,
            lease: put.lease,
        };
        self.changed.insert(put.key.clone(), Some(kv.clone()));
        self.effect.events.push(Event { kind: EventKind::Put, kv, prev: None });
        Reply::Put { prev: prev.filter(|_| put.prev_kv) }
    }

    fn delete(&mut self, range: &KeyRange, prev_kv: bool) -> Reply {
        let gone = self.keys(range);
        for kv in &gone {
            self.changed.insert(kv.key.clone(), None);
            self.effect.events.push(deletion(&kv.key, self.next()));
        }
        let deleted = gone.len() as i64;
        Reply::Delete { deleted, prev: if prev_kv { gone } else { Vec::new() } }
    }

    fn range(&self, range: &Range) -> Result<Reply, Refusal> {
        if range.revision > self.base {
            return Err(Refusal::Future);
        }
        let mut kvs = match range.revision {
            Revision(0) => self.keys(&range.range),
            past => self.timeline.range(&range.range, past).into_iter().cloned().collect(),
        };
        let count = kvs.len() as i64;
        if range.count_only {
            return Ok(Reply::Range { kvs: Vec::new(), count, more: false });
        }
        let limit = usize::try_from(range.limit).ok().filter(|limit| *limit > 0);
        let more = limit.is_some_and(|limit| kvs.len() > limit);
        kvs.truncate(limit.unwrap_or(usize::MAX));
        if range.keys_only {
            kvs.iter_mut().for_each(|kv| kv.value.clear());
        }
        Ok(Reply::Range { kvs, count, more })
    }

    /// Conditions look at the state before the transaction, wherever they stand.
    fn holds(&self, compare: &Compare) -> bool {
        let none = Kv::default();
        let found = self.timeline.at(&compare.key, self.base);
        let kv = found.unwrap_or(&none);
        let order = match &compare.target {
            Target::Version(version) => kv.version.cmp(version),
            Target::Create(revision) => kv.create_revision.cmp(revision),
            Target::Mod(revision) => kv.mod_revision.cmp(revision),
            Target::Lease(lease) => kv.lease.cmp(lease),
            Target::Value(_) if found.is_none() => return false,
            Target::Value(value) => kv.value.cmp(value),
        };
        match compare.relation {
            Relation::Equal => order == Ordering::Equal,
            Relation::NotEqual => order != Ordering::Equal,
            Relation::Less => order == Ordering::Less,
            Relation::Greater => order == Ordering::Greater,
        }
    }
}

fn deletion(key: &[u8], revision: Revision) -> Event {
    let kv = Kv { key: key.to_vec(), mod_revision: revision, ..Kv::default() };
    Event { kind: EventKind::Delete, kv, prev: None }
}
