//! What watching costs: CPU of the hub's thread for each event and each delivery, CPU of the
//! readers, and the time from a view's publication to the reader's hand. `cargo run --release
//! --example watch_speed`
#![allow(clippy::print_stdout)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use bytes::Bytes;
use engine::watch::{Create, Hub, Options, Stream};
use state::{KeyRange, LeaseId, Mvcc, Revision, View};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;

const VALUE: &[u8] = &[b'v'; 256];

/// Nanoseconds this thread has run (Linux).
fn thread_cpu() -> u64 {
    let line = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    line.split(' ').next().and_then(|number| number.parse().ok()).unwrap_or(0)
}

struct Plan {
    name: &'static str,
    streams: usize,
    watchers: usize,
    /// Which range watcher `n` of all has.
    range: fn(usize) -> KeyRange,
    start: Revision,
    /// Keys written in turn.
    keys: usize,
    /// Revisions before anybody watches.
    before: usize,
    events: usize,
    /// Revisions a view.
    batch: usize,
    /// Waiting between views; without it the readers may fall behind.
    pause: Duration,
}

impl Plan {
    /// How many events there are to be seen.
    fn seen(&self) -> u64 {
        let past = if self.start.0 > 0 { self.before } else { 0 };
        (self.events + past) as u64
    }

    /// How often one of them reaches a watcher.
    fn deliveries(&self) -> u64 {
        let all = self.streams * self.watchers;
        let probe = key(0);
        let each = (0..all).filter(|number| (self.range)(*number).contains(&probe)).count();
        self.seen() * each as u64
    }
}

fn key(number: usize) -> Bytes {
    Bytes::from(format!("/registry/{number:08}/name"))
}

fn everything(_: usize) -> KeyRange {
    KeyRange { key: Bytes::from_static(b"/"), range_end: Bytes::from_static(b"0") }
}

fn own_prefix(number: usize) -> KeyRange {
    let range_end = format!("/registry/{number:08}0").into();
    KeyRange { key: format!("/registry/{number:08}/").into(), range_end }
}

fn own_key(number: usize) -> KeyRange {
    KeyRange::point(key(number))
}

/// Where the readers note what they got.
struct Gauge {
    begun: Instant,
    /// When each revision was published.
    published: Vec<AtomicU64>,
    events: AtomicU64,
    hub_cpu: AtomicU64,
    reader_cpu: AtomicU64,
}

