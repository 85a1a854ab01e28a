//! The targets of `fuzz/`, on stable and for seconds: seeded mutations of valid bytes. None panics, none
//! takes memory without bound, every error says something.

#[path = "../../../../fuzz/src/targets/mod.rs"]
#[allow(unreachable_pub, missing_docs, reason = "a crate of its own, where it is fuzzed")]
mod targets;

mod mutate;

use std::time::{Duration, Instant};

use mutate::Random;

/// Each target runs so long, but all of its seeds at least once.
const EACH: Duration = Duration::from_millis(1500);
/// And so often at the most.
const MOST: u64 = 20_000;
/// Address space that all of it may take beyond what there was: a length that is believed takes more.
const MEMORY: u64 = 700 << 20;

/// The largest size that this process ever had.
fn peak() -> u64 {
    let page = std::fs::read_to_string("/proc/self/status").expect("a page");
    let line = page.lines().find_map(|line| line.strip_prefix("VmPeak:")).expect("a size");
    line.trim().trim_end_matches("kB").trim().parse::<u64>().expect("a number") << 10
}

#[test]
fn nothing_that_is_handed_in_does_harm() {
    let before = peak();
    for target in &targets::ALL {
        let seeds = (target.seeds)();
        assert!(!seeds.is_empty());
        seeds.iter().for_each(|seed| (target.run)(seed));
        let (begun, mut runs) = (Instant::now(), 0);
        while runs < MOST && begun.elapsed() < EACH {
            runs += 1;
            // The number is all that is needed to see a failure again.
            let mut random = Random(runs);
            let input = random.mutated(&seeds);
            let run = std::panic::catch_unwind(|| (target.run)(&input));
            assert!(run.is_ok(), "{} fails on mutation {runs}: {input:?}", target.name);
        }
        eprintln!("{}: {runs} mutations of {} seeds", target.name, seeds.len());
        assert!(runs > 50, "{}: only {runs} mutations", target.name);
        let taken = peak().saturating_sub(before);
        assert!(taken < MEMORY, "{} took {} MiB", target.name, taken >> 20);
    }
}
