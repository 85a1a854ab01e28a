//! The machine as simply as it can be written: a map of all keys for every revision there ever was.
//! Shares the types with the real one and nothing else.

mod keys;
mod members;
mod txn;

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use state::{
    Alarm, AlarmAction, AlarmType, ClusterVersion, Command, Entry, Epoch, KeyValue, LeaseId,
    Member, MemberId, Op, Outcome, Refusal, Reply, Revision, Timestamp,
};

pub(crate) type Keys = BTreeMap<Bytes, KeyValue>;

/// One change: a tombstone has no value of its own, so it is told by the flag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) sub: u32,
    pub(crate) tombstone: bool,
    pub(crate) kv: KeyValue,
}

pub(crate) struct Naive {
    /// The keys at revision 1, 2, 3, …
    pub(crate) at: Vec<Keys>,
    /// What was changed at revision 1, 2, 3, …
    pub(crate) changes: Vec<Vec<Change>>,
    pub(crate) compacted: i64,
    pub(crate) leases: BTreeMap<LeaseId, i64>,
    pub(crate) alarms: BTreeSet<Alarm>,
    pub(crate) peer_urls: BTreeMap<MemberId, Vec<String>>,
    pub(crate) downgrade: Option<ClusterVersion>,
    pub(crate) members: Vec<(MemberId, Member)>,
    /// Whether the second level, which is the newest, was gone up to.
    pub(crate) raised: bool,
    pub(crate) removed: Vec<MemberId>,
    pub(crate) writer: Option<MemberId>,
    pub(crate) version: Option<ClusterVersion>,
    pub(crate) epoch: Epoch,
    pub(crate) clock: Timestamp,
    /// What the command at hand has made of the keys.
    work: Keys,
    pending: Vec<Change>,
}

impl Default for Naive {
    fn default() -> Self {
        Self {
            at: vec![Keys::new()],
            changes: vec![Vec::new()],
            compacted: -1,
            leases: BTreeMap::new(),
            alarms: BTreeSet::new(),
            peer_urls: BTreeMap::new(),
            downgrade: None,
            members: Vec::new(),
            raised: false,
            removed: Vec::new(),
            writer: None,
            version: None,
            epoch: Epoch(0),
            clock: Timestamp(0),
            work: Keys::new(),
            pending: Vec::new(),
        }
    }
}

impl Naive {
    pub(crate) fn revision(&self) -> i64 {
        self.at.len() as i64
    }

    /// The keys as they were at a revision from 1 on.
    pub(crate) fn keys(&self, revision: i64) -> &Keys {
        &self.at[usize::try_from(revision - 1).expect("a revision from 1 on")]
    }

    pub(crate) fn newest(&self) -> &Keys {
        self.keys(self.revision())
    }

    pub(crate) fn apply(&mut self, entry: &Entry) -> Vec<Outcome> {
        if entry.epoch != self.epoch {
            let revision = Revision(self.revision());
            let void = |_| Outcome { revision, result: Ok(Reply::Void) };
            return entry.commands.iter().map(void).collect();
        }
        self.clock = self.clock.max(entry.clock);
        entry.commands.iter().map(|command| self.command(command)).collect()
    }

    fn command(&mut self, command: &Command) -> Outcome {
        self.work = self.newest().clone();
        let result = self.execute(command);
        if !self.pending.is_empty() {
            self.at.push(std::mem::take(&mut self.work));
            self.changes.push(std::mem::take(&mut self.pending));
        }
        Outcome { revision: Revision(self.revision()), result }
    }

    fn execute(&mut self, command: &Command) -> Result<Reply, Refusal> {
        let on = |kind| self.alarms.iter().any(|alarm| alarm.alarm == kind);
        let exempt = !touches_keys_or_leases(command);
        if on(AlarmType::Corrupt) && !exempt {
            return Err(Refusal::Corrupt);
        }
        if on(AlarmType::NoSpace) && takes_room(command) {
            return Err(Refusal::NoSpace);
        }
        match command {
            Command::Put(put) => {
                self.check_put(put)?;
                Ok(Reply::Put { prev_kv: self.put(put) })
            }
            Command::DeleteRange(delete) => {
                let prev_kvs = self.delete(delete);
                let deleted = prev_kvs.len() as i64;
                let prev_kvs = if delete.prev_kv { prev_kvs } else { Vec::new() };
                Ok(Reply::DeleteRange { deleted, prev_kvs })
            }
            Command::Txn(txn) => self.txn(txn).map(Reply::Txn),
            Command::LeaseRenew { ids } => {
                let granted = ids.iter().map(|id| self.leases.get(id).copied().unwrap_or(0));
                Ok(Reply::LeaseRenew(granted.collect()))
            }
            Command::DigestDue | Command::DigestIs { .. } => Ok(Reply::Digest),
            _ => self.administer(command),
        }
    }

