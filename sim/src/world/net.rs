//! The network: connections between sites, whose bytes arrive late, in order, once, and not at all while a
//! way is cut; as TCP, what is lost is sent again later. Everything here happens when the world says so.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::task::Waker;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::counts::Counts;
use super::dice::Dice;
use super::journal::Errand;
use super::trace::Trace;
use super::{JOURNAL, MILLISECOND, Nanos, SECOND, Site};

/// Bytes that may be on their way in one direction of a connection.
const WINDOW: usize = 256 << 10;
/// Connections that may wait to be accepted.
const BACKLOG: usize = 128;
/// What was lost is sent again after this long, doubled each time up to the longest.
const AGAIN: Nanos = 200 * MILLISECOND;
const LONGEST_AGAIN: Nanos = 5 * SECOND;

/// A connection's number, and one of its two ends: 0 is who called.
pub(crate) type End = (u64, usize);

/// What happens at a time.
pub(crate) enum Event {
    /// Something arrives at the other end of a connection.
    Packet(Packet),
    /// Something arrives at the journal, or an answer of it at a site.
    Journal(Errand),
}

pub(crate) struct Packet {
    conn: u64,
    /// Of the end it goes to.
    to: usize,
    tries: u32,
    what: What,
}

enum What {
    Call { port: u16 },
    Accepted,
    Refused,
    Data { number: u64, bytes: Bytes },
    Fin { number: u64 },
    Taken { bytes: usize },
    Reset,
}

/// How long ways take.
#[derive(Clone, Debug)]
pub(crate) struct Ways {
    /// The least and the most of a usual packet.
    pub(crate) usual: (Nanos, Nanos),
    /// What one to or from the journal takes longer.
    pub(crate) far: (Nanos, Nanos),
    /// So many of a thousand packets are held up, for at most so long.
    pub(crate) held_up: (u64, Nanos),
    /// Nothing gets through in this direction.
    pub(crate) cut: BTreeSet<(Site, Site)>,
    /// What a direction takes longer.
    pub(crate) slow: BTreeMap<(Site, Site), Nanos>,
}

/// One machine.
#[derive(Default)]
pub(crate) struct Machine {
    /// Whether it answers at all.
    pub(crate) is_up: bool,
    /// Whether its process has come to its end inside a step: nothing it does has an effect any more.
    pub(crate) is_dead: bool,
    /// So many effects more, and it dies.
    pub(crate) dies_after: Option<u64>,
    listeners: BTreeMap<u16, Listener>,
}

#[derive(Default)]
struct Listener {
    waiting: VecDeque<u64>,
    waker: Option<Waker>,
}

struct Conn {
    ends: [Side; 2],
    /// What ends the wait of who called.
    answered: Option<oneshot::Sender<bool>>,
}

/// One end of a connection, with what arrived there.
struct Side {
    site: Site,
    /// Whether a process has it.
    is_held: bool,
    next: u64,
    early: BTreeMap<u64, What>,
    inbox: VecDeque<Bytes>,
    at_end: bool,
    is_reset: bool,
    reader: Option<Waker>,
    /// Numbers given to what was sent.
    sent: u64,
    on_the_way: usize,
    has_finished: bool,
    writer: Option<Waker>,
}

impl Side {
    fn new(site: Site) -> Self {
        Self {
            site,
            is_held: true,
            next: 0,
            early: BTreeMap::new(),
            inbox: VecDeque::new(),
            at_end: false,
            is_reset: false,
            reader: None,
            sent: 0,
            on_the_way: 0,
            has_finished: false,
            writer: None,
        }
    }

    fn wake(&mut self, wakers: &mut Vec<Waker>) {
        wakers.extend(self.reader.take());
        wakers.extend(self.writer.take());
    }
}

/// A cheap handle of the world's network.
#[derive(Clone)]
pub(crate) struct Net(pub(crate) Arc<Mutex<State>>);

impl std::fmt::Debug for Net {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Net")
    }
}

