//! The settings as a whole: arguments, environment and file in, an [`Invocation`] out.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::aliases;
use super::table::{self, Meaning};
use super::{
    AuthToken, AutoCompaction, ByteSize, Config, InitialClusterState, Invocation, KeepAlive,
    ListenAddress, LogFormat, LogLevel, LogOutput, Notice, from_process,
};

mod files;
mod tls;

/// Runs `etcd` with these arguments and variables, and at most one file.
fn run(args: &[&str], env: &[(&str, &str)], file: Option<(&str, &str)>) -> Invocation {
    let args = ["/usr/local/bin/etcd"].iter().chain(args).map(|arg| (*arg).to_owned());
    let env = env.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    let files: HashMap<_, _> = file.into_iter().collect();
    from_process(args, env, |path| {
        let text = path.to_str().and_then(|path| files.get(path));
        text.map(|text| (*text).to_owned())
            .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "no such file or directory"))
    })
}

#[track_caller]
fn served(invocation: Invocation) -> (Config, Vec<Notice>) {
    match invocation {
        Invocation::Serve(config, notices) => (*config, notices),
        other => panic!("not served: {other:?}"),
    }
}

#[track_caller]
fn config(args: &[&str]) -> Config {
    served(run(args, &[], None)).0
}

#[track_caller]
fn refused(args: &[&str]) -> (u8, String) {
    refusal(run(args, &[], None))
}

#[track_caller]
fn refusal(invocation: Invocation) -> (u8, String) {
    match invocation {
        Invocation::Refuse { exit_code, message } => (exit_code, message),
        other => panic!("not refused: {other:?}"),
    }
}

fn about(notices: &[Notice]) -> Vec<&str> {
    notices.iter().map(|notice| notice.about.as_str()).collect()
}

#[test]
fn the_defaults_are_etcd_s() {
    let (config, notices) = served(run(&[], &[], None));
    assert_eq!(about(&notices), ["data-dir"]);
    assert_eq!((config.name.as_str(), config.data_dir), ("default", PathBuf::from("default.etcd")));
    let tcp = ListenAddress::Tcp("127.0.0.1:2379".parse().unwrap());
    assert_eq!(config.listen_client_urls.len(), 1);
    assert_eq!(config.listen_client_urls[0].address, tcp);
    assert_eq!(config.listen_client_urls[0].url.as_str(), "http://localhost:2379");
    assert_eq!(config.advertise_client_urls[0].as_str(), "http://localhost:2379");
    assert!(config.listen_client_http_urls.is_empty() && config.listen_metrics_urls.is_empty());
    assert_eq!(config.identity.member_id, 0x8e9e_05c5_2164_694d);
    assert_eq!(config.identity.cluster_id, 0xcdf8_1819_4e3a_8c32);
    assert_eq!(config.quota_backend_bytes, Some(ByteSize(2 << 30)));
    assert_eq!(config.max_request_bytes, ByteSize(1_572_864));
    assert_eq!((config.max_txn_ops, config.max_concurrent_streams), (128, u32::MAX));
    assert_eq!(config.auto_compaction, AutoCompaction::Off);
    assert_eq!(config.watch_progress_notify_interval, Duration::from_secs(600));
    assert_eq!(config.min_lease_ttl_seconds, 2);
    assert_eq!((config.log.level, config.log.format), (LogLevel::Info, LogFormat::Json));
    assert_eq!(config.log.outputs, [LogOutput::Stderr]);
    let (interval, timeout) = (Duration::from_secs(7200), Duration::from_secs(20));
    assert_eq!(config.grpc_keepalive, Some(KeepAlive { interval, timeout }));
    assert!(!config.socket_reuse_port);
    assert_eq!(config.auth_token, AuthToken::Simple { ttl: Duration::from_secs(300) });
    assert_eq!(config.bcrypt_cost, 10);
}

