//! A container in memory that several journals share, with the faults of a real one: requests and replies that
//! are lost, creates that land later, too much asked, no room, a region that is lost.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::time::sleep;

use crate::account::{Account, Consistency};
use crate::failure::{Failure, Kind};
use crate::guarantee::Guarantee;
use crate::item::{Item, Name};
use crate::items::{Created, Items, Range};
use crate::layout::kind;
use crate::stats::{Purpose, Stats};
use crate::throughput::Throughput;

/// What becomes of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Nothing out of the ordinary.
    Honest,
    /// It never arrives.
    LostRequest,
    /// It happens, and nobody is told.
    LostReply,
    /// It arrives after so many more requests, or when it is delivered by hand; nobody is told.
    Late(u32),
    /// The service takes no more.
    Throttled,
    /// The partition is full.
    Full,
    /// There is never an answer, and it never arrives.
    Silence,
    /// It is on its way there for so long, and answered.
    Slow(Duration),
    /// It is not allowed.
    Denied,
}

/// How often something goes wrong, of a thousand requests.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Odds {
    pub(crate) creates: u32,
    pub(crate) others: u32,
}

enum Change {
    Create(Item),
    Replace(Item),
    Delete(Name),
}

struct State {
    items: BTreeMap<Name, Item>,
    /// In the order in which they came.
    created: Vec<Name>,
    tags: u64,
    random: StdRng,
    odds: Odds,
    /// What the next creates for one purpose meet.
    script: (Purpose, VecDeque<Fate>),
    late: Vec<(u32, Change)>,
    /// The last slot that was ever created.
    reached: u64,
    /// Slots that were created while the slot before had never been there.
    holes: Vec<u64>,
    /// The longest way there, or back.
    delay: Duration,
}

/// What all journals see.
#[derive(Clone)]
pub(crate) struct Container {
    state: Arc<Mutex<State>>,
    may_lose: Arc<AtomicBool>,
    throughput: Arc<Mutex<Throughput>>,
}

/// One journal's way to it.
pub(crate) struct Fake {
    container: Container,
    stats: Arc<Stats>,
}

impl Container {
    pub(crate) fn new(seed: u64) -> Self {
        let state = State {
            items: BTreeMap::new(),
            created: Vec::new(),
            tags: 0,
            random: StdRng::seed_from_u64(seed),
            odds: Odds { creates: 0, others: 0 },
            script: (Purpose::Append, VecDeque::new()),
            late: Vec::new(),
            reached: 0,
            holes: Vec::new(),
            delay: Duration::ZERO,
        };
        // So much that no test is slow for it.
        let throughput = Arc::new(Mutex::new(Throughput::Manual(4_000_000)));
        Self { state: Arc::new(Mutex::new(state)), may_lose: Arc::default(), throughput }
    }

    pub(crate) fn way(&self, stats: &Arc<Stats>) -> Arc<Fake> {
        Arc::new(Fake { container: self.clone(), stats: Arc::clone(stats) })
    }

    pub(crate) fn odds(&self, odds: Odds) {
        self.state.lock().odds = odds;
    }

    pub(crate) fn delay(&self, delay: Duration) {
        self.state.lock().delay = delay;
    }

    /// What the next creates of slots meet.
    pub(crate) fn script(&self, fates: impl IntoIterator<Item = Fate>) {
        self.script_of(Purpose::Append, fates);
    }

    pub(crate) fn script_of(&self, purpose: Purpose, fates: impl IntoIterator<Item = Fate>) {
        self.state.lock().script = (purpose, fates.into_iter().collect());
    }

    /// Puts an item there behind everybody's back.
    pub(crate) fn put(&self, item: Item) {
        self.state.lock().apply(Change::Create(item));
    }

    /// Delivers what was held up.
    pub(crate) fn deliver(&self) {
        let mut state = self.state.lock();
        for (_, change) in std::mem::take(&mut state.late) {
            state.apply(change);
        }
    }

    /// What the container may spend.
    pub(crate) fn spends(&self, throughput: Throughput) {
        *self.throughput.lock() = throughput;
    }

