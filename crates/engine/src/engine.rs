//! The engine: the handle through which everything outside reads, writes, watches and leases.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use journal::Journal;
use parking_lot::Mutex;
use state::{
    AlarmAction, AlarmType, Auth, Command, Epoch, LeaseId, Level, MemberId, Outcome, Revision,
    State, View,
};
use tokio::sync::{oneshot, watch};

use crate::archive::Archivist;
use crate::clock::Clock;
use crate::course::{Course, Followed};
use crate::fault::{Fault, OpenError};
use crate::inbox::Inbox;
use crate::lease::{LeaseClock, Renewal};
use crate::options::Parts;
use crate::replicas::{
    Answer, Ask, Replica, Replicas, SharedReplicas, admit, has_another_writer, join,
};
use crate::shared::Shared;
use crate::vitals::Status;
use crate::watch::{Hub, Stream};
use crate::writer::Writer;
use crate::{compactor, recover};

/// One cluster's engine. A cheap handle; any number of engines live in one process.
#[derive(Clone)]
pub struct Engine {
    pub(crate) shared: Arc<Shared>,
    hub: Hub,
}

/// What has to be polled for an engine to live. Each may run where it likes, the writer best on a
/// thread of its own.
pub struct Tasks {
    /// The one loop; ends when the engine was stopped and everything accepted is settled.
    pub writer: futures::future::BoxFuture<'static, ()>,
    /// Fans events out to the watches.
    pub watches: futures::future::BoxFuture<'static, ()>,
    /// Compacts by itself, if asked to.
    pub compactor: futures::future::BoxFuture<'static, ()>,
}

/// What is known of a lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseStatus {
    /// Seconds left; 0 when its end is on the way.
    pub ttl: i64,
    /// Seconds, as granted.
    pub granted_ttl: i64,
    /// The keys attached to it, if asked for.
    pub keys: Vec<Bytes>,
}

/// As in etcd, every lease has its full time again after a start.
fn full_time(state: &State, now: Duration) -> LeaseClock {
    let leases = LeaseClock::default();
    for (id, ttl) in state.leases() {
        leases.start(id, ttl, now);
    }
    leases
}

fn one_of_many(
    settings: Replicas,
    member: MemberId,
    journal: &Arc<dyn Journal>,
    state: &State,
    clock: &dyn Clock,
) -> (Replica, Arc<SharedReplicas>) {
    let (shared, mail) = SharedReplicas::new(Arc::clone(journal), state.position());
    (Replica::new(settings, member, Arc::clone(&shared), mail, clock.monotonic()), shared)
}

