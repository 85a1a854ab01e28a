//! What a handle asks of the replicas: what only the writer knows, and that another be the writer.

use state::{Command, LeaseId, MemberId, Outcome, Reply};
use tokio::sync::oneshot;

use super::{Answer, Ask, Mail, Question, Role};
use crate::engine::Engine;
use crate::fault::Fault;

impl Engine {
    /// What we are to those we share the journal with.
    #[must_use]
    pub fn role(&self) -> Role {
        self.shared.status.lock().role
    }

    /// Whether we are a member that may not become the writer yet. Cheap: it is asked before every call.
    #[must_use]
    pub fn is_learner(&self) -> bool {
        let status = self.shared.status.lock();
        status.cluster.members().get(&status.member).is_some_and(|member| member.learner)
    }

    /// Makes another replica the writer: the one named, or any that follows. Nothing is lost, and clients see
    /// a pause of one append. The new writer.
    ///
    /// # Errors
    /// [`Fault::Unavailable`] if we are not the writer, or no such replica follows.
    pub async fn hand_over(&self, to: Option<MemberId>) -> Result<MemberId, Fault> {
        let alone = || Fault::Unavailable("nobody shares the journal".to_owned());
        let replicas = self.shared.replicas.as_ref().ok_or_else(alone)?;
        let (reply, answer) = oneshot::channel();
        if replicas.mail.send(Mail::HandOver(to, reply)).await.is_err() {
            return Err(Fault::Stopped);
        }
        answer.await.unwrap_or(Err(Fault::Stopped))
    }

    /// Asks what only the writer knows; `None` if nobody shares the journal, or nobody can be asked.
    pub(crate) async fn ask_writer(&self, ask: Ask) -> Result<Option<Answer>, Fault> {
        let Some(replicas) = &self.shared.replicas else { return Ok(None) };
        let (reply, answer) = oneshot::channel();
        let question = Question { ask, reply, since: self.shared.clock.monotonic() };
        if replicas.mail.send(Mail::Ask(question)).await.is_err() {
            return Err(Fault::Stopped);
        }
        match answer.await {
            Ok(Answer::Unknown) => Ok(None),
            Ok(answer) => Ok(Some(answer)),
            // Nobody could be asked for so long that it was given up.
            Err(_) => Err(Fault::Timeout),
        }
    }

    /// Gives a lease its full time again, wherever its clock is.
    pub(crate) async fn renew_at_writer(&self, id: LeaseId) -> Result<i64, Fault> {
        let epoch = self.epoch();
        if let Some(Answer::Seconds(seconds)) = self.ask_writer(Ask::Renew(id)).await? {
            // Whoever answered may be the writer no longer, or have missed what a guest has appended.
            self.linearizable_view().await?;
            match seconds {
                // The next epoch, if there is one, began after that and gives every lease its time.
                Some(seconds) if self.epoch() == epoch => return Ok(seconds),
                None if self.ask(move |state| state.lease_ttl(id)).await?.is_none() => {
                    return Ok(0);
                }
                _ => {}
            }
        }
        // The writer cannot be reached, or relied on, but the journal can.
        let Outcome { result, .. } = self.commit_own(Command::LeaseRenew { ids: vec![id] }).await?;
        match result {
            Ok(Reply::LeaseRenew(seconds)) => Ok(seconds.first().copied().unwrap_or(0)),
            _ => Err(Fault::Timeout),
        }
    }

    /// What is left of a lease in seconds; `None` if that is not known.
    pub(crate) async fn remaining(&self, id: LeaseId) -> Result<Option<i64>, Fault> {
        if self.shared.replicas.is_none() {
            return Ok(self.shared.leases.remaining(id, self.shared.clock.monotonic()));
        }
        match self.ask_writer(Ask::Remaining(id)).await? {
            Some(Answer::Seconds(seconds)) => Ok(seconds),
            _ => Ok(None),
        }
    }
}
