//! The writer: the one loop that orders commands, makes them durable, applies and publishes them.
//!
//! Order, then durability, then visibility. While a batch is being made durable the next one fills,
//! and it is offered before the first is applied, so that the disk and the machine work at once.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::FuturesOrdered;
use futures::{FutureExt, StreamExt};
use journal::{Journal, Slot};
use state::{Command, Entry, Epoch, Outcome, Position, Reply, State};
use tokio::sync::broadcast;
use tokio::time::MissedTickBehavior;

use crate::archive::{Archivist, Written};
use crate::backlog::{Backlog, Batch, is_compaction};
use crate::inbox::Question;
use crate::observer::{Applied, Checkpointed};
use crate::offer::{Offer, Settled, settle};
use crate::quota::Quota;
use crate::replicas::{KEPT, PULSE, Replica, Role, has_another_writer};
use crate::setback::Refusals;
use crate::shared::Shared;
use crate::vitals::Ending;
use crate::watch::Hub;

/// How often leases, time-outs and quota are looked at (etcd: 500 ms).
const TICK: Duration = Duration::from_millis(250);
/// Work a step of compaction may do between two batches, in records looked at.
const MAINTAIN_STEP: usize = 1_000;
/// Questions answered between two batches.
const QUESTIONS_A_TURN: usize = 256;

/// See the module.
pub(crate) struct Writer {
    pub(crate) state: State,
    pub(crate) shared: Arc<Shared>,
    pub(crate) journal: Arc<dyn Journal>,
    pub(crate) archivist: Archivist,
    hub: Hub,
    pub(crate) quota: Quota,
    /// What we are to those we share the journal with; alone we are its writer until somebody takes it.
    pub(crate) role: Role,
    pub(crate) replica: Option<Replica>,
    pub(crate) backlog: Backlog,
    questions: VecDeque<Question>,
    /// One for each future of `in_flight`, by slot.
    pub(crate) offers: VecDeque<Offer>,
    pub(crate) in_flight: FuturesOrdered<BoxFuture<'static, Settled>>,
    pub(crate) next_slot: Slot,
    pub(crate) refusals: Refusals,
    /// Leases are due: their end goes before all else.
    pub(crate) ends_due: bool,
    /// When the writer learnt of what it is applying.
    pub(crate) learnt: Duration,
    /// When the compaction that is being carried out was ordered.
    compacting: Option<Duration>,
    /// We cannot go on: nothing is offered or learnt any more.
    pub(crate) ended: bool,
}

impl Writer {
    pub(crate) fn new(
        state: State,
        shared: Arc<Shared>,
        journal: Arc<dyn Journal>,
        archivist: Archivist,
        hub: Hub,
        replica: Option<Replica>,
    ) -> Self {
        let next_slot = Slot(state.position().0).next();
        let quota = Quota::new(shared.options.quota);
        let role = match &replica {
            Some(replica) if has_another_writer(&state, replica.me) => Role::Follower,
            _ => Role::Writer,
        };
        Self {
            state,
            shared,
            journal,
            archivist,
            hub,
            quota,
            role,
            replica,
            backlog: Backlog::default(),
            questions: VecDeque::new(),
            offers: VecDeque::new(),
            in_flight: FuturesOrdered::new(),
            next_slot,
            refusals: Refusals::default(),
            ends_due: false,
            learnt: Duration::ZERO,
            compacting: None,
            ended: false,
        }
    }

    /// Runs until the inbox is closed and everything accepted is settled.
    pub(crate) async fn run(mut self) {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut pulse = tokio::time::interval(PULSE);
        pulse.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let shared = Arc::clone(&self.shared);
        self.begin();
        loop {
            let closed = self.take_requests();
            self.answer_questions();
            self.offer_batches();
            if closed && self.is_settled() {
                break;
            }
            let more = self.state.needs_maintenance() || !self.questions.is_empty();
            // What is rare goes first, or a busy inbox would starve it.
            tokio::select! {
                biased;
                _ = tick.tick() => self.tick(),
                _ = pulse.tick(), if self.replica.is_some() => self.pulse(),
                done = self.archivist.finished() => self.archived(done),
                Some(settled) = self.in_flight.next() => self.settled(settled).await,
                mail = Replica::next(&mut self.replica) => self.receive(mail),
                () = shared.inbox.filled() => {}
                () = tokio::task::yield_now(), if more => self.maintain(),
            }
        }
        self.say_goodbye();
        self.archivist.abandon().await;
    }

    /// What is due before anything else: a replica that is the writer from the start says so.
    fn begin(&mut self) {
        if let (Some(replica), Role::Writer) = (&self.replica, self.role) {
            *replica.shared.told.lock() = Some(broadcast::channel(KEPT).0);
        }
        self.observe();
    }

