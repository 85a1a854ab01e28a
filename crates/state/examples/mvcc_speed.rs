//! How fast the store is, and what it takes: `cargo run --release -p state --example mvcc_speed [keys]`.
#![allow(clippy::print_stdout)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use state::{KeyRange, LeaseId, Mvcc, RangeQuery, Revision};

/// Counts what is allocated, by the sizes asked for.
struct Counting;

static ALLOCATED: AtomicUsize = AtomicUsize::new(0);

#[allow(unsafe_code)]
// SAFETY: everything is left to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATED.fetch_add(layout.size(), Ordering::Relaxed);
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        ALLOCATED.fetch_sub(layout.size(), Ordering::Relaxed);
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// A sequence without a pattern that is the same every time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % sides as u64) as usize
    }
}

fn report(what: &str, times: usize, took: Duration) {
    println!("{what:<52} {:>9.0} ns", took.as_nanos() as f64 / times as f64);
}

/// The time this process was on a processor: others on the machine do not count.
fn on_cpu() -> Duration {
    let schedstat = std::fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    let nanos = schedstat.split(' ').next().and_then(|nanos| nanos.parse().ok());
    Duration::from_nanos(nanos.expect("Linux says how long a thread ran"))
}

fn timed<T>(what: &str, times: usize, run: impl FnOnce() -> T) -> T {
    let start = on_cpu();
    let result = run();
    report(what, times, on_cpu() - start);
    result
}

/// 64 bytes, as a Kubernetes key looks.
fn kube_key(n: usize) -> Vec<u8> {
    let key = format!("/registry/pods/namespace-{:03}/workload-{n:09}", n % 200);
    format!("{key:-<64}").into_bytes()
}

/// 64 bytes, the number first, as etcd's benchmark makes them.
fn number_key(n: usize) -> Vec<u8> {
    let mut key = vec![0; 64];
    key[..8].copy_from_slice(&(n as u64).to_be_bytes());
    key
}

fn main() {
    let count = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(500_000);
    let mut dice = Dice(42);
    let ascending: Vec<_> = (0..count).map(number_key).collect();
    measure("ascending 8-byte numbers", &ascending);
    drop(ascending);
    let mut shuffled: Vec<_> = (0..count).map(kube_key).collect();
    for n in (1..count).rev() {
        shuffled.swap(n, dice.roll(n + 1));
    }
    measure("Kubernetes names, shuffled", &shuffled);
}

fn measure(name: &str, keys: &[Vec<u8>]) {
    println!("\n{} keys of 64 B with values of 512 B: {name}", keys.len());
    let before = ALLOCATED.load(Ordering::Relaxed);
    let mut mvcc = Mvcc::new();
    let value = [7; 512];
    timed("put, new key", keys.len(), || {
        for key in keys {
            mvcc.put(key, &value, LeaseId::NONE);
            mvcc.commit();
        }
    });
    memory(&mvcc, keys.len(), before);
    reads(&mvcc, keys);
    updates(&mut mvcc, keys, &value);
    past(&mvcc);
    compaction(&mut mvcc, keys.len());
    whole(&mvcc, keys.len());
    memory(&mvcc, keys.len(), before);
}

fn memory(mvcc: &Mvcc, keys: usize, before: usize) {
    let all = ALLOCATED.load(Ordering::Relaxed) - before;
    let history = mvcc.sizes().allocated as usize;
    let per_key = |bytes: usize| bytes as f64 / keys as f64;
    println!(
        "memory: {} MB; a key: history {:.1} B (in use {:.1}), index {:.1} B",
        all / 1_000_000,
        per_key(history),
        per_key(mvcc.sizes().in_use as usize),
        per_key(all - history),
    );
}

