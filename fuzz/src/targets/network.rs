//! What a network hands us: requests of clients, gRPC's frames, what replicas say.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use engine::{Engine, Options, Parts, SystemClock, Threads};
use futures::{StreamExt, stream};
use journal::MemoryJournal;
use prost::Message;
use server::grpc::{Context, Decoder, Kind, Messages, Service};
use server::observe::metrics::Settings;
use server::peers::message;
use server::rpc::{Authentication, Identity, Limits, Method, Services};
use server::security::Passwords;
use server::wire::etcdserverpb as pb;
use state::MemberId;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

use super::says;

/// A store is asked so often, and then there is another one.
const REQUESTS: u32 = 200;
/// What waits for somebody else is left.
const PATIENCE: Duration = Duration::from_millis(3);
const LARGEST: usize = 1 << 16;

/// A store that answers, as a server's does.
struct Store {
    services: Services,
    engine: Engine,
    tasks: JoinHandle<()>,
    asked: u32,
}

thread_local! {
    static RUNTIME: Runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime");
    static STORE: RefCell<Option<Store>> = const { RefCell::new(None) };
}

impl Store {
    async fn new() -> Self {
        let metrics = Arc::new(Services::metrics(Settings::default()));
        let parts = Parts {
            journal: Arc::new(MemoryJournal::default()),
            checkpoints: None,
            clock: Arc::new(SystemClock::new()),
            errands: Arc::new(Threads),
            member: MemberId(7),
            replicas: None,
            observer: Arc::new(()),
            options: Options::default(),
        };
        let (engine, tasks) = Engine::open(parts).await.expect("opens");
        let tasks = tokio::spawn(engine::run(tasks));
        let authentication =
            Authentication { passwords: Passwords::new(4), ..Authentication::default() };
        let services = Services::of(server::rpc::Parts {
            engine: engine.clone(),
            identity: Identity::default(),
            limits: Limits::default(),
            metrics,
            authentication,
            shared_journal: None,
        });
        Self { services, engine, tasks, asked: 0 }
    }

    async fn ask(&mut self, method: Method, message: Bytes) {
        self.asked += 1;
        let context = Context::default();
        let kind = method.name().kind;
        let answered = async {
            match kind {
                Kind::Unary => {
                    if let Err(status) = self.services.unary(method, context, message).await {
                        told(&status);
                    }
                }
                Kind::ServerStream => {
                    let begun = self.services.server_stream(method, context, message).await;
                    hear(begun).await;
                }
                Kind::Bidirectional => {
                    let requests = stream::iter([Ok(message)]).boxed();
                    hear(self.services.bidirectional(method, context, requests)).await;
                }
            }
        };
        drop(tokio::time::timeout(PATIENCE, answered).await);
        assert!(!self.tasks.is_finished(), "the engine died of it");
    }
}

fn told(status: &server::grpc::Status) {
    says(&format!("{status:?}"));
}

async fn hear(begun: Result<Messages, server::grpc::Status>) {
    match begun {
        Err(status) => told(&status),
        Ok(mut messages) => {
            for _ in 0..8 {
                match messages.next().await {
                    Some(Ok(message)) => assert!(message.len() >= 5, "a frame"),
                    Some(Err(status)) => return told(&status),
                    None => return,
                }
            }
        }
    }
}

/// A request of a client: the first byte names the method, the rest is its message. All the way: decoded,
/// checked, ordered, applied, answered.
pub fn request(data: &[u8]) {
    let Some((number, message)) = data.split_first() else { return };
    let method = Method::ALL[usize::from(*number) % Method::ALL.len()];
    let message = Bytes::copy_from_slice(message);
    RUNTIME.with(|runtime| {
        STORE.with_borrow_mut(|kept| {
            runtime.block_on(async {
                let mut store = match kept.take() {
                    Some(store) => store,
                    None => Store::new().await,
                };
                store.ask(method, message).await;
                if store.asked < REQUESTS {
                    *kept = Some(store);
                } else {
                    store.engine.stop();
                    store.tasks.await.expect("the engine ends well");
                }
            });
        });
    });
}