    /// Whether nobody waits for anything any more.
    fn is_settled(&self) -> bool {
        if self.ended {
            return self.offers.is_empty();
        }
        let handed_over = self
            .replica
            .as_ref()
            .is_some_and(|replica| replica.sent.values().any(|sent| sent.waiter.is_some()));
        self.offers.is_empty()
            && self.questions.is_empty()
            && !handed_over
            && (self.replica.is_none() || self.backlog.is_empty())
    }

    /// Moves what waits in the inbox to the backlog. Whether nothing comes after that.
    pub(crate) fn take_requests(&mut self) -> bool {
        self.backlog.take_from(&self.shared.inbox, &mut self.questions)
    }

    fn answer_questions(&mut self) {
        let turn = self.questions.len().min(QUESTIONS_A_TURN);
        for question in self.questions.drain(..turn) {
            question(&self.state);
        }
    }

    /// Offers as many batches as the pipeline takes: one always, more only when they are large, for
    /// a small one gains more by waiting for company.
    fn offer_batches(&mut self) {
        if self.ended {
            return;
        }
        let idle = self.offers.is_empty();
        if self.is_holding_back() {
            if self.role != Role::Writer {
                self.fetch();
            }
            return;
        }
        match self.role {
            Role::Follower => self.hand_over_backlog(),
            // Alone, we take the journal back when there is something to write.
            Role::Claiming if idle && (self.replica.is_some() || !self.backlog.is_empty()) => {
                let member = self.shared.status.lock().member;
                let epoch = Epoch(self.state.epoch().0 + 1);
                self.offer_alone(Command::Claim { epoch, member });
            }
            Role::Claiming => {}
            Role::Writer => match self.handing_claim().or_else(|| self.level_raise()) {
                Some(command) if self.is_at_the_tail() => self.offer_alone(command),
                Some(_) => {}
                None if self.offer_ends() => {}
                None => self.fill_pipeline(self.shared.options.max_in_flight),
            },
            Role::Guest => {
                self.fill_pipeline(1);
                if self.offers.is_empty() && self.owes_a_sign(self.shared.clock.monotonic()) {
                    self.offer_nothing();
                }
            }
        }
    }

    /// Whether nothing of ours is on its way, and all that has won is applied: what is judged by the state now
    /// is judged by what it will be at the next slot, if nobody else takes that.
    pub(crate) fn is_at_the_tail(&self) -> bool {
        self.offers.is_empty() && self.next_slot == Slot(self.state.position().0).next()
    }

    fn fill_pipeline(&mut self, most: usize) {
        while !self.backlog.is_empty() {
            let idle = self.offers.is_empty();
            let room = self.offers.len() < most;
            if !(idle || (room && self.backlog.bytes() >= self.shared.options.eager_bytes)) {
                break;
            }
            let Some((entry, batch)) = self.close_batch() else { continue };
            if self.hands_over_before(&entry.commands) {
                return self.put_back(entry, batch);
            }
            self.offer(entry, batch);
        }
    }

    /// Takes a batch that was not offered back into the backlog.
    fn put_back(&mut self, entry: Entry, batch: Batch) {
        let (slot, since) = (self.next_slot, self.shared.clock.monotonic());
        let Batch { waiters, load, .. } = batch;
        self.offer_again(Offer { slot, entry, waiters, load, body: Bytes::new(), since });
    }

    fn close_batch(&mut self) -> Option<(Entry, Batch)> {
        let clock = self.shared.clock.wall();
        let mut batch = self.backlog.close_batch(self.shared.options.max_batch_bytes);
        let commands = std::mem::take(&mut batch.commands);
        if commands.is_empty() {
            return None;
        }
        let origins = std::mem::take(&mut batch.origins);
        Some((Entry { epoch: self.state.epoch(), clock, commands, origins }, batch))
    }

    /// Offers an entry without commands.
    fn offer_nothing(&mut self) {
        let (epoch, clock) = (self.state.epoch(), self.shared.clock.wall());
        let entry = Entry { epoch, clock, commands: Vec::new(), origins: Vec::new() };
        self.offer(entry, Batch::default());
    }

    /// Offers one command of our own in an entry of its own.
    fn offer_alone(&mut self, command: Command) {
        let (epoch, clock) = (self.state.epoch(), self.shared.clock.wall());
        let entry = Entry { epoch, clock, commands: vec![command], origins: Vec::new() };
        self.offer(entry, Batch { waiters: vec![None], ..Batch::default() });
    }

