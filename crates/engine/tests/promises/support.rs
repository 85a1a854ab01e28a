//! A node to test: an engine over some journal, with a clock that the test moves.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use engine::{Clock, Engine, Fault, OpenError, Options, Parts, Threads};
use futures::FutureExt;
use futures::future::BoxFuture;
use journal::{
    Append, Body, FileJournal, FileOptions, Journal, JournalError, MemoryJournal, Nonce, Record,
    Slot, Successor,
};
use state::{
    Command, DeleteRange, Digest, Entry, KeyRange, KeyValue, LeaseId, MemberId, Outcome, Position,
    Put, Reply, State, Timestamp,
};
use tokio::task::JoinHandle;

/// A clock that stands still unless told to go.
#[derive(Default)]
pub(crate) struct HandClock {
    now: AtomicU64,
}

impl HandClock {
    pub(crate) fn go(&self, by: Duration) {
        self.now.fetch_add(by.as_millis() as u64, Ordering::SeqCst);
    }
}

impl Clock for HandClock {
    fn wall(&self) -> Timestamp {
        Timestamp(self.now.load(Ordering::SeqCst))
    }

    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.now.load(Ordering::SeqCst))
    }
}

/// An engine and what drives it.
pub(crate) struct Node {
    pub(crate) engine: Engine,
    pub(crate) clock: Arc<HandClock>,
    tasks: JoinHandle<()>,
}

impl Node {
    pub(crate) async fn try_start(
        journal: Arc<dyn Journal>,
        checkpoints: Option<PathBuf>,
        options: Options,
    ) -> Result<Self, OpenError> {
        let clock = Arc::new(HandClock::default());
        let parts = Parts {
            journal,
            checkpoints,
            clock: Arc::<HandClock>::clone(&clock),
            errands: Arc::new(Threads),
            member: MemberId(1),
            replicas: None,
            observer: Arc::new(()),
            options,
        };
        let (engine, tasks) = Engine::open(parts).await?;
        let tasks = tokio::spawn(engine::run(tasks));
        Ok(Self { engine, clock, tasks })
    }

    pub(crate) async fn start(journal: Arc<dyn Journal>, options: Options) -> Self {
        Self::try_start(journal, None, options).await.expect("opens")
    }

    /// Stops as a process that is killed: nothing is finished, nobody is answered.
    pub(crate) async fn kill(self) {
        self.tasks.abort();
        drop(self.tasks.await);
    }

    /// Stops in good order.
    pub(crate) async fn stop(self) {
        self.engine.stop();
        self.tasks.await.expect("the tasks end by themselves");
    }

    pub(crate) fn put(
        &self,
        key: &str,
        value: &str,
    ) -> impl Future<Output = Result<Outcome, Fault>> + Send + use<'_> {
        self.engine.commit(put(key, value))
    }

    pub(crate) fn get(&self, key: &str) -> Option<KeyValue> {
        get(&self.engine, key)
    }

    pub(crate) async fn grant(&self, id: i64, ttl: i64) {
        let granted = self.engine.commit(Command::LeaseGrant { id: LeaseId(id), ttl }).await;
        assert_eq!(granted.unwrap().result, Ok(Reply::LeaseGrant { id: LeaseId(id), ttl }));
    }

    /// Where the machine stands and its digest there.
    pub(crate) async fn digest(&self) -> (Position, Digest) {
        self.engine.ask(|state| (state.position(), state.digest())).await.unwrap()
    }
}

pub(crate) fn put(key: &str, value: &str) -> Command {
    let (key, value) = (key.to_owned().into(), value.to_owned().into());
    Command::Put(Put { key, value, prev_kv: true, ..Put::default() })
}

pub(crate) fn put_on(key: &str, lease: i64) -> Command {
    let key = key.to_owned().into();
    Command::Put(Put { key, lease: LeaseId(lease), ..Put::default() })
}

pub(crate) fn delete(key: &str) -> Command {
    let range = KeyRange::point(key.to_owned().into());
    Command::DeleteRange(DeleteRange { range, prev_kv: false })
}

pub(crate) fn get(engine: &Engine, key: &str) -> Option<KeyValue> {
    let view = engine.view();
    let kv = view.get(key.as_bytes())?;
    Some(KeyValue {
        key: kv.key.to_vec().into(),
        value: kv.value.to_vec().into(),
        create_revision: kv.create_revision,
        mod_revision: kv.mod_revision,
        version: kv.version,
        lease: kv.lease,
    })
}

/// Small files, so that tests do not spend their time on zeroes.
pub(crate) fn file_options() -> FileOptions {
    FileOptions { segment_bytes: 256 << 10, ..FileOptions::default() }
}

