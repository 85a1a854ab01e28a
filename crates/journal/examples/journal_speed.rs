//! How fast the file journal is on this disk: `cargo run --release -p journal --example
//! journal_speed [directory [in flight]...]`. Records of 512 bytes, with 1, 8, 64 and 256 of them
//! in flight unless told otherwise. `written` is what the kernel counts for this process, per
//! record, spare segments included; through the page cache it counts whole folios, not what
//! reaches the disk.

#![allow(clippy::print_stdout)]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::executor::block_on;
use futures::stream::{FuturesUnordered, StreamExt};
use journal::{Append, FileJournal, FileOptions, Journal, Nonce, Slot};

const BODY: usize = 512;
const FOR: Duration = Duration::from_secs(3);

fn main() {
    let given = std::env::args_os().nth(1).map(PathBuf::from);
    let dir = given.unwrap_or_else(|| "journal-speed".into());
    let told = std::env::args().skip(2).map(|number| number.parse().expect("a number"));
    let mut told: Vec<u64> = told.collect();
    if told.is_empty() {
        told = vec![1, 8, 64, 256];
    }
    println!("in flight    records    records/s     p50 µs     p99 µs     cpu µs    written");
    for in_flight in told {
        let dir = dir.join(in_flight.to_string());
        run(&dir, in_flight);
        std::fs::remove_dir_all(&dir).expect("remove what was measured");
    }
}

fn run(dir: &Path, in_flight: u64) {
    let (journal, opening) = FileJournal::open(dir, FileOptions::default()).expect("open");
    assert!(opening.created, "{} is not empty", dir.display());
    let body = Bytes::from(vec![7; BODY]);
    let mut next = 0;
    let mut times = Vec::new();
    let offer = |next: &mut u64| {
        *next += 1;
        let (slot, since) = (Slot(*next), Instant::now());
        let append = journal.append(slot, Nonce(u128::from(slot.0) << 1 | 1), body.clone());
        async move { (append.await, since) }
    };
    let cpu = cpu_time();
    let written = written();
    let start = Instant::now();
    block_on(async {
        let mut offers: FuturesUnordered<_> = (0..in_flight).map(|_| offer(&mut next)).collect();
        while let Some((outcome, since)) = offers.next().await {
            assert!(matches!(outcome, Append::Won), "{outcome:?}");
            times.push(since.elapsed());
            if start.elapsed() < FOR {
                offers.push(offer(&mut next));
            }
        }
    });
    let took = start.elapsed();
    let cpu = (cpu_time() - cpu).as_secs_f64() * 1e6 / times.len() as f64;
    let written = (self::written() - written) / times.len() as u64;
    times.sort_unstable();
    let at = |share: f64| times[(times.len() as f64 * share) as usize].as_micros();
    let rate = times.len() as f64 / took.as_secs_f64();
    let (count, p50, p99) = (times.len(), at(0.5), at(0.99));
    println!("{in_flight:9} {count:10} {rate:12.0} {p50:10} {p99:10} {cpu:10.2} {written:10}");
}

/// What the process has used of the processors, as the kernel counts it: in hundredths of a second.
fn cpu_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: u64 = fields.skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}

/// The bytes the process has caused to be written, as the kernel counts them.
fn written() -> u64 {
    let io = std::fs::read_to_string("/proc/self/io").unwrap_or_default();
    let line = io.lines().find_map(|line| line.strip_prefix("write_bytes: "));
    line.and_then(|bytes| bytes.parse().ok()).unwrap_or(0)
}
