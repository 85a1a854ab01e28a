//! What a replica does besides ordering and applying: it follows, hands over, takes over, and serves those
//! that follow it.

use std::sync::atomic::Ordering;
use std::time::Duration;

use journal::{JournalError, Record, Slot};
use state::{Command, Entry, Epoch, MemberId, Outcome, Position, Reply, Timestamp};
use tokio::sync::{broadcast, oneshot};

use super::follow::{KEPT, Told};
use super::mail::{Forwarded, Mail, Question};
use super::replica::{Sent, Way};
use super::{Answer, Ask, Hello, Line, News, Order, Peers, Role};
use crate::entries::decode;
use crate::fault::Fault;
use crate::inbox::{Handed, Load};
use crate::lease::Renewal;
use crate::writer::Writer;

/// How often what time brings is looked at.
pub(crate) const PULSE: Duration = Duration::from_millis(25);
/// Bytes of entries read from the journal at a time.
const FETCH_BYTES: usize = 4 << 20;
/// How often the journal is read by one who has no line, and by one who has or needs none.
const FETCH_ALONE: Duration = Duration::from_millis(50);
const FETCH_WATCHFUL: Duration = Duration::from_secs(1);
/// An entry that the writer has is on its way over the line: it is looked for only after this.
const ON_ITS_WAY: Duration = Duration::from_millis(10);
/// Between two calls to a writer that cannot be reached.
const REDIAL: Duration = Duration::from_millis(50);
const FIRST_REDIAL: Duration = Duration::from_millis(2);
/// Batches handed over and not seen in the journal.
const HANDED_OVER: usize = 4_096;
/// A writer leaves the journal to outsiders for one pulse in so many, for so long after it last saw a sign of
/// one; an outsider gives a sign at least so often.
const YIELD_EVERY: u32 = 10;
const YIELD_FOR: Duration = Duration::from_secs(10);
const SIGN_EVERY: Duration = Duration::from_secs(3);
/// Whoever took the journal is left in peace for so many times the patience.
const PEACE: u32 = 10;

impl Writer {
    /// Takes in what reached us.
    pub(crate) fn receive(&mut self, mail: Mail) {
        match mail {
            Mail::Fetched(found) => self.fetched(found),
            Mail::Wanted(position) => self.want(position),
            Mail::Called(epoch, line) => self.called(epoch, line),
            Mail::News(number, news) => self.news(number, news),
            Mail::LineEnded(number) => self.line_ended(number),
            Mail::Follower(member, comes) => self.follower(member, comes),
            Mail::Forwarded(forwarded) => self.forwarded(forwarded),
            Mail::Ask(question) => self.question(question),
            Mail::Digested(position, digest) => self.digested(position, digest),
            Mail::Diverged(why) => self.stop_for(why),
            Mail::HandOver(to, reply) => self.hand_over(to, reply),
        }
    }

    /// What time brings to one replica among others.
    pub(crate) fn pulse(&mut self) {
        let now = self.shared.clock.monotonic();
        let role = self.role;
        let Some(replica) = &mut self.replica else { return };
        let patience = self.shared.options.request_timeout;
        while let Some(oldest) = replica.parked.front() {
            if now.saturating_sub(oldest.since) < patience && !oldest.reply.is_closed() {
                break;
            }
            replica.parked.pop_front();
        }
        for sent in replica.sent.values_mut() {
            let late = sent.waiter.take_if(|waiter| waiter.is_late(now, patience));
            let Some(late) = late else { continue };
            self.backlog.settle(Load::one(sent.command.size()));
            late.answer(Err(Fault::Timeout));
        }
        let line = matches!(replica.way, Way::Line { .. });
        let fetched = replica.fetched;
        let pause = match role {
            Role::Follower if !line => FETCH_ALONE,
            Role::Guest => FETCH_ALONE,
            _ => FETCH_WATCHFUL,
        };
        if replica.handing.as_ref().is_some_and(|(_, reply)| reply.is_closed()) {
            replica.handing = None;
        }
        if role == Role::Writer && !replica.parked.is_empty() {
            self.ask_parked();
        }
        if now.saturating_sub(fetched) >= pause {
            self.fetch();
        }
        self.consider_yielding(now);
        self.consider_digest(now);
        if matches!(role, Role::Follower | Role::Guest) {
            self.dial(now);
            self.consider_taking_over(now);
        }
    }

