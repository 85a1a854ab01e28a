//! The quota: when the NOSPACE alarm is taken back.
//!
//! etcd's alarm stays until somebody compacts, defragments and disarms. Here it goes as soon as there is
//! room again: the quota was raised, or keys were deleted. A delete alone frees nothing while
//! history keeps what was deleted, so under this alarm (and only then) a delete is followed by a compaction.

use state::{Alarm, AlarmAction, AlarmType, Command, MemberId, Outcome, Reply, Revision, State};

/// An alarm raised while there was more room than this was not raised for want of room.
const NEAR: u64 = 4 << 20;

/// See the module.
pub(crate) struct Quota {
    limit: Option<u64>,
    /// Whether something was deleted or compacted since the alarm came on. True at start: the quota
    /// may be another than when the alarm was raised.
    freed: bool,
    /// An alarm that a client raised by hand stays until it is taken back by hand.
    by_hand: bool,
    /// What was proposed last, so that it is not proposed again on every tick.
    proposed: Option<Command>,
}

impl Quota {
    pub(crate) fn new(limit: Option<u64>) -> Self {
        Self { limit, freed: true, by_hand: false, proposed: None }
    }

    /// Notes what the commands of a batch mean for the alarm.
    pub(crate) fn applied(&mut self, state: &State, commands: &[Command], outcomes: &[Outcome]) {
        for (command, outcome) in commands.iter().zip(outcomes) {
            if self.proposed.as_ref() == Some(command) {
                self.proposed = None;
            }
            match (command, &outcome.result) {
                (Command::Alarm { action: AlarmAction::Activate, .. }, Ok(_)) => {
                    self.freed = false;
                    let near = state.sizes().in_use.saturating_add(NEAR);
                    self.by_hand = self.limit.is_none_or(|limit| near < limit);
                }
                (Command::LeaseRevoke { .. } | Command::Compact { .. }, Ok(_))
                | (Command::DeleteRange(_), Ok(Reply::DeleteRange { deleted: 1.., .. }))
                | (Command::Txn(_), Ok(Reply::Txn(_))) => self.freed = true,
                _ => {}
            }
        }
    }

    /// The command to propose now, if any.
    pub(crate) fn relief(&mut self, state: &State) -> Option<Command> {
        let member = self.alarmed(state)?;
        if self.proposed.is_some() || !self.freed || self.by_hand {
            return None;
        }
        let fits = |bytes: u64| self.limit.is_none_or(|limit| bytes < limit);
        let command = if fits(state.sizes().in_use) {
            tracing::info!(in_use = state.sizes().in_use, "there is room again, NOSPACE ends");
            let action = AlarmAction::Deactivate;
            Command::Alarm { action, member, alarm: AlarmType::NoSpace }
        } else if fits(state.sizes().live) && state.compact_revision() < state.revision() {
            let revision: Revision = state.revision();
            tracing::info!(%revision, "compacting, since keys were deleted to make room");
            Command::Compact { revision }
        } else {
            return None;
        };
        self.proposed = Some(command.clone());
        Some(command)
    }

    fn alarmed(&self, state: &State) -> Option<MemberId> {
        state
            .alarms()
            .find(|Alarm { alarm, .. }| *alarm == AlarmType::NoSpace)
            .map(|alarm| alarm.member)
    }
}
