//! A server on a port of its own, and a client that speaks any method.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use engine::{Engine, Options, Parts, SystemClock, Threads};
use http::uri::PathAndQuery;
use journal::file::OnFlush;
use journal::{Journal, MemoryJournal};
use prost::Message;
use server::grpc::{Peer, Settings, serve_connection};
use server::http::{Access, Pages};
use server::observe::metrics::{Metrics, Settings as Measured};
use server::observe::store::StoreMetrics;
use server::rpc::{Authentication, Identity, Limits, Parts as ServiceParts, Services};
use server::wire::etcdserverpb as pb;
use state::MemberId;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tonic::client::Grpc;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, IntoRequest, Request, Status, Streaming};
use tonic_prost::ProstCodec;

pub(crate) const CLUSTER: u64 = 0xc1;
pub(crate) const MEMBER: u64 = 0x4d;

/// One server; it ends with this.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) engine: Engine,
    pub(crate) services: Services,
    shutdown: watch::Sender<bool>,
}

impl Server {
    pub(crate) async fn start() -> Self {
        Self::with(Options::default()).await
    }

    pub(crate) async fn with(options: Options) -> Self {
        Self::over(Arc::new(MemoryJournal::default()), options).await
    }

    pub(crate) async fn over(journal: Arc<dyn Journal>, options: Options) -> Self {
        Self::of(services(journal, options).await).await
    }

    /// With everything measured, the journal that `open` makes included.
    pub(crate) async fn measured(
        open: impl FnOnce(OnFlush) -> Arc<dyn Journal>,
        options: Options,
    ) -> Self {
        let settings = Measured { extensive: true, ..Measured::default() };
        let metrics = Arc::new(Services::metrics(settings));
        let store = Arc::clone(&metrics.store);
        let journal = open(Arc::new(move |flush| store.flushed(flush)));
        let authentication = Authentication::default();
        Self::of(services_with(journal, options, metrics, authentication).await).await
    }

    /// Where callers are known by `authentication`.
    pub(crate) async fn known_by(
        journal: Arc<dyn Journal>,
        authentication: Authentication,
        options: Options,
    ) -> Self {
        let metrics = Arc::new(Services::metrics(Measured::default()));
        Self::of(services_with(journal, options, metrics, authentication).await).await
    }

    /// With connections of this kind, and calls counted and followed like this.
    pub(crate) async fn set(settings: Settings, metrics: Metrics, access: Access) -> Self {
        let journal = Arc::new(MemoryJournal::default());
        let authentication = Authentication::default();
        let made =
            services_with(journal, Options::default(), Arc::new(metrics), authentication).await;
        Self::serving(made, settings, access).await
    }

    async fn of(made: (Engine, Services)) -> Self {
        Self::serving(made, Settings::default(), Access::default()).await
    }

    async fn serving(
        (engine, services): (Engine, Services),
        settings: Settings,
        access: Access,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (shutdown, ending) = watch::channel(false);
        let access = Arc::new(access);
        tokio::spawn(accept(listener, services.clone(), ending, settings, access));
        Self { address, engine, services, shutdown }
    }

    pub(crate) async fn client(&self) -> Client {
        Client::of(self.address).await
    }

    /// Ends every connection in good order.
    pub(crate) fn shut_down(&self) {
        self.shutdown.send_replace(true);
    }

    /// The reply to one HTTP/1 request, whole.
    pub(crate) async fn http(&self, request: &str) -> String {
        let mut socket = TcpStream::connect(self.address).await.unwrap();
        let head = format!("{request} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        socket.write_all(head.as_bytes()).await.unwrap();
        let mut reply = String::new();
        socket.read_to_string(&mut reply).await.unwrap();
        reply
    }
}

/// A store of its own, and what answers for it.
pub(crate) async fn services(journal: Arc<dyn Journal>, options: Options) -> (Engine, Services) {
    let metrics = Arc::new(Services::metrics(Measured::default()));
    services_with(journal, options, metrics, Authentication::default()).await
}

async fn services_with(
    journal: Arc<dyn Journal>,
    options: Options,
    metrics: Arc<Metrics>,
    authentication: Authentication,
) -> (Engine, Services) {
    let parts = Parts {
        journal,
        checkpoints: None,
        clock: Arc::new(SystemClock::new()),
        errands: Arc::new(Threads),
        member: MemberId(MEMBER),
        replicas: None,
        observer: Arc::<StoreMetrics>::clone(&metrics.store),
        options,
    };
    let (engine, tasks) = Engine::open(parts).await.unwrap();
    tokio::spawn(engine::run(tasks));
    let identity = Identity {
        cluster_id: CLUSTER,
        member_id: MEMBER,
        name: "one".to_owned(),
        client_urls: vec!["http://127.0.0.1:2379".to_owned()],
        peer_urls: vec!["http://127.0.0.1:2380".to_owned()],
    };
    let limits = Limits::default();
    let parts = ServiceParts {
        engine: engine.clone(),
        identity,
        limits,
        metrics,
        authentication,
        shared_journal: None,
    };
    (engine, Services::of(parts))
}

async fn accept(
    listener: TcpListener,
    services: Services,
    ending: watch::Receiver<bool>,
    settings: Settings,
    access: Arc<Access>,
) {
    loop {
        let Ok((socket, peer)) = listener.accept().await else { return };
        socket.set_nodelay(true).unwrap();
        let (services, mut ending) = (services.clone(), ending.clone());
        let access = Arc::clone(&access);
        tokio::spawn(async move {
            let pages = Pages::new(services.clone()).guarded(access, false);
            let ended = async move { drop(ending.wait_for(|ended| *ended).await) };
            let peer = Peer { address: Some(peer), ..Peer::default() };
            // What a connection broke off with is the client's business.
            drop(serve_connection(socket, peer, services, pages, settings, ended).await);
        });
    }
}

/// Calls any method by its path.
#[derive(Clone)]
pub(crate) struct Client {
    grpc: Grpc<Channel>,
    token: Option<String>,
    requires_leader: bool,
}

impl Client {
    pub(crate) async fn of(address: SocketAddr) -> Self {
        let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
        Self::over(endpoint.connect().await.unwrap())
    }

