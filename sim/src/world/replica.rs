//! One replica: the server itself, as `main` runs it, on a host of the world.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use engine::replicas::{Myself, Replicas};
use engine::{Clock, Engine, Options, Parts, Tasks};
use parking_lot::Mutex;
use server::grpc::Settings;
use server::http::Access;
use server::observe::metrics::Settings as Measured;
use server::observe::store::StoreMetrics;
use server::peers::{Attendant, Caller, Dialer};
use server::rpc::maintenance::VERSION;
use server::rpc::{Authentication, Identity, Limits, Parts as ServiceParts, Services};
use server::serve::{self, Listener, Secrecy, Socket, Traffic};
use state::{Level, MemberId, Timestamp};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::climate::Limits as Narrow;
use super::errands::SimErrands;
use super::hand::Hand;
use super::journal::{Depot, SimJournal, SimObjects};
use super::net::Net;
use super::single::Single;
use super::stream::{Outlet, Port};
use super::{MILLISECOND, Nanos, Site, entropy};

/// Of every cluster here.
pub(crate) const CLUSTER: u64 = 0xc1;
const CLIENTS: u16 = 2379;
const PEERS: u16 = 2380;
const DRAIN: Duration = Duration::from_millis(500);
/// As `main` does it.
const HANDING_OVER: Duration = Duration::from_secs(1);
const HAND_OVER_AGAIN: Duration = Duration::from_millis(50);

/// What a replica is started with.
#[derive(Clone)]
pub(crate) struct Spec {
    pub(crate) site: Site,
    pub(crate) net: Net,
    pub(crate) depot: Arc<Mutex<Depot>>,
    /// The id of an earlier start.
    pub(crate) member: Option<u64>,
    /// Of the first start of all.
    pub(crate) founders: Vec<Site>,
    pub(crate) folder: PathBuf,
    pub(crate) habits: Habits,
    /// What its wall clock is off by, in nanoseconds.
    pub(crate) skew: Arc<Mutex<i64>>,
    /// What it says it can apply.
    pub(crate) level: Level,
    /// Its disk, if the journal is its own.
    pub(crate) single: Option<Single>,
}

/// What is the same for all replicas of a world.
#[derive(Clone, Debug)]
pub(crate) struct Habits {
    pub(crate) patience: Duration,
    pub(crate) digest_every: Duration,
    pub(crate) checkpoint_after: u64,
    pub(crate) progress_every: Duration,
    pub(crate) limits: Narrow,
}

/// What is seen of a replica from outside.
#[derive(Default)]
pub(crate) struct Outside {
    /// Once it has started.
    pub(crate) engine: Option<Engine>,
    /// Why its process has ended, if it has.
    pub(crate) ended: Option<String>,
    /// What does the work of the file journal.
    pub(crate) hand: Option<Hand>,
}

/// One that runs.
pub(crate) struct Process {
    pub(crate) outside: Arc<Mutex<Outside>>,
    pub(crate) errands: SimErrands,
    /// Asks it to stop.
    pub(crate) terminate: Option<oneshot::Sender<()>>,
}

/// The world's time, and a wall clock that may be wrong.
struct SimClock {
    net: Net,
    skew: Arc<Mutex<i64>>,
}

impl Clock for SimClock {
    fn wall(&self) -> Timestamp {
        let now = self.net.0.lock().now;
        Timestamp(entropy::wall(now, *self.skew.lock()) / MILLISECOND)
    }

    fn monotonic(&self) -> Duration {
        Duration::from_nanos(self.net.0.lock().now)
    }
}

impl Spec {
    /// The process that is to run; polled on its host.
    pub(crate) fn start(self) -> (Process, impl Future<Output = ()> + Send + 'static) {
        let outside = Arc::new(Mutex::new(Outside::default()));
        let errands = SimErrands::new(self.site, &self.net);
        let (terminate, terminated) = oneshot::channel();
        let process = Process {
            outside: Arc::clone(&outside),
            errands: errands.clone(),
            terminate: Some(terminate),
        };
        let run = async move {
            let why = match self.run(&outside, errands, terminated).await {
                Ok(why) => why.to_owned(),
                Err(why) => format!("error: {why}"),
            };
            outside.lock().ended = Some(why);
        };
        (process, run)
    }

