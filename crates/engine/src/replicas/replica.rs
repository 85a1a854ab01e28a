//! What a replica knows of the others: who it follows, what it has handed over, who follows it.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use journal::Journal;
use parking_lot::Mutex;
use state::{Command, MemberId, Position};
use tokio::sync::{broadcast, mpsc, oneshot, watch};

use super::barrier::Barrier;
use super::digests::Digests;
use super::follow::Told;
use super::levels::Levels;
use super::mail::{Mail, Question, WAITING};
use super::{Order, Replicas};
use crate::fault::Fault;
use crate::inbox::Waiter;

/// The pause before a journal that does not answer is asked again, doubled each time up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(200);

/// What a replica is to the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// It orders what all of them are asked.
    #[default]
    Writer,
    /// It hands commands to the writer.
    Follower,
    /// It reaches the journal but not the writer, who is at work: it appends in the writer's epoch, slot by
    /// slot against it.
    Guest,
    /// It has claimed the next epoch and awaits what comes of it.
    Claiming,
}

/// What the loop of a replica shares with its handles.
pub(crate) struct SharedReplicas {
    pub(crate) mail: mpsc::Sender<Mail>,
    /// Where followers are told; there only while we are the writer.
    pub(crate) told: Mutex<Option<broadcast::Sender<Told>>>,
    pub(crate) barrier: Barrier,
    pub(crate) journal: Arc<dyn Journal>,
    /// The newest entry applied and published.
    pub(crate) applied: watch::Sender<Position>,
    /// The newest entry of our own that was applied and published.
    pub(crate) won: watch::Sender<Position>,
    /// The slot that is offered next: whoever reads this now is older than any offer to it.
    pub(crate) next_offer: AtomicU64,
}

impl SharedReplicas {
    pub(crate) fn new(
        journal: Arc<dyn Journal>,
        applied: Position,
    ) -> (Arc<Self>, mpsc::Receiver<Mail>) {
        let (mail, received) = mpsc::channel(WAITING);
        let shared = Self {
            mail,
            told: Mutex::new(None),
            barrier: Barrier::default(),
            journal,
            applied: watch::channel(applied).0,
            won: watch::channel(Position::default()).0,
            next_offer: AtomicU64::new(applied.0 + 1),
        };
        (Arc::new(shared), received)
    }

    /// Waits until everything is applied that may have been acknowledged before this call.
    pub(crate) async fn catch_up(&self) -> Result<(), Fault> {
        let gone = || Fault::Unavailable("the engine has ended".to_owned());
        let won = self.won.subscribe();
        let ticket = self.next_offer.load(Ordering::Acquire);
        tokio::select! {
            biased;
            // An offer that was made after we came and has won stood at the tail: all else is before it.
            applied = until(won, Position(ticket)) => applied.ok_or_else(gone),
            upto = self.pass_barrier() => {
                let applied = self.applied.subscribe();
                let behind = *applied.borrow() < upto;
                if behind {
                    drop(self.mail.send(Mail::Wanted(upto)).await);
                }
                until(applied, upto).await.ok_or_else(gone)
            }
        }
    }

