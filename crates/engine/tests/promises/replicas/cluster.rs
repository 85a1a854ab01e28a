//! Three replicas in one process, with lines that a test can cut.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use engine::replicas::{Hello, Line, Myself, Peers, Replicas, Role};
use engine::{Clock, Engine, OpenError, Options, Parts, Threads};
use futures::FutureExt;
use futures::future::BoxFuture;
use journal::{Journal, MemoryObjects};
use parking_lot::Mutex;
use state::{ClusterVersion, Digest, Level, MemberId, Position, Timestamp};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// Virtual time, if the test's is.
struct TestClock(Instant);

impl Clock for TestClock {
    fn wall(&self) -> Timestamp {
        Timestamp(self.0.elapsed().as_millis() as u64)
    }

    fn monotonic(&self) -> Duration {
        self.0.elapsed()
    }
}

/// Who can be reached by whom.
#[derive(Default)]
pub(crate) struct Network {
    engines: Mutex<BTreeMap<MemberId, Engine>>,
    cut: Mutex<BTreeSet<(MemberId, MemberId)>>,
    changed: watch::Sender<u64>,
}

impl Network {
    /// Cuts or heals the way between two, both directions.
    pub(crate) fn cut(&self, one: MemberId, other: MemberId, cut: bool) {
        let mut set = self.cut.lock();
        for pair in [(one, other), (other, one)] {
            if cut {
                set.insert(pair)
            } else {
                set.remove(&pair)
            };
        }
        drop(set);
        self.changed.send_modify(|n| *n += 1);
    }

    fn is_cut(&self, one: MemberId, other: MemberId) -> bool {
        self.cut.lock().contains(&(one, other))
    }
}

struct Caller {
    me: MemberId,
    network: Arc<Network>,
}

impl Peers for Caller {
    fn call(
        &self,
        member: MemberId,
        _: Vec<String>,
        hello: Hello,
    ) -> BoxFuture<'static, Result<Line, String>> {
        let (me, network) = (self.me, Arc::clone(&self.network));
        async move {
            tokio::time::sleep(Duration::from_millis(1)).await;
            let engine = network.engines.lock().get(&member).cloned();
            let engine = engine.ok_or("nobody there")?;
            if network.is_cut(me, member) {
                return Err("cut".to_owned());
            }
            if engine.role() != Role::Writer {
                return Err("not the writer".to_owned());
            }
            let (orders, taken) = mpsc::channel(8_192);
            let (told, news) = mpsc::channel(8_192);
            tokio::spawn(async move {
                let mut changed = network.changed.subscribe();
                let until_cut = async {
                    while !network.is_cut(me, member) && changed.changed().await.is_ok() {}
                };
                tokio::select! {
                    _ = engine.follow(hello, taken, told) => {}
                    () = until_cut => {}
                }
            });
            Ok(Line { orders, news })
        }
        .boxed()
    }
}

/// One replica.
pub(crate) struct Replica {
    pub(crate) engine: Engine,
    pub(crate) member: MemberId,
    network: Arc<Network>,
    tasks: JoinHandle<()>,
}

impl Replica {
    /// Stops as a process that is killed.
    pub(crate) async fn kill(self) {
        self.network.engines.lock().remove(&self.member);
        self.network.changed.send_modify(|n| *n += 1);
        self.tasks.abort();
        drop(self.tasks.await);
    }

    pub(crate) async fn stop(self) {
        self.engine.stop();
        self.tasks.await.expect("the tasks end by themselves");
        self.network.engines.lock().remove(&self.member);
    }

    pub(crate) async fn digest(&self) -> (Position, Digest) {
        self.engine.ask(|state| (state.position(), state.digest())).await.unwrap()
    }
}

/// A cluster that is being tested.
pub(crate) struct Cluster {
    pub(crate) network: Arc<Network>,
    pub(crate) journal: Arc<dyn Journal>,
    pub(crate) options: Options,
    pub(crate) version: ClusterVersion,
    pub(crate) founders: u64,
    pub(crate) objects: MemoryObjects,
    /// Where each keeps its checkpoints, if any.
    pub(crate) folder: Option<PathBuf>,
}

