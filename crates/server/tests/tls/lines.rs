//! Lines between replicas: over TCP, both ends in this process, the engines played by channels.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use bytes::Bytes;
use engine::Fault;
use engine::replicas::{Answer, Ask, Hello, Line, News, Order, Peers};
use futures::future::BoxFuture;
use journal::Slot;
use server::config::{Side, Tls};
use server::peers::{Attendant, Caller, Dialer, SILENCE, Writer};
use server::security::Credentials;
use server::serve::Secrecy;
use state::{Epoch, LeaseId, MemberId, Position};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use crate::served::{Served, secrecy, within};
use crate::support::{Leaf, Workshop};

const CLUSTER: u64 = 0xc1;
const HELLO: Hello =
    Hello { member: MemberId(7), session: 9, epoch: Epoch(3), applied: Position(11) };

/// A writer's end: what it is for is decided by the test.
type End = (Hello, mpsc::Receiver<Order>, mpsc::Sender<News>);

/// Hands each line to the test; follows for as long as the test keeps `Kept`.
struct Played {
    lines: mpsc::UnboundedSender<(End, Kept)>,
    refuses: Option<Fault>,
}

/// The line is followed while the test has this; it sees when the line broke.
struct Kept {
    end: tokio::sync::oneshot::Sender<Fault>,
}

impl Writer for Played {
    fn follow(
        &self,
        hello: Hello,
        orders: mpsc::Receiver<Order>,
        news: mpsc::Sender<News>,
    ) -> BoxFuture<'static, Result<(), Fault>> {
        if let Some(fault) = self.refuses.clone() {
            return Box::pin(async move { Err(fault) });
        }
        let (end, ended) = tokio::sync::oneshot::channel();
        self.lines.send(((hello, orders, news), Kept { end })).expect("a test");
        Box::pin(async move {
            match ended.await {
                Ok(fault) => Err(fault),
                Err(_) => Ok(()),
            }
        })
    }
}

struct Port {
    served: Served,
    lines: mpsc::UnboundedReceiver<(End, Kept)>,
}

impl Port {
    async fn open(secrecy: Secrecy, refuses: Option<Fault>) -> Self {
        let (sender, lines) = mpsc::unbounded_channel();
        let played = Arc::new(Played { lines: sender, refuses });
        let served = Served::peers(Attendant::new(CLUSTER, played), secrecy).await;
        Self { served, lines }
    }

    fn url(&self) -> String {
        format!("http://{}", self.served.address())
    }

    async fn attended(&mut self) -> (End, Kept) {
        within(self.lines.recv()).await.expect("a line")
    }
}

fn caller(tls: Option<&Tls>) -> Caller {
    let credentials = tls.map(|tls| Arc::new(Credentials::open(tls).expect("credentials")));
    Caller::new(CLUSTER, Dialer::new(credentials), Handle::current())
}

async fn called(caller: &Caller, urls: &[String]) -> Result<Line, String> {
    within(caller.call(MemberId(1), urls.to_vec(), HELLO)).await
}

/// What a replica of this shop is configured with: a certificate to be called with, another to call with.
fn replica(shop: &Workshop, caller: &Leaf, any_address: bool) -> Tls {
    shop.write_pair("replica", &shop.ca.sign(caller));
    let calling = Some((shop.path("replica.crt"), shop.path("replica.key")));
    Tls { side: Side::Peers { any_address }, calling, ..shop.mutual() }
}