    fn administer(&mut self, command: &Command) -> Result<Reply, Refusal> {
        match *command {
            Command::Compact { revision: Revision(revision) } => {
                if revision <= self.compacted {
                    return Err(Refusal::Compacted);
                }
                if revision > self.revision() {
                    return Err(Refusal::FutureRevision);
                }
                self.compacted = revision;
                Ok(Reply::Compact)
            }
            Command::LeaseGrant { id, ttl } => match self.leases.get(&id) {
                _ if id == LeaseId(0) => Err(Refusal::LeaseNotFound),
                _ if ttl > 9_000_000_000 => Err(Refusal::LeaseTtlTooLarge),
                Some(_) => Err(Refusal::LeaseExists),
                None => {
                    self.leases.insert(id, ttl);
                    Ok(Reply::LeaseGrant { id, ttl })
                }
            },
            Command::LeaseRevoke { id } => {
                self.leases.remove(&id).ok_or(Refusal::LeaseNotFound)?;
                self.attached(id).into_iter().for_each(|key| self.tombstone(key));
                Ok(Reply::LeaseRevoke)
            }
            Command::Alarm { action, member, alarm } => {
                let alarm = Alarm { member, alarm };
                let was_on = !self.alarms.insert(alarm);
                if action == AlarmAction::Deactivate {
                    self.alarms.remove(&alarm);
                }
                let named = was_on || action == AlarmAction::Activate;
                Ok(Reply::Alarm(if named { vec![alarm] } else { Vec::new() }))
            }
            Command::Claim { epoch, member } => {
                let granted = epoch > self.epoch && self.may_write(member);
                if granted {
                    self.epoch = epoch;
                    self.writer = Some(member).filter(|_| !self.members.is_empty());
                }
                Ok(Reply::Claim { granted })
            }
            _ => self.change_members(command),
        }
    }

    /// The keys on a lease, in order.
    pub(crate) fn attached(&self, id: LeaseId) -> Vec<Bytes> {
        let on = self.newest().values().filter(|kv| kv.lease == id);
        on.map(|kv| kv.key.clone()).collect()
    }
}

fn touches_keys_or_leases(command: &Command) -> bool {
    match command {
        Command::Put(_)
        | Command::DeleteRange(_)
        | Command::Txn(_)
        | Command::Compact { .. }
        | Command::LeaseGrant { .. }
        | Command::LeaseRevoke { .. } => true,
        Command::Alarm { .. }
        | Command::Claim { .. }
        | Command::MemberAdd { .. }
        | Command::LearnerAdd { .. }
        | Command::MemberRemove { .. }
        | Command::MemberPromote { .. }
        | Command::MemberPublish { .. }
        | Command::LevelRaise { .. }
        | Command::MemberUpdate { .. }
        | Command::LeaseRenew { .. }
        | Command::DigestDue
        | Command::DigestIs { .. }
        | Command::Downgrade { .. }
        | Command::Auth(_) => false,
        Command::As(by) => touches_keys_or_leases(&by.command),
    }
}

fn takes_room(command: &Command) -> bool {
    fn puts(ops: &[Op]) -> bool {
        ops.iter().any(|op| match op {
            Op::Put(_) => true,
            Op::Txn(txn) => puts(&txn.success) || puts(&txn.failure),
            Op::Range(_) | Op::DeleteRange(_) => false,
        })
    }
    match command {
        Command::Put(_) | Command::LeaseGrant { .. } => true,
        Command::Txn(txn) => puts(&txn.success) || puts(&txn.failure),
        _ => false,
    }
}