#[test]
fn a_cost_that_bcrypt_does_not_have_gives_way_with_a_warning() {
    for (given, cost, warned) in
        [("3", 10, true), ("4", 4, false), ("31", 31, false), ("32", 10, true), ("0", 10, true)]
    {
        let (config, notices) = served(run(&["--data-dir=d", "--bcrypt-cost", given], &[], None));
        let about = about(&notices);
        assert_eq!((config.bcrypt_cost, !about.is_empty()), (cost, warned), "{given}: {about:?}");
    }
}

#[test]
fn a_simple_token_s_life_is_given_in_seconds_and_zero_is_the_default() {
    for (given, seconds) in [("7", 7), ("0", 300)] {
        let (config, _) = served(run(&["--auth-token-ttl", given], &[], None));
        assert_eq!(config.auth_token, AuthToken::Simple { ttl: Duration::from_secs(seconds) });
    }
}

/// The flags that etcd 3.7.1 defines, from a listing of its flag set.
const ETCD_FLAGS: &str = "
    advertise-client-urls auth-token auth-token-ttl auto-compaction-mode auto-compaction-retention
    auto-tls backend-batch-interval backend-batch-limit backend-bbolt-freelist-type bcrypt-cost
    bootstrap-defrag-threshold-megabytes cert-file cipher-suites client-cert-allowed-hostname
    client-cert-auth client-cert-file client-crl-file client-key-file compact-hash-check-time
    compaction-batch-limit compaction-sleep-interval config-file corrupt-check-time cors data-dir
    discovery-cacert discovery-cert discovery-dial-timeout discovery-endpoints discovery-fallback
    discovery-insecure-skip-tls-verify discovery-insecure-transport discovery-keepalive-time
    discovery-keepalive-timeout discovery-key discovery-password discovery-request-timeout
    discovery-srv discovery-srv-name discovery-token discovery-user distributed-tracing-address
    distributed-tracing-instance-id distributed-tracing-sampling-rate
    distributed-tracing-service-name downgrade-check-time election-timeout
    enable-distributed-tracing enable-grpc-gateway enable-log-rotation enable-pprof feature-gates
    force-new-cluster grpc-keepalive-interval grpc-keepalive-min-time grpc-keepalive-timeout
    heartbeat-interval host-whitelist initial-advertise-peer-urls initial-cluster
    initial-cluster-state initial-cluster-token initial-election-tick-advance key-file
    listen-client-http-urls listen-client-urls listen-metrics-urls listen-peer-urls log-format
    log-level log-outputs log-rotation-config-json logger max-concurrent-streams max-learners
    max-request-bytes max-snapshots max-txn-ops max-wals memory-mlock metrics name peer-auto-tls
    peer-cert-allowed-cn peer-cert-allowed-hostname peer-cert-file peer-client-cert-auth
    peer-client-cert-file peer-client-key-file peer-crl-file peer-key-file
    peer-skip-client-san-verification peer-trusted-ca-file pre-vote quota-backend-bytes
    raft-read-timeout raft-write-timeout self-signed-cert-validity snapshot-catchup-entries
    snapshot-count socket-reuse-address socket-reuse-port strict-reconfig-check tls-max-version
    tls-min-version trusted-ca-file unsafe-no-fsync v2-deprecation version wal-dir
    warning-apply-duration warning-unary-request-duration watch-progress-notify-interval";

#[test]
fn the_table_holds_every_flag_of_etcd_and_one_of_ours() {
    let ours: Vec<&str> = table::all().map(|flag| flag.name).collect();
    let set: BTreeSet<&str> = ours.iter().copied().collect();
    assert_eq!(ours.len(), set.len(), "a name stands twice");
    let etcd: BTreeSet<&str> = ETCD_FLAGS.split_whitespace().collect();
    assert_eq!(set.difference(&etcd).collect::<Vec<_>>(), [&"journal"]);
    assert_eq!(etcd.difference(&set).count(), 0);
}

