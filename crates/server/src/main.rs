//! The `meridian` binary: settings in, a member out, and a last line that says why it stopped.

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use engine::{Ending, Engine};
use server::config::{self, Config, Invocation, Notice};
use server::ctl::{check, cosmos, restore, status};
use server::observe::supervisor::Supervisor;
use server::start::{Member, WriterThread, Writing, start};
use server::{observe, serve};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Fragmentation and the cost of a million small values decide memory and speed here; see ADR 0003.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// How long the last spans may take to their collector.
const LAST_SPANS: Duration = Duration::from_secs(1);
/// How long a writer that is asked to stop waits for another replica to take over.
const HANDING_OVER: Duration = Duration::from_secs(1);
const HAND_OVER_AGAIN: Duration = Duration::from_millis(50);

fn main() -> ExitCode {
    match config::this_process() {
        Invocation::Print(text) => {
            drop(std::io::stdout().write_all(text.as_bytes()));
            ExitCode::SUCCESS
        }
        Invocation::Probe(url) => told(server::probe::probe(&url), ""),
        Invocation::Status(url) => told(status::status(&url), "Error: "),
        Invocation::Cosmos(order) => {
            told(cosmos::init(&order, &mut std::io::stdout()).map(|()| String::new()), "Error: ")
        }
        Invocation::Restore(order) => match restore::restore(&order, &mut std::io::stderr()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(why) => {
                say(&format!("Error: {why}"));
                ExitCode::FAILURE
            }
        },
        Invocation::Check(dir) => {
            let (out, err) = (&mut std::io::stdout(), &mut std::io::stderr());
            ExitCode::from(check::check(&dir, out, err))
        }
        Invocation::Refuse { exit_code, message } => {
            say(&message);
            ExitCode::from(exit_code)
        }
        Invocation::Serve(config, notices) => run(&config, &notices),
    }
}

/// Prints what was learnt, or why it was not.
fn told(answer: Result<String, String>, before: &str) -> ExitCode {
    match answer {
        Ok(text) if text.is_empty() => ExitCode::SUCCESS,
        Ok(text) => {
            drop(writeln!(std::io::stdout(), "{}", text.trim_end()));
            ExitCode::SUCCESS
        }
        Err(why) => {
            say(&format!("{before}{why}"));
            ExitCode::FAILURE
        }
    }
}

fn say(message: &str) {
    drop(writeln!(std::io::stderr(), "{message}"));
}

