//! The writer: the one loop that orders commands, makes them durable, applies and publishes them.
//!
//! Order, then durability, then visibility. While a batch is being made durable the next one fills,
//! and it is offered before the first is applied, so that the disk and the machine work at once.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesOrdered;
use journal::{Journal, JournalError, Nonce, Slot};
use rand::Rng;
use state::{Command, Entry, Epoch, Outcome, Position, Reply, State};
use tokio::time::MissedTickBehavior;

use crate::archive::Archivist;
use crate::fault::Fault;
use crate::inbox::{Pending, ReplyTo};
use crate::offer::{Offer, Settled, settle};
use crate::quota::Quota;
use crate::shared::Shared;
use crate::watch::Hub;

/// How often leases, time-outs and quota are looked at (etcd: 500 ms).
const TICK: Duration = Duration::from_millis(250);
/// A batch this large is offered even while another is on its way.
const EAGER_BYTES: usize = 256 << 10;
/// How long to wait before a full journal is tried again.
const FULL_PAUSE: Duration = Duration::from_millis(200);
/// Work a step of compaction may do between two batches, in records looked at.
const MAINTAIN_STEP: usize = 1_000;

/// See the module.
pub(crate) struct Writer {
    state: State,
    shared: Arc<Shared>,
    journal: Arc<dyn Journal>,
    archivist: Archivist,
    hub: Hub,
    quota: Quota,
    epoch: Epoch,
    backlog: VecDeque<Pending>,
    backlog_bytes: usize,
    offers: VecDeque<Offer>,
    in_flight: FuturesOrdered<BoxFuture<'static, Settled>>,
    next_slot: Slot,
    maintaining: bool,
}

impl Writer {
    pub(crate) fn new(
        state: State,
        shared: Arc<Shared>,
        journal: Arc<dyn Journal>,
        archivist: Archivist,
        hub: Hub,
    ) -> Self {
        let next_slot = Slot(state.position().0).next();
        let quota = Quota::new(shared.options.quota);
        let epoch = state.epoch();
        Self {
            state,
            shared,
            journal,
            archivist,
            hub,
            quota,
            epoch,
            backlog: VecDeque::new(),
            backlog_bytes: 0,
            offers: VecDeque::new(),
            in_flight: FuturesOrdered::new(),
            next_slot,
            maintaining: true,
        }
    }

    /// Runs until the inbox is closed and everything accepted is settled.
    pub(crate) async fn run(mut self) {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let shared = Arc::clone(&self.shared);
        loop {
            self.take_requests();
            self.offer_batches();
            if shared.inbox.is_closed() && self.in_flight.is_empty() && self.backlog.is_empty() {
                break;
            }
            tokio::select! {
                biased;
                Some(settled) = self.in_flight.next() => self.settled(settled).await,
                () = shared.inbox.filled() => {}
                _ = tick.tick() => self.tick(),
                done = self.archivist.finished() => self.archived(done),
                () = tokio::task::yield_now(), if self.maintaining => {
                    self.maintaining = self.state.maintain(MAINTAIN_STEP);
                    self.observe();
                }
            }
        }
        self.archivist.abandon().await;
    }

    /// Moves what waits in the inbox to the backlog, and answers questions.
    fn take_requests(&mut self) {
        let (commands, questions) = self.shared.inbox.take();
        for pending in commands {
            self.enqueue(pending);
        }
        for question in questions {
            question(&self.state);
        }
    }

    fn enqueue(&mut self, pending: Pending) {
        self.backlog_bytes += pending.size;
        self.backlog.push_back(pending);
    }

    /// Adds a command of our own; nobody waits for it.
    fn propose(&mut self, command: Command) {
        self.enqueue(Pending { size: command.size(), command, reply: None });
    }

    /// Offers as many batches as the pipeline takes: one always, more only when they are large, for
    /// a small one gains more by waiting for company.
    fn offer_batches(&mut self) {
        while !self.backlog.is_empty() {
            let room = self.in_flight.len() < self.shared.options.max_in_flight;
            let worth = self.in_flight.is_empty() || self.backlog_bytes >= EAGER_BYTES;
            if !(room && worth) {
                break;
            }
            self.offer_one();
        }
    }

    /// Closes one batch and sends it to the next slot.
    fn offer_one(&mut self) {
        let (entry, replies) = self.close_batch();
        let slot = self.next_slot;
        self.next_slot = slot.next();
        let body = entry.encode();
        let since = self.shared.clock.monotonic();
        let bytes = body.len() as u64;
        self.in_flight.push_back(Box::pin(settle(Arc::clone(&self.journal), slot, nonce(), body)));
        self.offers.push_back(Offer { slot, entry, replies, bytes, since });
    }

