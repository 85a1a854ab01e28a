//! The machine itself: entries in, outcomes out. The only place where anything changes.

use std::fmt;
use std::sync::Arc;

use crate::alarms::Alarms;
use crate::auth::{Auth, AuthChange, Identity};
use crate::cluster::Cluster;
use crate::command::{AlarmType, Command, Entry, Txn};
use crate::digest::Digest;
use crate::ids::{Epoch, LeaseId, MemberId, Position, Revision, Timestamp};
use crate::image::Image;
use crate::keyspace::Keyspace;
use crate::lease::LeaseInfo;
use crate::mvcc::{Sizes, View};
use crate::outcome::{Alarm, Outcome, Refusal, Reply};
use crate::txn::Plan;

/// All that the journal's entries add up to. Equal on every replica at the same position.
#[derive(Default)]
pub struct State {
    pub(crate) keyspace: Keyspace,
    pub(crate) alarms: Alarms,
    pub(crate) auth: Arc<Auth>,
    pub(crate) cluster: Cluster,
    pub(crate) position: Position,
    pub(crate) epoch: Epoch,
    pub(crate) clock: Timestamp,
}

impl State {
    /// What there is before the first entry.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the entry at `position`, the one after the newest taken. One outcome for each command.
    ///
    /// # Panics
    /// If an entry is skipped or repeated: this replica's journal is broken and it must not go on.
    pub fn apply(&mut self, position: Position, entry: &Entry) -> Vec<Outcome> {
        assert_eq!(position.0, self.position.0 + 1, "entries are applied one after the other");
        self.position = position;
        if entry.epoch != self.epoch {
            let void = Outcome { revision: self.revision(), result: Ok(Reply::Void) };
            return vec![void; entry.commands.len()];
        }
        self.clock = self.clock.max(entry.clock);
        entry.commands.iter().map(|command| self.command(command)).collect()
    }

    fn command(&mut self, command: &Command) -> Outcome {
        let before = self.revision();
        let result = self.admit(command).and_then(|()| self.execute(command.bare()));
        let changed = self.keyspace.mvcc.changed();
        assert!(result.is_ok() || !changed, "a refused command changes nothing");
        let revision = if changed { self.keyspace.mvcc.commit() } else { before };
        assert_eq!(revision.0, before.0 + i64::from(changed), "one revision for each change");
        assert_eq!(revision, self.revision(), "an outcome names the newest revision");
        Outcome { revision, result }
    }

    /// Whether the alarms and the rights of who asks let a command through, at this place in the order.
    fn admit(&self, command: &Command) -> Result<(), Refusal> {
        let (who, command) = (command.who(), command.bare());
        self.alarms.admit(command)?;
        self.auth.judge(who, command, &self.keyspace.leases)
    }

    fn execute(&mut self, command: &Command) -> Result<Reply, Refusal> {
        match command {
            Command::Put(put) => {
                self.keyspace.check_put(put)?;
                Ok(Reply::Put { prev_kv: self.keyspace.put(put) })
            }
            Command::DeleteRange(delete) => {
                let (deleted, prev_kvs) = self.keyspace.delete_range(delete);
                Ok(Reply::DeleteRange { deleted, prev_kvs })
            }
            Command::Txn(txn) => self.txn(txn),
            Command::Compact { revision } => {
                self.keyspace.mvcc.compact(*revision)?;
                Ok(Reply::Compact)
            }
            Command::LeaseGrant { id, ttl } => {
                self.keyspace.leases.grant(*id, *ttl)?;
                Ok(Reply::LeaseGrant { id: *id, ttl: *ttl })
            }
            Command::LeaseRevoke { id } => {
                self.keyspace.revoke(*id)?;
                Ok(Reply::LeaseRevoke)
            }
            Command::Alarm { action, member, alarm } => {
                Ok(Reply::Alarm(self.alarms.change(*action, *member, *alarm)))
            }
            Command::Claim { epoch, member } => Ok(self.claim(*epoch, *member)),
            Command::Auth(change) => self.change_auth(change),
            Command::As(_) => unreachable!("a command in a name is carried out without it"),
            Command::MemberAdd { .. }
            | Command::LearnerAdd { .. }
            | Command::MemberRemove { .. }
            | Command::MemberPromote { .. }
            | Command::MemberPublish { .. }
            | Command::MemberUpdate { .. }
            | Command::LevelRaise { .. }
            | Command::Downgrade { .. } => self.cluster.change(command),
            Command::LeaseRenew { ids } => {
                let granted = ids.iter().map(|id| self.keyspace.leases.ttl(*id).unwrap_or(0));
                Ok(Reply::LeaseRenew(granted.collect()))
            }
            // What it comes to is computed and compared outside, from an image.
            Command::DigestDue | Command::DigestIs { .. } => Ok(Reply::Digest),
        }
    }

    fn txn(&mut self, txn: &Txn) -> Result<Reply, Refusal> {
        let plan = Plan::of(&self.keyspace, txn);
        plan.check(&self.keyspace, &|id| self.keyspace.leases.exists(id))?;
        Ok(Reply::Txn(plan.run(&mut self.keyspace)))
    }