    async fn run(
        self,
        outside: &Mutex<Outside>,
        errands: SimErrands,
        terminated: oneshot::Receiver<()>,
    ) -> Result<&'static str, String> {
        let ports = [(CLIENTS, Traffic::All), (PEERS, Traffic::Peers)];
        let ports = if self.single.is_some() { &ports[..1] } else { &ports[..] };
        let listeners = ports.iter().map(|(port, traffic)| Listener {
            socket: Socket::Other(Box::new(Port::listen(&self.net, self.site, *port))),
            traffic: *traffic,
            secrecy: Secrecy::Plaintext,
        });
        let metrics = Arc::new(Services::metrics(Measured::default()));
        let mut parts = self.parts(errands, Arc::clone(&metrics.store));
        if let Some(single) = &self.single {
            let (journal, hand) = single.open()?;
            outside.lock().hand = Some(hand);
            (parts.journal, parts.replicas, parts.member) = (journal, None, MemberId(1));
        }
        let opened = Engine::open(parts).await.map_err(|error| error.to_string());
        let (engine, tasks) = opened.inspect_err(|why| {
            self.single.iter().for_each(|single| single.not_opened(why));
        })?;
        if let Some(single) = self.single.clone() {
            tokio::spawn(single.check(engine.clone()));
        }
        outside.lock().engine = Some(engine.clone());
        let services = Services::of(ServiceParts {
            engine: engine.clone(),
            identity: self.identity(&engine),
            limits: Limits::default(),
            metrics,
            authentication: Authentication::default(),
            shared_journal: None,
        });
        let parts = serve::Parts {
            services,
            peers: self.single.is_none().then(|| Attendant::new(CLUSTER, Arc::new(engine.clone()))),
            settings: Settings::default(),
            access: Access::default(),
            gateway: false,
            drain: DRAIN,
        };
        Ok(live(engine, tasks, parts, listeners.collect(), terminated).await)
    }

    fn parts(&self, errands: SimErrands, observer: Arc<StoreMetrics>) -> Parts {
        let Self { site, net, depot, .. } = self;
        let outlet = Outlet { net: net.clone(), site: *site };
        let dialer = Dialer::on(Arc::new(outlet));
        let myself = Myself {
            member: self.member.map(MemberId),
            name: site.to_string(),
            peer_urls: vec![peer_url(*site)],
            client_urls: vec![client_url(*site)],
            version: VERSION,
        };
        let founders = self.founders.iter();
        let founders = founders.map(|site| (MemberId(u64::from(site.0)), vec![peer_url(*site)]));
        let objects = SimObjects { site: *site, net: net.clone(), depot: Arc::clone(depot) };
        let limits = self.habits.limits;
        let watch = engine::watch::Options {
            progress_interval: self.habits.progress_every,
            max_response_bytes: limits.response_bytes,
            max_queued_responses: limits.queued_responses,
            max_queued_bytes: limits.queued_bytes,
            ..engine::watch::Options::default()
        };
        Parts {
            journal: Arc::new(SimJournal::new(*site, net, depot)),
            checkpoints: Some(self.folder.join("checkpoints")),
            clock: Arc::new(SimClock { net: net.clone(), skew: Arc::clone(&self.skew) }),
            errands: Arc::new(errands),
            member: MemberId(0),
            replicas: Some(Replicas {
                peers: Arc::new(Caller::new(CLUSTER, dialer, Handle::current())),
                objects: Arc::new(objects),
                myself,
                founders: founders.collect(),
                digest_every: self.habits.digest_every,
                patience: self.habits.patience,
            }),
            observer,
            options: Options {
                checkpoint_after: self.habits.checkpoint_after,
                level: self.level,
                eager_bytes: limits.eager_bytes,
                max_batch_bytes: limits.batch_bytes,
                max_in_flight: limits.in_flight,
                watch,
                ..Options::default()
            },
        }
    }

    fn identity(&self, engine: &Engine) -> Identity {
        Identity {
            cluster_id: CLUSTER,
            member_id: engine.status().member.0,
            name: self.site.to_string(),
            client_urls: vec![client_url(self.site)],
            peer_urls: vec![peer_url(self.site)],
        }
    }
}

pub(crate) fn peer_url(site: Site) -> String {
    format!("http://{site}:{PEERS}")
}

pub(crate) fn client_url(site: Site) -> String {
    format!("http://{site}:{CLIENTS}")
}

/// Serves until asked to stop or the writer ends; says which.
async fn live(
    engine: Engine,
    tasks: Tasks,
    parts: serve::Parts,
    listeners: Vec<Listener>,
    terminated: oneshot::Receiver<()>,
) -> &'static str {
    let (writer_ended, mut writer) = oneshot::channel::<()>();
    let writing = tokio::spawn(async move {
        tasks.writer.await;
        drop(writer_ended);
    });
    let watches = tokio::spawn(tasks.watches);
    let compactor = tokio::spawn(tasks.compactor);
    let mut why = "error: the writer ended";
    let shutdown = async {
        tokio::select! {
            Ok(()) = terminated => why = "terminated",
            _ = &mut writer => {}
        }
        hand_over(&engine).await;
    };
    // It never fails at present.
    drop(serve::serve(parts, listeners, shutdown).await);
    engine.stop();
    if writing.await.is_err() {
        why = "error: the writer's task died";
    }
    watches.abort();
    compactor.abort();
    why
}

async fn hand_over(engine: &Engine) {
    let status = engine.status();
    if status.cluster.members().len() < 2 || status.leader != status.member {
        return;
    }
    let handed = tokio::time::timeout(HANDING_OVER, async {
        while engine.hand_over(None).await.is_err() {
            tokio::time::sleep(HAND_OVER_AGAIN).await;
        }
    });
    drop(handed.await);
}

/// A moment in the world.
pub(crate) fn moment(now: Nanos) -> crate::oracle::history::Time {
    crate::oracle::history::Time(now)
}