#[test]
fn every_default_of_the_table_can_be_typed() {
    for flag in table::all() {
        let value = flag.kind.parse(flag.default);
        assert!(value.is_ok(), "{}: {value:?}", flag.name);
        let (Meaning::Used(text) | Meaning::Nothing(text) | Meaning::Later(text)) = flag.meaning;
        assert!(!text.is_empty());
    }
}

#[test]
fn arguments_follow_the_syntax_of_go() {
    let short = |args: &[&str]| config(args).socket_reuse_port;
    assert!(short(&["-socket-reuse-port"]) && short(&["--socket-reuse-port"]));
    assert!(short(&["--socket-reuse-port=T"]) && !short(&["--socket-reuse-port=false"]));
    assert!(!short(&["--socket-reuse-port", "--socket-reuse-port=0"]));
    for args in [&["-name=a=b"][..], &["--name", "a=b"], &["--name=x", "-name", "a=b", "--"]] {
        assert_eq!(config(args).name, "a=b");
    }
    assert_eq!(config(&["--name", "--data-dir", "--data-dir=d"]).name, "--data-dir");
    for (args, code, message) in [
        (&["--nope=1"][..], 2, "flag provided but not defined: -nope"),
        (
            &["--heartbeat-interval=abc"],
            2,
            "invalid value \"abc\" for flag -heartbeat-interval: parse error",
        ),
        (&["--name"], 2, "flag needs an argument: -name"),
        (
            &["--enable-pprof=maybe"],
            2,
            "invalid boolean value \"maybe\" for -enable-pprof: parse error",
        ),
        (
            &["--watch-progress-notify-interval=5"],
            2,
            "invalid value \"5\" for flag -watch-progress-notify-interval: parse error",
        ),
        (
            &["--feature-gates=Nope=true"],
            2,
            "invalid value \"Nope=true\" for flag -feature-gates: unrecognized feature gate: Nope",
        ),
        (
            &["--listen-client-urls=ftp://1"],
            2,
            "invalid value \"ftp://1\" for flag -listen-client-urls: URL scheme must be",
        ),
        (
            &["--initial-cluster-state=old"],
            2,
            "invalid value \"old\" for flag -initial-cluster-state: invalid value",
        ),
        (
            &["--v2-deprecation=not-yet"],
            2,
            "invalid value \"not-yet\" for flag -v2-deprecation: invalid",
        ),
        (&["--cors="], 2, "invalid value \"\" for flag -cors: URL scheme must be"),
        (&["---x"], 2, "bad flag syntax: ---x"),
        (&["--=x"], 2, "bad flag syntax: --=x"),
        (&["foo"], 1, "\"foo\" is not a valid flag"),
        (&["-"], 1, "\"-\" is not a valid flag"),
        (&["--", "foo"], 1, "\"foo\" is not a valid flag"),
        (&["--pre-vote", "false"], 1, "\"false\" is not a valid flag"),
        (&["gateway", "start"], 1, "'etcd gateway' is not part of Meridian"),
        (&["grpc-proxy"], 1, "'etcd grpc-proxy' is not part of Meridian"),
    ] {
        let (exit_code, told) = refused(args);
        assert_eq!(exit_code, code, "{args:?}");
        assert!(told.starts_with(message), "{told}");
    }
}

#[test]
fn an_unknown_flag_is_told_its_nearest_neighbour() {
    for (typed, meant) in [
        ("--data_dir=x", "data-dir"),
        ("--listen-client-url=x", "listen-client-urls"),
        ("--quota-backend-byte=1", "quota-backend-bytes"),
    ] {
        assert!(refused(&[typed]).1.contains(&format!("did you mean --{meant}?")), "{typed}");
    }
    assert!(!refused(&["--zzzzzz"]).1.contains("did you mean"));
}