    fn change_auth(&mut self, change: &AuthChange) -> Result<Reply, Refusal> {
        // Changed in a copy, so that what a refused change has begun is seen by nobody.
        let mut changed = Auth::clone(&self.auth);
        changed.change(change)?;
        self.auth = Arc::new(changed);
        Ok(Reply::Auth)
    }

    fn claim(&mut self, epoch: Epoch, member: MemberId) -> Reply {
        let granted = epoch > self.epoch && self.cluster.may_write(member);
        if granted {
            self.cluster.claimed(member);
            self.epoch = epoch;
        }
        Reply::Claim { granted }
    }

    /// The keys as they are now, for readers. Costs nothing, holds nothing up, never changes.
    #[must_use]
    pub fn view(&self) -> View {
        self.keyspace.mvcc.view()
    }

    /// The newest revision.
    #[must_use]
    pub fn revision(&self) -> Revision {
        self.keyspace.mvcc.revision()
    }

    /// Revisions below this can no longer be read.
    #[must_use]
    pub fn compact_revision(&self) -> Revision {
        self.keyspace.mvcc.compact_revision()
    }

    /// The newest entry taken.
    #[must_use]
    pub fn position(&self) -> Position {
        self.position
    }

    /// The current writer's epoch.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The machine's time: the latest that any entry named.
    #[must_use]
    pub fn clock(&self) -> Timestamp {
        self.clock
    }

    /// Who may do what, as it is now. Never changes in the reader's hands.
    #[must_use]
    pub fn auth(&self) -> &Arc<Auth> {
        &self.auth
    }

    /// Whether who asks may renew or end a lease: that takes the right to write every key on it.
    ///
    /// # Errors
    /// [`Refusal::UserEmpty`], [`Refusal::AuthOldRevision`] or [`Refusal::PermissionDenied`].
    pub fn may_end_lease(&self, who: Option<&Identity>, id: LeaseId) -> Result<(), Refusal> {
        self.auth.may_write_keys(who, self.keyspace.leases.keys(id))
    }

    /// Whether who asks may know of all leases: that takes the right to read every key on any of
    /// them. Looks at leases above `after` until it has seen about `budget` keys, and returns the
    /// last it looked at; `None` at the end.
    ///
    /// # Errors
    /// As [`State::may_end_lease`].
    pub fn may_list_leases(
        &self,
        who: Option<&Identity>,
        after: Option<LeaseId>,
        budget: usize,
    ) -> Result<Option<LeaseId>, Refusal> {
        let mut seen = 0;
        for (id, keys) in self.keyspace.leases.attached_after(after) {
            self.auth.may_read_keys(who, keys.iter().map(|key| &**key))?;
            seen += keys.len();
            if seen >= budget {
                return Ok(Some(id));
            }
        }
        Ok(None)
    }

    /// The alarms that are on, by member.
    pub fn alarms(&self) -> impl Iterator<Item = Alarm> + '_ {
        self.alarms.iter()
    }

    /// Whether any member has this alarm on.
    #[must_use]
    pub fn is_alarmed(&self, alarm: AlarmType) -> bool {
        self.alarms.is_on(alarm)
    }

    /// What the cluster was told about itself.
    #[must_use]
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// A lease and its keys.
    #[must_use]
    pub fn lease(&self, id: LeaseId) -> Option<LeaseInfo> {
        self.keyspace.leases.info(id)
    }

    /// A lease's time to live as granted, in seconds.
    #[must_use]
    pub fn lease_ttl(&self, id: LeaseId) -> Option<i64> {
        self.keyspace.leases.ttl(id)
    }

    /// Every lease and its time to live, by id.
    pub fn leases(&self) -> impl Iterator<Item = (LeaseId, i64)> + '_ {
        self.keyspace.leases.iter()
    }

    /// How many leases there are.
    #[must_use]
    pub fn lease_count(&self) -> usize {
        self.keyspace.leases.len()
    }

    /// Carries out a part of what compactions left to do; about `budget` records. Returns whether more
    /// is left. Changes nothing that anybody could see, so replicas need not do it in step.
    pub fn maintain(&mut self, budget: usize) -> bool {
        self.keyspace.mvcc.maintain(budget)
    }

    /// Whether compactions left something to [carry out](State::maintain).
    #[must_use]
    pub fn needs_maintenance(&self) -> bool {
        self.keyspace.mvcc.needs_maintenance()
    }

    /// Revisions that compaction has still to look at.
    #[must_use]
    pub fn compaction_left(&self) -> u64 {
        self.keyspace.mvcc.compaction_left()
    }

    /// How much room the keys take.
    #[must_use]
    pub fn sizes(&self) -> Sizes {
        self.keyspace.mvcc.sizes()
    }

    /// Pins all of it as it is now, to be written out while the machine goes on.
    #[must_use]
    pub fn image(&self) -> Image {
        Image::of(self)
    }

    /// The number that replicas at the same position must agree on. Walks every key.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.image().digest()
    }
}

/// Where it stands, not what it holds.
impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State")
            .field("position", &self.position)
            .field("epoch", &self.epoch)
            .field("revision", &self.revision())
            .finish_non_exhaustive()
    }
}