    /// Sends a batch to the next slot.
    pub(crate) fn offer(&mut self, entry: Entry, batch: Batch) {
        assert!(self.is_for_all(&entry), "the writer proposes only what all members can apply");
        let slot = self.next_slot;
        self.next_slot = slot.next();
        self.publish_next_offer();
        let body = entry.encode();
        let since = self.shared.clock.monotonic();
        let own = self.shared.options.level;
        let mut settle = settle(Arc::clone(&self.journal), slot, body.clone(), own);
        // Polled at once, and not only when we come round: until then nothing has been asked of the journal.
        let settle = match (&mut settle).now_or_never() {
            Some(settled) => futures::future::ready(settled).boxed(),
            None => settle,
        };
        self.in_flight.push_back(settle);
        let Batch { waiters, load, .. } = batch;
        self.offers.push_back(Offer { slot, entry, waiters, load, body, since });
    }

    async fn settled(&mut self, settled: Settled) {
        let Some(offer) = self.offers.pop_front() else { return };
        self.learnt = self.shared.clock.monotonic();
        match settled {
            Settled::Won => {
                // The next batch goes out before this one is applied: the journal never waits for us.
                if self.role == Role::Writer {
                    self.take_requests();
                    self.offer_batches();
                }
                if !self.offers.is_empty() {
                    // A journal may have its connection on this thread: let it go out indeed.
                    tokio::task::yield_now().await;
                }
                self.won(offer);
            }
            Settled::Lost(entry, body) => self.lost(offer, &entry, &body),
            Settled::Refused(why) => self.refused(offer, &why),
            Settled::Overtaken(why) => self.give_up(offer, Ending::Overtaken, why),
            Settled::Failed(why) => self.give_up(offer, Ending::Failed, why),
        }
    }

    /// Our batch is durable: apply, publish, reply.
    fn won(&mut self, mut offer: Offer) {
        let append = self.learnt.saturating_sub(offer.since);
        if let Some(replica) = &mut self.replica {
            replica.append = append;
        }
        let mut teller = Some(self.teller(offer.slot, &offer.body));
        // If nobody waits at other replicas, they are told after those who wait here.
        if let Some(teller) = teller.take_if(|_| !offer.entry.origins.is_empty()) {
            teller.tell();
        }
        let outcomes = self.apply(offer.slot, &offer.entry, &offer.body, Some(append));
        assert_eq!(outcomes.len(), offer.entry.commands.len());
        if matches!(outcomes.first(), Some(Outcome { result: Ok(Reply::Void), .. })) {
            // Nothing took effect: the same commands go into a later slot.
            self.offer_again(offer);
        } else {
            // First the room, then the reply: whoever asks again at once must find it.
            self.backlog.settle(offer.load);
            self.take_requests();
            for (waiter, outcome) in offer.waiters.drain(..).zip(outcomes) {
                if let Some(waiter) = waiter {
                    waiter.note_course(offer.since, self.learnt, &*self.shared.clock);
                    waiter.answer(Ok(outcome));
                }
            }
        }
        if let Some(teller) = teller {
            teller.tell();
        }
        self.maintain();
        let is_writer = self.role == Role::Writer;
        self.archivist.consider(&self.state, self.shared.clock.monotonic(), is_writer);
    }

    /// Takes an entry that is durable, ours or another's, and shows what came of it.
    pub(crate) fn apply(
        &mut self,
        slot: Slot,
        entry: &Entry,
        body: &Bytes,
        append: Option<Duration>,
    ) -> Vec<Outcome> {
        let position = Position(slot.0);
        let (bytes, ours) = (body.len() as u64, append.is_some());
        let epoch = self.state.epoch();
        self.archivist.appended(bytes);
        if !ours {
            self.teller(slot, body).tell();
        }
        if entry.commands.iter().any(is_compaction) {
            self.hub.before_compaction(Arc::clone(&self.shared.published.borrow()));
            self.compacting = Some(self.learnt);
        }
        let begun = self.shared.clock.monotonic();
        let outcomes = self.state.apply(position, entry);
        self.note_leases(&entry.commands, &outcomes);
        self.quota.applied(&self.shared.raising_alarm, &entry.commands, &outcomes);
        let lost = self.has_lost_the_writer();
        {
            let mut status = self.shared.status.lock();
            status.durable = position;
            status.batches += 1;
            status.committed += outcomes.len() as u64;
            status.appended_bytes += bytes;
            status.observe(&self.state, lost);
            status.leases = self.state.lease_count();
            status.pending = self.pending();
            assert!(status.applied <= status.durable, "applied never runs ahead of durable");
        }
        // Rights before what they are asked about: whoever sees this view will not find older ones.
        if !Arc::ptr_eq(self.state.auth(), &self.shared.auth.borrow()) {
            self.shared.auth.send_replace(Arc::clone(self.state.auth()));
        }
        self.shared.published.send_replace(Arc::new(self.state.view()));
        let ended = self.shared.clock.monotonic();
        self.shared.observer.applied(&Applied {
            commands: &entry.commands,
            outcomes: &outcomes,
            bytes,
            append,
            lag: ended.saturating_sub(self.learnt),
            apply: ended.saturating_sub(begun),
        });
        self.publish_position(ours);
        self.answer_origins(entry, &outcomes);
        if epoch != self.state.epoch() {
            self.epoch_changed(ours);
        } else if !ours {
            self.met_another();
        } else if self.role == Role::Claiming && self.replica.is_some() {
            // The claim did not count: we may not be the writer.
            self.role = Role::Follower;
        }
        self.leave_if_removed(&entry.commands);
        self.note_digests(&entry.commands);
        outcomes
    }