    /// From now on a region's loss may take acknowledged writes along.
    pub(crate) fn may_lose(&self) {
        self.may_lose.store(true, Ordering::SeqCst);
    }

    /// A region is lost, and the last items with it.
    pub(crate) fn lose(&self, items: usize) {
        let mut state = self.state.lock();
        let kept = state.created.len().saturating_sub(items);
        for name in state.created.split_off(kept) {
            state.items.remove(&name);
        }
    }

    /// Slots that were created before their time.
    pub(crate) fn holes(&self) -> Vec<u64> {
        self.state.lock().holes.clone()
    }

    pub(crate) fn names(&self) -> Vec<Name> {
        self.state.lock().items.keys().cloned().collect()
    }

    pub(crate) fn item(&self, name: &Name) -> Option<Item> {
        self.state.lock().items.get(name).cloned()
    }

    /// Changes what is stored behind everybody's back.
    pub(crate) fn tamper(&self, name: &Name, change: impl FnOnce(&mut Item)) {
        change(self.state.lock().items.get_mut(name).expect("an item"));
    }

    pub(crate) fn remove(&self, name: &Name) {
        self.state.lock().items.remove(name).expect("an item");
    }
}

impl State {
    fn apply(&mut self, change: Change) -> bool {
        self.tags += 1;
        let tag = Some(self.tags.to_string());
        match change {
            Change::Create(item) if self.items.contains_key(&item.name) => false,
            Change::Create(item) => {
                let is_slot = matches!(item.kind, kind::BODY | kind::PARTS | kind::END);
                if is_slot && item.slot > self.reached + 1 {
                    self.holes.push(item.slot);
                }
                if is_slot {
                    self.reached = self.reached.max(item.slot);
                }
                self.created.push(item.name.clone());
                self.items.insert(item.name.clone(), Item { tag, ..item });
                true
            }
            Change::Replace(item) => {
                let held = self.items.get(&item.name);
                let same = held.is_some_and(|held| held.tag == item.tag);
                if same {
                    self.items.insert(item.name.clone(), Item { tag, ..item });
                }
                same
            }
            Change::Delete(name) => {
                self.items.remove(&name);
                true
            }
        }
    }

    /// What becomes of a request, and how long it is on its way there and back.
    fn fate(&mut self, purpose: Purpose, creates: bool) -> (Fate, [Duration; 2]) {
        let longest = self.delay;
        let way = [(); 2].map(|()| longest.mul_f64(self.random.random_range(0.0..1.0)));
        if creates
            && purpose == self.script.0
            && let Some(fate) = self.script.1.pop_front()
        {
            return (fate, way);
        }
        let odds = if creates { self.odds.creates } else { self.odds.others };
        if self.random.random_range(0..1000) >= odds {
            return (Fate::Honest, way);
        }
        let fate = match self.random.random_range(0..6) {
            0 => Fate::LostRequest,
            1 => Fate::LostReply,
            2 => Fate::Late(self.random.random_range(1..20)),
            3 => Fate::Full,
            _ => Fate::Throttled,
        };
        (if fate == Fate::Full && !creates { Fate::Throttled } else { fate }, way)
    }

    /// Time passes for what was held up.
    fn pass(&mut self) {
        for (left, _) in &mut self.late {
            *left = left.saturating_sub(1);
        }
        let due: Vec<_> = self.late.extract_if(.., |(left, _)| *left == 0).collect();
        for (_, change) in due {
            self.apply(change);
        }
    }

    fn range(&self, range: &Range) -> Vec<Item> {
        let inside = |item: &&Item| {
            item.name.partition == range.partition && (range.from..range.to).contains(&item.slot)
        };
        let mut found: Vec<_> = self.items.values().filter(inside).cloned().collect();
        found.sort_by_key(|item| item.slot);
        let mut bytes = 0;
        let within = |item: &Item| {
            let fits = bytes == 0 || bytes + item.body.len() <= range.bytes;
            bytes += item.body.len().max(1);
            fits
        };
        found.into_iter().take(range.most).take_while(within).collect()
    }
}