impl Engine {
    /// Recovers the machine from its newest checkpoint and the journal behind it, and becomes the writer; with
    /// replicas, becomes a member and follows the writer, if there is one.
    ///
    /// # Errors
    /// When something is damaged, not ours, or does not belong together. Nothing was changed then.
    pub async fn open(parts: Parts) -> Result<(Self, Tasks), OpenError> {
        let Parts { journal, checkpoints, clock, errands, member, replicas, observer, options } =
            parts;
        let began = clock.monotonic();
        let objects = replicas.as_ref().map(|replicas| Arc::clone(&replicas.objects));
        let own = options.level;
        let found =
            recover::recover(&*journal, checkpoints.as_deref(), objects.as_deref(), own).await?;
        let mut state = found.state;
        let member = match &replicas {
            None => member,
            Some(replicas) => join(&mut state, &journal, &*clock, (replicas, own)).await?,
        };
        if replicas.is_none() || !has_another_writer(&state, member) {
            recover::claim(&mut state, &journal, &*clock, (member, own)).await?;
        }
        let (replica, shared_replicas) =
            replicas.map(|of| one_of_many(of, member, &journal, &state, &*clock)).unzip();
        let habit = options.auto_compaction;
        let (published, _) = watch::channel(Arc::new(state.view()));
        let (auth, _) = watch::channel(Arc::clone(state.auth()));
        let (hub, watches) = Hub::new(published.subscribe(), options.watch.clone());
        let leases = full_time(&state, clock.monotonic());
        let checkpoint = found.checkpoint;
        let mut status = Status {
            member,
            quota: options.quota,
            durable: state.position(),
            recovery: clock.monotonic().saturating_sub(began),
            checkpoint: checkpoint.position,
            checkpoint_at: checkpoint.at,
            checkpoint_bytes: checkpoint.bytes,
            leases: leases.len(),
            ..Status::default()
        };
        status.observe(&state, false);
        let archivist = Archivist::new(
            checkpoints,
            Arc::clone(&journal),
            objects,
            Arc::clone(&errands),
            options.checkpoint_after,
            checkpoint,
            found.tail_bytes,
        );
        let inbox = Inbox::new(options.max_waiting, options.max_waiting_bytes);
        let status = Mutex::new(status);
        let shared = Arc::new(Shared {
            inbox,
            leases,
            status,
            published,
            auth,
            replicas: shared_replicas,
            alarm_gate: tokio::sync::Mutex::default(),
            raising_alarm: AtomicBool::new(false),
            clock,
            errands,
            observer,
            options,
        });
        let writer =
            Writer::new(state, Arc::clone(&shared), journal, archivist, hub.clone(), replica);
        let engine = Self { shared, hub };
        let compactor = Box::pin(compactor::run(engine.clone(), habit));
        let tasks = Tasks { writer: Box::pin(writer.run()), watches: Box::pin(watches), compactor };
        Ok((engine, tasks))
    }

    /// The newest state that is applied: what a serializable read sees.
    #[must_use]
    pub fn view(&self) -> Arc<View> {
        Arc::clone(&self.shared.published.borrow())
    }

    /// A state that holds everything acknowledged before this call: what a linearizable read sees.
    ///
    /// A journal of our own has no other writer, and no reply leaves before its view is published, so
    /// the published view is already that state. Otherwise the journal's tail says what is to be applied
    /// first.
    ///
    /// # Errors
    /// [`Fault::Timeout`] when that cannot be learnt in time.
    pub async fn linearizable_view(&self) -> Result<Arc<View>, Fault> {
        if let Some(replicas) = &self.shared.replicas {
            let patience = self.shared.options.request_timeout;
            let caught_up = tokio::time::timeout(patience, replicas.catch_up()).await;
            caught_up.map_err(|_| Fault::Timeout)??;
        }
        Ok(self.view())
    }

    /// Who may do what. Asked for after a view it is at least as new as the view: what may be read of it
    /// is judged by rights that nobody had revoked before.
    #[must_use]
    pub fn auth(&self) -> Arc<Auth> {
        Arc::clone(&self.shared.auth.borrow())
    }

    /// Tells of every change of who may do what, tokens included.
    #[must_use]
    pub fn auth_changes(&self) -> watch::Receiver<Arc<Auth>> {
        self.shared.auth.subscribe()
    }

    /// Orders a command, makes it durable, applies it, and returns what it came to.
    ///
    /// # Errors
    /// See [`Fault`]. When the future is dropped, a command that is not yet on its way to the journal is
    /// forgotten; one that is takes effect.
    pub async fn commit(&self, command: Command) -> Result<Outcome, Fault> {
        let outcome = self.push(command, None)?;
        outcome.await.unwrap_or_else(|_| Err(gone()))
    }

    /// Puts a command in line, if all who read the journal can apply it.
    fn push(
        &self,
        command: Command,
        followed: Option<Arc<Followed>>,
    ) -> Result<oneshot::Receiver<Result<Outcome, Fault>>, Fault> {
        if command.level() > Level::FIRST {
            admit(&command, &self.shared.status.lock().cluster, self.shared.options.level)?;
        }
        self.shared.inbox.push(command, self.shared.clock.monotonic(), followed)
    }

