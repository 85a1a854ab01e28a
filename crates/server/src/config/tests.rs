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

mod deployments;
mod environment;
mod files;
mod names;
mod observed;
mod reference;
mod shared;
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
    assert_eq!(config.grpc_keepalive_min_time, Duration::from_secs(5));
    assert!(!config.enable_pprof && !config.memory_mlock && !config.unsafe_no_fsync);
    assert_eq!((config.tracing, config.log.rotation), (None, None));
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
        ("--pre-vote", "there is no Raft to tune"),
        ("--socket-reuse-address=false", "addresses are always reused"),
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
            "--journal=postgres://...: the password must not stand in the address",
        ),
        (&["--journal=file:///d"], "--journal=file stands in --data-dir"),
        (&["--journal="], "--journal= is no journal"),
    ] {
        let (code, told) = refused(args);
        assert_eq!(code, 1, "{told}");
        assert!(told.starts_with(message), "{told}");
    }
}