    fn close_batch(&mut self) -> (Entry, Vec<Option<ReplyTo>>) {
        let clock = self.shared.clock.wall();
        if self.epoch != self.state.epoch() {
            return (self.claim(), vec![None]);
        }
        let mut commands = Vec::with_capacity(self.backlog.len());
        let mut replies = Vec::with_capacity(self.backlog.len());
        let mut bytes = 0;
        while let Some(next) = self.backlog.front() {
            let full = bytes + next.size > self.shared.options.max_batch_bytes;
            // A compaction stands alone, so that the view before it is one that was published.
            let alone = is_compaction(&next.command) || commands.last().is_some_and(is_compaction);
            if !commands.is_empty() && (full || alone) {
                break;
            }
            let Some(pending) = self.backlog.pop_front() else { break };
            bytes += pending.size;
            commands.push(pending.command);
            replies.push(pending.reply);
        }
        self.backlog_bytes -= bytes;
        (Entry { epoch: self.epoch, clock, commands }, replies)
    }

    /// The entry that makes us the writer again after somebody else has claimed the journal.
    fn claim(&mut self) -> Entry {
        let epoch = Epoch(self.state.epoch().0 + 1);
        tracing::warn!(held = %self.state.epoch(), %epoch, "another writer has claimed the journal");
        let member = self.shared.status.lock().member;
        let commands = vec![Command::Claim { epoch, member }];
        Entry { epoch: self.state.epoch(), clock: self.shared.clock.wall(), commands }
    }

    async fn settled(&mut self, settled: Settled) {
        let Some(offer) = self.offers.pop_front() else { return };
        match settled {
            Settled::Won => {
                // The next batch goes out before this one is applied: the journal never waits for us.
                self.take_requests();
                self.offer_batches();
                self.won(offer);
            }
            Settled::Lost => self.lost(offer).await,
            Settled::Refused(why) => self.refused(offer, &why),
        }
    }

    /// Our batch is durable: apply, publish, reply.
    fn won(&mut self, offer: Offer) {
        let position = Position(offer.slot.0);
        self.archivist.appended(offer.bytes);
        if offer.entry.commands.iter().any(is_compaction) {
            self.hub.before_compaction(Arc::clone(&self.shared.published.borrow()));
        }
        let outcomes = self.state.apply(position, &offer.entry);
        assert_eq!(self.state.position(), position, "applied never runs ahead of durable");
        assert_eq!(outcomes.len(), offer.entry.commands.len());
        self.note_leases(&offer.entry.commands, &outcomes);
        self.quota.applied(&self.state, &offer.entry.commands, &outcomes);
        {
            let mut status = self.shared.status.lock();
            status.durable = position;
            status.batches += 1;
            status.committed += outcomes.len() as u64;
            status.appended_bytes += offer.bytes;
        }
        self.publish();
        self.reply(offer, outcomes);
        self.maintaining |= self.state.needs_maintenance();
        self.relieve();
        self.archivist.consider(&self.state);
    }

    fn reply(&mut self, offer: Offer, outcomes: Vec<Outcome>) {
        let answers = offer.replies.into_iter().zip(offer.entry.commands).zip(outcomes);
        for ((reply, command), outcome) in answers {
            match outcome.result {
                Ok(Reply::Claim { granted: true }) => self.epoch = self.state.epoch(),
                // Nothing took effect: the same command goes into a later slot.
                Ok(Reply::Void) if !matches!(command, Command::Claim { .. }) => {
                    self.enqueue(Pending { size: command.size(), command, reply });
                }
                _ => answer(reply, Ok(outcome)),
            }
        }
    }

    /// Somebody else's entry stands in the slot: apply it, and offer our commands again.
    async fn lost(&mut self, offer: Offer) {
        let entry = match crate::recover::read_entry(&*self.journal, offer.slot).await {
            Ok(entry) => entry,
            Err(error) => {
                tracing::error!(slot = %offer.slot, %error, "cannot read the slot that was lost");
                return self.give_up(offer, &Fault::Unavailable(error.to_string()));
            }
        };
        let outcomes = self.state.apply(Position(offer.slot.0), &entry);
        self.note_leases(&entry.commands, &outcomes);
        self.publish();
        for (command, reply) in offer.entry.commands.into_iter().zip(offer.replies) {
            if !matches!(command, Command::Claim { .. }) {
                self.enqueue(Pending { size: command.size(), command, reply });
            }
        }
    }

