//! The config file.

use super::{about, refusal, run, served};
use crate::config::{AutoCompaction, ByteSize, Config, Invocation, LogLevel, LogOutput, Notice};
use std::time::Duration;

fn file(text: &str) -> Invocation {
    run(&["--config-file", "/c.yml"], &[], Some(("/c.yml", text)))
}

#[track_caller]
fn read(text: &str) -> (Config, Vec<Notice>) {
    served(file(text))
}

/// Every key of the sample that etcd ships, obsolete ones and empty ones included.
const SAMPLE: &str = "
name: 'default'
data-dir:
wal-dir:
snapshot-count: 10000
heartbeat-interval: 100
election-timeout: 1000
quota-backend-bytes: 0
listen-peer-urls: http://localhost:2380
listen-client-urls: http://localhost:2379
max-snapshots: 5
max-wals: 5
cors:
initial-advertise-peer-urls: http://localhost:2380
advertise-client-urls: http://localhost:2379
discovery:
discovery-fallback: 'proxy'
discovery-proxy:
discovery-srv:
initial-cluster:
initial-cluster-token: 'etcd-cluster'
initial-cluster-state: 'new'
strict-reconfig-check: false
enable-pprof: true
proxy: 'off'
proxy-failure-wait: 5000
proxy-refresh-interval: 30000
proxy-dial-timeout: 1000
proxy-write-timeout: 5000
proxy-read-timeout: 0
client-transport-security:
  cert-file:
  key-file:
  client-cert-auth: false
  trusted-ca-file:
  auto-tls: false
peer-transport-security:
  cert-file:
  key-file:
  client-cert-auth: false
  trusted-ca-file:
  auto-tls: false
  allowed-cn:
  allowed-hostname:
self-signed-cert-validity: 1
log-level: debug
logger: zap
log-outputs: [stderr]
force-new-cluster: false
auto-compaction-mode: periodic
auto-compaction-retention: \"1\"
cipher-suites: [
  TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
  TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384
]
tls-min-version: 'TLS1.2'
tls-max-version: 'TLS1.3'
";

#[test]
fn the_sample_that_etcd_ships_is_understood() {
    let (config, notices) = read(SAMPLE);
    assert_eq!(config.log.level, LogLevel::Debug);
    assert_eq!(config.log.outputs, [LogOutput::Stderr]);
    let hour = Duration::from_secs(3600);
    assert_eq!(config.auto_compaction, AutoCompaction::Periodic(hour));
    let unknown: Vec<Notice> = notices.into_iter().filter(|n| n.text.contains("in line")).collect();
    assert_eq!(
        about(&unknown),
        [
            "discovery",
            "discovery-fallback",
            "discovery-proxy",
            "proxy",
            "proxy-failure-wait",
            "proxy-refresh-interval",
            "proxy-dial-timeout",
            "proxy-write-timeout",
            "proxy-read-timeout",
        ]
    );
    assert!(unknown[0].text.starts_with("unknown key in line 16"), "{}", unknown[0].text);
}

#[test]
fn json_is_understood_and_equal_keys_end_with_the_last() {
    let (config, _) = read("{\"name\": \"a\",\n \"NAME\": \"b\", \"max-txn-ops\": 7}");
    assert_eq!((config.name.as_str(), config.max_txn_ops), ("b", 7));
    assert_eq!(read("").0.name, "default");
}

#[test]
fn values_have_the_types_that_etcd_gives_them() {
    let (config, notices) = read(
        "watch-progress-notify-interval: 5000000000\nauto-compaction-retention: 1000\n\
         auto-compaction-mode: revision\nunsafe-no-fsync: yes\nname: 7\n\
         feature-gates: AllAlpha=false\nquota-backend-bytes: -1\nmax-request-bytes: 10\n\
         socket-options: {reuse-port: yes, reuse-address: no}\nhost-whitelist: 'a,b'\n\
         log-outputs: [stdout, /l]\nlisten-client-urls: http://127.0.0.1:1\n",
    );
    assert_eq!(config.watch_progress_notify_interval, Duration::from_secs(5));
    assert_eq!(config.auto_compaction, AutoCompaction::Revision(1000));
    assert!(config.socket_reuse_port);
    assert_eq!((config.name.as_str(), config.quota_backend_bytes), ("7", None));
    assert_eq!(config.max_request_bytes, ByteSize(10));
    assert_eq!(config.host_whitelist, ["a", "b"]);
    let said = ["unsafe-no-fsync", "socket-reuse-address"];
    let told = about(&notices);
    assert_eq!(told, ["/c.yml", "data-dir", said[0], said[1], "feature-gates AllAlpha"]);
    assert_eq!(config.log.outputs, [LogOutput::Stdout, LogOutput::File("/l".into())]);
    assert_eq!(config.advertise_client_urls[0].as_str(), "http://localhost:2379");
}

