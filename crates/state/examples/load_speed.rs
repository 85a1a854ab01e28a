//! What reading an image back costs: `cargo run --release -p state --example load_speed [records]`.
//!
//! Each load runs in a process of its own, as after a restart; the processor's time counts, not the
//! clock's. `load_speed load FILE` is one such load, for comparing builds by turns.
#![allow(clippy::print_stdout)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::fs::File;
use std::io::{Read, Write};
use std::process::Command as Process;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use state::{Command, Entry, ImageLoader, LeaseId, Position, Put, Revision, State};

/// Counts what is allocated, by the sizes asked for.
struct Counting;

static ALLOCATED: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

#[allow(unsafe_code)]
// SAFETY: everything is left to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = ALLOCATED.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        PEAK.fetch_max(now, Ordering::Relaxed);
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

/// The time this process was on a processor, in the kernel too: others on the machine do not count.
fn on_cpu() -> Duration {
    let schedstat = std::fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    let nanos = schedstat.split(' ').next().and_then(|nanos| nanos.parse().ok());
    Duration::from_nanos(nanos.expect("Linux says how long a thread ran"))
}

fn main() {
    let mut args = std::env::args().skip(1);
    match args.next() {
        Some(word) if word == "load" => load(&args.next().expect("load FILE")),
        records => measure(records.and_then(|n| n.parse().ok()).unwrap_or(1_000_000)),
    }
}

/// 60 bytes, as a Kubernetes key looks.
fn kube_key(n: usize) -> Vec<u8> {
    let key = format!("/registry/pods/namespace-{:03}/workload-{n:09}", n % 200);
    format!("{key:-<60}").into_bytes()
}

fn measure(records: usize) {
    let mut dice = Dice(42);
    let mut names: Vec<_> = (0..records).collect();
    for n in (1..records).rev() {
        names.swap(n, dice.roll(n + 1));
    }
    run("each key once, shuffled", &names, None);
    run("the same, compacted but for a twentieth", &names, Some(records / 20));
    names.sort_unstable();
    run("each key once, in order", &names, None);
    names.iter_mut().for_each(|name| *name = dice.roll(records / 4));
    run("four versions of each key", &names, None);
}

fn run(what: &str, names: &[usize], kept: Option<usize>) {
    println!("\n{} records of 60 B keys, 512 B values: {what}", names.len());
    let file = std::env::temp_dir().join(format!("load_speed.{}", std::process::id()));
    write(&file, names, kept);
    for _ in 0..3 {
        let this = std::env::current_exe().expect("this program has a name");
        let done = Process::new(this).arg("load").arg(&file).status().expect("it starts");
        assert!(done.success());
    }
    std::fs::remove_file(file).expect("it was written");
}

fn write(file: &std::path::Path, names: &[usize], kept: Option<usize>) {
    let mut state = State::new();
    let value = bytes::Bytes::from_static(&[7; 512]);
    for name in names {
        let (key, value) = (kube_key(*name).into(), value.clone());
        apply(&mut state, Command::Put(Put { key, value, lease: LeaseId::NONE, ..Put::default() }));
    }
    if let Some(kept) = kept {
        let revision = Revision(state.revision().0 - kept as i64);
        apply(&mut state, Command::Compact { revision });
    }
    let mut file = File::create(file).expect("a temporary file");
    for chunk in state.image().chunks() {
        file.write_all(&chunk).expect("room for an image");
    }
}

fn apply(state: &mut State, command: Command) {
    let entry = Entry {
        epoch: state.epoch(),
        clock: state.clock(),
        commands: vec![command],
        origins: Vec::new(),
    };
    state.apply(Position(state.position().0 + 1), &entry);
}

fn load(file: &str) {
    let mut file = File::open(file).expect("an image");
    let mut portion = vec![0; 1 << 20];
    let start = on_cpu();
    let mut loader = ImageLoader::new();
    loop {
        let length = file.read(&mut portion).expect("an image");
        if length == 0 {
            break;
        }
        loader.push(&portion[..length]).expect("sound");
    }
    let pushed = on_cpu() - start;
    let state = loader.finish().expect("whole");
    let all = on_cpu() - start;
    let peak = PEAK.load(Ordering::Relaxed) - ALLOCATED.load(Ordering::Relaxed);
    println!(
        "load {:.3} s, of which the digest {:.3} s; {} keys; {} MB, {} MB more at the peak",
        all.as_secs_f64(),
        (all - pushed).as_secs_f64(),
        state.view().len(),
        ALLOCATED.load(Ordering::Relaxed) / 1_000_000,
        peak / 1_000_000,
    );
}