    /// Calls the writer, if there is no line to it and it is time to try again.
    fn dial(&mut self, now: Duration) {
        let epoch = self.state.epoch();
        let applied = self.state.position();
        let Some(replica) = &mut self.replica else { return };
        if !matches!(replica.way, Way::None { again } if again <= now) {
            return;
        }
        let Some(writer) = self.state.cluster().writer().filter(|writer| *writer != replica.me)
        else {
            return;
        };
        let urls = self.state.cluster().peer_urls(writer).unwrap_or_default().to_vec();
        let hello = Hello { member: replica.me, session: replica.session, epoch, applied };
        let peers = std::sync::Arc::clone(&replica.settings.peers);
        let (mail, patience) = (replica.shared.mail.clone(), replica.settings.patience);
        replica.way = Way::Calling;
        tokio::spawn(async move {
            let line = tokio::time::timeout(patience, persist(&*peers, writer, &urls, hello)).await;
            let line = line.unwrap_or_else(|_| Err("no answer in time".to_owned()));
            drop(mail.send(Mail::Called(epoch, line)).await);
        });
    }

    fn called(&mut self, epoch: Epoch, line: Result<Line, String>) {
        let now = self.shared.clock.monotonic();
        let current = epoch == self.state.epoch();
        let Some(replica) = &mut self.replica else { return };
        if !matches!(replica.way, Way::Calling) {
            return;
        }
        match line {
            Ok(Line { orders, mut news }) if current => {
                tracing::info!(%epoch, "following the writer");
                replica.lines += 1;
                let number = replica.lines;
                replica.way = Way::Line { number, orders };
                replica.heard = now;
                replica.broken = None;
                if self.role == Role::Guest {
                    self.role = Role::Follower;
                }
                let mail = replica.shared.mail.clone();
                tokio::spawn(async move {
                    while let Some(news) = news.recv().await {
                        if mail.send(Mail::News(number, news)).await.is_err() {
                            return;
                        }
                    }
                    drop(mail.send(Mail::LineEnded(number)).await);
                });
                self.send_again();
                self.fetch();
            }
            Ok(_) => replica.way = Way::None { again: now },
            Err(why) => {
                tracing::debug!(%epoch, why, "the writer cannot be reached");
                let (since, calls) = replica.broken.unwrap_or((now, 0));
                replica.broken = Some((since, calls + 1));
                replica.way = Way::None { again: now.saturating_add(REDIAL) };
            }
        }
    }

    fn line_ended(&mut self, number: u64) {
        let now = self.shared.clock.monotonic();
        let Some(replica) = &mut self.replica else { return };
        if !matches!(replica.way, Way::Line { number: current, .. } if current == number) {
            return;
        }
        tracing::info!("the line to the writer has ended");
        replica.broken = Some((now, 0));
        replica.hang_up(now);
        self.dial(now);
    }

    fn news(&mut self, number: u64, news: News) {
        let now = self.shared.clock.monotonic();
        let Some(replica) = &mut self.replica else { return };
        if !matches!(replica.way, Way::Line { number: current, .. } if current == number) {
            return;
        }
        replica.heard = now;
        match news {
            News::Entry { slot, body } => self.take_entry(slot, &body),
            News::Refused { first, count, fault } => self.handed_back(first, count, &fault),
            News::Answer { id, answer } => {
                let asked = replica.asked.remove(&id);
                match (asked, answer) {
                    (Some(question), Answer::Unknown) => replica.parked.push_back(question),
                    (Some(question), answer) => drop(question.reply.send(answer)),
                    (None, _) => {}
                }
            }
            News::Idle => {}
        }
    }