impl Cluster {
    pub(crate) fn new(journal: Arc<dyn Journal>) -> Self {
        let (network, options) = (Arc::default(), Options::default());
        let objects = MemoryObjects::default();
        let version = ClusterVersion { major: 3, minor: 7 };
        Self { network, journal, options, version, founders: 3, objects, folder: None }
    }

    pub(crate) async fn try_start(&self, n: u64) -> Result<Replica, OpenError> {
        self.try_start_on(Arc::clone(&self.journal), n).await
    }

    /// As a program of this level, or one that is held there.
    pub(crate) async fn try_start_at(&self, n: u64, level: Level) -> Result<Replica, OpenError> {
        let options = Options { level, ..self.options.clone() };
        self.try_start_with(Arc::clone(&self.journal), n, options).await
    }

    pub(crate) async fn start_at(&self, n: u64, level: Level) -> Replica {
        self.try_start_at(n, level).await.expect("starts")
    }

    pub(crate) async fn try_start_on(
        &self,
        journal: Arc<dyn Journal>,
        n: u64,
    ) -> Result<Replica, OpenError> {
        self.try_start_with(journal, n, self.options.clone()).await
    }

    async fn try_start_with(
        &self,
        journal: Arc<dyn Journal>,
        n: u64,
        options: Options,
    ) -> Result<Replica, OpenError> {
        let url = |n: u64| vec![format!("http://replica{n}:2380")];
        let caller = Caller { me: MemberId(n), network: Arc::clone(&self.network) };
        let replicas = Replicas {
            peers: Arc::new(caller),
            objects: Arc::new(self.objects.clone()),
            myself: Myself {
                member: None,
                name: format!("replica{n}"),
                peer_urls: url(n),
                client_urls: vec![format!("http://replica{n}:2379")],
                version: self.version,
            },
            founders: (1..=self.founders).map(|n| (MemberId(n), url(n))).collect(),
            digest_every: Duration::from_secs(60),
            patience: Duration::from_secs(1),
        };
        let parts = Parts {
            journal,
            checkpoints: self.folder.as_ref().map(|folder| folder.join(n.to_string())),
            clock: Arc::new(TestClock(Instant::now())),
            errands: Arc::new(Threads),
            member: MemberId(n),
            replicas: Some(replicas),
            observer: Arc::new(()),
            options,
        };
        let (engine, tasks) = Engine::open(parts).await?;
        let tasks = tokio::spawn(engine::run(tasks));
        let member = engine.status().member;
        self.network.engines.lock().insert(member, engine.clone());
        Ok(Replica { engine, member, network: Arc::clone(&self.network), tasks })
    }

    pub(crate) async fn start(&self, n: u64) -> Replica {
        self.try_start(n).await.expect("starts")
    }

    /// Three that follow the first.
    pub(crate) async fn three(&self) -> [Replica; 3] {
        let all = [self.start(1).await, self.start(2).await, self.start(3).await];
        all[2].engine.commit(crate::support::put("started", "")).await.unwrap();
        all[1].engine.commit(crate::support::put("started", "")).await.unwrap();
        all
    }
}

/// The one that takes itself for the writer, once there is just one.
pub(crate) async fn writer(of: &[&Replica]) -> MemberId {
    for _ in 0..10_000 {
        let writers: Vec<_> = of.iter().filter(|one| one.engine.role() == Role::Writer).collect();
        if let [one] = writers[..] {
            return one.member;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("there is no writer");
}

/// Waits until all have applied the same, and holds their digests against one another.
pub(crate) async fn agree(of: &[&Replica]) {
    for _ in 0..2_000 {
        for one in of {
            one.engine.linearizable_view().await.unwrap();
        }
        let mut digests = Vec::new();
        for one in of {
            digests.push(one.digest().await);
        }
        if digests.iter().all(|(position, _)| *position == digests[0].0) {
            assert!(digests.iter().all(|digest| digest == &digests[0]), "{digests:?}");
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("they never stood at the same place");
}