/// Opens the log once whoever had it is gone.
pub(crate) fn reopen(dir: &std::path::Path) -> Arc<FileJournal> {
    for _ in 0..1_000 {
        match FileJournal::open(dir, file_options()) {
            Ok((journal, _)) => return Arc::new(journal),
            Err(JournalError::Occupied(_)) => std::thread::sleep(Duration::from_millis(5)),
            Err(error) => panic!("{error}"),
        }
    }
    panic!("the log stays occupied");
}

/// The state that the journal's entries up to `end` add up to.
pub(crate) async fn replay(journal: &dyn Journal, end: Position) -> State {
    let mut state = State::new();
    while state.position() < end {
        for record in journal.read(Slot(state.position().0 + 1), 1).await.unwrap() {
            let entry = Entry::decode(&record.body).unwrap();
            state.apply(Position(record.slot.0), &entry);
        }
    }
    state
}

/// A journal that can be slow, full or stuck on demand, and notes what it was asked.
pub(crate) struct Gauge {
    pub(crate) inner: Arc<dyn Journal>,
    pub(crate) delay: Duration,
    pub(crate) full: AtomicBool,
    /// What is stuck is not written either.
    pub(crate) unwritten: AtomicBool,
    /// While set, appends do not come to an end.
    pub(crate) stuck: Arc<tokio::sync::watch::Sender<bool>>,
    pub(crate) under_way: Arc<AtomicU64>,
    pub(crate) most_under_way: AtomicU64,
    /// The greatest slot known to be durable.
    pub(crate) won: Arc<AtomicU64>,
    /// Puts in the slots known to be durable.
    pub(crate) puts: Arc<AtomicU64>,
    pub(crate) on_trim: Box<dyn Fn(Slot) + Send + Sync>,
    /// Called whenever the tail is asked for, before it is answered.
    pub(crate) on_tail: Box<dyn Fn() + Send + Sync>,
}

impl Gauge {
    pub(crate) fn over(inner: Arc<dyn Journal>) -> Self {
        Self {
            inner,
            delay: Duration::ZERO,
            full: AtomicBool::new(false),
            unwritten: AtomicBool::new(false),
            stuck: Arc::new(tokio::sync::watch::Sender::new(false)),
            under_way: Arc::default(),
            most_under_way: AtomicU64::new(0),
            won: Arc::default(),
            puts: Arc::default(),
            on_trim: Box::new(|_| {}),
            on_tail: Box::new(|| {}),
        }
    }

    pub(crate) fn memory() -> Self {
        Self::over(Arc::new(MemoryJournal::default()))
    }
}

impl Journal for Gauge {
    fn append(&self, slot: Slot, nonce: Nonce, body: Body) -> BoxFuture<'_, Append> {
        if self.full.load(Ordering::SeqCst) {
            return futures::future::ready(Append::Refused(JournalError::Full("test".into())))
                .boxed();
        }
        let now = self.under_way.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_under_way.fetch_max(now, Ordering::SeqCst);
        let entry = Entry::decode(&body).expect("what is offered can be read");
        let puts = entry.commands.iter().filter(|command| matches!(command, Command::Put(_)));
        let puts = puts.count() as u64;
        let mut stuck = self.stuck.subscribe();
        let append = || self.inner.append(slot, nonce, body.clone());
        let asked = (!self.unwritten.load(Ordering::SeqCst)).then(append);
        async move {
            if !self.delay.is_zero() {
                tokio::time::sleep(self.delay).await;
            }
            stuck.wait_for(|stuck| !stuck).await.expect("the gauge lives");
            let answer = match asked {
                Some(asked) => asked.await,
                None => self.inner.append(slot, nonce, body).await,
            };
            if matches!(answer, Append::Won) {
                self.puts.fetch_add(puts, Ordering::SeqCst);
                self.won.fetch_max(slot.0, Ordering::SeqCst);
            }
            self.under_way.fetch_sub(1, Ordering::SeqCst);
            answer
        }
        .boxed()
    }

    fn read(&self, from: Slot, limit: usize) -> BoxFuture<'_, Result<Vec<Record>, JournalError>> {
        self.inner.read(from, limit)
    }

    fn tail(&self) -> BoxFuture<'_, Result<Slot, JournalError>> {
        (self.on_tail)();
        self.inner.tail()
    }

    fn trim(&self, before: Slot) -> BoxFuture<'_, Result<(), JournalError>> {
        (self.on_trim)(before);
        self.inner.trim(before)
    }

    fn seal(&self, successor: Successor) -> BoxFuture<'_, Result<Slot, JournalError>> {
        self.inner.seal(successor)
    }

    fn successor(&self) -> BoxFuture<'_, Result<Option<Successor>, JournalError>> {
        self.inner.successor()
    }
}

/// Waits until it is so; time passes meanwhile, real or paused.
pub(crate) async fn until(what: &str, mut so: impl FnMut() -> bool) {
    for _ in 0..4_000 {
        if so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("did not happen: {what}");
}

pub(crate) fn memory() -> Arc<MemoryJournal> {
    Arc::new(MemoryJournal::default())
}