fn reads(mvcc: &Mvcc, keys: &[Vec<u8>]) {
    let mut dice = Dice(7);
    let view = mvcc.view();
    timed("(choosing a key, part of what follows)", keys.len(), || {
        for _ in 0..keys.len() {
            black_box(keys[dice.roll(keys.len())][63]);
        }
    });
    timed("get, random", keys.len(), || {
        for _ in 0..keys.len() {
            black_box(view.get(&keys[dice.roll(keys.len())]).map(|kv| kv.value.len()));
        }
    });
    let list = RangeQuery { range: KeyRange::everything(), ..RangeQuery::default() };
    let page = timed("list of all: handles, a key", keys.len(), || view.range(&list));
    let page = page.expect("the newest is readable");
    timed("list of all: records, a key", keys.len(), || {
        black_box(page.iter().map(|kv| kv.value.len() + kv.key.len()).sum::<usize>())
    });
    let half =
        || KeyRange { key: keys[dice.roll(keys.len())].clone().into(), range_end: "\0".into() };
    let ranges: Vec<_> = std::iter::repeat_with(half).take(10_000).collect();
    timed("count of a range", ranges.len(), || {
        for range in &ranges {
            black_box(view.count(range, Revision(0)).expect("readable"));
        }
    });
    timed("first 500 keys of a range, with count", ranges.len(), || {
        for range in &ranges {
            let query = RangeQuery { range: range.clone(), limit: 500, ..RangeQuery::default() };
            black_box(view.range(&query).expect("readable").count);
        }
    });
    timed("k-th key", 100_000, || {
        for _ in 0..100_000 {
            black_box(view.nth(dice.roll(keys.len())).expect("there").value.len());
        }
    });
}

fn updates(mvcc: &mut Mvcc, keys: &[Vec<u8>], value: &[u8]) {
    let mut dice = Dice(9);
    let times = keys.len() / 5;
    for batch in [0, 1, 10, 100] {
        let what = match batch {
            0 => "update, random, no view held".to_owned(),
            n => format!("update, random, the newest view held, one in {n}"),
        };
        let mut held = None;
        timed(&what, times, || {
            for n in 0..times {
                if batch > 0 && n % batch == 0 {
                    held = Some(mvcc.view());
                }
                mvcc.put(&keys[dice.roll(keys.len())], value, LeaseId::NONE);
                mvcc.commit();
            }
        });
        drop(held);
    }
}

fn past(mvcc: &Mvcc) {
    let view = mvcc.view();
    for back in [1_000, 100_000] {
        let then = Revision(view.revision().0 - back);
        timed(&format!("count of all, {back} revisions ago"), 1, || {
            black_box(view.count(&KeyRange::everything(), then).expect("readable"))
        });
    }
    let then = Revision(view.revision().0 - 100_000);
    let list =
        RangeQuery { range: KeyRange::everything(), revision: then, ..RangeQuery::default() };
    timed("list of all 100000 revisions ago: handles, a key", view.len(), || view.range(&list))
        .expect("readable");
    timed("events, one", 100_000, || {
        let events = view.events(then).expect("readable");
        black_box(events.map(|event| event.key.len()).sum::<usize>())
    });
}

fn compaction(mvcc: &mut Mvcc, keys: usize) {
    mvcc.compact(mvcc.revision()).expect("it is newer");
    let records = keys + keys / 5 * 4;
    let (start, mut steps) = (on_cpu(), Vec::new());
    loop {
        let step = Instant::now();
        let more = mvcc.maintain(1_000);
        steps.push(step.elapsed());
        if !more {
            break;
        }
    }
    steps.sort_unstable();
    report("compaction, a record", records, on_cpu() - start);
    let of_100 = |nth: usize| steps[(steps.len() - 1) * nth / 100].as_micros();
    let (half, most, longest) = (of_100(50), of_100(99), of_100(100));
    println!(
        "compaction: {} steps, p50 {half} us, p99 {most} us, longest {longest} us",
        steps.len()
    );
}

fn whole(mvcc: &Mvcc, keys: usize) {
    let view = mvcc.view();
    timed("hash of all, a key", keys, || view.hash(Revision(0))).expect("readable");
    let start = on_cpu();
    let loaded = Mvcc::load(view.records(), view.revision(), view.compact_revision());
    report("records out and in again, a key", keys, on_cpu() - start);
    let loaded = loaded.expect("the records of a store");
    assert_eq!(loaded.view().hash(Revision(0)), view.hash(Revision(0)));
}
