//! What a replica does besides ordering and applying: what reaches it, what time brings, and those that
//! follow it.

use std::time::Duration;

use bytes::Bytes;
use journal::Slot;
use state::{Entry, MemberId};
use tokio::sync::broadcast;

use super::follow::Told;
use super::levels::admit;
use super::mail::{Forwarded, Mail};
use super::replica::Way;
use super::{News, Role};
use crate::fault::Fault;
use crate::inbox::{Handed, Load};
use crate::vitals::Ending;
use crate::writer::Writer;

/// How often what time brings is looked at.
pub(crate) const PULSE: Duration = Duration::from_millis(25);
/// How often the journal is read by one who has no line, and by one who has or needs none.
const FETCH_ALONE: Duration = Duration::from_millis(50);
pub(super) const FETCH_WATCHFUL: Duration = Duration::from_secs(1);

impl Writer {
    /// Takes in what reached us.
    pub(crate) fn receive(&mut self, mail: Mail) {
        if self.ended {
            return;
        }
        match mail {
            Mail::Fetched(found) => self.fetched(found),
            Mail::Wanted(position) => self.want(position),
            Mail::Called(epoch, line) => self.called(epoch, line),
            Mail::News(number, news) => self.news(number, news),
            Mail::LineEnded(number) => self.line_ended(number),
            Mail::Follower(member, comes) => self.follower(member, comes),
            Mail::Leaving(member) => self.leaving(member),
            Mail::Forwarded(forwarded) => self.forwarded(forwarded),
            Mail::Ask(question) => self.question(question),
            Mail::Digested(position, digest) => self.digested(position, digest),
            Mail::Diverged(why) => self.stop_for(Ending::Failed, why),
            Mail::HandOver(to, reply) => self.hand_over(to, reply),
        }
    }

    /// What time brings to one replica among others.
    pub(crate) fn pulse(&mut self) {
        let now = self.shared.clock.monotonic();
        let role = self.role;
        let Some(replica) = self.replica.as_mut().filter(|_| !self.ended) else { return };
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
        if replica.handing.as_ref().is_some_and(|handing| handing.is_given_up()) {
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
        self.consider_level();
        if role != Role::Writer {
            self.dial(now);
        }
        if matches!(role, Role::Follower | Role::Guest) {
            self.consider_taking_over(now);
        }
    }

    pub(super) fn follower(&mut self, member: MemberId, comes: bool) {
        let now = self.shared.clock.monotonic();
        let Some(replica) = &mut self.replica else { return };
        if comes {
            replica.left.remove(&member);
        }
        let lines = replica.followers.entry(member).or_default();
        *lines = if comes { *lines + 1 } else { lines.saturating_sub(1) };
        if *lines == 0 {
            replica.followers.remove(&member);
            replica.outsider = Some(now);
        }
    }

    /// Takes a follower's commands into the order, those excepted that it has sent before.
    pub(super) fn forwarded(&mut self, forwarded: Forwarded) {
        let Forwarded { member, session, epoch, first, commands } = forwarded;
        if self.role != Role::Writer || epoch != self.state.epoch() {
            return;
        }
        let (cluster, own) = (self.state.cluster(), self.shared.options.level);
        let mut refused = Vec::new();
        let Some(replica) = &mut self.replica else { return };
        let newest = replica.accepted.entry(member).or_insert((session, 0));
        if newest.0 != session {
            *newest = (session, 0);
        }
        for (number, command) in (first..).zip(commands) {
            if number > newest.1 {
                newest.1 = number;
                match admit(&command, cluster, own) {
                    Ok(()) => self.backlog.forwarded(command, Handed { member, session, number }),
                    Err(fault) => refused.push(News::Refused { first: number, count: 1, fault }),
                }
            }
        }
        let told = replica.shared.told.lock();
        let Some(told) = &*told else { return };
        for news in refused {
            drop(told.send(Told::One(member, session, news)));
        }
    }

    /// What tells those that follow us at this moment of an entry that is durable.
    pub(crate) fn teller(&self, slot: Slot, body: &Bytes) -> Teller {
        let told = self.replica.as_ref().and_then(|replica| replica.shared.told.lock().clone());
        Teller(told.map(|told| (told, News::Entry { slot, body: body.clone() })))
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
}

/// See [`Writer::teller`]; what it knows of followers outlasts our being their writer.
pub(crate) struct Teller(Option<(broadcast::Sender<Told>, News)>);

impl Teller {
    pub(crate) fn tell(self) {
        if let Some((told, news)) = self.0 {
            // Nobody may be listening.
            drop(told.send(Told::All(news)));
        }
    }
}