fn run(config: &Config, notices: &[Notice]) -> ExitCode {
    if let Err(error) = observe::logs::install(&config.log) {
        say(&format!("cannot open the log: {error}; see --log-outputs"));
        return ExitCode::FAILURE;
    }
    std::panic::set_hook(Box::new(|panic| {
        tracing::error!(severity = "panic", reason = %panic, "stopping, since a bug was found");
    }));
    for notice in notices {
        notice.log();
    }
    if config.memory_mlock
        && let Err(error) = observe::process::lock_memory()
    {
        tracing::error!(
            severity = "fatal",
            %error,
            "cannot keep memory from being swapped out; raise the limit of locked memory \
             (RLIMIT_MEMLOCK, LimitMEMLOCK= of a unit), or start without --memory-mlock"
        );
        return ExitCode::FAILURE;
    }
    if let Err(error) = observe::process::raise_descriptor_limit() {
        tracing::warn!(%error, "cannot raise the limit of open files; clients may use it up");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let ended = match runtime {
        Ok(runtime) => runtime.block_on(members(config)),
        Err(error) => Err(format!("cannot start threads: {error}")),
    };
    match ended {
        Ok(why) => {
            tracing::info!(reason = why, "stopped");
            ExitCode::SUCCESS
        }
        Err(error) => {
            tracing::error!(severity = "fatal", %error, "stopped");
            ExitCode::FAILURE
        }
    }
}

/// How a member ended that did not fail.
enum End {
    /// For good, and why.
    Stopped(&'static str),
    /// The journal has gone on without it: started again it begins from a checkpoint.
    Overtaken,
}

/// Runs one member after another until a signal asks to stop; says which. There is another only where a
/// replica was away for so long that it cannot go on from where it was.
async fn members(config: &Config) -> Result<&'static str, String> {
    let mut signals = Signals {
        terminate: signal(SignalKind::terminate()).map_err(|e| e.to_string())?,
        interrupt: signal(SignalKind::interrupt()).map_err(|e| e.to_string())?,
    };
    loop {
        match member(config, &mut signals).await? {
            End::Stopped(why) => return Ok(why),
            End::Overtaken => tracing::warn!("starting anew, since the journal went on without us"),
        }
    }
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

/// Runs a member until a signal asks it to stop, or it cannot go on.
async fn member(config: &Config, signals: &mut Signals) -> Result<End, String> {
    let thread = WriterThread::start();
    let thread = thread.map_err(|error| format!("cannot start the writer's thread: {error}"))?;
    let Member { engine, tasks, parts, listeners, exporter, lock } =
        start(config, thread.handle()).await.map_err(|e| e.to_string())?;
    let exporting = exporter.map(|exporter| tokio::spawn(exporter.run()));
    let Writing { ended, thread } = thread.run(tasks.writer);
    let watches = tokio::spawn(tasks.watches);
    let compactor = tokio::spawn(tasks.compactor);
    for listen in &config.listen_client_urls {
        tracing::info!(address = listen.url.as_str(), "ready to serve client requests");
    }
    let mut asked = None;
    let supervisor = Supervisor::of_this_process();
    // Polled once every listener accepts.
    let shutdown = async {
        supervisor.ready(&addresses(config));
        tokio::select! {
            signal = signals.next() => asked = Some(signal),
            _ = ended => {}
        }
        if engine.status().ending != Some(Ending::Overtaken) {
            supervisor.stopping();
        }
        if asked.is_some() {
            hand_over(&engine).await;
        }
    };
    let served = serve::serve(parts, listeners, shutdown).await;
    engine.stop();
    let joined = tokio::task::spawn_blocking(move || thread.join());
    let end = match (joined.await, asked, engine.status().ending) {
        (Ok(Err(_)) | Err(_), ..) => Err("the writer's thread died".to_owned()),
        (_, Some(signal), _) => Ok(End::Stopped(signal)),
        (_, _, Some(Ending::Removed)) => Ok(End::Stopped("removed from the cluster")),
        (_, _, Some(Ending::Overtaken)) => Ok(End::Overtaken),
        _ => Err("the writer ended: the journal takes no more entries".to_owned()),
    };
    watches.abort();
    compactor.abort();
    if let Some(exporting) = exporting {
        // Nobody finishes a call any more; what a collector does not take by then is lost.
        drop(tokio::time::timeout(LAST_SPANS, exporting).await);
    }
    drop(lock);
    served.map_err(|error| error.to_string())?;
    end
}

/// Has another replica write from now on, while this one still answers: clients see no more of it than the
/// pause of one append.
async fn hand_over(engine: &Engine) {
    let status = engine.status();
    if status.cluster.members().len() < 2 || status.leader != status.member {
        return;
    }
    let handed = tokio::time::timeout(HANDING_OVER, async {
        loop {
            match engine.hand_over(None).await {
                Ok(to) => return to,
                // The others may be calling at this moment.
                Err(error) => tracing::debug!(%error, "cannot hand over yet"),
            }
            tokio::time::sleep(HAND_OVER_AGAIN).await;
        }
    });
    match handed.await {
        Ok(to) => tracing::info!(to = %format_args!("{:x}", to.0), "handed over"),
        Err(_) => tracing::warn!("no other replica took over before the end"),
    }
}

fn addresses(config: &Config) -> String {
    let urls = config.listen_client_urls.iter().map(|listen| listen.url.as_str());
    urls.collect::<Vec<_>>().join(" ")
}
