//! From a [`Config`] to a running member: data directory, journal, engine, sockets.

mod cosmos;
mod directory;
mod journal;
mod listen;
mod postgres;
mod replicas;
mod thread;

use std::fmt;
use std::fs::File;
use std::sync::Arc;
use std::time::Duration;

use engine::{Engine, Options, SystemClock, Tasks, Threads};
use state::MemberId;
use tokio::runtime::Handle;

pub(crate) use self::directory::{IDENTITY, is_shared, parse_identity, write_identity};
pub use self::thread::{WriterThread, Writing};
use crate::config::{AutoCompaction, Config, Identity as Ids, Url};
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
/// The same where replicas share the journal, whose largest entry is smaller.
const MOST_SHARED_BYTES: u64 = 56 << 20;

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
    /// Keeps other processes out of the directory of a replica.
    pub lock: Option<File>,
}

/// Opens everything that `config` names, in the order in which a mistake does least harm. A journal in a
/// database is appended to from `writer`, the runtime on which the engine's writer is going to run.
///
/// # Errors
/// The first thing that is wrong, with its file or address and the way out.
pub async fn start(config: &Config, writer: Handle) -> Result<Member, StartError> {
    let most = if config.journal.is_shared() { MOST_SHARED_BYTES } else { MOST_REQUEST_BYTES };
    if config.max_request_bytes.0 > most {
        return Err(StartError(format!(
            "--max-request-bytes {} is more than an entry of the journal holds; the most is {most}",
            config.max_request_bytes.0
        )));
    }
    let authentication = authentication(config)?;
    let bound = listen::bind_all(config)?;
    if config.enable_pprof {
        tracing::info!(path = "/debug/pprof", "pprof is enabled");
    }
    let (ids, replica) = if config.journal.is_shared() {
        (config.identity, Some(directory::open_for_replica(config)?))
    } else {
        (directory::open(config)?, None)
    };
    // With --auto-tls it writes into the directory, which is ours only now.
    let peer_credentials = replicas::credentials(config)?;
    let listeners = listen::furnish(config, bound, peer_credentials.as_ref())?;
    let mut metrics = Services::metrics(observed(config));
    let (spans, exporter) = config.tracing.as_ref().map(Spans::new).unzip();
    metrics.spans = spans;
    let metrics = Arc::new(metrics);
    let opened = journal::open(config, Arc::clone(&metrics.store), writer).await?;
    let engine = engine::Parts {
        journal: opened.journal,
        checkpoints: Some(config.data_dir.join("checkpoints")),
        clock: Arc::new(SystemClock::new()),
        errands: Arc::new(Threads),
        member: MemberId(ids.member_id),
        replicas: replica.as_ref().zip(opened.objects).map(|(of, objects)| {
            replicas::parts(config, of.member, objects, &metrics.peers, peer_credentials)
        }),
        observer: Arc::<StoreMetrics>::clone(&metrics.store),
        options: engine_options(config),
    };
    let (engine, tasks) = Engine::open(engine).await.map_err(|e| StartError(e.to_string()))?;
    let mut ids = ids;
    if replica.is_some() {
        ids.member_id = engine.status().member.0;
        directory::keep(config, ids)?;
    }
    let peers = replica.as_ref().map(|_| replicas::attendant(config, &engine, &metrics.peers));
    let services = Services::of(rpc::Parts {
        engine: engine.clone(),
        identity: identity(config, ids),
        limits: limits(config),
        metrics,
        authentication,
        shared_journal: opened.shared,
    });
    let access =
        Access::new(&config.host_whitelist, &config.cors).with_profiles(config.enable_pprof);
    let gateway = config.enable_grpc_gateway;
    let parts =
        Parts { services, peers, settings: settings(config), access, gateway, drain: DRAIN };
    Ok(Member { engine, tasks, parts, listeners, exporter, lock: replica.map(|of| of.lock) })
}

fn identity(config: &Config, ids: Ids) -> Identity {
    Identity {
        cluster_id: ids.cluster_id,
        member_id: ids.member_id,
        name: config.name.clone(),
        client_urls: texts(&config.advertise_client_urls),
        peer_urls: texts(&config.initial_advertise_peer_urls),
    }
}

fn texts(urls: &[Url]) -> Vec<String> {
    urls.iter().map(|url| url.as_str().to_owned()).collect()
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
        max_learners: config.max_learners,
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
        level: config.level,
        watch,
        ..Options::default()
    }
}
