//! Every flag of etcd 3.7.1 and our own: name, kind, default, and what it comes to here. Parsing,
//! `--help`, the names of environment variables, the keys of the file and the "accepted" lines of
//! the log all come from this table.

mod search;

pub(crate) use search::{all, find, nearest, of_key};

use super::value::Kind::{self, *};

/// One flag.
#[derive(Debug)]
pub(crate) struct Flag {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) default: &'static str,
    pub(crate) meaning: Meaning,
}

/// What setting a flag does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// What etcd means by it.
    Used(&'static str),
    /// What etcd means by it, where replicas share a journal; nothing with the embedded one.
    Shared(&'static str),
    /// Nothing, and why.
    Nothing(&'static str),
    /// The server does not start with it, and why.
    Refused(&'static str),
}

const fn used(name: &'static str, kind: Kind, default: &'static str, text: &'static str) -> Flag {
    Flag { name, kind, default, meaning: Meaning::Used(text) }
}
const fn shared(name: &'static str, kind: Kind, default: &'static str, text: &'static str) -> Flag {
    Flag { name, kind, default, meaning: Meaning::Shared(text) }
}
const fn none(name: &'static str, kind: Kind, default: &'static str, why: &'static str) -> Flag {
    Flag { name, kind, default, meaning: Meaning::Nothing(why) }
}
const fn refused(name: &'static str, kind: Kind, default: &'static str, why: &'static str) -> Flag {
    Flag { name, kind, default, meaning: Meaning::Refused(why) }
}

const V2_STAGES: &[&str] = &["write-only", "write-only-skip-check", "write-only-drop-data", "gone"];
const NO_RAFT: &str = "there is no Raft to tune";
const NO_BOLT: &str = "there is no bbolt file under the state";
const NO_DISCOVERY: &str = "the journal says where the cluster is; nothing is discovered";
const ROTATION_DEFAULT: &str =
    r#"{"maxsize": 100, "maxage": 0, "maxbackups": 0, "localtime": false, "compress": false}"#;

/// The file that takes the place of all other settings; etcd's usage text shows it apart.
pub(crate) const CONFIG_FILE: &str = "config-file";

/// The names of clients that may come in.
pub(crate) const ALLOWED_CN: &str = "client-transport-security.allowed-cn";

/// What in etcd are keys of the file and no flags.
pub(crate) const FILE_ONLY: &[Flag] = &[
    used(ALLOWED_CN, List, "", "Only clients of these common names."),
    none("discovery-config.client.auth.token", Text, "", NO_DISCOVERY),
    none("discovery-config.client.max-request-bytes", Int, "0", NO_DISCOVERY),
    none("discovery-config.client.max-recv-bytes", Int, "0", NO_DISCOVERY),
    none("discovery-config.client.secure.server-name", Text, "", NO_DISCOVERY),
];

/// All flags under the headings that `--help` shows.
pub(crate) const SECTIONS: &[(&str, &[Flag])] = &[
    ("Meridian", MERIDIAN),
    ("Member", MEMBER),
    ("Clustering", CLUSTERING),
    ("Security", SECURITY),
    ("Auth", AUTHENTICATION),
    ("Profiling and Monitoring", MONITORING),
    ("Logging", LOGGING),
    ("Distributed tracing", TRACING),
    ("Features", FEATURES),
    ("Unsafe feature", UNSAFE),
];

const MERIDIAN: &[Flag] = &[
    used(
        "journal",
        Text,
        "file",
        "Where the journal is kept: 'file' in --data-dir, postgres://USER@HOST/DATABASE in PostgreSQL, \
         cosmos://ACCOUNT/DATABASE/CONTAINER in Azure Cosmos DB.",
    ),
    used(
        "hold-level",
        Uint,
        "0",
        "Keep all replicas at this level, so that older programs can take their places again; 0 holds nothing.",
    ),
    shared(
        "archive",
        Text,
        "",
        "Where replicas share checkpoints, the same for all: file:///FOLDER that all mount; if empty, with the journal.",
    ),
    used(CONFIG_FILE, Text, "", "Read all settings from this file, and no others."),
    used("version", Bool, "false", "Print the version and exit."),
];

const MEMBER: &[Flag] = &[
    used("name", Text, "default", "Name of this member."),
    used("data-dir", Text, "", "Directory of the journal; ${name}.etcd if empty."),
    none("wal-dir", Text, "", "the journal and its checkpoints stand together in --data-dir"),
    none("snapshot-count", Uint, "10000", "checkpoints follow the size of the journal"),
    used("heartbeat-interval", Uint, "100", "Milliseconds, a fifth of --election-timeout at most."),
    used(
        "election-timeout",
        Uint,
        "1000",
        "Milliseconds without word from a writer until there is another; the shortest lease is 1.5 times that.",
    ),
    none("initial-election-tick-advance", Bool, "true", NO_RAFT),
    shared(
        "listen-peer-urls",
        Urls,
        "http://localhost:2380",
        "Where other replicas are served, comma-separated.",
    ),
    used(
        "listen-client-urls",
        Urls,
        "http://localhost:2379",
        "Where gRPC and HTTP clients are served, comma-separated.",
    ),
    used("listen-client-http-urls", Urls, "", "Where HTTP clients are served apart from gRPC."),
    none("max-snapshots", Uint, "5", "a checkpoint replaces the one before it"),
    none("max-wals", Uint, "5", "the journal is trimmed behind each checkpoint"),
    used("memory-mlock", Bool, "false", "Keep all memory from being swapped out."),
    used(
        "quota-backend-bytes",
        Int,
        "0",
        "Size at which writes are refused; 0 is 2 GiB, -1 no limit.",
    ),
    none("backend-bbolt-freelist-type", Text, "map", NO_BOLT),
    none(
        "backend-batch-interval",
        Duration,
        "0s",
        "a batch is closed when the journal is ready for it",
    ),
    none("backend-batch-limit", Int, "0", "a batch is closed when the journal is ready for it"),
    used("max-txn-ops", Uint, "128", "Operations that one transaction may hold."),
    used("max-request-bytes", Uint, "1572864", "Size of the largest request that is accepted."),
    used(
        "max-concurrent-streams",
        Uint32,
        "4294967295",
        "Streams that one connection may have open.",
    ),
    used(
        "grpc-keepalive-min-time",
        Duration,
        "5s",
        "Between two pings of a client; one that pings more often is let go.",
    ),
    used(
        "grpc-keepalive-interval",
        Duration,
        "2h",
        "Silence before a client is pinged (0: never).",
    ),
    used("grpc-keepalive-timeout", Duration, "20s", "Time to answer a ping (0: no pings)."),
    used("socket-reuse-port", Bool, "false", "Listen with SO_REUSEPORT."),
    none("socket-reuse-address", Bool, "false", "addresses are always reused, as Go does"),
    used("enable-grpc-gateway", Bool, "true", "Answer JSON under /v3/."),
    none("raft-read-timeout", Duration, "5s", NO_RAFT),
    none("raft-write-timeout", Duration, "5s", NO_RAFT),
    none(
        "feature-gates",
        Gates,
        "",
        "Name=true|false,... is validated as etcd does, and none changes what Meridian does",
    ),
];

const CLUSTERING: &[Flag] = &[
    used(
        "initial-advertise-peer-urls",
        Urls,
        "http://localhost:2380",
        "Where other replicas reach this one; the member's id is made from them.",
    ),
    used(
        "initial-cluster",
        Text,
        "default=http://localhost:2380",
        "The members at the beginning; one, with the embedded journal.",
    ),
    used(
        "initial-cluster-state",
        OneOf(&["new", "existing"]),
        "new",
        "'existing' refuses an empty data directory.",
    ),
    used(
        "initial-cluster-token",
        Text,
        "etcd-cluster",
        "Makes the ids of this cluster differ from another's; with a shared journal, names the cluster.",
    ),
    used(
        "advertise-client-urls",
        Urls,
        "http://localhost:2379",
        "What member lists show; required with --listen-client-urls.",
    ),
    refused("discovery-token", Text, "", NO_DISCOVERY),
    refused("discovery-endpoints", Set, "", NO_DISCOVERY),
    none("discovery-dial-timeout", Duration, "2s", NO_DISCOVERY),
    none("discovery-request-timeout", Duration, "5s", NO_DISCOVERY),
    none("discovery-keepalive-time", Duration, "2s", NO_DISCOVERY),
    none("discovery-keepalive-timeout", Duration, "6s", NO_DISCOVERY),
    none("discovery-insecure-transport", Bool, "true", NO_DISCOVERY),
    none("discovery-insecure-skip-tls-verify", Bool, "false", NO_DISCOVERY),
    none("discovery-cert", Text, "", NO_DISCOVERY),
    none("discovery-key", Text, "", NO_DISCOVERY),
    none("discovery-cacert", Text, "", NO_DISCOVERY),
    none("discovery-user", Text, "", NO_DISCOVERY),
    none("discovery-password", Text, "", NO_DISCOVERY),
    none("discovery-fallback", OneOf(&["exit", "proxy"]), "exit", NO_DISCOVERY),
    refused("discovery-srv", Text, "", NO_DISCOVERY),
    refused("discovery-srv-name", Text, "", NO_DISCOVERY),
    none("strict-reconfig-check", Bool, "true", "members come and go without a quorum to lose"),
    none("pre-vote", Bool, "true", NO_RAFT),
    used(
        "auto-compaction-retention",
        Text,
        "0",
        "History to keep: hours, '5m', or revisions; 0 keeps all.",
    ),
    used("auto-compaction-mode", Text, "periodic", "What the retention counts: periodic|revision."),
    none("v2-deprecation", AnyOf(V2_STAGES), "write-only", "there is no v2 store"),
];

const SECURITY: &[Flag] = &[
    used(
        "cert-file",
        Text,
        "",
        "Certificate (and chain) shown to clients, PEM; read again when it changes.",
    ),
    used("key-file", Text, "", "Its key, PEM, not encrypted."),
    used("client-cert-auth", Bool, "false", "Every client must show a certificate."),
    used(
        "client-cert-file",
        Text,
        "",
        "Checked and not used: etcd's JSON gateway shows it to etcd.",
    ),
    used("client-key-file", Text, "", "The key of --client-cert-file."),
    used("client-crl-file", Text, "", "Revoked client certificates: a revocation list, DER."),
    used(
        "client-cert-allowed-hostname",
        List,
        "",
        "Only clients whose certificate is valid for one of these names.",
    ),
    used(
        "trusted-ca-file",
        Text,
        "",
        "CAs of clients, PEM; every client must then show a certificate.",
    ),
    used("auto-tls", Bool, "false", "Make a certificate in --data-dir if none is given."),
    shared(
        "peer-cert-file",
        Text,
        "",
        "Certificate (and chain) shown to replicas, PEM; read again when it changes.",
    ),
    shared("peer-key-file", Text, "", "Its key, PEM, not encrypted."),
    shared("peer-client-cert-auth", Bool, "false", "Every replica must show a certificate."),
    shared(
        "peer-client-cert-file",
        Text,
        "",
        "Certificate shown where this replica calls others; --peer-cert-file if empty.",
    ),
    shared("peer-client-key-file", Text, "", "The key of --peer-client-cert-file."),
    shared(
        "peer-trusted-ca-file",
        Text,
        "",
        "CAs of replicas, PEM; every replica must then show a certificate.",
    ),
    shared("peer-cert-allowed-cn", List, "", "Only replicas of these common names."),
    shared(
        "peer-cert-allowed-hostname",
        List,
        "",
        "Only replicas whose certificate is valid for one of these names.",
    ),
    shared(
        "peer-auto-tls",
        Bool,
        "false",
        "Make a certificate in --data-dir if none is given; as in etcd it proves nothing.",
    ),
    shared("peer-crl-file", Text, "", "Revoked certificates of replicas: a revocation list, DER."),
    shared(
        "peer-skip-client-san-verification",
        Bool,
        "false",
        "Replicas may come from other addresses than their certificates name.",
    ),
    used("self-signed-cert-validity", Uint, "1", "Years that it is valid."),
    used("cipher-suites", List, "", "Cipher suites of TLS 1.2, by Go's names; empty is all."),
    used("tls-min-version", Text, "TLS1.2", "Oldest version spoken: TLS1.2|TLS1.3."),
    used("tls-max-version", Text, "", "Newest version spoken: TLS1.2|TLS1.3."),
    used("cors", Origins, "*", "Sites whose scripts may read the pages, comma-separated."),
    used(
        "host-whitelist",
        Set,
        "*",
        "Host names that pages are asked for in without TLS, comma-separated.",
    ),
];

const AUTHENTICATION: &[Flag] = &[
    used(
        "auth-token",
        Text,
        "simple",
        "What a password is exchanged for: simple, or \
         jwt,sign-method=M,priv-key=FILE[,pub-key=FILE][,ttl=5m].",
    ),
    used(
        "bcrypt-cost",
        Uint,
        "10",
        "Cost of a password's hash, 4 to 31; one more is twice as dear.",
    ),
    used("auth-token-ttl", Uint, "300", "Seconds that a simple token lives after its last use."),
];

const MONITORING: &[Flag] = &[
    used("enable-pprof", Bool, "false", "Profiles under /debug/pprof/ on client URLs."),
    used("metrics", Text, "basic", "basic, or extensive: the duration of every gRPC call as well."),
    used(
        "listen-metrics-urls",
        Urls,
        "",
        "Where /metrics and the health pages are served as well.",
    ),
];

const LOGGING: &[Flag] = &[
    used("logger", Text, "zap", "Only 'zap' is known: the shape of the log lines."),
    used(
        "log-outputs",
        Set,
        "default",
        "stdout, stderr, default (stderr), paths, comma-separated; or systemd/journal.",
    ),
    used("log-level", Text, "info", "debug, info, warn, error, dpanic, panic or fatal."),
    used("log-format", Text, "json", "json or console."),
    used("enable-log-rotation", Bool, "false", "Put the one log file aside when it has grown."),
    used(
        "log-rotation-config-json",
        Text,
        ROTATION_DEFAULT,
        "How: maxsize in MiB, maxage in days, maxbackups (0: no limit), compress with gzip.",
    ),
    used(
        "warning-unary-request-duration",
        Duration,
        "300ms",
        "Requests that take longer are logged.",
    ),
];

const TRACING: &[Flag] = &[
    used("enable-distributed-tracing", Bool, "false", "Tell an OpenTelemetry collector of calls."),
    used(
        "distributed-tracing-address",
        Text,
        "localhost:4317",
        "The collector's host and port; OTLP over gRPC, without TLS.",
    ),
    used("distributed-tracing-service-name", Text, "etcd", "service.name of all members."),
    used("distributed-tracing-instance-id", Text, "", "service.instance.id of this member."),
    used(
        "distributed-tracing-sampling-rate",
        Int,
        "0",
        "How many of a million calls are followed beside those whose clients are.",
    ),
];

const FEATURES: &[Flag] = &[
    shared(
        "corrupt-check-time",
        Duration,
        "0s",
        "How often replicas compare their states; 0 is as often as --compact-hash-check-time.",
    ),
    shared("compact-hash-check-time", Duration, "1m", "How often replicas compare their states."),
    none("compaction-batch-limit", Int, "0", "compaction is carried out between batches"),
    none("compaction-sleep-interval", Duration, "0s", "compaction is carried out between batches"),
    used(
        "watch-progress-notify-interval",
        Duration,
        "10m",
        "Between progress notices on a silent watch.",
    ),
    used(
        "warning-apply-duration",
        Duration,
        "100ms",
        "Applying and reading that takes longer is logged.",
    ),
    none("bootstrap-defrag-threshold-megabytes", Uint, "0", "there is nothing to defragment"),
    shared(
        "max-learners",
        Int,
        "1",
        "How many members may be learners, for this member's MemberAdd; any but 1 takes level 2.",
    ),
    none("downgrade-check-time", Duration, "5s", "what the members speak stands in the journal"),
    none("snapshot-catchup-entries", Uint, "5000", "who is behind reads the journal"),
];

const UNSAFE: &[Flag] = &[
    none("force-new-cluster", Bool, "false", "there are no other members to leave behind"),
    used(
        "unsafe-no-fsync",
        Bool,
        "false",
        "Never sync the journal: a crash of the system loses data.",
    ),
];

/// Accepted by etcd without effect since version 2; not shown by `--help`.
pub(crate) const LONG_GONE: &[&str] = &[
    "cluster-active-size",
    "cluster-remove-delay",
    "cluster-sync-interval",
    "config",
    "force",
    "max-result-buffer",
    "max-retry-attempts",
    "peer-heartbeat-interval",
    "peer-election-timeout",
    "retry-interval",
    "snapshot",
    "v",
    "vv",
    "test.coverprofile",
    "test.outputdir",
];
