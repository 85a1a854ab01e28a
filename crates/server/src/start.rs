//! From a [`Config`] to a running member: data directory, journal, engine, sockets.

mod listen;

use std::fmt;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use engine::{Engine, Options, SystemClock, Tasks};
use journal::file::{Disk, RealDisk, UnsyncedDisk};
use journal::{FileJournal, FileOptions};
use state::MemberId;

use crate::config::{AutoCompaction, Config, Identity as Ids, InitialClusterState, Url};
use crate::grpc;
use crate::http::Access;
use crate::observe::metrics::Settings;
use crate::observe::spans::{Exporter, Spans};
use crate::observe::store::StoreMetrics;
use crate::rpc::{self, Authentication, Identity, Limits, Services};
use crate::security::{Passwords, Tokens};
use crate::serve::{Listener, Parts};

/// How long calls under way may go on after SIGTERM.
const DRAIN: Duration = Duration::from_millis(500);
/// A larger request would not fit the journal's largest entry with what stands around it.
const MOST_REQUEST_BYTES: u64 = 60 << 20;
/// The file that keeps the ids of a data directory.
pub(crate) const IDENTITY: &str = "identity";

/// Why a member could not be started, with what to do about it.
#[derive(Debug)]
pub struct StartError(String);

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for StartError {}

/// A member that is ready to serve.
pub struct Member {
    /// Its engine.
    pub engine: Engine,
    /// What has to be polled for the engine to live.
    pub tasks: Tasks,
    /// What to serve.
    pub parts: Parts,
    /// Where.
    pub listeners: Vec<Listener>,
    /// What tells of the calls that are followed, if any are; to be polled.
    pub exporter: Option<Exporter>,
}

/// Opens everything that `config` names, in the order in which a mistake does least harm.
///
/// # Errors
/// The first thing that is wrong, with its file or address and the way out.
pub async fn start(config: &Config) -> Result<Member, StartError> {
    if config.max_request_bytes.0 > MOST_REQUEST_BYTES {
        return Err(StartError(format!(
            "--max-request-bytes {} is more than an entry of the journal holds; the most is {MOST_REQUEST_BYTES}",
            config.max_request_bytes.0
        )));
    }
    let authentication = authentication(config)?;
    let bound = listen::bind_all(config)?;
    if config.enable_pprof {
        tracing::info!(path = "/debug/pprof", "pprof is enabled");
    }
    let ids = open_directory(config)?;
    // With --auto-tls it writes into the directory, which is ours only now.
    let listeners = listen::furnish(config, bound)?;
    let mut metrics = Services::metrics(observed(config));
    let (spans, exporter) = config.tracing.as_ref().map(Spans::new).unzip();
    metrics.spans = spans;
    let metrics = Arc::new(metrics);
    let store = Arc::clone(&metrics.store);
    let options = FileOptions {
        on_fault: Arc::new(journal_failed),
        on_flush: Arc::new(move |flush| store.flushed(flush)),
        ..FileOptions::default()
    };
    let disk: Arc<dyn Disk> =
        if config.unsafe_no_fsync { Arc::new(UnsyncedDisk) } else { Arc::new(RealDisk) };
    let (journal, opening) = FileJournal::open_on(disk, &config.data_dir, options)
        .map_err(|e| StartError(e.to_string()))?;
    if let Some(cut) = &opening.cut {
        tracing::warn!(?cut, "a torn tail of the journal was cut; nothing acknowledged was in it");
    }
    tracing::info!(created = opening.created, tail = %opening.tail, "opened the journal");
    let engine = engine::Parts {
        journal: Arc::new(journal),
        checkpoints: Some(config.data_dir.join("checkpoints")),
        clock: Arc::new(SystemClock::new()),
        member: MemberId(ids.member_id),
        replicas: None,
        observer: Arc::<StoreMetrics>::clone(&metrics.store),
        options: engine_options(config),
    };
    let (engine, tasks) = Engine::open(engine).await.map_err(|e| StartError(e.to_string()))?;
    let services = Services::of(rpc::Parts {
        engine: engine.clone(),
        identity: identity(config, ids),
        limits: limits(config),
        metrics,
        authentication,
    });
    let access =
        Access::new(&config.host_whitelist, &config.cors).with_profiles(config.enable_pprof);
    let gateway = config.enable_grpc_gateway;
    let parts =
        Parts { services, peers: None, settings: settings(config), access, gateway, drain: DRAIN };
    Ok(Member { engine, tasks, parts, listeners, exporter })
}

/// A failed sync is never tried again: what the system could not write may be gone from its cache, and
/// only a restart tells what the disk holds.
fn journal_failed(what: &str) {
    tracing::error!(severity = "fatal", reason = what, "stopping, since the journal's disk failed");
    std::process::exit(1);
}