impl Gauge {
    fn now(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_time().build().expect("a runtime")
}

fn write(mvcc: &mut Mvcc, plan: &Plan, number: usize) {
    mvcc.put(&key(number % plan.keys), VALUE, LeaseId::NONE);
    mvcc.commit();
}

/// Opens the plan's streams.
async fn open(hub: &Hub, plan: &Plan) -> Vec<Stream> {
    let mut streams = Vec::new();
    for stream_number in 0..plan.streams {
        let mut stream = hub.stream();
        for watcher in 0..plan.watchers {
            let range = (plan.range)(stream_number * plan.watchers + watcher);
            stream.create(Create { range, start_revision: plan.start, ..Create::default() });
        }
        for _ in 0..plan.watchers {
            assert!(stream.next().await.expect("an engine").created);
        }
        streams.push(stream);
    }
    streams
}

/// Reads a stream to its end; latencies in nanoseconds.
async fn read(mut stream: Stream, gauge: Arc<Gauge>) -> Vec<u64> {
    let mut latencies = Vec::new();
    while let Some(response) = stream.next().await {
        let revision = usize::try_from(response.revision.0).expect("positive");
        let published = gauge.published[revision].load(Ordering::Relaxed);
        latencies.push(gauge.now().saturating_sub(published));
        gauge.events.fetch_add(response.events.len() as u64, Ordering::Relaxed);
    }
    latencies
}

/// All readers on this thread. Says when they are ready, and when they have all that is expected.
fn read_all(hub: &Hub, plan: &Plan, gauge: &Arc<Gauge>, say: &Sender<()>) -> Vec<u64> {
    runtime().block_on(async {
        let streams = open(hub, plan).await;
        say.send(()).expect("somebody waits");
        let before = thread_cpu();
        let readers: Vec<_> =
            streams.into_iter().map(|stream| tokio::spawn(read(stream, gauge.clone()))).collect();
        while gauge.events.load(Ordering::Relaxed) < plan.deliveries() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        gauge.reader_cpu.store(thread_cpu() - before, Ordering::Relaxed);
        say.send(()).expect("somebody waits");
        let mut latencies = Vec::new();
        for reader in readers {
            latencies.extend(reader.await.expect("a reader"));
        }
        latencies.sort_unstable();
        latencies
    })
}

fn measure(plan: &Plan) {
    let mut mvcc = Mvcc::new();
    (0..plan.before).for_each(|number| write(&mut mvcc, plan, number));
    let (sender, receiver) = watch::channel(Arc::new(mvcc.view()));
    let (hub, run) = Hub::new(receiver, Options::default());
    let total = plan.before + plan.events + 2;
    let gauge = Arc::new(Gauge {
        begun: Instant::now(),
        published: (0..total).map(|_| AtomicU64::new(0)).collect(),
        events: AtomicU64::new(0),
        hub_cpu: AtomicU64::new(0),
        reader_cpu: AtomicU64::new(0),
    });
    let hub_gauge = gauge.clone();
    let hub_thread = std::thread::spawn(move || {
        runtime().block_on(run);
        hub_gauge.hub_cpu.store(thread_cpu(), Ordering::Relaxed);
    });
    let (say, said) = std::sync::mpsc::channel();
    let latencies = std::thread::scope(|scope| {
        let reader = scope.spawn(|| read_all(&hub, plan, &gauge, &say));
        said.recv().expect("readers that are ready");
        publish_all(&mut mvcc, plan, &gauge, &sender);
        said.recv().expect("readers that are done");
        while hub.seen() < mvcc.revision() {
            std::thread::sleep(Duration::from_millis(1));
        }
        // The hub's end is the end of the streams.
        drop(sender);
        reader.join().expect("the readers")
    });
    hub_thread.join().expect("the hub");
    report(plan, &gauge, &latencies);
}

fn publish_all(mvcc: &mut Mvcc, plan: &Plan, gauge: &Gauge, sender: &watch::Sender<Arc<View>>) {
    for first in (0..plan.events).step_by(plan.batch) {
        let count = plan.batch.min(plan.events - first);
        let begun = mvcc.revision();
        (first..first + count).for_each(|number| write(mvcc, plan, number));
        let now = gauge.now();
        for revision in begun.0 + 1..=mvcc.revision().0 {
            let revision = usize::try_from(revision).expect("positive");
            gauge.published[revision].store(now, Ordering::Relaxed);
        }
        sender.send_replace(Arc::new(mvcc.view()));
        if !plan.pause.is_zero() {
            std::thread::sleep(plan.pause);
        }
    }
}

fn report(plan: &Plan, gauge: &Gauge, latencies: &[u64]) {
    let (events, deliveries) = (plan.seen() as f64, plan.deliveries());
    let hub = gauge.hub_cpu.load(Ordering::Relaxed) as f64;
    let readers = gauge.reader_cpu.load(Ordering::Relaxed) as f64;
    println!("{}", plan.name);
    println!(
        "  {events:.0} events, {deliveries} deliveries: hub {:.0} ns/event, {:.0} ns/delivery; \
         readers {:.0} ns/delivery",
        hub / events,
        hub / (deliveries.max(1)) as f64,
        readers / (deliveries.max(1)) as f64,
    );
    if plan.start.0 == 0 && !latencies.is_empty() {
        let at = |part: usize| latencies[(latencies.len() - 1) * part / 100] as f64 / 1000.0;
        println!("  latency µs: p50 {:.0}, p99 {:.0}, max {:.0}", at(50), at(99), at(100));
    }
}

fn main() {
    let paced = Duration::from_millis(2);
    let plan = Plan {
        name: "nobody watches, one revision a view",
        streams: 1,
        watchers: 0,
        range: everything,
        start: Revision(0),
        keys: 1000,
        before: 0,
        events: 20_000,
        batch: 1,
        pause: Duration::ZERO,
    };
    let shared = Plan { streams: 100, watchers: 10, events: 2000, pause: paced, ..plan };
    let own = Plan { streams: 10, watchers: 1000, keys: 10_000, events: 20_000, ..plan };
    for plan in [
        Plan { name: "100 streams x 10 watchers of everything, one revision a view", ..shared },
        Plan {
            name: "100 streams x 10 watchers of everything, 32 revisions a view",
            batch: 32,
            events: 6400,
            pause: paced * 20,
            ..shared
        },
        Plan {
            name: "10 streams x 1,000 watchers, a prefix each, one revision a view",
            range: own_prefix,
            pause: Duration::from_micros(50),
            ..own
        },
        Plan {
            name: "10 streams x 1,000 watchers, a prefix each, 64 revisions a view",
            range: own_prefix,
            batch: 64,
            pause: paced,
            ..own
        },
        Plan {
            name: "10 streams x 1,000 watchers, a key each, 64 revisions a view",
            range: own_key,
            batch: 64,
            pause: paced,
            ..own
        },
        Plan {
            name: "history: 100 streams x 10 watchers from the first of 20,000 revisions",
            start: Revision(1),
            before: 20_000,
            events: 1,
            ..shared
        },
        plan,
    ] {
        measure(&plan);
    }
}