    fn note_leases(&self, commands: &[Command], outcomes: &[Outcome]) {
        let mut ended = false;
        for (command, outcome) in commands.iter().zip(outcomes) {
            match (command.bare(), &outcome.result) {
                (Command::LeaseGrant { .. }, Ok(Reply::LeaseGrant { id, ttl })) => {
                    self.shared.leases.start(*id, *ttl, self.shared.clock.monotonic());
                }
                (Command::LeaseRevoke { id }, Ok(Reply::LeaseRevoke)) => {
                    self.shared.leases.end(*id);
                    ended = true;
                }
                (Command::LeaseRenew { ids }, Ok(Reply::LeaseRenew(_))) => {
                    let now = self.shared.clock.monotonic();
                    for id in ids {
                        self.shared.leases.renewed(*id, now);
                    }
                }
                (Command::LeaseRevoke { id }, _) => {
                    self.shared.leases.postpone(*id, self.shared.clock.monotonic());
                }
                _ => {}
            }
        }
        if ended {
            self.shared.leases.tell_ended();
        }
    }

    fn pending(&self) -> usize {
        let offered: usize = self.offers.iter().map(|offer| offer.entry.commands.len()).sum();
        let handed_over = self.replica.as_ref().map_or(0, |replica| replica.sent.len());
        self.backlog.len() + offered + handed_over
    }

    /// One step of what compaction has left to do, and what that makes room for.
    pub(crate) fn maintain(&mut self) {
        if self.state.needs_maintenance() {
            let begun = self.shared.clock.monotonic();
            let more = self.state.maintain(MAINTAIN_STEP);
            let ended = self.shared.clock.monotonic();
            self.shared.observer.compaction_step(ended.saturating_sub(begun));
            if more {
                return;
            }
            if let Some(ordered) = self.compacting.take() {
                self.shared.observer.compacted(ended.saturating_sub(ordered));
            }
            self.observe();
        }
        self.relieve();
    }

    pub(crate) fn observe(&self) {
        let lost = self.has_lost_the_writer();
        let mut status = self.shared.status.lock();
        status.observe(&self.state, lost);
        status.pending = self.pending();
        status.role = self.role;
    }

    /// What time brings: leases that are due, clients that have waited too long, alarms to take back.
    fn tick(&mut self) {
        let now = self.shared.clock.monotonic();
        // Only the writer proposes the end of a lease.
        self.ends_due = self.role == Role::Writer && self.shared.leases.is_due(now);
        let patience = self.shared.options.request_timeout;
        self.offers.iter_mut().for_each(|offer| offer.expire(now, patience));
        self.backlog.expire(now, patience);
        self.relieve();
        self.archivist.consider(&self.state, now, self.role == Role::Writer);
        self.observe();
    }

    /// Ends the NOSPACE alarm once there is room again.
    fn relieve(&mut self) {
        if self.state.needs_maintenance() || self.role != Role::Writer {
            return;
        }
        if let Some(command) = self.quota.relief(&self.state) {
            self.backlog.propose(self.shared.own(command));
        }
    }

    fn archived(&mut self, done: Result<Written, String>) {
        match done {
            Ok(Written { position, bytes, took, sync, .. }) => {
                assert!(position <= self.state.position(), "a checkpoint of what is yet to come");
                self.shared.observer.checkpointed(&Checkpointed { took, sync });
                let mut status = self.shared.status.lock();
                status.checkpoint = position;
                status.checkpoint_at = Some(self.shared.clock.wall());
                status.checkpoint_bytes = bytes;
                drop(status);
                tracing::info!(%position, bytes, ?took, "checkpoint is durable");
            }
            Err(error) => tracing::error!(%error, "checkpoint failed, will be tried again"),
        }
    }
}

impl Drop for Writer {
    /// Whoever still waits learns that nobody will answer: the senders go with us.
    fn drop(&mut self) {
        if let Some(replica) = &self.replica {
            // Those that follow us look for another.
            *replica.shared.told.lock() = None;
        }
        self.shared.inbox.close();
        self.take_requests();
    }
}