/// Makes the data directory or finds its ids; an etcd's directory is left alone.
fn open_directory(config: &Config) -> Result<Ids, StartError> {
    let folder = &config.data_dir;
    let failed = |what: &Path, error: io::Error| {
        StartError(format!("cannot use {}: {error}; see --data-dir", what.display()))
    };
    if folder.join(engine::restore::RESTORING).exists() {
        return Err(StartError(format!(
            "{} is not whole: a restore into it is under way, or was interrupted. Run `meridian restore` \
             again; it begins anew",
            folder.display()
        )));
    }
    let file = folder.join(IDENTITY);
    match fs::read_to_string(&file) {
        Ok(text) => return parse_identity(&text).ok_or_else(|| damaged(&file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(&file, error)),
    }
    if config.initial_cluster_state == InitialClusterState::Existing {
        return Err(StartError(format!(
            "--initial-cluster-state existing, but {} holds no member: to start a new cluster, say \
             'new'; joining a running one needs a shared journal, which comes with a later release",
            folder.display()
        )));
    }
    if ["member/snap", "member/wal"].iter().any(|part| folder.join(part).exists()) {
        // The journal says the same of an etcd's directory; nothing must be written to it before.
        return Ok(config.identity);
    }
    fs::create_dir_all(folder).map_err(|error| failed(folder, error))?;
    restrict(folder).map_err(|error| failed(folder, error))?;
    write_identity(&file, config.identity).map_err(|error| failed(&file, error))?;
    Ok(config.identity)
}

/// As etcd: the data is its owner's business alone.
fn restrict(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700))
}

pub(crate) fn write_identity(file: &Path, ids: Ids) -> io::Result<()> {
    let unfinished = file.with_extension("unfinished");
    let text = format!("member {:016x}\ncluster {:016x}\n", ids.member_id, ids.cluster_id);
    fs::write(&unfinished, text)?;
    fs::File::open(&unfinished)?.sync_all()?;
    fs::rename(&unfinished, file)?;
    file.parent().map_or(Ok(()), |folder| fs::File::open(folder)?.sync_all())
}

pub(crate) fn parse_identity(text: &str) -> Option<Ids> {
    let number = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        u64::from_str_radix(line.trim(), 16).ok()
    };
    Some(Ids { member_id: number("member ")?, cluster_id: number("cluster ")? })
}

fn damaged(file: &Path) -> StartError {
    StartError(format!(
        "{} does not hold two lines 'member HEX' and 'cluster HEX'; restore it, or take the ids from \
         the log of an earlier start",
        file.display()
    ))
}

fn identity(config: &Config, ids: Ids) -> Identity {
    let texts = |urls: &[Url]| urls.iter().map(|url| url.as_str().to_owned()).collect();
    Identity {
        cluster_id: ids.cluster_id,
        member_id: ids.member_id,
        name: config.name.clone(),
        client_urls: texts(&config.advertise_client_urls),
        peer_urls: texts(&config.initial_advertise_peer_urls),
    }
}

/// Its keys are read before anything is made.
fn authentication(config: &Config) -> Result<Authentication, StartError> {
    let tokens = Tokens::open(&config.auth_token).map_err(StartError)?;
    let certificates = config.tls.as_ref().is_some_and(|tls| tls.client_cert_auth);
    Ok(Authentication { tokens, passwords: Passwords::new(config.bcrypt_cost), certificates })
}

fn limits(config: &Config) -> Limits {
    let clamp = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
    Limits {
        max_request_bytes: clamp(config.max_request_bytes.0),
        max_txn_ops: clamp(config.max_txn_ops),
        min_lease_ttl: config.min_lease_ttl_seconds,
        warn_request_after: config.warning_unary_request_duration,
    }
}

fn observed(config: &Config) -> Settings {
    Settings {
        extensive: config.metrics_extensive,
        warn_apply_after: config.warning_apply_duration,
    }
}

fn settings(config: &Config) -> grpc::Settings {
    let mut settings = grpc::Settings {
        max_message: limits(config).max_message(),
        max_concurrent_streams: config.max_concurrent_streams,
        ..grpc::Settings::default()
    };
    settings.pings_apart = Some(config.grpc_keepalive_min_time);
    settings.keepalive_interval = config.grpc_keepalive.map(|keepalive| keepalive.interval);
    if let Some(keepalive) = config.grpc_keepalive {
        settings.keepalive_timeout = keepalive.timeout;
    }
    settings
}

fn engine_options(config: &Config) -> Options {
    let auto_compaction = match config.auto_compaction {
        AutoCompaction::Off => engine::AutoCompaction::Off,
        AutoCompaction::Periodic(retention) => engine::AutoCompaction::Periodic(retention),
        AutoCompaction::Revision(keep) => engine::AutoCompaction::Revision(keep),
    };
    let watch = engine::watch::Options {
        progress_interval: config.watch_progress_notify_interval,
        max_response_bytes: limits(config).max_message(),
        ..engine::watch::Options::default()
    };
    Options {
        quota: config.quota_backend_bytes.map(|bytes| bytes.0),
        auto_compaction,
        watch,
        ..Options::default()
    }
}