#[test]
fn help_and_version_are_printed_in_etcd_s_layout() {
    for args in [&["-h"][..], &["--help"], &["--name=x", "-help"]] {
        let Invocation::Print(text) = run(args, &[], None) else { panic!("not printed") };
        for flag in table::all() {
            assert!(text.contains(&format!("\n  --{}", flag.name)), "{}", flag.name);
        }
        assert!(text.contains("  etcd [flags]\n"));
    }
    let env = [("ETCD_NAME", "x")];
    let Invocation::Print(text) = run(&["--version", "--name=y"], &env, None) else {
        panic!("not printed")
    };
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "etcd Version: 3.7.1");
    assert!(lines[1].starts_with("Git SHA: ") && lines[2].starts_with("Go Version: "));
    assert!(lines[3].starts_with("Go OS/Arch: linux/") || !cfg!(target_os = "linux"));
    assert!(lines[4].starts_with("Meridian Version: "));
}

#[test]
fn the_environment_is_a_second_command_line() {
    let env = [("ETCD_NAME", "a"), ("ETCD_DATA_DIR", "/d"), ("HOME", "/h"), ("ETCD_METRICS", "")];
    let (config, notices) = served(run(&["--max-txn-ops=9"], &env, None));
    assert_eq!((config.name.as_str(), config.max_txn_ops), ("a", 9));
    assert_eq!(config.data_dir, PathBuf::from("/d"));
    assert_eq!(about(&notices), ["ETCD_DATA_DIR", "ETCD_NAME"]);

    let (_, notices) = served(run(
        &["--data-dir=d"],
        &[("ETCD_VERSION", "3"), ("ETCD_NOPE", "secret"), ("ETCDCTL_API", "3")],
        None,
    ));
    assert_eq!(about(&notices), ["ETCD_NOPE", "ETCD_VERSION"]);
    assert!(notices.iter().all(|n| n.is_warning && !n.text.contains("secret")));

    for (key, value, message) in [
        ("ETCD_NAME", "x", "conflicting environment variable ETCD_NAME is shadowed by"),
        (
            "ETCD_HEARTBEAT_INTERVAL",
            "zz",
            "invalid value \"zz\" for ETCD_HEARTBEAT_INTERVAL: parse error",
        ),
        (
            "MERIDIAN_JOURNAL",
            "postgres://u:secret@h",
            "--journal=postgres comes with a later release",
        ),
    ] {
        let (code, told) = refusal(run(&["--name=y"], &[(key, value)], None));
        assert_eq!(code, 1);
        assert!(told.starts_with(message), "{told}");
        assert!(!told.contains("secret"));
    }
    let old = [("ETCD_EXPERIMENTAL_WATCH_PROGRESS_NOTIFY_INTERVAL", "5s")];
    let interval = served(run(&[], &old, None)).0.watch_progress_notify_interval;
    assert_eq!(interval, Duration::from_secs(5));
    let (_, told) = refusal(run(&["--watch-progress-notify-interval=6s"], &old, None));
    assert!(told.starts_with("conflicting environment variable"), "{told}");
}

#[test]
fn experimental_spellings_mean_today_s_flags() {
    let args = [
        "--experimental-initial-corrupt-check=true",
        "--experimental-watch-progress-notify-interval=5s",
        "--experimental-warning-apply-duration",
        "1s",
        "--experimental-stop-grpc-service-on-defrag",
        "--feature-gates=CompactHashCheck=true",
        "--experimental-snapshot-catch-up-entries=7",
    ];
    let (config, notices) = served(run(&args, &[], None));
    assert_eq!(config.watch_progress_notify_interval, Duration::from_secs(5));
    let told = notices.iter().filter(|n| n.text.starts_with("accepted, "));
    let told: Vec<&str> = told.map(|notice| notice.about.as_str()).collect();
    assert_eq!(
        told,
        [
            "snapshot-catchup-entries",
            "feature-gates CompactHashCheck",
            "feature-gates InitialCorruptCheck",
            "feature-gates StopGRPCServiceOnDefrag",
        ]
    );
    let old = notices.iter().filter(|n| n.about.starts_with("experimental-"));
    assert_eq!(old.filter(|n| n.text.starts_with("removed in etcd 3.7; read as --")).count(), 5);
    for alias in aliases::all() {
        // Some want a value, or another gate beside them; none is unknown.
        if let Invocation::Refuse { message, .. } = run(&[&format!("--{alias}")], &[], None) {
            assert!(!message.contains("not defined"), "{message}");
        }
    }
}

