//! Whole servers that share a journal in memory: engines, peer ports and client ports, all in this process.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use engine::replicas::{Myself, Replicas};
use engine::{Engine, Options, Parts, SystemClock, Threads};
use journal::{Journal, MemoryJournal, MemoryObjects};
use server::grpc::Settings;
use server::http::Access;
use server::observe::exposition::{Exposition, Type};
use server::observe::journal::SharedJournal;
use server::observe::metrics::Settings as Measured;
use server::observe::store::StoreMetrics;
use server::peers::{Attendant, Caller, Dialer};
use server::rpc::maintenance::VERSION;
use server::rpc::{Authentication, Identity, Limits, Parts as ServiceParts, Services};
use server::serve::{self, Listener, Secrecy, Socket, Traffic};
use state::MemberId;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::support::{CLUSTER, Client, soon};

const PATIENCE: Duration = Duration::from_millis(1000);

/// One of them; it ends with this.
pub(crate) struct Replica {
    pub(crate) id: u64,
    pub(crate) engine: Engine,
    pub(crate) address: SocketAddr,
    pub(crate) peer_url: String,
    _shutdown: oneshot::Sender<()>,
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.engine.stop();
    }
}

/// A place for the others to reach one that is not started yet.
pub(crate) async fn port() -> (TcpListener, String) {
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", socket.local_addr().unwrap());
    (socket, url)
}

/// What a journal could say of itself.
struct Told;

impl SharedJournal for Told {
    fn guarantee(&self) -> String {
        "in memory: the end of this process loses all".to_owned()
    }

    fn expose(&self, out: &mut Exposition) {
        out.single("meridian_test_journal", Type::Gauge, "Is here.", 1);
    }
}

/// So many that found a cluster, as r1, r2, ... with ids 1, 2, ...
pub(crate) async fn founded(count: u64) -> (Arc<MemoryJournal>, Vec<Replica>) {
    let journal = Arc::new(MemoryJournal::default());
    let mut ports = Vec::new();
    for _ in 0..count {
        ports.push(port().await);
    }
    let founders: Vec<_> =
        (1..).map(MemberId).zip(ports.iter().map(|(_, url)| vec![url.clone()])).collect();
    let mut replicas = Vec::new();
    for (number, port) in (1..).zip(ports) {
        let name = format!("r{number}");
        replicas.push(start(&journal, &name, port, founders.clone()).await);
    }
    (journal, replicas)
}

/// Starts one that knows the journal, and the founders, if there are any to be.
pub(crate) async fn start<J: Journal>(
    journal: &Arc<J>,
    name: &str,
    port: (TcpListener, String),
    founders: Vec<(MemberId, Vec<String>)>,
) -> Replica {
    start_with(journal, name, port, founders, Limits::default()).await
}

/// The same, with limits of its own.
pub(crate) async fn start_with<J: Journal>(
    journal: &Arc<J>,
    name: &str,
    (peer_socket, peer_url): (TcpListener, String),
    founders: Vec<(MemberId, Vec<String>)>,
    limits: Limits,
) -> Replica {
    let (socket, client_url) = port().await;
    let address = socket.local_addr().unwrap();
    let metrics = Arc::new(Services::metrics(Measured::default()));
    let myself = Myself {
        member: None,
        name: name.to_owned(),
        peer_urls: vec![peer_url.clone()],
        client_urls: vec![client_url.clone()],
        version: VERSION,
    };
    let counts = metrics.peers.clone();
    let peers = Caller::new(CLUSTER, Dialer::default(), Handle::current()).counting(counts.clone());
    let peers = Arc::new(peers);
    let shared: Arc<dyn Journal> = Arc::<J>::clone(journal);
    let parts = Parts {
        journal: shared,
        checkpoints: None,
        clock: Arc::new(SystemClock::new()),
        errands: Arc::new(Threads),
        member: MemberId(0),
        replicas: Some(Replicas {
            peers,
            objects: Arc::<MemoryObjects>::default(),
            myself,
            founders,
            digest_every: Duration::from_secs(1),
            patience: PATIENCE,
        }),
        observer: Arc::<StoreMetrics>::clone(&metrics.store),
        options: Options::default(),
    };
    let (engine, tasks) = Engine::open(parts).await.unwrap();
    tokio::spawn(engine::run(tasks));
    let id = engine.status().member.0;
    let identity = Identity {
        cluster_id: CLUSTER,
        member_id: id,
        name: name.to_owned(),
        client_urls: vec![client_url],
        peer_urls: vec![peer_url.clone()],
    };
    let services = Services::of(ServiceParts {
        engine: engine.clone(),
        identity,
        limits,
        metrics,
        authentication: Authentication::default(),
        shared_journal: Some(Arc::new(Told)),
    });
    let parts = serve::Parts {
        services,
        peers: Some(Attendant::new(CLUSTER, Arc::new(engine.clone())).counting(counts)),
        settings: Settings::default(),
        access: Access::default(),
        gateway: false,
        drain: Duration::from_millis(100),
    };
    let listeners = vec![listener(socket, Traffic::All), listener(peer_socket, Traffic::Peers)];
    let (shutdown, ended) = oneshot::channel::<()>();
    tokio::spawn(serve::serve(parts, listeners, async move { drop(ended.await) }));
    Replica { id, engine, address, peer_url, _shutdown: shutdown }
}

fn listener(socket: TcpListener, traffic: Traffic) -> Listener {
    Listener { socket: Socket::Tcp(socket), traffic, secrecy: Secrecy::Plaintext }
}

impl Replica {
    pub(crate) async fn client(&self) -> Client {
        Client::of(self.address).await
    }

    pub(crate) async fn http(&self, path: &str) -> String {
        let mut socket = TcpStream::connect(self.address).await.unwrap();
        let head = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        socket.write_all(head.as_bytes()).await.unwrap();
        let mut reply = String::new();
        soon(socket.read_to_string(&mut reply)).await.unwrap();
        reply
    }
}