pub(super) fn requests() -> Vec<Vec<u8>> {
    let of = |method: Method, message: Vec<u8>| [vec![method as u8], message].concat();
    let key = || Bytes::from_static(b"key");
    let put = pb::PutRequest { key: key(), value: key(), prev_kv: true, ..Default::default() };
    let range = pb::RangeRequest { key: key(), range_end: key(), limit: 5, ..Default::default() };
    let operation = |request| pb::RequestOp { request: Some(request) };
    let txn = pb::TxnRequest {
        compare: vec![pb::Compare { key: key(), result: 1, target: 2, ..Default::default() }],
        success: vec![
            operation(pb::request_op::Request::RequestPut(put.clone())),
            operation(pb::request_op::Request::RequestRange(range.clone())),
        ],
        failure: vec![operation(pb::request_op::Request::RequestTxn(pb::TxnRequest::default()))],
    };
    let create = pb::WatchCreateRequest { key: key(), start_revision: 1, ..Default::default() };
    let watch = pb::watch_request::RequestUnion::CreateRequest(create);
    let watch = pb::WatchRequest { request_union: Some(watch) };
    let grant = pb::LeaseGrantRequest { ttl: 60, id: 7 };
    let user =
        pb::AuthUserAddRequest { name: "u".into(), password: "p".into(), ..Default::default() };
    let mut seeds: Vec<_> = Method::ALL.iter().map(|method| of(*method, Vec::new())).collect();
    seeds.push(of(Method::Put, put.encode_to_vec()));
    seeds.push(of(Method::Range, range.encode_to_vec()));
    seeds.push(of(Method::RangeStream, range.encode_to_vec()));
    seeds.push(of(Method::Txn, txn.encode_to_vec()));
    seeds.push(of(Method::Watch, watch.encode_to_vec()));
    seeds.push(of(Method::LeaseGrant, grant.encode_to_vec()));
    seeds.push(of(Method::UserAdd, user.encode_to_vec()));
    // A number, a string and both: what most messages begin with.
    for method in Method::ALL {
        seeds.push(of(*method, b"\x08\x01\x10\x02".to_vec()));
        seeds.push(of(*method, b"\x0a\x01a\x12\x01b".to_vec()));
        seeds.push(of(*method, b"\x0a\x01a\x10\x01".to_vec()));
    }
    seeds
}

/// gRPC's framing: in whatever pieces it comes, the messages are the same, and none is over the limit.
pub fn framing(data: &[u8]) {
    let Some((step, data)) = data.split_first() else { return };
    let whole = cut(&[data]);
    let pieces: Vec<&[u8]> = data.chunks(usize::from(*step).max(1)).collect();
    assert_eq!(cut(&pieces), whole, "in pieces of {step}");
}

fn cut(pieces: &[&[u8]]) -> (Vec<Bytes>, bool) {
    let mut decoder = Decoder::new(LARGEST, Some("gzip".to_owned()));
    let mut messages = Vec::new();
    for piece in pieces {
        decoder.push(Bytes::copy_from_slice(piece));
        loop {
            match decoder.message() {
                Ok(Some(message)) => {
                    assert!(message.len() <= LARGEST, "over the limit");
                    messages.push(message);
                }
                Ok(None) => break,
                Err(status) => {
                    told(&status);
                    return (messages, true);
                }
            }
        }
    }
    (messages, false)
}

pub(super) fn frames() -> Vec<Vec<u8>> {
    let frame = |body: &[u8]| [&[0], &(body.len() as u32).to_be_bytes()[..], body].concat();
    vec![
        [&[1][..], &frame(b"hello"), &frame(b""), &frame(&[7; 300])].concat(),
        [&[7][..], &frame(&[1; 70_000])].concat(),
        [&[200][..], &frame(b"x"), &[1, 0, 0, 0, 0]].concat(),
    ]
}

/// What another replica says.
pub fn peer(data: &[u8]) {
    let data = Bytes::copy_from_slice(data);
    let hello = message::read_hello(data.clone()).map(drop);
    let order = message::read_order(data.clone()).map(drop);
    let news = message::read_news(data).map(drop);
    for error in [hello, order, news].into_iter().filter_map(Result::err) {
        says(&error);
    }
}

pub(super) fn peers() -> Vec<Vec<u8>> {
    use server::wire::peer::{
        Ask, Commands, Entry, FollowRequest, FollowResponse, Hello, Refused, ask, follow_request,
        follow_response,
    };
    let request = |says| FollowRequest { says: Some(says) }.encode_to_vec();
    let response = |says| FollowResponse { says: Some(says) }.encode_to_vec();
    let body = || Bytes::from_static(b"\xe5\x01\x01\x02\x00\x00");
    vec![
        request(follow_request::Says::Hello(Hello {
            cluster: 1,
            member: 2,
            session: 3,
            epoch: 4,
            applied: 5,
        })),
        request(follow_request::Says::Commands(Commands { epoch: 1, first: 2, body: body() })),
        request(follow_request::Says::Ask(Ask { id: 1, what: Some(ask::What::Renew(-1)) })),
        response(follow_response::Says::Entry(Entry { slot: 1, body: body() })),
        response(follow_response::Says::Refused(Refused { first: 1, count: 2, fault: None })),
    ]
}