/// Says all kinds of things in both directions, and that all of it arrives in order.
async fn converse(line: &mut Line, (hello, orders, news): &mut End) {
    assert_eq!(*hello, HELLO);
    let body = Bytes::from(vec![7; 100_000]);
    for first in 0..50 {
        let order = Order::Commands { epoch: Epoch(3), first, body: body.clone() };
        within(line.orders.send(order)).await.expect("a line");
        let ask = Ask::Renew(LeaseId(first as i64));
        within(line.orders.send(Order::Ask { id: first, ask })).await.expect("a line");
    }
    for number in 0..50 {
        let Order::Commands { first, body: came, .. } = within(orders.recv()).await.unwrap() else {
            panic!("commands")
        };
        assert!(first == number && came == body);
        let ask = Ask::Renew(LeaseId(number as i64));
        assert_eq!(within(orders.recv()).await, Some(Order::Ask { id: number, ask }));
    }
    for number in 0..500 {
        let entry = News::Entry { slot: Slot(number), body: Bytes::from(number.to_string()) };
        within(news.send(entry)).await.expect("a line");
    }
    let answer = News::Answer { id: 5, answer: Answer::Seconds(None) };
    within(news.send(answer.clone())).await.expect("a line");
    for number in 0..500 {
        let entry = News::Entry { slot: Slot(number), body: Bytes::from(number.to_string()) };
        assert_eq!(within(line.news.recv()).await, Some(entry));
    }
    assert_eq!(within(line.news.recv()).await, Some(answer));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_replicas_converse_over_mutual_tls() {
    let shop = Workshop::new();
    let tls = replica(&shop, &Leaf::named("replica").hosts(&["127.0.0.1"]), false);
    let mut port = Port::open(secrecy(&tls), None).await;
    let url = port.url().replace("http://127.0.0.1", "https://localhost");
    let mut line = called(&caller(Some(&tls)), &[url]).await.expect("a line");
    let (mut end, _kept) = port.attended().await;
    converse(&mut line, &mut end).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_largest_entry_passes_in_both_directions() {
    let mut port = Port::open(Secrecy::Plaintext, None).await;
    let mut line = called(&caller(None), &[port.url()]).await.expect("a line");
    let ((_, mut orders, news), _kept) = port.attended().await;
    let body = Bytes::from(vec![1; 64 << 20]);
    within(news.send(News::Entry { slot: Slot(1), body: body.clone() })).await.unwrap();
    let Some(News::Entry { body: came, .. }) = within(line.news.recv()).await else { panic!() };
    assert!(came == body);
    // Meanwhile somebody has to say something: the line is not dead.
    let idle = tokio::spawn(async move {
        while news.send(News::Idle).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    let order = Order::Commands { epoch: Epoch(1), first: 1, body: body.clone() };
    within(line.orders.send(order)).await.unwrap();
    let Some(Order::Commands { body: came, .. }) = within(orders.recv()).await else { panic!() };
    assert!(came == body);
    idle.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn urls_are_tried_in_their_order_and_each_failure_is_told() {
    let mut port = Port::open(Secrecy::Plaintext, None).await;
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = format!("http://{}", silent.local_addr().unwrap());
    let closed = "http://127.0.0.1:1".to_owned();
    let urls = [closed.clone(), silent.clone(), port.url()];
    let _line = called(&caller(None), &urls).await.expect("a line to the last");
    drop(port.attended().await);
    let odd = "carrier://pigeon".to_owned();
    let secure = "https://127.0.0.1:1".to_owned();
    let why = called(&caller(None), &[closed, odd, secure]).await.err().expect("a refusal");
    for part in ["member 1: http://127.0.0.1:1: ", "URL scheme must be", "--peer-cert-file"] {
        assert!(why.contains(part), "{why}");
    }
    let why = called(&caller(None), &[]).await.err().expect("a refusal");
    assert_eq!(why, "member 1: it has no peer URL");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_of_another_cluster_is_told_so() {
    let port = Port::open(Secrecy::Plaintext, None).await;
    let stranger = Caller::new(0xbad, Dialer::default(), Handle::current());
    let why = called(&stranger, &[port.url()]).await.err().expect("a refusal");
    let words = "this is a replica of cluster c1, and it was called by one of cluster bad";
    assert!(why.contains(words) && why.contains("--initial-cluster-token"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_not_the_writer_says_so_before_the_line_is_open() {
    let fault = Fault::Unavailable("the writer is another".to_owned());
    let port = Port::open(Secrecy::Plaintext, Some(fault)).await;
    let why = called(&caller(None), &[port.url()]).await.err().expect("a refusal");
    assert!(why.contains("the writer is another"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_ends_at_both_ends_when_either_is_dropped() {
    let mut port = Port::open(Secrecy::Plaintext, None).await;
    let caller = caller(None);
    // The follower's.
    for drop_news in [true, false] {
        let line = called(&caller, &[port.url()]).await.expect("a line");
        let ((_, mut orders, news), mut kept) = port.attended().await;
        let Line { orders: ours, news: theirs } = line;
        if drop_news {
            drop(theirs);
            within(kept.end.closed()).await;
            within(ours.closed()).await;
        } else {
            drop(ours);
            assert_eq!(within(orders.recv()).await, None);
            within(kept.end.closed()).await;
            drop(theirs);
        }
        drop(news);
    }
    // The writer's.
    let mut line = called(&caller, &[port.url()]).await.expect("a line");
    let ((_, _orders, news), kept) = port.attended().await;
    kept.end.send(Fault::Stopped).expect("followed");
    drop(news);
    assert_eq!(within(line.news.recv()).await, None);
    within(line.orders.closed()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_that_says_nothing_is_dead_after_a_second() {
    let mut port = Port::open(Secrecy::Plaintext, None).await;
    let mut line = called(&caller(None), &[port.url()]).await.expect("a line");
    let ((_, _orders, news), mut kept) = port.attended().await;
    for _ in 0..20 {
        within(news.send(News::Idle)).await.unwrap();
        assert_eq!(within(line.news.recv()).await, Some(News::Idle));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let began = Instant::now();
    assert_eq!(within(line.news.recv()).await, None);
    let silent = began.elapsed();
    assert!(silent >= SILENCE - Duration::from_millis(200), "{silent:?}");
    within(kept.end.closed()).await;
    within(line.orders.closed()).await;
}

/// Carries bytes to `to` until it is told to hold them.
async fn frozen_proxy(to: SocketAddr, frozen: Arc<AtomicBool>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut near, _) = listener.accept().await.unwrap();
        let mut far = TcpStream::connect(to).await.unwrap();
        while !frozen.load(Relaxed) {
            let some = Duration::from_millis(50);
            drop(tokio::time::timeout(some, copy_bidirectional(&mut near, &mut far)).await);
        }
        std::future::pending::<()>().await;
    });
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_cut_off_without_a_word_is_noticed_at_both_ends() {
    let mut port = Port::open(Secrecy::Plaintext, None).await;
    let frozen = Arc::new(AtomicBool::new(false));
    let proxy = frozen_proxy(port.served.address(), Arc::clone(&frozen)).await;
    let mut line = called(&caller(None), &[format!("http://{proxy}")]).await.expect("a line");
    let ((_, _orders, news), mut kept) = port.attended().await;
    let said = tokio::spawn(async move {
        while news.send(News::Idle).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    assert_eq!(within(line.news.recv()).await, Some(News::Idle));
    frozen.store(true, Relaxed);
    let began = Instant::now();
    while within(line.news.recv()).await.is_some() {}
    let follower = began.elapsed();
    within(kept.end.closed()).await;
    let writer = began.elapsed();
    within(said).await.unwrap();
    let limit = Duration::from_secs(5);
    assert!(follower < limit && writer < limit, "{follower:?} {writer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_is_opened_from_a_thread_that_knows_no_network() {
    let mut port = Port::open(Secrecy::Plaintext, None).await;
    let (caller, url) = (caller(None), port.url());
    let calling = std::thread::spawn(move || {
        let bare = tokio::runtime::Builder::new_current_thread().build().unwrap();
        bare.block_on(caller.call(MemberId(1), vec![url], HELLO)).map(drop)
    });
    let _attended = port.attended().await;
    let called = tokio::task::spawn_blocking(move || calling.join().unwrap()).await.unwrap();
    called.expect("a line");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_from_elsewhere_than_its_certificate_says_is_refused() {
    let shop = Workshop::new();
    for (hosts, any_address, welcome) in [
        (&["10.9.9.9"][..], false, false),
        (&["10.9.9.9"][..], true, true),
        (&["10.9.9.9", "127.0.0.1"][..], false, true),
        (&["localhost"][..], false, true),
        (&["*.example.invalid"][..], false, false),
        (&[][..], false, true),
    ] {
        let tls = replica(&shop, &Leaf::named("replica").hosts(hosts), any_address);
        let port = Port::open(secrecy(&tls), None).await;
        let url = port.url().replace("http://127.0.0.1", "https://localhost");
        let line = called(&caller(Some(&tls)), &[url]).await;
        assert_eq!(line.is_ok(), welcome, "{hosts:?} {any_address}: {:?}", line.err());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_do_not_come_in_and_are_not_called() {
    let (shop, other) = (Workshop::new(), Workshop::new());
    let leaf = Leaf::named("replica");
    let tls = replica(&shop, &leaf, false);
    let port = Port::open(secrecy(&tls), None).await;
    let url = port.url().replace("http://127.0.0.1", "https://localhost");
    // A replica of another CA, on either side of the line.
    let theirs = replica(&other, &leaf, false);
    let why =
        called(&caller(Some(&theirs)), std::slice::from_ref(&url)).await.err().expect("a refusal");
    assert!(why.contains("invalid peer certificate"), "{why}");
    let trusting = Tls { trusted_ca_file: tls.trusted_ca_file.clone(), ..theirs.clone() };
    assert!(called(&caller(Some(&trusting)), &[url]).await.is_err());
}

#[tokio::test]
async fn a_peer_port_serves_replicas_and_its_version_alone() {
    let port = Port::open(Secrecy::Plaintext, None).await;
    for (path, begins, holds) in [
        ("/version", "HTTP/1.1 200", "\"etcdserver\":\"3.7.1\""),
        ("/health", "HTTP/1.1 404", "404 page not found"),
        ("/v3/kv/range", "HTTP/1.1 404", "404 page not found"),
    ] {
        let mut socket = TcpStream::connect(port.served.address()).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with(begins) && answer.contains(holds), "{path}: {answer}");
    }
    let mut client = crate::rpc::Client::of(port.served.address()).await;
    let refused = client.range(crate::rpc::everything()).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::Unimplemented);
}