#[test]
fn addresses_are_resolved_and_each_bound_once() {
    let config = config(&[
        "--listen-client-urls=http://localhost:1,http://127.0.0.1:1,http://[::]:2,unix:///s",
        "--advertise-client-urls=https://proxy.example:443",
        "--listen-metrics-urls=http://0.0.0.0:3",
        "--listen-client-http-urls=http://127.0.0.1:4",
    ]);
    let bound: Vec<_> = config.listen_client_urls.into_iter().map(|l| l.address).collect();
    let tcp = |text: &str| ListenAddress::Tcp(text.parse().unwrap());
    let socket = ListenAddress::Unix("/s".into());
    assert_eq!(bound, [tcp("127.0.0.1:1"), tcp("[::]:2"), socket]);
    assert_eq!(config.listen_metrics_urls[0].address, tcp("0.0.0.0:3"));
    assert_eq!(config.listen_client_http_urls[0].address, tcp("127.0.0.1:4"));
    assert_eq!(config.advertise_client_urls[0].as_str(), "https://proxy.example:443");
}

#[test]
fn limits_and_clocks_are_read_as_etcd_reads_them() {
    let quota = |text: &str| config(&["--quota-backend-bytes", text]).quota_backend_bytes;
    assert_eq!(quota("0"), Some(ByteSize(2 << 30)));
    assert_eq!(quota("-1"), None);
    assert_eq!(quota("17179869184"), Some(ByteSize(16 << 30)));
    let ttl = |election: &str, heartbeat: &str| {
        config(&["--election-timeout", election, "--heartbeat-interval", heartbeat])
            .min_lease_ttl_seconds
    };
    assert_eq!((ttl("1000", "100"), ttl("500", "100"), ttl("5000", "500")), (2, 1, 8));
    assert_eq!(ttl("50000", "10000"), 70);
    let progress = |text: &str| {
        config(&["--watch-progress-notify-interval", text]).watch_progress_notify_interval
    };
    assert_eq!(progress("0"), Duration::from_secs(600));
    assert_eq!(progress("1ms"), Duration::from_millis(100));
    assert_eq!(config(&["--grpc-keepalive-timeout=0s"]).grpc_keepalive, None);
    assert_eq!(config(&["--max-concurrent-streams=0"]).max_concurrent_streams, u32::MAX);
}

/// What is said of one argument beside the data directory's default.
#[track_caller]
fn told_of(arg: &str) -> Vec<Notice> {
    served(run(&["--data-dir=d", arg], &[], None)).1
}

