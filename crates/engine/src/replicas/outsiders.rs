//! Outsiders: a replica that reaches the journal and not the writer appends beside it, slot by slot. It needs
//! longer than the writer for each, so the writer leaves the journal alone now and then while there is one.

use std::time::Duration;

use state::MemberId;

use super::replica::Way;
use super::{Order, Role};
use crate::writer::Writer;

/// A writer leaves the journal to outsiders for one pulse in so many, for so long after it last saw a sign of
/// one; an outsider gives a sign at least so often.
const YIELD_EVERY: u32 = 10;
const YIELD_FOR: Duration = Duration::from_secs(10);
const SIGN_EVERY: Duration = Duration::from_secs(3);

/// It leaves the journal alone for as long as so many appends of its own take: an outsider reads what is there
/// and then appends, and a journal may be far away.
const APPENDS: u32 = 5;

/// How long an outsider is left the journal; never long enough to be taken for gone, however long an append took
/// in an outage.
fn room(append: Duration, patience: Duration) -> Duration {
    append.saturating_mul(APPENDS).min(patience / 4)
}

impl Writer {
    /// Whether to leave the journal to a member that cannot reach us, for one pulse. It has to win a slot
    /// against us, and that takes it longer than us.
    pub(super) fn consider_yielding(&mut self, now: Duration) {
        let role = self.role;
        let Some(replica) = &mut self.replica else { return };
        if replica.yielding && role == Role::Writer && now < replica.yields_until {
            return;
        }
        replica.pulses = replica.pulses.wrapping_add(1);
        let recent = |moment: Duration| now.saturating_sub(moment) < YIELD_FOR;
        let wanted = role == Role::Writer
            && replica.pulses.is_multiple_of(YIELD_EVERY)
            && replica.outsider.is_some_and(recent);
        replica.yielding = wanted && {
            let members = self.state.cluster().members().iter();
            let started = members.filter(|(_, member)| member.version.is_some());
            let gone = |id: &MemberId| !replica.followers.contains_key(id);
            started
                .map(|(id, _)| id)
                .any(|id| *id != replica.me && gone(id) && !replica.left.contains(id))
        };
        if replica.yielding {
            let pause = room(replica.append, replica.settings.patience);
            replica.yields_until = now.saturating_add(pause);
        }
    }

    /// A follower ends in good order: nothing of it is to come.
    pub(super) fn leaving(&mut self, member: MemberId) {
        let Some(replica) = &mut self.replica else { return };
        // With another line it is back already, and this is of the start before.
        if replica.followers.get(&member) == Some(&1) {
            replica.left.insert(member);
        }
    }

    /// Tells the writer, if there is a line to it, that we end and have nothing to append any more.
    pub(crate) fn say_goodbye(&self) {
        let way = self.replica.as_ref().map(|replica| &replica.way);
        if let (Role::Follower, Some(Way::Line { orders, .. })) = (self.role, way) {
            // Where there is no room for it, we are missed for a while.
            drop(orders.try_send(Order::Leaving));
        }
    }

    /// Whether nothing is to be offered just now.
    pub(crate) fn is_holding_back(&self) -> bool {
        self.replica.as_ref().is_some_and(|replica| match self.role {
            Role::Writer => replica.yielding,
            Role::Guest | Role::Claiming => replica.overtaken,
            Role::Follower => false,
        })
    }

    /// Another's entry took effect, in a slot that we had in mind or not.
    pub(crate) fn met_another(&mut self) {
        let now = self.shared.clock.monotonic();
        let role = self.role;
        let has_writer = self.state.cluster().writer().is_some();
        let Some(replica) = &mut self.replica else { return };
        match role {
            Role::Writer => {
                // Whoever it is, it has come back.
                replica.left.clear();
                replica.outsider = Some(now);
            }
            // Whom we hear orders after all, and is better followed than contended with: its appends are under
            // way before we have read what we lost to.
            Role::Claiming if has_writer && replica.hears(now) => {
                tracing::info!("the writer is at work: following it again");
                replica.overtaken = false;
                self.role = Role::Follower;
                self.observe();
            }
            Role::Guest | Role::Claiming => replica.overtaken = true,
            Role::Follower => {}
        }
    }

    /// Whether an outsider has been quiet for so long that the writer may forget it.
    pub(crate) fn owes_a_sign(&mut self, now: Duration) -> bool {
        let Some(replica) = &mut self.replica else { return false };
        let quiet = replica.outsider.is_none_or(|sign| now.saturating_sub(sign) >= SIGN_EVERY);
        if quiet {
            replica.outsider = Some(now);
        }
        quiet
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_does_not_make_the_writer_yield_for_long() {
        let (millis, patience) = (Duration::from_millis, Duration::from_secs(1));
        assert_eq!(room(millis(5), patience), millis(25));
        assert_eq!(room(millis(40), patience), millis(200));
        assert_eq!(room(Duration::from_secs(10), patience), millis(250));
    }
}