    /// Reads what the journal holds beyond what was applied, unless that is being done.
    pub(crate) fn fetch(&mut self) {
        let from = Slot(self.state.position().0).next();
        // What stands where our own offers go, they will tell.
        if !self.offers.is_empty() {
            return;
        }
        let now = self.shared.clock.monotonic();
        let Some(replica) = &mut self.replica else { return };
        if std::mem::replace(&mut replica.fetching, true) {
            return;
        }
        replica.fetched = now;
        let mail = replica.shared.mail.clone();
        let journal = std::sync::Arc::clone(&self.journal);
        tokio::spawn(async move {
            let found = journal.read(from, FETCH_BYTES).await;
            drop(mail.send(Mail::Fetched(found)).await);
        });
    }

    fn fetched(&mut self, found: Result<Vec<Record>, JournalError>) {
        let now = self.shared.clock.monotonic();
        let before = self.state.position();
        let Some(replica) = &mut self.replica else { return };
        replica.fetching = false;
        replica.fetched = now;
        replica.overtaken = false;
        match found {
            Ok(records) => {
                records.iter().for_each(|record| self.take_entry(record.slot, &record.body));
            }
            Err(JournalError::Trimmed { first }) => self.stop_for(format!(
                "the journal begins at slot {first}, and this replica stands at {before}: start it \
                 again, it will begin from a checkpoint"
            )),
            Err(error) => tracing::warn!(%error, "cannot read the journal"),
        }
        let applied = self.state.position();
        let Some(replica) = &mut self.replica else { return };
        if applied > before {
            replica.at_work = Some(now);
            // There may be more.
            self.fetch();
        } else if replica.wanted > applied && self.offers.is_empty() {
            self.fetch();
        }
    }

    /// A reader waits for everything up to here.
    fn want(&mut self, position: Position) {
        let behind = position > self.state.position();
        let Some(replica) = &mut self.replica else { return };
        if !behind {
            return;
        }
        let looked_for = replica.wanted >= position;
        replica.wanted = replica.wanted.max(position);
        if matches!(replica.way, Way::Line { .. }) && !looked_for {
            let mail = replica.shared.mail.clone();
            tokio::spawn(async move {
                tokio::time::sleep(ON_ITS_WAY).await;
                drop(mail.send(Mail::Wanted(position)).await);
            });
            return;
        }
        self.fetch();
    }

    /// Applies another's entry if it is the next and nothing of ours is on its way to its place.
    fn take_entry(&mut self, slot: Slot, body: &bytes::Bytes) {
        let next = Slot(self.state.position().0).next();
        if slot < next || !self.offers.is_empty() {
            return;
        }
        if slot > next {
            self.fetch();
            return;
        }
        match decode(slot, body) {
            Ok(entry) => {
                self.learnt = self.shared.clock.monotonic();
                self.next_slot = slot.next();
                self.apply(slot, &entry, body, None);
                self.maintain();
            }
            Err(error) => self.stop_for(format!(
                "{error}; if it was written by a newer version, start that one here"
            )),
        }
    }

    /// Hands over what waits, if there is a line to the writer.
    pub(crate) fn hand_over_backlog(&mut self) {
        while !self.backlog.is_empty() {
            let ready = self.replica.as_ref().is_some_and(|replica| {
                matches!(replica.way, Way::Line { .. }) && replica.sent.len() < HANDED_OVER
            });
            if !ready {
                return;
            }
            let batch = self.backlog.close_batch(self.shared.options.max_batch_bytes);
            let Some(replica) = &mut self.replica else { return };
            let first = replica.newest + 1;
            for (command, waiter) in batch.commands.into_iter().zip(batch.waiters) {
                // What we proposed ourselves as a writer is the new writer's to propose.
                if waiter.is_some() {
                    replica.newest += 1;
                    replica.sent.insert(replica.newest, Sent { command, waiter });
                }
            }
            self.send_from(first);
        }
    }

