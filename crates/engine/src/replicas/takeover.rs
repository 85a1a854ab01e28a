//! Who writes: taking over from a writer that is not heard of, handing over, and what a new epoch means.

use std::time::Duration;

use state::{Cluster, Command, Epoch, MemberId};
use tokio::sync::{broadcast, oneshot};

use super::duties::FETCH_WATCHFUL;
use super::follow::KEPT;
use super::replica::{Handing, Way};
use super::{Replica, Role};
use crate::fault::Fault;
use crate::vitals::Ending;
use crate::writer::Writer;

/// Whoever took the journal is left in peace for so many times the patience.
const PEACE: u32 = 10;
/// After so many times the patience there should have been another writer.
const LOST: u32 = 2;

/// A journal that has answered us so lately answers.
const ANSWERS: Duration = FETCH_WATCHFUL.saturating_add(Duration::from_millis(500));

impl Writer {
    /// Whether another writer is needed, and whether it is to be us.
    pub(super) fn consider_taking_over(&mut self, now: Duration) {
        let Some(replica) = &self.replica else { return };
        let members = self.state.cluster().members();
        let voters = members.iter().filter(|(_, member)| !member.learner);
        let Some(rank) = voters.map(|(id, _)| *id).position(|id| id == replica.me) else { return };
        let patience = replica.settings.patience;
        // One after the other, so that two do not claim at once.
        let turn = patience / 10 * u32::try_from(rank).unwrap_or(u32::MAX).min(10);
        let silent = now.saturating_sub(replica.heard) >= patience.saturating_add(turn);
        let refused = replica.broken.is_some_and(|(since, calls)| {
            calls >= 2 && now.saturating_sub(since) >= (patience / 5).saturating_add(turn)
        });
        // A member that was taken out ends, and nobody is left to call; what of it lands before a
        // claim counts.
        let gone = self.state.cluster().writer().is_none()
            && now.saturating_sub(replica.heard) >= (patience / 20).saturating_add(turn);
        if gone {
            let epoch = self.state.epoch();
            tracing::info!(%epoch, "the writer is no member any more, taking over");
            self.role = Role::Claiming;
            return;
        }
        let stuck = self.is_stuck(now, turn);
        if !silent && !refused && !stuck {
            return;
        }
        if silent {
            self.leave_silent_line(now);
        }
        let Some(replica) = &self.replica else { return };
        let alive = |moment: Duration| now.saturating_sub(moment) < 2 * patience;
        let at_work = replica.at_work.is_some_and(alive);
        let recent = |moment: Duration| now.saturating_sub(moment) < PEACE * patience;
        if at_work && replica.changed.is_some_and(recent) {
            if self.role != Role::Guest {
                tracing::warn!("the writer cannot be reached but is at work: appending beside it");
                // What was handed over stays so: in this epoch it may still take effect.
                self.role = Role::Guest;
                self.observe();
            }
            return;
        }
        let epoch = self.state.epoch();
        if stuck {
            tracing::warn!(%epoch, "the writer orders nothing that it is given, taking over");
        } else {
            tracing::warn!(%epoch, silent, "the writer is not heard of, taking over");
        }
        self.role = Role::Claiming;
    }

    /// Ends a line that says nothing: if the writer is there it learns that we do not hear it.
    fn leave_silent_line(&mut self, now: Duration) {
        let Some(replica) = &mut self.replica else { return };
        if matches!(replica.way, Way::Line { .. }) {
            replica.hang_up(now);
        }
    }

    /// Whether the writer is heard of and yet of no use: what we handed over waits, no entry comes, and the
    /// journal answers us all the time. It is cut off from the journal, and we are not.
    fn is_stuck(&self, now: Duration, turn: Duration) -> bool {
        let Some(replica) = &self.replica else { return false };
        let most = (replica.settings.patience * LOST).saturating_add(turn);
        let waits = replica.sent.values().next().is_some_and(|oldest| {
            oldest.waiter.as_ref().is_none_or(|waiter| waiter.is_late(now, most))
        });
        let readable = replica.readable.is_some_and(|(since, last)| {
            now.saturating_sub(since) > most && now.saturating_sub(last) < ANSWERS
        });
        waits && readable && now.saturating_sub(self.learnt) > most
    }

    /// Whether we know of nobody who orders what we are asked: the writer is silent, the journal shows nothing
    /// of it, and nobody has taken its place, for longer than that should take.
    pub(crate) fn has_lost_the_writer(&self) -> bool {
        let Some(replica) = self.replica.as_ref().filter(|_| self.role != Role::Writer) else {
            return false;
        };
        let heard = replica.heard.max(replica.at_work.unwrap_or_default());
        let silence = self.shared.clock.monotonic().saturating_sub(heard);
        silence > replica.settings.patience * LOST
    }