#[test]
fn a_flag_that_does_nothing_is_told_once_with_what_it_comes_to() {
    for (arg, text) in [
        ("--grpc-keepalive-min-time=1s", "a client that pings often is not cut off"),
        ("--socket-reuse-address=false", "addresses are always reused"),
        ("--unsafe-no-fsync", "the journal is always synced"),
        ("--feature-gates=", "none changes what Meridian does"),
        ("--feature-gates=AllBeta=true", "none of which changes anything here"),
    ] {
        let notices = told_of(arg);
        assert_eq!(notices.len(), 1, "{arg}: {notices:?}");
        assert!(!notices[0].is_warning && notices[0].text.contains(text), "{notices:?}");
    }
    for plain in ["--host-whitelist=b,a", "--cors=http://a:1", "--metrics=extensive"] {
        assert_eq!(told_of(plain), [], "{plain}");
    }
    let names = config(&["--host-whitelist=b,a", "--cors=http://a:1"]);
    assert_eq!(
        (names.host_whitelist, names.cors),
        (vec!["a".into(), "b".into()], vec!["http://a:1".into()])
    );
    let anybody = config(&[]);
    assert_eq!((anybody.host_whitelist, anybody.cors), (vec!["*".into()], vec!["*".into()]));
    let asked = |args: &[&str]| served(run(args, &[], None)).0;
    let extensive = asked(&["--metrics=extensive", "--warning-apply-duration=-1s"]);
    assert!(extensive.metrics_extensive && extensive.warning_apply_duration.is_zero());
    let basic = asked(&["--metrics=x", "--warning-unary-request-duration=1s"]);
    assert!(!basic.metrics_extensive && basic.warning_apply_duration.as_millis() == 100);
    assert_eq!(basic.warning_unary_request_duration.as_secs(), 1);
    let notices = told_of("--metrics=x");
    assert_eq!((about(&notices), notices[0].is_warning), (vec!["metrics"], true));
}

#[test]
fn a_flag_that_does_nothing_is_still_refused_a_wrong_value() {
    for (arg, reason) in [
        ("--grpc-keepalive-min-time=5", "parse error"),
        ("--socket-reuse-address=maybe", "parse error"),
        ("--unsafe-no-fsync=maybe", "parse error"),
        ("--feature-gates=AllBeta", "missing bool value for AllBeta"),
        ("--warning-apply-duration=x", "parse error"),
        ("--warning-unary-request-duration=", "parse error"),
        ("--cors=a", "URL scheme must be"),
    ] {
        let (code, told) = refused(&[arg]);
        assert_eq!(code, 2, "{told}");
        assert!(told.starts_with("invalid ") && told.contains(reason), "{told}");
    }
}

#[test]
fn the_log_is_set_up_as_asked() {
    let log =
        config(&["--log-outputs=stdout,/var/l,stderr", "--log-level=WARN", "--log-format=console"])
            .log;
    assert_eq!((log.level, log.format), (LogLevel::Warn, LogFormat::Console));
    let file = LogOutput::File("/var/l".into());
    assert_eq!(log.outputs, [LogOutput::Stderr, LogOutput::Stdout, file]);
    assert_eq!(config(&["--log-outputs=/dev/null,stderr"]).log.outputs, []);
    for (args, message) in [
        (&["--log-level=foo"][..], "unrecognized level: \"foo\""),
        (&["--log-format=xml"], "unknown log format: xml, supported values json, console"),
        (&["--logger=capnslog"], "--logger=capnslog is removed in v3.5"),
        (&["--logger=x"], "unknown logger option \"x\""),
        (&["--log-outputs=default,stderr"], "multi logoutput for \"default\" is not supported yet"),
    ] {
        let (code, told) = refused(args);
        assert_eq!(code, 1);
        assert!(told.starts_with(message), "{told}");
    }
}