    /// Sends what was handed over from a number on.
    fn send_from(&mut self, first: u64) {
        let epoch = self.state.epoch();
        let Some(replica) = &mut self.replica else { return };
        let Way::Line { orders, .. } = &replica.way else { return };
        let numbers: Vec<u64> = replica.sent.range(first..).map(|(number, _)| *number).collect();
        let most = self.shared.options.max_batch_bytes;
        for run in runs(&numbers, |number| replica.sent[&number].command.size(), most) {
            let commands = run.clone().map(|number| replica.sent[&number].command.clone());
            let entry = Entry {
                epoch,
                clock: Timestamp::default(),
                commands: commands.collect(),
                origins: Vec::new(),
            };
            let order = Order::Commands { epoch, first: run.start, body: entry.encode() };
            if orders.try_send(order).is_err() {
                // The line is clogged or gone: whoever opens the next sends it all again.
                let again = self.shared.clock.monotonic();
                replica.hang_up(again);
                return;
            }
        }
    }

    /// Over a new line: all that was handed over and not seen in the journal, and all questions.
    fn send_again(&mut self) {
        self.send_from(0);
        let Some(replica) = &mut self.replica else { return };
        for question in std::mem::take(&mut replica.parked) {
            self.question(question);
        }
    }

    /// What the writer has refused goes back to those who wait for it.
    fn handed_back(&mut self, first: u64, count: u64, fault: &Fault) {
        let Some(replica) = &mut self.replica else { return };
        for number in first..first.saturating_add(count) {
            let Some(sent) = replica.sent.remove(&number) else { continue };
            if let Some(waiter) = sent.waiter {
                self.backlog.settle(Load::one(sent.command.size()));
                waiter.answer(Err(fault.clone()));
            }
        }
    }

    /// Finds our own commands in an entry that was applied, and tells those who wait what they came to.
    pub(crate) fn answer_origins(&mut self, entry: &Entry, outcomes: &[Outcome]) {
        if matches!(outcomes.first(), Some(Outcome { result: Ok(Reply::Void), .. })) {
            return;
        }
        let Some(replica) = &mut self.replica else { return };
        for origin in &entry.origins {
            if (origin.member, origin.session) != (replica.me, replica.session) {
                continue;
            }
            let numbers = origin.first..origin.first + origin.count;
            for (number, outcome) in numbers.zip(&outcomes[origin.at..]) {
                let Some(sent) = replica.sent.remove(&number) else { continue };
                if let Some(waiter) = sent.waiter {
                    self.backlog.settle(Load::one(sent.command.size()));
                    waiter.answer(Ok(outcome.clone()));
                }
            }
        }
    }

    fn follower(&mut self, member: MemberId, comes: bool) {
        let now = self.shared.clock.monotonic();
        let Some(replica) = &mut self.replica else { return };
        let lines = replica.followers.entry(member).or_default();
        *lines = if comes { *lines + 1 } else { lines.saturating_sub(1) };
        if *lines == 0 {
            replica.followers.remove(&member);
            replica.outsider = Some(now);
        }
    }

    /// Takes a follower's commands into the order, those excepted that it has sent before.
    fn forwarded(&mut self, forwarded: Forwarded) {
        let Forwarded { member, session, epoch, first, commands } = forwarded;
        if self.role != Role::Writer || epoch != self.state.epoch() {
            return;
        }
        let Some(replica) = &mut self.replica else { return };
        let newest = replica.accepted.entry(member).or_insert((session, 0));
        if newest.0 != session {
            *newest = (session, 0);
        }
        for (number, command) in (first..).zip(commands) {
            if number > newest.1 {
                newest.1 = number;
                self.backlog.forwarded(command, Handed { member, session, number });
            }
        }
    }