#[test]
fn faults_name_the_file_and_the_line() {
    for (text, message) in [
        (
            "a: 1\nheartbeat-interval: 'a'\n",
            "/c.yml, line 2: heartbeat-interval: expected a number",
        ),
        ("heartbeat-interval: -1", "/c.yml, line 1: heartbeat-interval: parse error"),
        (
            "\nwatch-progress-notify-interval: 10m",
            "/c.yml, line 2: watch-progress-notify-interval: a duration in a file",
        ),
        ("pre-vote: 3", "/c.yml, line 1: pre-vote: expected true or false"),
        ("name: [a]", "/c.yml, line 1: name: expected a single value"),
        ("listen-client-urls: ftp://x", "/c.yml, line 1: listen-client-urls: URL scheme must be"),
        ("peer-transport-security: 1", "/c.yml, line 1: invalid peer-transport-security"),
        ("initial-cluster-state: old", "/c.yml, line 1: initial-cluster-state: invalid value"),
        ("- a", "/c.yml: expected keys and values at the top of the file"),
        ("a: [", "/c.yml: "),
        (
            "listen-client-urls: https://127.0.0.1:1\nclient-transport-security:\n  cert-file: x",
            "KeyFile and CertFile must both be present[key: , cert: x]",
        ),
        ("discovery-config:\n  client:\n    endpoints: [a]\n", "both --discovery-token and"),
        ("initial-cluster: a=http://a:1,b=http://b:1", "--initial-cluster names 2 members"),
    ] {
        let (code, told) = refusal(file(text));
        assert_eq!(code, 1);
        assert!(told.starts_with(message), "{told}");
    }
    let (_, told) = refusal(run(&["--config-file=none"], &[], None));
    assert_eq!(told, "open none: no such file or directory");
}

#[test]
fn an_unknown_key_is_named_with_its_line_and_what_was_meant() {
    let text = "data-dir: d\ncert-file: x\nclient-transport-security:\n  cert-fil: x\n\
                heartbeat: 1\nelection-timeot: 1\nversion: true\n";
    let (_, notices) = read(text);
    let told: Vec<_> = notices.iter().map(|n| format!("{}: {}", n.about, n.text)).collect();
    assert_eq!(
        told[..5],
        [
            "cert-file: unknown key in line 2: it has no effect here; in a file it is written \
         client-transport-security.cert-file",
            "client-transport-security.cert-fil: unknown key in line 4: it has no effect",
            "heartbeat: unknown key in line 5: it has no effect",
            "election-timeot: unknown key in line 6: it has no effect \
         (did you mean election-timeout?)",
            "version: unknown key in line 7: it has no effect in a file",
        ]
    );
    assert!(notices[..5].iter().all(|n| n.is_warning));
}

#[test]
fn a_file_takes_the_place_of_flags_and_environment() {
    let env = [("ETCD_CONFIG_FILE", "/c.yml"), ("ETCD_NAME", "env"), ("ETCD_NOPE", "x")];
    let args = ["--name=typed", "--data-dir=typed", "--cert-file=x"];
    let (config, notices) = served(run(&args, &env, Some(("/c.yml", "name: file"))));
    assert_eq!(config.name, "file");
    assert_eq!(config.data_dir.to_str(), Some("file.etcd"));
    assert_eq!(about(&notices), ["/c.yml", "data-dir"]);
    assert!(notices[0].text.ends_with("; ignored: cert-file, data-dir, name"));
}

#[test]
fn the_journal_is_heeded_beside_a_file_but_only_in_one_place() {
    let in_file = Some(("/c.yml", "journal: file"));
    let none = Some(("/c.yml", "name: a"));
    let (line, env) =
        (["--config-file=/c.yml", "--journal=cql://h"], [("MERIDIAN_JOURNAL", "s3:b")]);
    let alone = &line[..1];
    assert_eq!(served(run(alone, &[], in_file)).0.name, "default");
    assert!(refusal(run(&line, &[], none)).1.starts_with("--journal=cql comes"));
    assert!(refusal(run(alone, &env, none)).1.starts_with("--journal=s3 comes"));
    for twice in [run(&line, &env, none), run(&line, &[], in_file), run(alone, &env, in_file)] {
        assert!(refusal(twice).1.starts_with("the journal is given twice"));
    }
}
