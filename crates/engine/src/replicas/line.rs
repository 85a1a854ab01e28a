//! A follower's end of a line: the call, what is handed over and comes back, and what only the writer knows.

use std::sync::Arc;
use std::time::Duration;

use state::{Entry, Epoch, MemberId, Outcome, Reply, Timestamp};

use super::mail::{Mail, Question};
use super::replica::{Sent, Way};
use super::{Answer, Ask, Hello, Line, News, Order, Peers, Role};
use crate::fault::Fault;
use crate::inbox::Load;
use crate::lease::Renewal;
use crate::writer::Writer;

/// Between two calls to a writer that cannot be reached.
const REDIAL: Duration = Duration::from_millis(50);
const FIRST_REDIAL: Duration = Duration::from_millis(2);
/// Commands handed over and not seen in the journal.
const HANDED_OVER: usize = 4_096;

impl Writer {
    /// Calls the writer, if there is no line to it and it is time to try again.
    pub(super) fn dial(&mut self, now: Duration) {
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
        let peers = Arc::clone(&replica.settings.peers);
        let (mail, patience) = (replica.shared.mail.clone(), replica.settings.patience);
        replica.way = Way::Calling;
        tokio::spawn(async move {
            let line = tokio::time::timeout(patience, persist(&*peers, writer, &urls, hello)).await;
            let line = line.unwrap_or_else(|_| Err("no answer in time".to_owned()));
            drop(mail.send(Mail::Called(epoch, line)).await);
        });
    }

    pub(super) fn called(&mut self, epoch: Epoch, line: Result<Line, String>) {
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

    pub(super) fn line_ended(&mut self, number: u64) {
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

    pub(super) fn news(&mut self, number: u64, news: News) {
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
    pub(super) fn send_from(&mut self, first: u64) {
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
    pub(super) fn send_again(&mut self) {
        self.send_from(0);
        let Some(replica) = &mut self.replica else { return };
        for question in std::mem::take(&mut replica.parked) {
            self.question(question);
        }
    }

    /// What the writer has refused goes back to those who wait for it.
    pub(super) fn handed_back(&mut self, first: u64, count: u64, fault: &Fault) {
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

    /// Answers what only the writer knows, or passes it on.
    pub(super) fn question(&mut self, question: Question) {
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