    /// Tells the followers of an entry that is durable.
    pub(crate) fn tell(&self, slot: Slot, body: &bytes::Bytes) {
        let Some(replica) = &self.replica else { return };
        if let Some(told) = &*replica.shared.told.lock() {
            // Nobody may be listening.
            drop(told.send(Told::All(News::Entry { slot, body: body.clone() })));
        }
    }

    /// Tells the followers whose commands these are that they will not take effect.
    pub(crate) fn hand_back(&self, entry: &Entry, fault: &Fault) {
        let Some(replica) = &self.replica else { return };
        let told = replica.shared.told.lock();
        let Some(told) = &*told else { return };
        for origin in &entry.origins {
            let (first, count) = (origin.first, origin.count);
            let news = News::Refused { first, count, fault: fault.clone() };
            drop(told.send(Told::One(origin.member, origin.session, news)));
        }
    }

    /// Answers what only the writer knows, or passes it on.
    fn question(&mut self, question: Question) {
        let now = self.shared.clock.monotonic();
        let Some(replica) = &mut self.replica else { return };
        if self.role == Role::Writer {
            let leases = &self.shared.leases;
            let answer = match question.ask {
                Ask::Renew(id) => match leases.renew(id, now) {
                    Renewal::Renewed(ttl) => Answer::Seconds(Some(ttl)),
                    Renewal::Absent => Answer::Seconds(None),
                    Renewal::Ending => {
                        // Known when its end is applied or given up; asked again with the next pulse.
                        replica.parked.push_back(question);
                        return;
                    }
                },
                Ask::Remaining(id) => Answer::Seconds(leases.remaining(id, now)),
                Ask::Leases => Answer::Leases(leases.by_expiry()),
            };
            drop(question.reply.send(answer));
            return;
        }
        if self.role == Role::Guest {
            drop(question.reply.send(Answer::Unknown));
            return;
        }
        let Way::Line { orders, .. } = &replica.way else {
            replica.parked.push_back(question);
            return;
        };
        replica.questions += 1;
        let id = replica.questions;
        if orders.try_send(Order::Ask { id, ask: question.ask }).is_ok() {
            replica.asked.insert(id, question);
        } else {
            replica.parked.push_back(question);
        }
    }

    /// Asks again what could not be answered.
    pub(crate) fn ask_parked(&mut self) {
        let Some(replica) = &mut self.replica else { return };
        for question in std::mem::take(&mut replica.parked) {
            self.question(question);
        }
    }