    /// Another epoch began with the entry that was just applied.
    pub(crate) fn epoch_changed(&mut self, ours: bool) {
        let epoch = self.state.epoch();
        let now = self.shared.clock.monotonic();
        let Some(replica) = &mut self.replica else {
            self.role = if ours { Role::Writer } else { Role::Claiming };
            if ours {
                self.shared.leases.restart(now);
            }
            return;
        };
        let was_writer = self.role == Role::Writer;
        replica.changed = Some(now);
        replica.heard = now;
        replica.at_work = None;
        replica.broken = None;
        replica.accepted.clear();
        // Whoever is back follows another, and does not tell us.
        replica.left.clear();
        (replica.overtaken, replica.yielding, replica.outsider) = (false, false, Some(now));
        replica.hang_up(now);
        let writer = self.state.cluster().writer();
        if let Some(Handing { to, reply: Some(reply) }) = replica.handing.take() {
            let handed = writer == Some(to);
            let failed = || Fault::Unavailable("another replica took over".to_owned());
            drop(reply.send(if handed { Ok(to) } else { Err(failed()) }));
        }
        if writer == Some(replica.me) {
            tracing::info!(%epoch, "this replica is the writer");
            self.role = Role::Writer;
            *replica.shared.told.lock() = Some(broadcast::channel(KEPT).0);
            self.shared.leases.restart(now);
        } else {
            tracing::info!(%epoch, was_writer, "another replica is the writer");
            self.role = Role::Follower;
            *replica.shared.told.lock() = None;
            replica.followers.clear();
            let own = self.backlog.keep_waited();
            self.dropped(&own);
            self.dial(now);
        }
        // Nothing of it can take effect any more in the epoch it was handed over in.
        self.take_back_sent();
        self.ask_parked();
        self.observe();
    }

    /// A member that is taken out of the cluster ends.
    pub(crate) fn leave_if_removed(&mut self, commands: &[Command]) {
        let Some(replica) = &self.replica else { return };
        let me = replica.me;
        if commands.iter().any(|command| removes(command, me))
            && self.state.cluster().is_removed(me)
        {
            let error = "the member has been permanently removed from the cluster";
            tracing::warn!(member = %format_args!("{:x}", me.0), error, "server error");
            tracing::warn!("data-dir used by this member must be removed");
            self.stop_for(Ending::Removed, error.to_owned());
        }
    }

    pub(super) fn take_back_sent(&mut self) {
        let Some(replica) = &mut self.replica else { return };
        for sent in std::mem::take(&mut replica.sent).into_values() {
            if let Some(waiter) = sent.waiter {
                self.backlog.taken_back(sent.command, waiter);
            }
        }
    }

    pub(super) fn hand_over(
        &mut self,
        to: Option<MemberId>,
        reply: oneshot::Sender<Result<MemberId, Fault>>,
    ) {
        let refuse = |why: &str| Err(Fault::Unavailable(why.to_owned()));
        let Some(replica) = &mut self.replica else { return };
        if self.role != Role::Writer {
            drop(reply.send(refuse("this replica is not the writer")));
            return;
        }
        if to == Some(replica.me) {
            drop(reply.send(Ok(replica.me)));
            return;
        }
        match successor(replica, self.state.cluster(), to) {
            None => drop(reply.send(refuse("no such replica follows"))),
            Some(_) if replica.handing.is_some() => {
                drop(reply.send(refuse("the journal is being handed over already")));
            }
            Some(to) => replica.handing = Some(Handing { to, reply: Some(reply) }),
        }
    }

    /// Whether these commands take us out of the cluster while we are its writer. Then another becomes it
    /// first, if there is one, and they are ordered there: nobody has to find out that we are gone.
    pub(crate) fn hands_over_before(&mut self, commands: &[Command]) -> bool {
        let Some(replica) = &mut self.replica else { return false };
        let removed = commands.iter().find(|command| removes(command, replica.me));
        let Some(removed) = removed.filter(|_| self.role == Role::Writer) else { return false };
        // What will be refused moves nothing.
        if self.state.auth().may_administer(removed.who()).is_err() {
            return false;
        }
        let to = successor(replica, self.state.cluster(), None);
        replica.handing = to.map(|to| Handing { to, reply: None });
        to.is_some()
    }

    /// The claim that makes another the writer, once nothing of ours is on its way.
    pub(crate) fn handing_claim(&self) -> Option<Command> {
        let to = self.replica.as_ref()?.handing.as_ref()?.to;
        // One that was taken out meanwhile could not claim, however often that was offered.
        if !may_write(self.state.cluster(), to) {
            return None;
        }
        Some(Command::Claim { epoch: Epoch(self.state.epoch().0 + 1), member: to })
    }
}

/// Who may write instead of us: the one named, or any, of those that follow.
fn successor(replica: &Replica, cluster: &Cluster, to: Option<MemberId>) -> Option<MemberId> {
    let mut present = replica.followers.keys().copied().filter(|id| may_write(cluster, *id));
    present.find(|id| to.is_none_or(|to| *id == to))
}

fn may_write(cluster: &Cluster, id: MemberId) -> bool {
    cluster.members().get(&id).is_some_and(|member| !member.learner)
}

fn removes(command: &Command, who: MemberId) -> bool {
    matches!(command.bare(), Command::MemberRemove { member } if *member == who)
}