#[test]
fn contradictions_are_refused_with_the_way_out() {
    for (args, message) in [
        (
            &["--listen-client-urls=http://127.0.0.1:1"][..],
            "--advertise-client-urls is required when --listen-client-urls is set explicitly",
        ),
        (&["--listen-client-urls=http://a.b:1"], "expected IP in URL for binding (http://a.b:1)"),
        (&["--listen-peer-urls=http://a.b:1"], "expected IP in URL for binding (http://a.b:1)"),
        (
            &["--advertise-client-urls=http://:1"],
            "--advertise-client-urls \"http://:1\" must be in the format",
        ),
        (
            &["--initial-advertise-peer-urls=http://:1"],
            "--initial-advertise-peer-urls \"http://:1\" must be",
        ),
        (&["--heartbeat-interval=0"], "--heartbeat-interval must be >0 (set to 0ms)"),
        (&["--election-timeout=0"], "--election-timeout must be >0 (set to 0ms)"),
        (
            &["--election-timeout=499"],
            "--election-timeout[499ms] should be at least as 5 times as --heartbeat-interval",
        ),
        (
            &["--election-timeout=50001"],
            "--election-timeout[50001ms] is too long, and should be set less than 50000ms",
        ),
        (&["--auto-compaction-mode=x"], "unknown auto-compaction-mode \"x\""),
        (
            &["--auto-compaction-retention=5x"],
            "error parsing CompactionRetention: time: unknown unit \"x\"",
        ),
        (&["--compact-hash-check-time=0s"], "--compact-hash-check-time must be >0 (set to 0s)"),
        (&["--discovery-fallback=proxy"], "v2 proxy is deprecated"),
        (&["--name="], "--name must not be empty"),
        (&["--initial-cluster="], "couldn't find local name \"default\" in the initial cluster"),
        (&["--auth-token=x"], "auth: invalid auth options"),
        (&["--auth-token=jwt,"], "auth: invalid auth options"),
        (&["--auth-token=jwt,sign-method=RS1"], "auth: invalid auth options (--auth-token: sign"),
        (
            &["--feature-gates=LeaseCheckpointPersist=true"],
            "enabling feature gate LeaseCheckpointPersist requires",
        ),
        (
            &["--tls-min-version=TLS1.3", "--tls-max-version=TLS1.2"],
            "min version (TLS1.3) is greater than max version (TLS1.2)",
        ),
        (&["--tls-min-version=SSL3"], "unexpected TLS version \"SSL3\""),
        (
            &["--tls-min-version=TLS1.3", "--cipher-suites=x"],
            "cipher suites cannot be configured when only TLS1.3",
        ),
        (&["--discovery-token=x"], "both --discovery-token and --discovery-endpoints must be set"),
        (&["--discovery-srv=x"], "discovery finds the members of a new cluster"),
        (
            &["--discovery-srv=x", "--initial-cluster=a=http://b:1"],
            "multiple discovery or bootstrap flags are set",
        ),
        (
            &["--journal=postgres://u:p@h/d"],
            "--journal=postgres comes with a later release: use --journal=file",
        ),
        (&["--journal=file:///d"], "--journal=file stands in --data-dir"),
        (&["--journal="], "--journal= comes with a later release"),
    ] {
        let (code, told) = refused(args);
        assert_eq!(code, 1, "{told}");
        assert!(told.starts_with(message), "{told}");
    }
}

#[test]
fn one_member_keeps_the_embedded_journal() {
    let one = config(&[
        "--name=a",
        "--initial-cluster=a=http://b:1,a=http://a:1",
        "--initial-cluster-token=t",
        "--initial-cluster-state=existing",
    ]);
    let urls: Vec<_> = one.initial_advertise_peer_urls.iter().map(|u| u.as_str()).collect();
    assert_eq!(urls, ["http://a:1", "http://b:1"]);
    assert_eq!(one.initial_cluster_state, InitialClusterState::Existing);
    let default = config(&[]).identity;
    assert_ne!(one.identity, default);
    assert_eq!(config(&["--name=a"]).identity, default);
    for (args, part) in [
        (
            &["--initial-cluster=default=http://a:1,b=http://b:1"][..],
            "names 2 members (b, default), but the embedded journal is kept by one machine alone",
        ),
        (
            &["--name=z", "--initial-cluster=y=http://a:1"],
            "couldn't find local name \"z\" in the initial cluster configuration",
        ),
        (
            &["--initial-cluster=default=http://a:1", "--initial-advertise-peer-urls=http://b:1"],
            "--initial-cluster has default=http://a:1 but --initial-advertise-peer-urls=http://b:1",
        ),
        (&["--initial-cluster=default=http://a:1,default=http://a:1"], "has duplicate url"),
        (&["--initial-cluster=default"], "--initial-cluster: URL scheme must be"),
    ] {
        let (code, told) = refused(args);
        assert_eq!(code, 1);
        assert!(told.contains(part), "{told}");
    }
}