    /// Nothing was written, for certain: say so to who waits. The slot is free, and those behind it wait
    /// for it; if there are any, an empty entry will fill the gap once there is room.
    fn refused(&mut self, offer: Offer, why: &JournalError) {
        tracing::error!(slot = %offer.slot, error = %why, "the journal refused a batch");
        let slot = offer.slot;
        let JournalError::Full(_) = why else {
            return self.give_up(offer, &Fault::Unavailable(why.to_string()));
        };
        self.fail(offer, &Fault::NoSpace);
        if self.offers.is_empty() {
            self.next_slot = slot;
            return;
        }
        let clock = self.shared.clock.wall();
        let entry = Entry { epoch: self.epoch, clock, commands: Vec::new() };
        let body = entry.encode();
        let (bytes, since) = (body.len() as u64, self.shared.clock.monotonic());
        let offer = Offer { slot, entry, replies: Vec::new(), bytes, since };
        let settle = settle(Arc::clone(&self.journal), slot, nonce(), body);
        self.offers.push_front(offer);
        self.in_flight.push_front(Box::pin(async move {
            tokio::time::sleep(FULL_PAUSE).await;
            settle.await
        }));
    }

    /// The journal will take nothing more from us: answer everybody, and end.
    fn give_up(&mut self, offer: Offer, fault: &Fault) {
        tracing::error!(error = %fault, "stopping, since the journal takes no more entries");
        self.shared.inbox.close();
        self.in_flight = FuturesOrdered::new();
        self.fail(offer, fault);
        while let Some(offer) = self.offers.pop_front() {
            self.fail(offer, fault);
        }
        self.take_requests();
        for pending in self.backlog.drain(..) {
            answer(pending.reply, Err(fault.clone()));
        }
    }

    fn fail(&mut self, offer: Offer, fault: &Fault) {
        for reply in offer.replies {
            answer(reply, Err(fault.clone()));
        }
    }

    fn note_leases(&self, commands: &[Command], outcomes: &[Outcome]) {
        let now = self.shared.clock.monotonic();
        for (command, outcome) in commands.iter().zip(outcomes) {
            match (command, &outcome.result) {
                (Command::LeaseGrant { .. }, Ok(Reply::LeaseGrant { id, ttl })) => {
                    self.shared.leases.start(*id, *ttl, now);
                }
                (Command::LeaseRevoke { id }, Ok(Reply::LeaseRevoke)) => {
                    self.shared.leases.end(*id);
                }
                _ => {}
            }
        }
    }

    fn publish(&mut self) {
        self.observe();
        self.shared.published.send_replace(Arc::new(self.state.view()));
    }

    fn observe(&self) {
        let mut status = self.shared.status.lock();
        status.observe(&self.state);
        status.leases = self.shared.leases.len();
        status.pending = self.backlog.len() + self.offers.len();
        debug_assert!(status.applied <= status.durable);
    }

    /// What time brings: leases that are due, clients that have waited too long, alarms to take back.
    fn tick(&mut self) {
        let now = self.shared.clock.monotonic();
        for id in self.shared.leases.take_due(now) {
            self.propose(Command::LeaseRevoke { id });
        }
        let patience = self.shared.options.request_timeout;
        for offer in &mut self.offers {
            if now.saturating_sub(offer.since) > patience {
                offer
                    .replies
                    .iter_mut()
                    .for_each(|reply| answer(reply.take(), Err(Fault::Timeout)));
            }
        }
        self.relieve();
        self.archivist.consider(&self.state);
        self.observe();
    }

    /// Ends the NOSPACE alarm once there is room again.
    fn relieve(&mut self) {
        if self.maintaining {
            return;
        }
        if let Some(command) = self.quota.relief(&self.state) {
            self.propose(command);
        }
    }

    fn archived(&mut self, done: Result<Position, String>) {
        match done {
            Ok(position) => {
                assert!(position <= self.state.position(), "a checkpoint of what is yet to come");
                self.shared.status.lock().checkpoint = position;
                tracing::info!(%position, "checkpoint is durable");
            }
            Err(error) => tracing::error!(%error, "checkpoint failed, will be tried again"),
        }
    }
}

fn is_compaction(command: &Command) -> bool {
    matches!(command, Command::Compact { .. })
}

/// Drawn anew for every batch.
fn nonce() -> Nonce {
    Nonce(rand::rng().random())
}

/// The receiver may have gone away; that is its right.
fn answer(reply: Option<ReplyTo>, with: Result<Outcome, Fault>) {
    if let Some(reply) = reply {
        drop(reply.send(with));
    }
}
