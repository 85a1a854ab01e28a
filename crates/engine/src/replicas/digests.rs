//! Digests: now and then the writer has all replicas compute what their states come to at one place of the
//! journal, and says what its own came to. One that differs is damaged: it raises the CORRUPT alarm and ends.

use std::collections::BTreeMap;
use std::time::Duration;

use state::{AlarmAction, AlarmType, Command, Digest, Position};

use super::Role;
use super::mail::Mail;
use crate::writer::Writer;

/// So many places are remembered, with what was computed or said of them.
const REMEMBERED: usize = 8;

/// What a replica knows of digests.
#[derive(Debug, Default)]
pub(crate) struct Digests {
    /// Computed here.
    computed: BTreeMap<Position, Digest>,
    /// Said by the writer.
    said: BTreeMap<Position, Digest>,
    /// When the last one was asked for, as the writer, and where.
    last: Option<(Duration, Position)>,
}

impl Digests {
    /// Notes one of two that must be equal; those that are not, ours first.
    fn note(&mut self, position: Position, digest: Digest, ours: bool) -> Option<(Digest, Digest)> {
        let (mine, other) =
            if ours { (&mut self.computed, &self.said) } else { (&mut self.said, &self.computed) };
        mine.insert(position, digest);
        if mine.len() > REMEMBERED {
            mine.pop_first();
        }
        let other = *other.get(&position)?;
        let (computed, said) = if ours { (digest, other) } else { (other, digest) };
        (computed != said).then_some((computed, said))
    }
}

impl Writer {
    /// As the writer, asks for a digest if one is due.
    pub(crate) fn consider_digest(&mut self, now: Duration) {
        let position = self.state.position();
        let is_writer = self.role == Role::Writer;
        let Some(replica) = &mut self.replica else { return };
        let every = replica.settings.digest_every;
        let last = replica.digests.last.get_or_insert((now, position));
        // Nothing new is worth no digest; the last one's own two entries are nothing new.
        let news = position.0 > last.1.0 + 2;
        if is_writer && news && now.saturating_sub(last.0) >= every {
            *last = (now, position);
            self.backlog.propose(self.shared.own(Command::DigestDue));
        }
    }

    /// Looks for digests that are due or said in an entry that was applied.
    pub(crate) fn note_digests(&mut self, commands: &[Command]) {
        for command in commands {
            match command.bare() {
                Command::DigestDue => self.compute_digest(),
                Command::DigestIs { position, digest } => {
                    self.digest(*position, *digest, false);
                }
                _ => {}
            }
        }
    }

    /// Pins the state and has its digest computed.
    fn compute_digest(&self) {
        let Some(replica) = &self.replica else { return };
        let (image, mail) = (self.state.image(), replica.shared.mail.clone());
        let work = move || {
            let (position, digest) = (image.position(), image.digest());
            drop(mail.blocking_send(Mail::Digested(position, digest)));
        };
        if let Err(error) = self.shared.errands.run("digest", Box::new(work)) {
            tracing::warn!(%error, "nobody computes the digest");
        }
    }

    /// Our own digest is known.
    pub(crate) fn digested(&mut self, position: Position, digest: Digest) {
        if self.role == Role::Writer {
            self.backlog.propose(self.shared.own(Command::DigestIs { position, digest }));
        }
        self.digest(position, digest, true);
    }

    fn digest(&mut self, position: Position, digest: Digest, ours: bool) {
        let Some(replica) = &mut self.replica else { return };
        let Some((computed, said)) = replica.digests.note(position, digest, ours) else { return };
        let why = format!(
            "this replica's state differs from the writer's at slot {position}: its digest is {computed}, \
             the writer's {said}. The CORRUPT alarm is on and writes are refused everywhere. If this is the \
             only replica that differs, empty its --data-dir and start it again, it begins from a shared \
             checkpoint; then `etcdctl alarm disarm`"
        );
        tracing::error!(%why, "CORRUPT");
        let (action, alarm) = (AlarmAction::Activate, AlarmType::Corrupt);
        let command = self.shared.own(Command::Alarm { action, member: replica.me, alarm });
        let raised = self.shared.inbox.push(command, self.shared.clock.monotonic(), None);
        let mail = replica.shared.mail.clone();
        tokio::spawn(async move {
            if let Ok(raised) = raised {
                drop(raised.await);
            }
            drop(mail.send(Mail::Diverged(why)).await);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_is_found_whichever_comes_first() {
        let digest = |keys| Digest { keys, rest: 0 };
        for ours_first in [true, false] {
            let mut digests = Digests::default();
            let said = |ours| digest(if ours { 1 } else { 2 });
            assert_eq!(digests.note(Position(9), said(ours_first), ours_first), None);
            let found = digests.note(Position(9), said(!ours_first), !ours_first);
            assert_eq!(found, Some((digest(1), digest(2))));
            assert_eq!(digests.note(Position(10), digest(3), true), None);
            assert_eq!(digests.note(Position(10), digest(3), false), None);
        }
        let mut digests = Digests::default();
        for n in 0..100 {
            digests.note(Position(n), digest(0), true);
        }
        assert_eq!(digests.computed.len(), REMEMBERED);
    }
}
