//! `Flags` → [`Config`]: the rules that bind flags to one another, in etcd's order and etcd's words
//! where etcd has the rule too. Every refusal says what to do.

use std::path::PathBuf;
use std::time::Duration;

use state::Level;

use super::archive::ArchivePlace;
use super::auth::{self, AuthToken};
use super::compaction::AutoCompaction;
use super::flags::Flags;
use super::journal::JournalPlace;
use super::log::LogSettings;
use super::members::Member;
use super::notice::Notice;
use super::table::{self, Meaning};
use super::tls::{self, Tls};
use super::tracing::Tracing;
use super::url::Url;
use super::{ByteSize, Config, KeepAlive, Listen, gates, peers};

const GIB: u64 = 1 << 30;
const DEFAULT_QUOTA: ByteSize = ByteSize(2 * GIB);
const RECOMMENDED_QUOTA: i64 = 8 << 30;
const RECOMMENDED_REQUEST: u64 = 10 << 20;
const MIN_PROGRESS_INTERVAL: Duration = Duration::from_millis(100);
const DEFAULT_PROGRESS_INTERVAL: Duration = Duration::from_secs(600);
const MAX_ELECTION_MS: u64 = 50_000;
const DEFAULT_DIGEST_EVERY: Duration = Duration::from_secs(60);
/// All replicas look at all they have.
const SHORTEST_DIGEST_EVERY: Duration = Duration::from_secs(1);
/// What grpc-go takes where etcd tells it nothing.
const UNSET_MIN_TIME: Duration = Duration::from_secs(300);

const NO_FSYNC: &str = "NOTHING IS SYNCED: when this machine loses its power or its system \
                        crashes, acknowledged writes are lost and the data directory may be \
                        unusable; for tests alone";

/// Where the server listens: for clients, for HTTP clients, for metrics.
type Listeners = [Vec<Listen>; 3];

/// Resolves all settings. `from_file` tells whether they were read from a file, where etcd keeps
/// the default of `--advertise-client-urls` even if the listening URLs are set.
pub(crate) fn resolve(flags: &Flags, from_file: bool) -> Result<(Config, Vec<Notice>), String> {
    let mut notices = Vec::new();
    let log = LogSettings::resolve(flags, &mut notices)?;
    let (listeners, tls) = listeners(flags, from_file, &mut notices)?;
    let shortest_lease = shortest_lease(flags)?;
    let journal = JournalPlace::parse(&flags.text("journal"))?;
    let member = Member::resolve(flags, &flags.text("name"), journal.is_shared())?;
    check_advertised(flags, from_file)?;
    gates::check(&flags.gates("feature-gates"))?;
    check_the_rest(flags)?;
    let auth = (auth::token(flags, &mut notices)?, auth::bcrypt_cost(flags, &mut notices));
    recommend(flags, &mut notices);
    accepted(flags, journal.is_shared(), &mut notices);
    let peer_tls = match journal {
        JournalPlace::File => None,
        _ => peers::resolve(flags, from_file, &data_dir(flags), &mut notices)?,
    };
    let config = Config {
        tls,
        peer_tls,
        journal,
        ..build(flags, log, listeners, shortest_lease, member, auth)?
    };
    Ok((config, notices))
}

/// Puts together what has been checked.
fn build(
    flags: &Flags,
    log: LogSettings,
    [client, http, metrics]: Listeners,
    min_lease_ttl_seconds: i64,
    member: Member,
    (auth_token, bcrypt_cost): (AuthToken, u32),
) -> Result<Config, String> {
    Ok(Config {
        name: flags.text("name"),
        data_dir: data_dir(flags),
        listen_client_urls: client,
        listen_client_http_urls: http,
        listen_metrics_urls: metrics,
        advertise_client_urls: flags.urls("advertise-client-urls"),
        journal: JournalPlace::File,
        archive: ArchivePlace::parse(&flags.text("archive"))?,
        listen_peer_urls: bind(flags.urls("listen-peer-urls"))?,
        peer_tls: None,
        initial_advertise_peer_urls: member.peer_urls,
        initial_cluster_state: member.state,
        identity: member.identity,
        founders: member.founders,
        initial_cluster_token: member.token,
        digest_every: digest_every(flags),
        level: level(flags)?,
        election_timeout: Duration::from_millis(flags.uint("election-timeout")),
        quota_backend_bytes: quota(flags),
        max_request_bytes: ByteSize(flags.uint("max-request-bytes")),
        max_learners: u64::try_from(flags.int("max-learners")).unwrap_or(0),
        max_txn_ops: flags.uint("max-txn-ops"),
        max_concurrent_streams: streams(flags),
        auto_compaction: auto_compaction(flags)?,
        watch_progress_notify_interval: progress_interval(flags),
        min_lease_ttl_seconds,
        log,
        grpc_keepalive: keepalive(flags),
        grpc_keepalive_min_time: flags
            .positive("grpc-keepalive-min-time")
            .unwrap_or(UNSET_MIN_TIME),
        host_whitelist: flags.list("host-whitelist"),
        cors: flags.list("cors"),
        enable_grpc_gateway: flags.switch("enable-grpc-gateway"),
        // As in etcd, the level alone is enough.
        enable_pprof: flags.switch("enable-pprof") || flags.text("log-level") == "debug",
        tracing: Tracing::resolve(flags)?,
        memory_mlock: flags.switch("memory-mlock"),
        unsafe_no_fsync: flags.switch("unsafe-no-fsync"),
        socket_reuse_port: flags.switch("socket-reuse-port"),
        metrics_extensive: flags.text("metrics") == "extensive",
        // As in etcd, zero and less log every request.
        warning_apply_duration: flags.positive("warning-apply-duration").unwrap_or_default(),
        warning_unary_request_duration: flags
            .positive("warning-unary-request-duration")
            .unwrap_or_default(),
        auth_token,
        bcrypt_cost,
        tls: None,
    })
}

