//! How many puts a second go through `Engine::commit`, and what each costs in CPU, for so many callers
//! at once: `cargo run --release -p engine --example commit_speed [callers] [seconds] [file|memory]`.
//!
//! The writer has a thread of its own, the callers share another. The CPU is the whole process's.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use engine::{Engine, Options, Parts, SystemClock, Threads};
use journal::{FileJournal, FileOptions, Journal, MemoryJournal};
use state::{Command, MemberId, Put};
use tokio::runtime::{Builder, Runtime};

const KEYS: u64 = 100_000;
const VALUE: usize = 256;

fn main() {
    let mut words = std::env::args().skip(1);
    let callers: Option<u64> = words.next().and_then(|word| word.parse().ok()).filter(|n| *n > 0);
    let seconds: f64 = words.next().and_then(|word| word.parse().ok()).unwrap_or(3.0);
    let in_memory = words.next().is_some_and(|word| word == "memory");
    for callers in callers.map_or_else(|| vec![1, 64, 256, 1_000], |callers| vec![callers]) {
        let dir = tempfile::tempdir().expect("a directory");
        measure(dir.path(), callers, Duration::from_secs_f64(seconds), in_memory);
    }
}

fn current_thread() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a runtime")
}

fn measure(dir: &Path, callers: u64, lasts: Duration, in_memory: bool) {
    let journal: Arc<dyn Journal> = if in_memory {
        Arc::new(MemoryJournal::default())
    } else {
        Arc::new(FileJournal::open(dir, FileOptions::default()).expect("a journal").0)
    };
    let parts = Parts {
        journal,
        checkpoints: None,
        clock: Arc::new(SystemClock::new()),
        errands: Arc::new(Threads),
        member: MemberId(1),
        replicas: None,
        observer: Arc::new(()),
        options: Options { quota: None, ..Options::default() },
    };
    let (engine, tasks) = current_thread().block_on(Engine::open(parts)).expect("opens");
    let writer = std::thread::Builder::new().name("writer".to_owned());
    let writer = writer.spawn(|| current_thread().block_on(tasks.writer)).expect("a thread");
    let (cpu, started, puts) = (cpu_seconds(), Instant::now(), load(&engine, callers, lasts));
    let (took, cpu) = (started.elapsed().as_secs_f64(), cpu_seconds() - cpu);
    let status = engine.status();
    engine.stop();
    writer.join().expect("the writer ends well");
    eprintln!(
        "{callers:>5} callers: {:>8.0} puts/s, {:>6.2} µs CPU a put, {:>6.1} puts a batch",
        puts as f64 / took,
        cpu * 1e6 / puts as f64,
        status.committed as f64 / status.batches as f64,
    );
}

fn load(engine: &Engine, callers: u64, lasts: Duration) -> u64 {
    let (stop, puts) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    current_thread().block_on(async {
        let callers: Vec<_> = (0..callers)
            .map(|caller| {
                let (engine, stop) = (engine.clone(), Arc::clone(&stop));
                let puts = Arc::clone(&puts);
                tokio::spawn(async move {
                    let mut n = caller;
                    while !stop.load(Ordering::Relaxed) {
                        n = n.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                        let key = format!("/registry/things/{:08}", (n >> 33) % KEYS).into();
                        let value = vec![b'v'; VALUE].into();
                        let put = Command::Put(Put { key, value, ..Put::default() });
                        let outcome = engine.commit(put).await.expect("committed");
                        assert!(outcome.result.is_ok());
                        puts.fetch_add(1, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        tokio::time::sleep(lasts).await;
        stop.store(true, Ordering::Relaxed);
        futures::future::join_all(callers).await;
    });
    puts.load(Ordering::Relaxed)
}

/// What the process has used of the processors, in seconds; Linux only.
fn cpu_seconds() -> f64 {
    let Ok(tasks) = std::fs::read_dir("/proc/self/task") else { return f64::NAN };
    let nanoseconds: f64 = tasks
        .filter_map(|task| {
            let path = task.ok()?.path().join("schedstat");
            std::fs::read_to_string(path).ok()?.split(' ').next()?.parse::<f64>().ok()
        })
        .sum();
    nanoseconds / 1e9
}