    /// As [`Engine::commit`], for what the server itself has to do: nobody's rights hold it back.
    ///
    /// # Errors
    /// As [`Engine::commit`].
    pub async fn commit_own(&self, command: Command) -> Result<Outcome, Fault> {
        self.commit(self.shared.own(command)).await
    }

    /// As [`commit`](Self::commit), and tells when the command passed each of its stages, if it did.
    pub async fn commit_followed(
        &self,
        command: Command,
    ) -> (Result<Outcome, Fault>, Option<Course>) {
        let followed = Arc::new(Followed::new());
        let outcome = match self.push(command, Some(Arc::clone(&followed))) {
            Ok(outcome) => outcome.await.unwrap_or_else(|_| Err(gone())),
            Err(fault) => Err(fault),
        };
        (outcome, followed.get().copied())
    }

    /// Whether writes that cost `bytes` fit the quota. If not, raises the NOSPACE alarm.
    ///
    /// # Errors
    /// When the alarm cannot be made durable.
    pub async fn admit(&self, bytes: u64) -> Result<bool, Fault> {
        let Some(fits) = self.fits(bytes) else {
            let _gate = self.shared.alarm_gate.lock().await;
            // Whoever held the gate before us may have raised it.
            return match self.fits(bytes) {
                Some(fits) => Ok(fits),
                None => self.raise_alarm(bytes).await.map(|()| false),
            };
        };
        Ok(fits)
    }

    /// Whether so many bytes fit; `None` if not and nobody has been told yet.
    fn fits(&self, bytes: u64) -> Option<bool> {
        if bytes == 0 {
            return Some(true);
        }
        let status = self.shared.status.lock();
        if status.alarms.iter().any(|alarm| alarm.alarm == AlarmType::NoSpace) {
            return Some(false);
        }
        let would = status.in_use_bytes.saturating_add(bytes);
        if status.quota.is_some_and(|quota| would >= quota) { None } else { Some(true) }
    }

    async fn raise_alarm(&self, bytes: u64) -> Result<(), Fault> {
        tracing::warn!(bytes, "quota exceeded, raising NOSPACE");
        let member = self.shared.status.lock().member;
        let (action, alarm) = (AlarmAction::Activate, AlarmType::NoSpace);
        self.shared.raising_alarm.store(true, Ordering::Release);
        let raised = self.commit_own(Command::Alarm { action, member, alarm }).await;
        if !matches!(&raised, Ok(Outcome { result: Ok(_), .. })) {
            self.shared.raising_alarm.store(false, Ordering::Release);
        }
        raised.map(|_| ())
    }