/// What kubeadm writes into the static pod of etcd.
const KUBEADM: [&str; 19] = [
    "--advertise-client-urls=https://10.0.0.5:2379",
    "--cert-file=/etc/kubernetes/pki/etcd/server.crt",
    "--client-cert-auth=true",
    "--data-dir=/var/lib/etcd",
    "--feature-gates=InitialCorruptCheck=true",
    "--initial-advertise-peer-urls=https://10.0.0.5:2380",
    "--initial-cluster=node=https://10.0.0.5:2380",
    "--key-file=/etc/kubernetes/pki/etcd/server.key",
    "--listen-client-urls=https://127.0.0.1:2379,https://10.0.0.5:2379",
    "--listen-metrics-urls=http://127.0.0.1:2381",
    "--listen-peer-urls=https://10.0.0.5:2380",
    "--name=node",
    "--peer-cert-file=/etc/kubernetes/pki/etcd/peer.crt",
    "--peer-client-cert-auth=true",
    "--peer-key-file=/etc/kubernetes/pki/etcd/peer.key",
    "--peer-trusted-ca-file=/etc/kubernetes/pki/etcd/ca.crt",
    "--snapshot-count=10000",
    "--trusted-ca-file=/etc/kubernetes/pki/etcd/ca.crt",
    "--watch-progress-notify-interval=5s",
];

#[test]
fn kubeadm_s_command_line_is_understood() {
    let (config, notices) = served(run(&KUBEADM, &[], None));
    assert_eq!(config.watch_progress_notify_interval, Duration::from_secs(5));
    assert_eq!(config.listen_client_urls.len(), 2);
    assert_eq!(config.listen_metrics_urls.len(), 1);
    let tls = config.tls.expect("TLS");
    assert_eq!(tls.cert_file, Path::new("/etc/kubernetes/pki/etcd/server.crt"));
    assert_eq!(tls.key_file, Path::new("/etc/kubernetes/pki/etcd/server.key"));
    assert_eq!(tls.trusted_ca_file.as_deref(), Some(Path::new("/etc/kubernetes/pki/etcd/ca.crt")));
    assert!(tls.client_cert_auth);
    assert_eq!(
        about(&notices),
        [
            "listen-peer-urls",
            "peer-cert-file",
            "peer-client-cert-auth",
            "peer-key-file",
            "peer-trusted-ca-file",
            "snapshot-count",
            "feature-gates InitialCorruptCheck",
        ]
    );
}

#[test]
fn the_arguments_of_etcd_s_own_test_framework_are_understood() {
    let args = [
        "--name=TestPut-test-0",
        "--listen-client-urls=http://localhost:20000",
        "--advertise-client-urls=http://localhost:20000",
        "--listen-peer-urls=http://localhost:20001",
        "--initial-advertise-peer-urls=http://localhost:20001",
        "--initial-cluster-token=new",
        "--data-dir=/t/001",
        "--snapshot-count=10000",
        "--force-new-cluster=true",
        "--strict-reconfig-check=false",
        "--listen-metrics-urls=http://localhost:20004",
        "--snapshot-catchup-entries=10",
        "--compaction-batch-limit=10",
        "--backend-batch-interval=1s",
        "--initial-cluster=TestPut-test-0=http://localhost:20001",
        "--initial-cluster-state=new",
        "--auto-compaction-retention",
        "1s",
        "--log-level=debug",
    ];
    let (config, notices) = served(run(&args, &[("GOFAIL_HTTP", "127.0.0.1:1")], None));
    assert_eq!(config.name, "TestPut-test-0");
    assert_eq!(config.auto_compaction, AutoCompaction::Periodic(Duration::from_secs(1)));
    assert_eq!(config.log.level, LogLevel::Debug);
    assert_eq!(notices.len(), 7);
    assert!(notices.iter().all(|n| !n.is_warning), "{notices:?}");
}