/// All places to listen on, and how those that promise secrecy keep it.
fn listeners(
    flags: &Flags,
    from_file: bool,
    notices: &mut Vec<Notice>,
) -> Result<(Listeners, Option<Tls>), String> {
    let urls = ["listen-client-urls", "listen-client-http-urls", "listen-metrics-urls"]
        .map(|name| flags.urls(name));
    let tls = tls::resolve(flags, from_file, &urls, &data_dir(flags), notices)?;
    let [client, http, metrics] = urls;
    Ok(([bind(client)?, bind(http)?, bind(metrics)?], tls))
}

fn data_dir(flags: &Flags) -> PathBuf {
    match flags.text("data-dir") {
        dir if dir.is_empty() => PathBuf::from(format!("{}.etcd", flags.text("name"))),
        dir => PathBuf::from(dir),
    }
}

/// Seconds of the shortest lease, from etcd's two clocks once they agree with each other.
fn shortest_lease(flags: &Flags) -> Result<i64, String> {
    let (tick, election) = (flags.uint("heartbeat-interval"), flags.uint("election-timeout"));
    if tick == 0 {
        return Err("--heartbeat-interval must be >0 (set to 0ms)".to_owned());
    }
    if election == 0 {
        return Err("--election-timeout must be >0 (set to 0ms)".to_owned());
    }
    if tick.saturating_mul(5) > election {
        return Err(format!(
            "--election-timeout[{election}ms] should be at least as 5 times as \
             --heartbeat-interval[{tick}ms]"
        ));
    }
    if election > MAX_ELECTION_MS {
        return Err(format!(
            "--election-timeout[{election}ms] is too long, and should be set less than \
             {MAX_ELECTION_MS}ms"
        ));
    }
    // etcd counts in whole ticks, and rounds the shortest lease up to whole seconds.
    let shortest = (3 * (election / tick) / 2) * tick;
    Ok(i64::try_from(shortest.div_ceil(1000)).unwrap_or(i64::MAX))
}

fn check_advertised(flags: &Flags, from_file: bool) -> Result<(), String> {
    for url in flags.urls("advertise-client-urls") {
        url.check_host().map_err(|why| {
            format!(
                "--advertise-client-urls {:?} must be in the format \"host:port\", \
                 \"unix:/path/to/socket\" or \"unixs:/path/to/socket\" ({why})",
                url.as_str()
            )
        })?;
    }
    let unset = flags.is_set("listen-client-urls") && !flags.is_set("advertise-client-urls");
    if unset && !from_file {
        return Err("--advertise-client-urls is required when --listen-client-urls is set \
                    explicitly"
            .to_owned());
    }
    Ok(())
}

/// Rules of etcd over flags that mean nothing here: what etcd would not start with, neither do we.
fn check_the_rest(flags: &Flags) -> Result<(), String> {
    let hash_check = flags.span("compact-hash-check-time");
    if hash_check.0 <= 0 {
        return Err(format!("--compact-hash-check-time must be >0 (set to {hash_check})"));
    }
    if flags.text("discovery-fallback") == "proxy" {
        return Err("v2 proxy is deprecated, and --discovery-fallback can't be configured as \
                    \"proxy\""
            .to_owned());
    }
    Ok(())
}

fn bind(urls: Vec<Url>) -> Result<Vec<Listen>, String> {
    let mut listens: Vec<Listen> = Vec::new();
    for url in urls {
        let address = url.listen_address()?;
        // `localhost` and `127.0.0.1` bind the same; twice would fail at start. With and without
        // TLS on one address is another matter: both are served there.
        let secure = url.scheme().is_secure();
        let same = |l: &Listen| l.address == address && l.url.scheme().is_secure() == secure;
        if !listens.iter().any(same) {
            listens.push(Listen { url, address });
        }
    }
    Ok(listens)
}