/// See the module.
pub(crate) struct State {
    pub(crate) now: Nanos,
    pub(crate) dice: Dice,
    pub(crate) ways: Ways,
    pub(crate) trace: Trace,
    pub(crate) counts: Counts,
    events: BTreeMap<(Nanos, u64), Event>,
    numbered: u64,
    conns: BTreeMap<u64, Conn>,
    machines: BTreeMap<Site, Machine>,
}

impl State {
    pub(crate) fn new(dice: Dice, ways: Ways, trace: Trace) -> Self {
        Self {
            now: 0,
            dice,
            ways,
            trace,
            counts: Counts::default(),
            events: BTreeMap::new(),
            numbered: 0,
            conns: BTreeMap::new(),
            machines: BTreeMap::new(),
        }
    }

    pub(crate) fn machine(&mut self, site: Site) -> &mut Machine {
        self.machines.entry(site).or_default()
    }

    /// One thing that a process does and others may notice; false if it is dead and nobody does.
    pub(crate) fn effect(&mut self, site: Site) -> bool {
        let machine = self.machine(site);
        if let Some(left) = &mut machine.dies_after {
            *left = left.saturating_sub(1);
            machine.is_dead |= *left == 0;
        }
        !machine.is_dead
    }

    /// Has something happen after `delay`.
    pub(crate) fn after(&mut self, delay: Nanos, event: Event) {
        self.numbered += 1;
        self.events.insert((self.now + delay, self.numbered), event);
    }

    /// What happens by now, in order.
    pub(crate) fn due(&mut self) -> Option<Event> {
        let first = self.events.first_entry()?;
        (first.key().0 <= self.now).then(|| first.remove())
    }

    /// How long it takes from one site to another, this time.
    pub(crate) fn way(&mut self, from: Site, to: Site) -> Nanos {
        let Ways { usual, far, held_up, slow, .. } = &self.ways;
        let mut takes = self.dice.between(usual.0, usual.1);
        if far.1 > 0 && [from, to].contains(&JOURNAL) {
            takes += self.dice.between(far.0, far.1);
        }
        takes += slow.get(&(from, to)).copied().unwrap_or_default();
        if self.dice.chance(held_up.0) {
            self.counts.packets_held_up += 1;
            takes += self.dice.below(held_up.1);
        }
        takes
    }

    pub(crate) fn is_cut(&self, from: Site, to: Site) -> bool {
        self.ways.cut.contains(&(from, to))
    }

    /// When what did not get through is sent again.
    pub(crate) fn again(&mut self, tries: u32) -> Nanos {
        let pause = (AGAIN << tries.min(10)).min(LONGEST_AGAIN);
        self.counts.packets_lost += 1;
        pause + self.dice.below(pause / 4)
    }

    fn send(&mut self, conn: u64, to: usize, what: What) {
        let Some(found) = self.conns.get(&conn) else { return };
        let (source, target) = (found.ends[1 - to].site, found.ends[to].site);
        let delay = self.way(source, target);
        self.after(delay, Event::Packet(Packet { conn, to, tries: 0, what }));
    }

    /// A packet arrives, or is lost.
    pub(crate) fn arrive(&mut self, packet: Packet, wakers: &mut Vec<Waker>) {
        let Packet { conn, to, tries, what } = packet;
        let Some(found) = self.conns.get(&conn) else { return };
        let (source, target) = (found.ends[1 - to].site, found.ends[to].site);
        if self.is_cut(source, target) || !self.machine(target).is_up {
            // Whoever is to send it again must still be there.
            if self.machine(source).is_up {
                let pause = self.again(tries);
                self.after(pause, Event::Packet(Packet { conn, to, tries: tries + 1, what }));
            }
            return;
        }
        self.note(conn, to, &what);
        match what {
            What::Call { port } => self.called(conn, target, port, wakers),
            What::Accepted => self.answer(conn, true),
            What::Refused => {
                self.answer(conn, false);
                self.conns.remove(&conn);
            }
            What::Reset => self.reset(conn, to, wakers),
            What::Taken { bytes } => {
                if let Some(found) = self.conns.get_mut(&conn) {
                    let side = &mut found.ends[to];
                    side.on_the_way = side.on_the_way.saturating_sub(bytes);
                    wakers.extend(side.writer.take());
                }
            }
            What::Data { number, .. } | What::Fin { number } => {
                self.take(conn, to, number, what, wakers);
            }
        }
    }