    pub(crate) fn over(channel: Channel) -> Self {
        Self {
            grpc: Grpc::new(channel).max_decoding_message_size(1 << 30),
            token: None,
            requires_leader: false,
        }
    }

    /// The same, but with a token in every call.
    pub(crate) fn bearing(&self, token: &str) -> Self {
        Self { token: Some(token.to_owned()), ..self.clone() }
    }

    /// The same, but asking in every call that there is a leader.
    pub(crate) fn requiring_a_leader(&self) -> Self {
        Self { requires_leader: true, ..self.clone() }
    }

    fn dressed<Q>(&self, mut request: Request<Q>) -> Request<Q> {
        if let Some(token) = &self.token {
            request.metadata_mut().insert("token", token.parse().unwrap());
        }
        if self.requires_leader {
            request.metadata_mut().insert("hasleader", "true".parse().unwrap());
        }
        request
    }

    pub(crate) async fn call<Q, R>(&mut self, path: &'static str, request: Q) -> Result<R, Status>
    where
        Q: Message + Default + Send + 'static,
        R: Message + Default + Send + 'static,
    {
        self.call_with(path, Request::new(request)).await
    }

    pub(crate) async fn call_with<Q, R>(
        &mut self,
        path: &'static str,
        request: Request<Q>,
    ) -> Result<R, Status>
    where
        Q: Message + Default + Send + 'static,
        R: Message + Default + Send + 'static,
    {
        self.grpc.ready().await.unwrap();
        let codec = ProstCodec::<Q, R>::default();
        let path = PathAndQuery::from_static(path);
        let request = self.dressed(request);
        self.grpc.unary(request, path, codec).await.map(tonic::Response::into_inner)
    }

    /// One message in, many out.
    pub(crate) async fn stream<Q, R>(
        &mut self,
        path: &'static str,
        request: impl IntoRequest<Q>,
    ) -> Result<Streaming<R>, Status>
    where
        Q: Message + Default + Send + 'static,
        R: Message + Default + Send + 'static,
    {
        self.grpc.ready().await.unwrap();
        let codec = ProstCodec::<Q, R>::default();
        let path = PathAndQuery::from_static(path);
        let request = self.dressed(request.into_request());
        let reply = self.grpc.server_streaming(request, path, codec).await?;
        Ok(reply.into_inner())
    }

    /// A conversation: what is sent into the channel goes out, and dropping it is the half-close.
    pub(crate) async fn talk<Q, R>(
        &mut self,
        path: &'static str,
    ) -> (tokio::sync::mpsc::Sender<Q>, Streaming<R>)
    where
        Q: Message + Default + Send + Sync + 'static,
        R: Message + Default + Send + 'static,
    {
        self.grpc.ready().await.unwrap();
        let (sender, receiver) = tokio::sync::mpsc::channel(16);
        let requests = futures::stream::unfold(receiver, |mut receiver| async move {
            receiver.recv().await.map(|request: Q| (request, receiver))
        });
        let codec = ProstCodec::<Q, R>::default();
        let path = PathAndQuery::from_static(path);
        let request = self.dressed(Request::new(requests));
        let reply = self.grpc.streaming(request, path, codec).await.unwrap();
        (sender, reply.into_inner())
    }

    pub(crate) async fn put(&mut self, key: &str, value: &str) -> pb::PutResponse {
        let (key, value) = (key.to_owned().into(), value.to_owned().into());
        let request = pb::PutRequest { key, value, ..Default::default() };
        self.call("/etcdserverpb.KV/Put", request).await.unwrap()
    }

    pub(crate) async fn range(
        &mut self,
        request: pb::RangeRequest,
    ) -> Result<pb::RangeResponse, Status> {
        self.call("/etcdserverpb.KV/Range", request).await
    }
}

/// Every key.
pub(crate) fn everything() -> pb::RangeRequest {
    let all = bytes::Bytes::from_static(b"\0");
    pb::RangeRequest { key: all.clone(), range_end: all, ..Default::default() }
}

/// That a call was refused with this code and these words.
pub(crate) fn refused<T: std::fmt::Debug>(answer: Result<T, Status>, code: Code, words: &str) {
    let status = answer.unwrap_err();
    assert_eq!((status.code(), status.message()), (code, words));
}

/// What must end soon: a wait that nothing ends is a failure, not a test that hangs.
pub(crate) async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), what).await.expect("it never ended")
}

/// Waits for something that must come about soon.
pub(crate) async fn eventually(what: &str, check: impl Fn() -> bool) {
    for _ in 0..500 {
        if check() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never came about: {what}");
}
