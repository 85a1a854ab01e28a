//! Vitals: the few numbers about the machine that others ask for all the time, kept outside it.

use std::time::Duration;

use crate::replicas::Role;
use state::{Alarm, Cluster, Epoch, MemberId, Position, Revision, State, Timestamp};

/// Why an engine ended by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It is no member of the cluster any more, and will not be one again.
    Removed,
    /// The journal begins behind what it has applied: opened anew, it begins from a shared checkpoint.
    Overtaken,
    /// Something is wrong that somebody has to look at.
    Failed,
}

/// How the engine stands.
#[derive(Clone, Debug, Default)]
pub struct Status {
    /// Who we are.
    pub member: MemberId,
    /// The writer; 0 if none is known.
    pub leader: MemberId,
    /// How often another one became known, since the start.
    pub leader_changes: u64,
    /// Why it takes no more requests, if nobody asked it to stop.
    pub ending: Option<Ending>,
    /// What we are to those we share the journal with.
    pub role: Role,
    /// The newest slot known to be durable.
    pub durable: Position,
    /// The newest entry applied.
    pub applied: Position,
    /// The current writer's epoch.
    pub epoch: Epoch,
    /// The newest revision.
    pub revision: Revision,
    /// Bytes the state has taken, history included.
    pub allocated_bytes: u64,
    /// Bytes of it that are not yet to be freed.
    pub in_use_bytes: u64,
    /// At how many bytes writes are refused; `None` is never.
    pub quota: Option<u64>,
    /// The alarms that are on.
    pub alarms: Vec<Alarm>,
    /// What the cluster was told about itself.
    pub cluster: Cluster,
    /// How many leases there are.
    pub leases: usize,
    /// Commands waiting for or on their way to the journal.
    pub pending: usize,
    /// Batches appended since the start.
    pub batches: u64,
    /// Commands appended since the start.
    pub committed: u64,
    /// Bytes appended since the start.
    pub appended_bytes: u64,
    /// Position of the newest durable checkpoint.
    pub checkpoint: Position,
    /// When it was written; none, if there is none.
    pub checkpoint_at: Option<Timestamp>,
    /// Its size.
    pub checkpoint_bytes: u64,
    /// What recovery took at start.
    pub recovery: Duration,
    /// Leases whose end was proposed because their time was up, since the start.
    pub leases_expired: u64,
    /// Revisions that compaction has still to look at.
    pub compaction_left: u64,
}

impl Status {
    /// Takes over what the machine says of itself; `lost` if nothing is heard of the writer that it names.
    pub(crate) fn observe(&mut self, state: &State, lost: bool) {
        let alone = state.cluster().members().is_empty();
        let writer = if alone { Some(self.member) } else { state.cluster().writer() };
        let leader = writer.filter(|_| !lost).unwrap_or_default();
        if std::mem::replace(&mut self.leader, leader) != leader && leader.0 != 0 {
            self.leader_changes += 1;
        }
        self.applied = state.position();
        self.epoch = state.epoch();
        self.revision = state.revision();
        let sizes = state.sizes();
        self.allocated_bytes = sizes.allocated;
        self.in_use_bytes = sizes.in_use;
        self.compaction_left = state.compaction_left();
        if !state.alarms().eq(self.alarms.iter().copied()) {
            self.alarms = state.alarms().collect();
        }
        if self.cluster != *state.cluster() {
            self.cluster = state.cluster().clone();
        }
    }
}
