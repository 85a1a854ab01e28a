//! Checked before anything else is believed: the same seed is the same run, in this process and in another.

use std::process::Command;
use std::time::Duration;

use sim::world::{Kind, Plan, Report, run};

fn plan(seed: u64) -> Plan {
    Plan { length: Duration::from_secs(15), ..Plan::of(seed) }
}

fn fine(seed: u64) -> Report {
    let report = run(plan(seed));
    assert!(report.findings.is_empty(), "seed {seed}: {:?}", report.findings);
    report
}

#[test]
fn the_same_seed_is_the_same_run() {
    for seed in 1..=4 {
        let (one, other) = (fine(seed), fine(seed));
        assert_eq!((one.digest, one.counts), (other.digest, other.counts), "seed {seed}");
        assert_eq!(one.calls, other.calls);
        assert!(one.calls.1 > 0 && one.digest.1 > 1000, "seed {seed}: nothing happened");
    }
}

/// With a disk there is a thread that writes to it, and with levels there are others that come and go.
#[test]
fn a_world_of_every_kind_is_the_same_twice() {
    for kind in [Kind::Replicas, Kind::Mixed, Kind::Disk, Kind::Lies] {
        for seed in 7..=9 {
            let plan = Plan { kind: Some(kind), ..plan(seed) };
            let (one, other) = (run(plan), run(plan));
            assert!(one.findings.is_empty(), "{kind:?}, seed {seed}: {:?}", one.findings);
            assert_eq!((one.digest, one.counts), (other.digest, other.counts), "{kind:?}, {seed}");
            assert!(one.calls.1 > 0, "{kind:?}, seed {seed}: nothing happened");
            let disk = matches!(kind, Kind::Disk | Kind::Lies);
            assert_eq!(one.counts.opens > 0, disk, "{kind:?}, seed {seed}");
        }
    }
}

#[test]
fn another_seed_is_another_run() {
    assert_ne!(fine(1).digest, fine(2).digest);
}

#[test]
fn another_process_runs_the_same() {
    let here = fine(5);
    let there = Command::new(env!("CARGO_BIN_EXE_sim"))
        .args(["--only", "5", "--seconds", "15"])
        .output()
        .unwrap();
    let said = String::from_utf8(there.stdout).unwrap();
    let (sum, events) = here.digest;
    assert!(said.contains(&format!("digest {sum:016x} of {events} events")), "{said}");
}

#[test]
fn what_is_kept_to_be_read_changes_nothing() {
    let (silent, readable) = (fine(6), run(Plan { readable: true, ..plan(6) }));
    assert_eq!(silent.digest, readable.digest);
    assert!(readable.trace.len() > 100);
}