    fn note(&self, conn: u64, to: usize, what: &What) {
        let (kind, number, bytes) = match what {
            What::Call { port } => (1, u64::from(*port), &[][..]),
            What::Accepted => (2, 0, &[][..]),
            What::Refused => (3, 0, &[][..]),
            What::Data { number, bytes } => (4, *number, &bytes[..]),
            What::Fin { number } => (5, *number, &[][..]),
            What::Taken { bytes } => (6, *bytes as u64, &[][..]),
            What::Reset => (7, 0, &[][..]),
        };
        self.trace.sum(&[conn, to as u64, kind, number], bytes);
    }

    fn called(&mut self, conn: u64, target: Site, port: u16, wakers: &mut Vec<Waker>) {
        let listener = self.machine(target).listeners.get_mut(&port);
        match listener.filter(|listener| listener.waiting.len() < BACKLOG) {
            Some(listener) => {
                listener.waiting.push_back(conn);
                wakers.extend(listener.waker.take());
                self.send(conn, 0, What::Accepted);
            }
            None => self.send(conn, 0, What::Refused),
        }
    }

    fn answer(&mut self, conn: u64, accepted: bool) {
        let found = self.conns.get_mut(&conn);
        if let Some(answered) = found.and_then(|found| found.answered.take()) {
            // Who called may have given up.
            let _gave_up = answered.send(accepted);
        }
    }

    fn take(&mut self, conn: u64, to: usize, number: u64, what: What, wakers: &mut Vec<Waker>) {
        let Some(found) = self.conns.get_mut(&conn) else { return };
        let side = &mut found.ends[to];
        if !side.is_held {
            // Nobody has this end any more.
            return self.send(conn, 1 - to, What::Reset);
        }
        if number >= side.next {
            side.early.insert(number, what);
        }
        while let Some(what) = side.early.remove(&side.next) {
            side.next += 1;
            match what {
                What::Data { bytes, .. } => side.inbox.push_back(bytes),
                _ => side.at_end = true,
            }
            wakers.extend(side.reader.take());
        }
    }

    fn reset(&mut self, conn: u64, to: usize, wakers: &mut Vec<Waker>) {
        if let Some(found) = self.conns.get_mut(&conn) {
            let side = &mut found.ends[to];
            side.is_reset = true;
            side.wake(wakers);
        }
        self.answer(conn, false);
    }

    /// Who is called at a port of a site.
    pub(crate) fn listen(&mut self, site: Site, port: u16) {
        self.machine(site).listeners.insert(port, Listener::default());
    }

    /// The next who called.
    pub(crate) fn accept(&mut self, site: Site, port: u16, waker: &Waker) -> Option<(End, Site)> {
        loop {
            let listener = self.machine(site).listeners.get_mut(&port)?;
            let Some(conn) = listener.waiting.pop_front() else {
                listener.waker = Some(waker.clone());
                return None;
            };
            // Who called may have given up, and nobody may have held this end since a crash.
            if let Some(found) = self.conns.get(&conn) {
                return Some(((conn, 1), found.ends[0].site));
            }
        }
    }

    /// Calls a port of a site; true comes back once it is accepted.
    pub(crate) fn call(
        &mut self,
        from: Site,
        to: Site,
        port: u16,
    ) -> (End, oneshot::Receiver<bool>) {
        self.numbered += 1;
        let conn = self.numbered;
        let (answered, answer) = oneshot::channel();
        let ends = [Side::new(from), Side::new(to)];
        self.conns.insert(conn, Conn { ends, answered: Some(answered) });
        if self.effect(from) {
            self.send(conn, 1, What::Call { port });
        }
        ((conn, 0), answer)
    }

