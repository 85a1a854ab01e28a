//! The quota: when the NOSPACE alarm is taken back.
//!
//! etcd's alarm stays until somebody compacts, defragments and disarms. Here it goes as soon as there is
//! room again: the quota was raised, or keys were deleted. A delete alone frees nothing while
//! history keeps what was deleted, so under this alarm (and only then) a delete is followed by a compaction.

use std::sync::atomic::{AtomicBool, Ordering};

use state::{
    Alarm, AlarmAction, AlarmType, Command, MemberId, OpReply, Outcome, Refusal, Reply, Revision,
    State, TxnReply,
};

/// See the module.
pub(crate) struct Quota {
    limit: Option<u64>,
    /// Whether there may be room again. True at start: the quota may be another than when the alarm
    /// was raised.
    look: bool,
    /// Whether keys were deleted since the alarm came on, so that compacting is worth it.
    deleted: bool,
    /// An alarm that a client raised by hand stays until it is taken back by hand.
    by_hand: bool,
    /// What was proposed last and is on its way.
    proposed: Option<Command>,
}

impl Quota {
    pub(crate) fn new(limit: Option<u64>) -> Self {
        Self { limit, look: true, deleted: false, by_hand: false, proposed: None }
    }

    /// Notes what the commands of a batch mean for the alarm. `raised_here` is set while the engine raises
    /// it itself.
    pub(crate) fn applied(
        &mut self,
        raised_here: &AtomicBool,
        commands: &[Command],
        outcomes: &[Outcome],
    ) {
        for (command, outcome) in commands.iter().map(Command::bare).zip(outcomes) {
            if self.proposed.as_ref() == Some(command) {
                self.proposed = None;
                // Refused: proposing it again at once would be refused again, unless it was only that it
                // did not say who asks, since nobody asked for that when it was proposed.
                self.look &= matches!(outcome.result, Ok(_) | Err(Refusal::UserEmpty));
            }
            match (command, &outcome.result) {
                (Command::Alarm { action: AlarmAction::Activate, alarm, .. }, Ok(_))
                    if *alarm == AlarmType::NoSpace =>
                {
                    (self.look, self.deleted) = (false, false);
                    self.by_hand = !raised_here.swap(false, Ordering::AcqRel);
                }
                (Command::Compact { .. }, Ok(_)) => self.look = true,
                (_, Ok(reply)) if deletes(reply) => (self.look, self.deleted) = (true, true),
                _ => {}
            }
        }
    }

    /// A command will not take effect.
    pub(crate) fn dropped(&mut self, command: &Command) {
        if self.proposed.as_ref() == Some(command) {
            self.proposed = None;
        }
    }

    /// The command to propose now, if any.
    pub(crate) fn relief(&mut self, state: &State) -> Option<Command> {
        if !self.look || self.by_hand || self.proposed.is_some() {
            return None;
        }
        let member = alarmed(state)?;
        let fits = |bytes: u64| self.limit.is_none_or(|limit| bytes < limit);
        let sizes = state.sizes();
        let command = if fits(sizes.in_use) {
            tracing::info!(in_use = sizes.in_use, "there is room again, NOSPACE ends");
            let action = AlarmAction::Deactivate;
            Command::Alarm { action, member, alarm: AlarmType::NoSpace }
        } else if self.deleted && fits(sizes.live) && state.compact_revision() < state.revision() {
            let revision: Revision = state.revision();
            tracing::info!(%revision, "compacting, since keys were deleted to make room");
            Command::Compact { revision }
        } else {
            // Nothing changes until something is deleted or compacted.
            self.look = false;
            return None;
        };
        self.proposed = Some(command.clone());
        Some(command)
    }
}

fn alarmed(state: &State) -> Option<MemberId> {
    state
        .alarms()
        .find(|Alarm { alarm, .. }| *alarm == AlarmType::NoSpace)
        .map(|alarm| alarm.member)
}

fn deletes(reply: &Reply) -> bool {
    match reply {
        Reply::DeleteRange { deleted, .. } => *deleted > 0,
        Reply::LeaseRevoke => true,
        Reply::Txn(txn) => txn_deletes(txn),
        _ => false,
    }
}

fn txn_deletes(txn: &TxnReply) -> bool {
    txn.responses.iter().any(|(_, reply)| match reply {
        OpReply::DeleteRange { deleted, .. } => *deleted > 0,
        OpReply::Txn(txn) => txn_deletes(txn),
        _ => false,
    })
}
