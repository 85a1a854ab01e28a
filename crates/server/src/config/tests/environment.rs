//! Settings by other ways and names: variables, and spellings of older versions.

use super::*;

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
            "--journal=postgres://...: the password must not stand in the address",
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