    /// What has arrived at this end, at most `most` bytes.
    pub(crate) fn read(&mut self, (conn, at): End, most: usize, waker: &Waker) -> Read {
        let Some(found) = self.conns.get_mut(&conn) else { return Read::Reset };
        let side = &mut found.ends[at];
        if side.is_reset {
            return Read::Reset;
        }
        let Some(mut bytes) = side.inbox.pop_front() else {
            if side.at_end {
                return Read::End;
            }
            side.reader = Some(waker.clone());
            return Read::Pending;
        };
        if bytes.len() > most {
            side.inbox.push_front(bytes.split_off(most));
        }
        let site = side.site;
        if self.effect(site) {
            self.send(conn, 1 - at, What::Taken { bytes: bytes.len() });
        }
        Read::Bytes(bytes)
    }

    /// Sends as many bytes as there is room for; `None` if there is none at present.
    pub(crate) fn write(
        &mut self,
        (conn, at): End,
        bytes: &[u8],
        waker: &Waker,
    ) -> Option<Option<usize>> {
        let Some(found) = self.conns.get_mut(&conn) else { return Some(None) };
        let side = &mut found.ends[at];
        if side.is_reset || side.has_finished {
            return Some(None);
        }
        let room = WINDOW.saturating_sub(side.on_the_way).min(bytes.len());
        if room == 0 && !bytes.is_empty() {
            side.writer = Some(waker.clone());
            return None;
        }
        let number = side.sent;
        let site = side.site;
        side.sent += 1;
        side.on_the_way += room;
        if self.effect(site) {
            let bytes = Bytes::copy_from_slice(&bytes[..room]);
            self.send(conn, 1 - at, What::Data { number, bytes });
        }
        Some(Some(room))
    }

    /// Says that nothing more comes from this end.
    pub(crate) fn finish(&mut self, (conn, at): End) {
        let Some(found) = self.conns.get_mut(&conn) else { return };
        let side = &mut found.ends[at];
        if side.is_reset || std::mem::replace(&mut side.has_finished, true) {
            return;
        }
        let (number, site) = (side.sent, side.site);
        side.sent += 1;
        if self.effect(site) {
            self.send(conn, 1 - at, What::Fin { number });
        }
    }

    /// Nobody has this end any more.
    pub(crate) fn close(&mut self, end: End) {
        self.finish(end);
        let (conn, at) = end;
        let Some(found) = self.conns.get_mut(&conn) else { return };
        found.ends[at].is_held = false;
        if !found.ends[1 - at].is_held {
            self.conns.remove(&conn);
        }
    }

    /// The process of a site is gone; if its machine is not, that says so on every connection.
    pub(crate) fn crash(&mut self, site: Site, with_machine: bool) {
        let machine = self.machine(site);
        machine.is_up = !with_machine;
        machine.listeners.clear();
        machine.is_dead = true;
        machine.dies_after = None;
        let of_site = |(conn, found): (&u64, &Conn)| {
            let held = |at: usize| found.ends[at].site == site && found.ends[at].is_held;
            [held(0).then_some((*conn, 0)), held(1).then_some((*conn, 1))]
        };
        let ends: Vec<End> = self.conns.iter().flat_map(of_site).flatten().collect();
        for (conn, at) in ends {
            if !with_machine {
                self.send(conn, 1 - at, What::Reset);
            }
            if let Some(found) = self.conns.get_mut(&conn) {
                found.ends[at].is_held = false;
                if !found.ends[1 - at].is_held {
                    self.conns.remove(&conn);
                }
            }
        }
    }

    /// The machine runs, and a process on it.
    pub(crate) fn boot(&mut self, site: Site) {
        let machine = self.machine(site);
        (machine.is_up, machine.is_dead, machine.dies_after) = (true, false, None);
    }
}

/// What a read finds.
pub(crate) enum Read {
    /// This.
    Bytes(Bytes),
    /// Nothing more will come.
    End,
    /// Nothing yet.
    Pending,
    /// The connection is broken.
    Reset,
}