    async fn pass_barrier(&self) -> Position {
        let mut pause = FIRST_PAUSE;
        loop {
            match self.barrier.pass(&*self.journal).await {
                Ok(upto) => return upto,
                Err(error) => tracing::debug!(%error, "cannot learn the journal's tail"),
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}

/// Waits for a position; `None` if it will never come.
async fn until(mut positions: watch::Receiver<Position>, position: Position) -> Option<()> {
    positions.wait_for(|now| *now >= position).await.is_ok().then_some(())
}

/// A command that was handed to the writer.
pub(crate) struct Sent {
    pub(crate) command: Command,
    pub(crate) waiter: Option<Waiter>,
}

/// Another is to be the writer.
pub(crate) struct Handing {
    pub(crate) to: MemberId,
    /// Who asked for it; nobody, if we are about to be removed.
    pub(crate) reply: Option<oneshot::Sender<Result<MemberId, Fault>>>,
}

impl Handing {
    pub(crate) fn is_given_up(&self) -> bool {
        self.reply.as_ref().is_some_and(oneshot::Sender::is_closed)
    }
}

/// The way to the writer.
pub(crate) enum Way {
    /// There is none; the next try is due then.
    None { again: Duration },
    /// One is being opened.
    Calling,
    /// A line stands.
    Line { number: u64, orders: mpsc::Sender<Order> },
}

/// See the module.
pub(crate) struct Replica {
    pub(crate) settings: Replicas,
    pub(crate) me: MemberId,
    /// Which start of us.
    pub(crate) session: u64,
    pub(crate) shared: Arc<SharedReplicas>,
    pub(crate) mail: mpsc::Receiver<Mail>,
    /// The number of the newest command that was handed over.
    pub(crate) newest: u64,
    /// Handed over and not seen in the journal, by number.
    pub(crate) sent: BTreeMap<u64, Sent>,
    pub(crate) way: Way,
    /// The number of the newest line.
    pub(crate) lines: u64,
    /// When the writer was last heard of, by whatever way.
    pub(crate) heard: Duration,
    /// When the journal last showed that the writer is at work.
    pub(crate) at_work: Option<Duration>,
    /// Since when the journal answers us without failing, and when it did last.
    pub(crate) readable: Option<(Duration, Duration)>,
    /// Since when there is no line, and how many calls have failed since.
    pub(crate) broken: Option<(Duration, u32)>,
    /// When another took the journal from us, or we from another.
    pub(crate) changed: Option<Duration>,
    /// Somebody else's entry stood where we offered: the journal is read before we offer again.
    pub(crate) overtaken: bool,
    /// As the writer: when there was last a sign of a member that reaches the journal and not us.
    pub(crate) outsider: Option<Duration>,
    /// As the writer: we offer nothing, so that an outsider may.
    pub(crate) yielding: bool,
    /// How long at least.
    pub(crate) yields_until: Duration,
    /// As the writer: how long our last append took.
    pub(crate) append: Duration,
    pub(crate) pulses: u32,
    pub(crate) digests: Digests,
    pub(crate) levels: Levels,
    pub(crate) fetching: bool,
    pub(crate) fetched: Duration,
    /// Readers wait for this.
    pub(crate) wanted: Position,
    /// The newest number that each follower's start has handed to us, in this epoch.
    pub(crate) accepted: HashMap<MemberId, (u64, u64)>,
    /// How many lines each follower has to us.
    pub(crate) followers: BTreeMap<MemberId, usize>,
    /// Those that were told to end and have not come back: no outsiders, whatever their lines.
    pub(crate) left: BTreeSet<MemberId>,
    /// Asked over the line.
    pub(crate) asked: HashMap<u64, Question>,
    /// Wait for a line.
    pub(crate) parked: VecDeque<Question>,
    pub(crate) questions: u64,
    /// Who is to be the writer instead of us.
    pub(crate) handing: Option<Handing>,
}

impl Replica {
    pub(crate) fn new(
        settings: Replicas,
        me: MemberId,
        shared: Arc<SharedReplicas>,
        mail: mpsc::Receiver<Mail>,
        now: Duration,
    ) -> Self {
        Self {
            settings,
            me,
            session: rand::random(),
            shared,
            mail,
            newest: 0,
            sent: BTreeMap::new(),
            way: Way::None { again: now },
            lines: 0,
            heard: now,
            at_work: None,
            readable: None,
            broken: None,
            changed: None,
            overtaken: false,
            outsider: None,
            yielding: false,
            yields_until: Duration::ZERO,
            append: Duration::ZERO,
            pulses: 0,
            digests: Digests::default(),
            levels: Levels::default(),
            fetching: false,
            fetched: now,
            wanted: Position::default(),
            accepted: HashMap::new(),
            followers: BTreeMap::new(),
            left: BTreeSet::new(),
            asked: HashMap::new(),
            parked: VecDeque::new(),
            questions: 0,
            handing: None,
        }
    }

    /// Whether there is a line to the writer, and it says something.
    pub(crate) fn hears(&self, now: Duration) -> bool {
        let line = matches!(self.way, Way::Line { .. });
        line && now.saturating_sub(self.heard) < self.settings.patience
    }

    /// Drops the line; what was asked over it waits for another.
    pub(crate) fn hang_up(&mut self, again: Duration) {
        self.way = Way::None { again };
        let mut asked: Vec<_> = self.asked.drain().collect();
        asked.sort_unstable_by_key(|(id, _)| *id);
        self.parked.extend(asked.into_iter().map(|(_, question)| question));
    }

    /// The next thing that reaches us; never, where there is no replica.
    pub(crate) async fn next(replica: &mut Option<Self>) -> Mail {
        let Some(replica) = replica else { return std::future::pending().await };
        match replica.mail.recv().await {
            Some(mail) => mail,
            None => std::future::pending().await,
        }
    }
}
