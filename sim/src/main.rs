//! `sim SEEDS [--from N] [--jobs N] [--only SEED] [--seconds N] [--first] [--calm] [--trace]
//! [--replicas] [--levels] [--disk] [--lies]`: runs seeds on
//! all cores, until the first that finds something if so asked, and says what they came to. A seed that finds
//! something is named with the command that repeats it.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use sim::world::{Counts, Kind, Plan, Report, run};

fn main() -> ExitCode {
    let order = match Order::read(std::env::args().skip(1)) {
        Ok(order) => order,
        Err(why) => {
            say(&format!(
                "{why}\nusage: sim SEEDS [--from N] [--jobs N] [--only SEED] [--seconds N] [--first] [--calm] [--trace] [--replicas] [--levels] [--disk] [--lies]"
            ));
            return ExitCode::FAILURE;
        }
    };
    match order.only {
        Some(seed) => only(&order, seed),
        None => many(&order),
    }
}

fn say(text: &str) {
    // Nobody may be listening.
    drop(writeln!(std::io::stdout(), "{text}"));
}

/// What was asked for.
struct Order {
    seeds: u64,
    from: u64,
    jobs: usize,
    only: Option<u64>,
    seconds: u64,
    first: bool,
    calm: bool,
    trace: bool,
    kind: Option<Kind>,
}

impl Order {
    fn read(arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let (first, calm, trace) = (false, false, false);
        let (only, kind) = (None, None);
        let mut order =
            Self { seeds: 100, from: 1, jobs: cores, only, seconds: 60, first, calm, trace, kind };
        let mut arguments = arguments;
        while let Some(argument) = arguments.next() {
            let mut number = || {
                let value = arguments.next().ok_or(format!("{argument} needs a number"))?;
                value.parse::<u64>().map_err(|_| format!("{value} is not a number"))
            };
            match argument.as_str() {
                "--from" => order.from = number()?,
                "--jobs" => order.jobs = usize::try_from(number()?.max(1)).unwrap_or(1),
                "--only" => order.only = Some(number()?),
                "--seconds" => order.seconds = number()?,
                "--first" => order.first = true,
                "--calm" => order.calm = true,
                "--trace" => order.trace = true,
                "--replicas" => order.kind = Some(Kind::Replicas),
                "--levels" => order.kind = Some(Kind::Mixed),
                "--disk" => order.kind = Some(Kind::Disk),
                "--lies" => order.kind = Some(Kind::Lies),
                seeds => order.seeds = seeds.parse().map_err(|_| format!("{seeds}?"))?,
            }
        }
        Ok(order)
    }

    fn plan(&self, seed: u64, readable: bool) -> Plan {
        let length = Duration::from_secs(self.seconds);
        Plan { length, readable, faults: !self.calm, kind: self.kind, ..Plan::of(seed) }
    }

    fn command(&self, seed: u64) -> String {
        let calm = if self.calm { " --calm" } else { "" };
        let kind = match self.kind {
            None => "",
            Some(Kind::Replicas) => " --replicas",
            Some(Kind::Mixed) => " --levels",
            Some(Kind::Disk) => " --disk",
            Some(Kind::Lies) => " --lies",
        };
        let seconds = self.seconds;
        format!("just sim --only {seed} --seconds {seconds}{calm}{kind} --trace")
    }
}

/// One seed, twice: the second time to see that it is the same.
fn only(order: &Order, seed: u64) -> ExitCode {
    let began = Instant::now();
    let report = run(order.plan(seed, order.trace));
    let took = began.elapsed();
    if order.trace {
        let file = format!("sim-{seed}.trace");
        match std::fs::write(&file, report.trace.join("\n")) {
            Ok(()) => say(&format!("wrote {file}, {} lines", report.trace.len())),
            Err(error) => say(&format!("cannot write {file}: {error}")),
        }
    }
    say(&format!(
        "seed {seed}: digest {:016x} of {} events, {:?} simulated in {took:.1?}, {} calls, {} answered, {} events watched",
        report.digest.0,
        report.digest.1,
        report.simulated,
        report.calls.0,
        report.calls.1,
        report.watched
    ));
    show(&report.counts);
    for finding in &report.findings {
        say(&format!("FOUND: {finding}"));
    }
    if report.findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

#[derive(Default)]
struct Sum {
    seeds: u64,
    counts: Counts,
    simulated: Duration,
    calls: u64,
    answered: u64,
    watched: u64,
    /// Of all digests: tells two runs of the same seeds apart.
    digest: u64,
    failed: BTreeMap<u64, Vec<String>>,
}

impl Sum {
    fn add(&mut self, report: Report) {
        self.seeds += 1;
        self.counts.add(&report.counts);
        self.simulated += report.simulated;
        self.calls += report.calls.0;
        self.answered += report.calls.1;
        self.watched += report.watched;
        self.digest = self.digest.wrapping_add(report.digest.0);
        if !report.findings.is_empty() {
            self.failed.insert(report.seed, report.findings);
        }
    }
}

fn many(order: &Order) -> ExitCode {
    let began = Instant::now();
    let next = AtomicU64::new(order.from);
    let sum = Mutex::new(Sum::default());
    std::thread::scope(|scope| {
        for _ in 0..order.jobs {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    let found = || sum.lock().is_ok_and(|sum| !sum.failed.is_empty());
                    if seed >= order.from + order.seeds || (order.first && found()) {
                        return;
                    }
                    let report = run(order.plan(seed, false));
                    for finding in &report.findings {
                        say(&format!(
                            "seed {seed} FOUND: {finding}\n  repeat: {}",
                            order.command(seed)
                        ));
                    }
                    let Ok(mut sum) = sum.lock() else { return };
                    sum.add(report);
                    progress(order, &sum, began.elapsed());
                }
            });
        }
    });
    let Ok(sum) = sum.into_inner() else { return ExitCode::FAILURE };
    let hours = sum.simulated.as_secs_f64() / 3600.0;
    let faults: u64 = sum.counts.kinds().iter().map(|(_, count)| count).sum();
    say(&format!(
        "{} seeds, {hours:.2} simulated hours in {:.0?}, {faults} faults, {} calls ({} answered), {} events watched, digest {:016x}, {} seeds failed",
        sum.seeds,
        began.elapsed(),
        sum.calls,
        sum.answered,
        sum.watched,
        sum.digest,
        sum.failed.len()
    ));
    show(&sum.counts);
    if sum.failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn progress(order: &Order, sum: &Sum, took: Duration) {
    let every = (order.seeds / 100).max(1);
    if sum.seeds.is_multiple_of(every) {
        let speed = sum.simulated.as_secs_f64() / took.as_secs_f64();
        drop(write!(
            std::io::stderr(),
            "\r{}/{} seeds, {:.2} hours simulated, {speed:.0} s a second, {} failed ",
            sum.seeds,
            order.seeds,
            sum.simulated.as_secs_f64() / 3600.0,
            sum.failed.len()
        ));
    }
}

/// Each kind of fault, and those that never happened.
fn show(counts: &Counts) {
    for (words, count) in counts.kinds() {
        let never = if count == 0 { "   never" } else { "" };
        say(&format!("{count:10} {words}{never}"));
    }
}