fn quota(flags: &Flags) -> Option<ByteSize> {
    match flags.int("quota-backend-bytes") {
        0 => Some(DEFAULT_QUOTA),
        number => u64::try_from(number).ok().map(ByteSize),
    }
}

fn streams(flags: &Flags) -> u32 {
    match u32::try_from(flags.uint("max-concurrent-streams")) {
        Ok(0) | Err(_) => u32::MAX,
        Ok(number) => number,
    }
}

fn progress_interval(flags: &Flags) -> Duration {
    let asked = flags.positive("watch-progress-notify-interval");
    asked.map_or(DEFAULT_PROGRESS_INTERVAL, |interval| interval.max(MIN_PROGRESS_INTERVAL))
}

fn digest_every(flags: &Flags) -> Duration {
    let asked = flags.positive("corrupt-check-time").or(flags.positive("compact-hash-check-time"));
    asked.map_or(DEFAULT_DIGEST_EVERY, |every| every.max(SHORTEST_DIGEST_EVERY))
}

/// What this program can apply, or less if it is to be held there.
fn level(flags: &Flags) -> Result<Level, String> {
    let (held, newest) = (flags.uint("hold-level"), Level::NEWEST);
    match u32::try_from(held).map(Level) {
        Ok(Level(0)) => Ok(newest),
        Ok(level) if level <= newest => Ok(level),
        _ => Err(format!(
            "--hold-level {held} is no level of this program, which knows {} to {newest}: to hold the \
             cluster below what a newer program brings, give it to that one",
            Level::FIRST
        )),
    }
}

fn auto_compaction(flags: &Flags) -> Result<AutoCompaction, String> {
    let retention = flags.text("auto-compaction-retention");
    AutoCompaction::parse(&flags.text("auto-compaction-mode"), &retention)
}

fn keepalive(flags: &Flags) -> Option<KeepAlive> {
    let interval = flags.positive("grpc-keepalive-interval")?;
    let timeout = flags.positive("grpc-keepalive-timeout")?;
    Some(KeepAlive { interval, timeout })
}

/// What etcd too advises against.
fn recommend(flags: &Flags, notices: &mut Vec<Notice>) {
    let mut warn = |about: &str, text: &str| notices.push(Notice::warning(about, text));
    if flags.text("data-dir").is_empty() {
        warn("data-dir", "'data-dir' was empty; using default");
    }
    if flags.int("quota-backend-bytes") > RECOMMENDED_QUOTA {
        warn(
            "quota-backend-bytes",
            "more than etcd recommends (8 GiB); memory is what it takes here",
        );
    }
    if flags.uint("max-request-bytes") > RECOMMENDED_REQUEST {
        warn("max-request-bytes", "exceeded recommended request limit (10 MiB)");
    }
    let progress = flags.positive("watch-progress-notify-interval");
    if progress.is_some_and(|interval| interval < MIN_PROGRESS_INTERVAL) {
        warn("watch-progress-notify-interval", "raised to 100ms, the shortest there is");
    }
    if !["basic", "extensive"].contains(&flags.text("metrics").as_str()) {
        warn("metrics", "neither basic nor extensive: read as basic");
    }
    if flags.switch("unsafe-no-fsync") {
        warn("unsafe-no-fsync", NO_FSYNC);
    }
}

/// One line for each flag that was set and does nothing.
fn accepted(flags: &Flags, shared: bool, notices: &mut Vec<Notice>) {
    for name in flags.given().filter(|name| !speaks_for_itself(flags, name)) {
        notices.extend(match table::of_key(name).map(|flag| flag.meaning) {
            Some(Meaning::Nothing(why)) => {
                Some(Notice::info(name, &format!("accepted, without meaning here: {why}")))
            }
            Some(Meaning::Shared(_)) if !shared => Some(Notice::info(
                name,
                "accepted, without meaning here: the embedded journal has one member",
            )),
            Some(Meaning::Used(_) | Meaning::Shared(_) | Meaning::Refused(_)) | None => None,
        });
    }
    for gate in gates::GATES {
        if flags.gates("feature-gates").contains_key(gate.name) {
            let text = format!("accepted, without meaning here: {}", gate.here);
            notices.push(Notice::info(&format!("feature-gates {}", gate.name), &text));
        }
    }
}

/// Whether a value needs no line: it asks for what happens anyway, or has lines of its own.
fn speaks_for_itself(flags: &Flags, name: &str) -> bool {
    match name {
        "feature-gates" => !flags.gates(name).is_empty(),
        _ => false,
    }
}