    /// Whether to leave the journal to a member that cannot reach us, for one pulse. It has to win a slot
    /// against us, and that takes it longer than us.
    fn consider_yielding(&mut self, now: Duration) {
        let role = self.role;
        let Some(replica) = &mut self.replica else { return };
        replica.pulses = replica.pulses.wrapping_add(1);
        let recent = |moment: Duration| now.saturating_sub(moment) < YIELD_FOR;
        let wanted = role == Role::Writer
            && replica.pulses.is_multiple_of(YIELD_EVERY)
            && replica.outsider.is_some_and(recent);
        replica.yielding = wanted && {
            let members = self.state.cluster().members().iter();
            let started = members.filter(|(_, member)| member.version.is_some());
            started
                .map(|(id, _)| id)
                .any(|id| *id != replica.me && !replica.followers.contains_key(id))
        };
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
        let Some(replica) = &mut self.replica else { return };
        match role {
            Role::Writer => replica.outsider = Some(now),
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

    /// Whether another writer is needed, and whether it is to be us.
    fn consider_taking_over(&mut self, now: Duration) {
        let Some(replica) = &self.replica else { return };
        let voters = self.state.cluster().members().iter().filter(|(_, member)| !member.learner);
        let Some(rank) = voters.map(|(id, _)| *id).position(|id| id == replica.me) else { return };
        let patience = replica.settings.patience;
        // One after the other, so that two do not claim at once.
        let turn = patience / 10 * u32::try_from(rank).unwrap_or(u32::MAX).min(10);
        let silent = now.saturating_sub(replica.heard) >= patience.saturating_add(turn);
        let refused = replica.broken.is_some_and(|(since, calls)| {
            calls >= 2 && now.saturating_sub(since) >= (patience / 5).saturating_add(turn)
        });
        if !silent && !refused {
            return;
        }
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
        tracing::warn!(epoch = %self.state.epoch(), silent, "the writer is not heard of, taking over");
        self.role = Role::Claiming;
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
        (replica.overtaken, replica.yielding, replica.outsider) = (false, false, Some(now));
        replica.hang_up(now);
        let writer = self.state.cluster().writer();
        if let Some((to, reply)) = replica.handing.take() {
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
        let named = |command: &Command| matches!(command.bare(), Command::MemberRemove { member } if *member == me);
        if commands.iter().any(named) && self.state.cluster().is_removed(me) {
            self.stop_for(format!("member {:016x} was removed from the cluster", me.0));
        }
    }

    fn take_back_sent(&mut self) {
        let Some(replica) = &mut self.replica else { return };
        for sent in std::mem::take(&mut replica.sent).into_values() {
            if let Some(waiter) = sent.waiter {
                self.backlog.taken_back(sent.command, waiter);
            }
        }
    }

    fn hand_over(&mut self, to: Option<MemberId>, reply: oneshot::Sender<Result<MemberId, Fault>>) {
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
        let members = self.state.cluster().members();
        let fit = |id: &MemberId| members.get(id).is_some_and(|member| !member.learner);
        let mut present = replica.followers.keys().copied().filter(fit);
        let target = present.find(|id| to.is_none_or(|to| *id == to));
        match target {
            None => drop(reply.send(refuse("no such replica follows"))),
            Some(_) if replica.handing.is_some() => {
                drop(reply.send(refuse("the journal is being handed over already")));
            }
            Some(target) => replica.handing = Some((target, reply)),
        }
    }

    /// The claim that makes another the writer, once nothing of ours is on its way.
    pub(crate) fn handing_claim(&self) -> Option<Command> {
        let (to, _) = self.replica.as_ref()?.handing.as_ref()?;
        Some(Command::Claim { epoch: Epoch(self.state.epoch().0 + 1), member: *to })
    }

    /// Notes how far we are, for those that wait for it.
    pub(crate) fn publish_position(&self, ours: bool) {
        let Some(replica) = &self.replica else { return };
        let position = self.state.position();
        replica.shared.applied.send_replace(position);
        if ours {
            replica.shared.won.send_replace(position);
        }
    }

    /// Notes which slot is offered next, before it is.
    pub(crate) fn publish_next_offer(&self) {
        if let Some(replica) = &self.replica {
            replica.shared.next_offer.store(self.next_slot.0, Ordering::Release);
        }
    }
}

/// Calls a few times in quick succession: whoever was just made the writer may not know it yet.
async fn persist(
    peers: &dyn Peers,
    writer: MemberId,
    urls: &[String],
    hello: Hello,
) -> Result<Line, String> {
    let mut pause = FIRST_REDIAL;
    loop {
        match peers.call(writer, urls.to_vec(), hello).await {
            Err(_) if pause < REDIAL => tokio::time::sleep(pause).await,
            done => return done,
        }
        pause *= 2;
    }
}

/// Runs of consecutive numbers, each of about so many bytes at most.
fn runs(numbers: &[u64], size: impl Fn(u64) -> usize, most: usize) -> Vec<std::ops::Range<u64>> {
    let mut runs: Vec<std::ops::Range<u64>> = Vec::new();
    let mut bytes = 0;
    for &number in numbers {
        bytes += size(number);
        match runs.last_mut() {
            Some(run) if run.end == number && bytes <= most => run.end += 1,
            _ => {
                bytes = size(number);
                runs.push(number..number + 1);
            }
        }
    }
    runs
}