fn unclear(what: &str) -> Failure {
    Failure::new(Kind::Ambiguous, what)
}

impl Fake {
    async fn change(&self, purpose: Purpose, change: Change) -> Result<bool, Failure> {
        let creates = matches!(change, Change::Create(_));
        let (fate, [there, back]) = self.container.state.lock().fate(purpose, creates);
        self.wait(if let Fate::Slow(longer) = fate { there + longer } else { there }).await;
        let outcome = {
            let mut state = self.container.state.lock();
            state.pass();
            match fate {
                Fate::Honest | Fate::Slow(_) => Ok(state.apply(change)),
                Fate::LostReply => {
                    state.apply(change);
                    Err(unclear("the reply was lost"))
                }
                Fate::Late(calls) => {
                    state.late.push((calls, change));
                    Err(unclear("503"))
                }
                fate => Err(failure(fate, &self.stats)),
            }
        };
        if fate == Fate::Silence {
            futures::future::pending::<()>().await;
        }
        self.wait(back).await;
        if outcome.is_ok() {
            self.stats.charged(purpose, 1.0);
        }
        outcome
    }

    async fn ask<T>(
        &self,
        purpose: Purpose,
        ask: impl FnOnce(&State) -> T + Send,
    ) -> Result<T, Failure> {
        let (fate, [there, back]) = self.container.state.lock().fate(purpose, false);
        self.wait(there).await;
        let answer = {
            let mut state = self.container.state.lock();
            state.pass();
            ask(&state)
        };
        self.wait(back).await;
        match fate {
            Fate::Honest => {
                self.stats.charged(purpose, 1.0);
                Ok(answer)
            }
            fate => Err(failure(fate, &self.stats)),
        }
    }

    async fn wait(&self, way: Duration) {
        if way.is_zero() { tokio::task::yield_now().await } else { sleep(way).await }
    }
}

/// What the journal is told of a fate.
fn failure(fate: Fate, stats: &Stats) -> Failure {
    let after = Duration::from_millis(3);
    match fate {
        Fate::Throttled => {
            stats.throttled(after);
            Failure { after: Some(after), ..Failure::new(Kind::Throttled, "429") }
        }
        Fate::Full => Failure::new(Kind::Full, "the partition is full"),
        Fate::Denied => Failure::new(Kind::Denied, "403: not allowed"),
        _ => unclear("no answer"),
    }
}

impl Items for Fake {
    fn create(&self, purpose: Purpose, item: Item) -> BoxFuture<'_, Result<Created, Failure>> {
        async move {
            let new = self.change(purpose, Change::Create(item)).await?;
            Ok(if new { Created::New } else { Created::Taken })
        }
        .boxed()
    }

    fn get(&self, purpose: Purpose, name: Name) -> BoxFuture<'_, Result<Option<Item>, Failure>> {
        self.ask(purpose, move |state| state.items.get(&name).cloned()).boxed()
    }

    fn range(&self, purpose: Purpose, range: Range) -> BoxFuture<'_, Result<Vec<Item>, Failure>> {
        self.ask(purpose, move |state| state.range(&range)).boxed()
    }

    fn replace(&self, purpose: Purpose, item: Item) -> BoxFuture<'_, Result<bool, Failure>> {
        self.change(purpose, Change::Replace(item)).boxed()
    }

    fn delete(&self, purpose: Purpose, name: Name) -> BoxFuture<'_, Result<(), Failure>> {
        async move { self.change(purpose, Change::Delete(name)).await.map(drop) }.boxed()
    }

    fn may_lose(&self) -> bool {
        self.container.may_lose.load(Ordering::SeqCst)
    }

    fn guarantee(&self) -> Guarantee {
        let regions = vec!["Here".into(), "There".into()];
        let consistency = Consistency::Strong;
        Account { consistency, write_region: "Here".into(), regions }.guarantee()
    }

    fn throughput(&self) -> Throughput {
        *self.container.throughput.lock()
    }
}