    /// Asks the machine itself, between two batches. The writer waits for the answer, so the question must
    /// be a small one: for what takes long, ask for a view or an image and look at that elsewhere.
    ///
    /// # Errors
    /// When the engine is stopping.
    pub async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&State) -> T + Send + 'static,
    ) -> Result<T, Fault> {
        let (reply, answer) = oneshot::channel();
        self.shared.inbox.ask(Box::new(move |state| drop(reply.send(question(state)))))?;
        answer.await.map_err(|_| gone())
    }

    /// What this replica says it can apply.
    #[must_use]
    pub fn level(&self) -> Level {
        self.shared.options.level
    }

    /// How the engine stands.
    #[must_use]
    pub fn status(&self) -> Status {
        self.shared.status.lock().clone()
    }

    /// The epoch of this writer, which is etcd's term.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.shared.status.lock().epoch
    }

    /// The watchers of one client stream.
    #[must_use]
    pub fn watch(&self) -> Stream {
        self.hub.stream()
    }

    /// How many watchers there are, and how they fare.
    #[must_use]
    pub fn watch_counts(&self) -> crate::watch::Counts {
        self.hub.counts()
    }

    /// Up to which revision events have been handed to the watches.
    #[must_use]
    pub fn watched(&self) -> Revision {
        self.hub.seen()
    }

    /// Gives a lease its full time again. Returns its granted seconds, or 0 if there is no such lease.
    ///
    /// # Errors
    /// When the engine stops, or the end of a due lease cannot be made durable in time.
    pub async fn keep_alive(&self, id: LeaseId) -> Result<i64, Fault> {
        if self.stopping() {
            return Err(Fault::Stopped);
        }
        if self.shared.replicas.is_some() {
            return self.renew_at_writer(id).await;
        }
        if let Some(ttl) = self.renew(id) {
            return Ok(ttl);
        }
        let patience = self.shared.options.request_timeout;
        tokio::time::timeout(patience, self.renew_when_settled(id))
            .await
            .map_err(|_| Fault::Timeout)
    }

    async fn renew_when_settled(&self, id: LeaseId) -> i64 {
        loop {
            let ended = self.shared.leases.ended();
            if let Some(ttl) = self.renew(id) {
                return ttl;
            }
            ended.await;
        }
    }

    /// The seconds granted, 0 if there is no such lease; `None` while its end is on the way.
    fn renew(&self, id: LeaseId) -> Option<i64> {
        match self.shared.leases.renew(id, self.shared.clock.monotonic()) {
            Renewal::Renewed(ttl) => Some(ttl),
            Renewal::Absent => Some(0),
            Renewal::Ending => None,
        }
    }

    /// What is left of a lease; `None` if there is no such lease.
    ///
    /// # Errors
    /// When the engine is stopping, or it cannot be learnt in time what others have appended.
    pub async fn time_to_live(
        &self,
        id: LeaseId,
        with_keys: bool,
    ) -> Result<Option<LeaseStatus>, Fault> {
        // Whoever was granted it elsewhere may ask here.
        self.linearizable_view().await?;
        let found = self
            .ask(move |state| {
                if with_keys {
                    return state.lease(id).map(|lease| (lease.ttl, lease.keys));
                }
                state.lease_ttl(id).map(|ttl| (ttl, Vec::new()))
            })
            .await?;
        let remaining = self.remaining(id).await?;
        Ok(found.map(|(granted_ttl, keys)| {
            let ttl = remaining.unwrap_or(granted_ttl);
            LeaseStatus { ttl, granted_ttl, keys }
        }))
    }

    /// All leases, the next to end first by our own clock.
    #[must_use]
    pub fn leases(&self) -> Vec<LeaseId> {
        self.shared.leases.by_expiry()
    }

    /// All leases, the next to end first by the writer's clock, if it can be asked.
    pub async fn list_leases(&self) -> Vec<LeaseId> {
        match self.ask_writer(Ask::Leases).await {
            Ok(Some(Answer::Leases(leases))) => leases,
            _ => self.shared.leases.by_expiry(),
        }
    }

    /// A lease id that nobody has chosen: positive and random.
    #[must_use]
    pub fn draw_lease_id(&self) -> LeaseId {
        LeaseId(rand::random_range(1..i64::MAX))
    }

    /// Waits until what compaction has freed is gone from memory.
    ///
    /// # Errors
    /// When the engine is stopping.
    pub async fn quiesce_compaction(&self) -> Result<(), Fault> {
        while self.ask(|state| state.needs_maintenance()).await? {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
        Ok(())
    }

    /// Refuses new requests; what was accepted is still settled, then the writer's task ends.
    pub fn stop(&self) {
        self.shared.inbox.close();
    }

    /// Whether [`Engine::stop`] was called.
    #[must_use]
    pub fn stopping(&self) -> bool {
        self.shared.inbox.is_closed()
    }
}

/// The writer's task has ended, and did not say what became of the request.
fn gone() -> Fault {
    Fault::Unavailable("the writer ended before the outcome was known".to_owned())
}

/// Runs an engine's tasks to their end on the current runtime. For tests and small programs.
pub async fn run(tasks: Tasks) {
    let aside = futures::future::join(tasks.watches, tasks.compactor);
    tokio::select! {
        () = tasks.writer => {}
        ((), ()) = aside => {}
    }
}
