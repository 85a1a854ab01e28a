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

    /// Whether the alarms let a command through: CORRUPT none that touches keys or leases, NOSPACE none
    /// that needs room.
    pub(crate) fn admit(&self, command: &Command) -> Result<(), Refusal> {
        let free =
            matches!(command, Command::Alarm { .. } | Command::Claim { .. } | Command::Auth(_));
        if self.on.is_empty() || free {
            return Ok(());
        }
        if self.is_on(AlarmType::Corrupt) {
            return Err(Refusal::Corrupt);
        }
        if self.is_on(AlarmType::NoSpace) && command.cost() > 0 {
            return Err(Refusal::NoSpace);
        }
        Ok(())
    }

    pub(crate) fn is_on(&self, alarm: AlarmType) -> bool {
        self.on.iter().any(|on| on.alarm == alarm)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Alarm> + '_ {
        self.on.iter().copied()
    }
}
