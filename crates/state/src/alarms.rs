//! The alarms that are on, and what each of them forbids.

use std::collections::BTreeSet;

use crate::command::{AlarmAction, AlarmType, Command};
use crate::ids::MemberId;
use crate::outcome::{Alarm, Refusal};

/// All alarms.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Alarms {
    on: BTreeSet<Alarm>,
}

impl Alarms {
    /// Raises an alarm or takes it back. Returns it if it is on now, or was.
    pub(crate) fn change(
        &mut self,
        action: AlarmAction,
        member: MemberId,
        alarm: AlarmType,
    ) -> Vec<Alarm> {
        let alarm = Alarm { member, alarm };
        match action {
            AlarmAction::Activate => {
                self.on.insert(alarm);
                vec![alarm]
            }
            AlarmAction::Deactivate => self.on.take(&alarm).into_iter().collect(),
        }
    }

    /// Puts back an alarm that was on.
    pub(crate) fn raise(&mut self, alarm: Alarm) {
        self.on.insert(alarm);
    }

    pub(crate) fn admit(&self, command: &Command) -> Result<(), Refusal> {
        admit(self.on.iter(), command)
    }

    pub(crate) fn is_on(&self, alarm: AlarmType) -> bool {
        self.on.iter().any(|on| on.alarm == alarm)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Alarm> + '_ {
        self.on.iter().copied()
    }
}

/// Whether alarms that are on let a command through: CORRUPT none that touches keys or leases, NOSPACE
/// none that needs room.
///
/// # Errors
/// [`Refusal::Corrupt`] or [`Refusal::NoSpace`].
pub fn admit<'a>(
    on: impl Iterator<Item = &'a Alarm> + Clone,
    command: &Command,
) -> Result<(), Refusal> {
    let is_on = |alarm| on.clone().any(|on| on.alarm == alarm);
    if on.clone().next().is_none() || is_exempt(command) {
        return Ok(());
    }
    if is_on(AlarmType::Corrupt) {
        return Err(Refusal::Corrupt);
    }
    if is_on(AlarmType::NoSpace) && command.cost() > 0 {
        return Err(Refusal::NoSpace);
    }
    Ok(())
}

/// No alarm forbids what touches neither keys nor leases, nor that a lease lives on.
fn is_exempt(command: &Command) -> bool {
    matches!(
        command,
        Command::Alarm { .. }
            | Command::Claim { .. }
            | Command::Auth(_)
            | Command::MemberAdd { .. }
            | Command::LearnerAdd { .. }
            | Command::MemberRemove { .. }
            | Command::MemberPromote { .. }
            | Command::MemberPublish { .. }
            | Command::MemberUpdate { .. }
            | Command::LeaseRenew { .. }
            | Command::DigestDue
            | Command::DigestIs { .. }
            | Command::LevelRaise { .. }
            | Command::Downgrade { .. }
    )
}
