//! The flags of what the server tells of itself: the log, traces, profiles.

use super::*;
use crate::config::{Rotation, Tracing};

#[test]
fn the_log_is_set_up_as_asked() {
    let log =
        config(&["--log-outputs=stdout,/var/l,stderr", "--log-level=WARN", "--log-format=console"])
            .log;
    assert_eq!((log.level, log.format), (LogLevel::Warn, LogFormat::Console));
    let file = LogOutput::File("/var/l".into());
    assert_eq!(log.outputs, [LogOutput::Stderr, LogOutput::Stdout, file]);
    assert_eq!(config(&["--log-outputs=/dev/null,stderr"]).log.outputs, []);
    assert_eq!(config(&["--log-outputs=systemd/journal"]).log.outputs, [LogOutput::Journal]);
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

#[track_caller]
fn rotation(json: &str) -> Option<Rotation> {
    let json = format!("--log-rotation-config-json={json}");
    config(&["--log-outputs=/l", "--enable-log-rotation", &json]).log.rotation
}

#[test]
fn rotation_is_read_as_etcd_s_library_reads_it() {
    let default = Rotation::default();
    assert_eq!(config(&["--log-outputs=/l", "--enable-log-rotation"]).log.rotation, Some(default));
    assert_eq!(default.max_bytes, 100 << 20);
    assert_eq!(config(&["--log-rotation-config-json={"]).log.rotation, None, "not looked at");
    let all = r#"{"maxsize": 1, "MaxAge": 2, "maxbackups": 3, "compress": true, "other": 1}"#;
    let want = Rotation {
        max_bytes: 1 << 20,
        max_age: Some(Duration::from_secs(48 * 3600)),
        max_backups: Some(3),
        compress: true,
    };
    assert_eq!(rotation(all), Some(want));
    assert_eq!(rotation(r#"{"maxsize": 0, "maxage": -1, "maxbackups": 0}"#), Some(default));
    let both = ["--log-outputs=/l,stderr", "--enable-log-rotation"];
    assert_eq!(config(&both).log.rotation, Some(default));
    for (args, message) in [
        (&["--enable-log-rotation"][..], "--log-outputs requires a single file path when"),
        (&["--enable-log-rotation", "--log-outputs=/a,/b"], "--log-outputs requires a single"),
        (
            &["--enable-log-rotation", "--log-outputs=/a", "--log-rotation-config-json={"],
            "improperly formatted log rotation config: ",
        ),
        (
            &["--enable-log-rotation", "--log-outputs=/a", "--log-rotation-config-json="],
            "improperly formatted log rotation config: unexpected end of JSON input",
        ),
        (
            &[
                "--enable-log-rotation",
                "--log-outputs=/a",
                r#"--log-rotation-config-json={"maxsize": "1"}"#,
            ],
            "invalid log rotation config: maxsize is not a whole number",
        ),
    ] {
        let (code, told) = refused(args);
        assert_eq!((code, told.starts_with(message)), (1, true), "{told}");
    }
}

#[test]
fn traces_go_where_etcd_s_go() {
    let on = "--enable-distributed-tracing";
    assert_eq!(config(&["--distributed-tracing-sampling-rate=-1"]).tracing, None, "not looked at");
    let want = Tracing {
        address: "localhost:4317".to_owned(),
        service_name: "etcd".to_owned(),
        instance_id: None,
        sampled_per_million: 0,
    };
    assert_eq!(config(&[on]).tracing, Some(want));
    let told = config(&[
        on,
        "--distributed-tracing-address=[::1]:9",
        "--distributed-tracing-service-name=s",
        "--distributed-tracing-instance-id=i",
        "--distributed-tracing-sampling-rate=1000000",
    ]);
    let told = told.tracing.unwrap();
    assert_eq!((told.address.as_str(), told.service_name.as_str()), ("[::1]:9", "s"));
    assert_eq!((told.instance_id.as_deref(), told.sampled_per_million), (Some("i"), 1_000_000));
    for (arg, why) in [
        ("--distributed-tracing-sampling-rate=-1", "tracing sampling rate must be positive"),
        (
            "--distributed-tracing-sampling-rate=1000001",
            "tracing sampling rate must be less than 1000000",
        ),
        ("--distributed-tracing-address=collector", "must be \"host:port\""),
    ] {
        let (code, told) = refused(&[on, arg]);
        assert_eq!(code, 1);
        assert!(told.starts_with("distributed tracing configurition is not valid: ("), "{told}");
        assert!(told.contains(why), "{told}");
    }
}

#[test]
fn profiles_are_taken_where_they_or_all_lines_are_asked_for() {
    assert!(config(&["--enable-pprof"]).enable_pprof);
    assert!(config(&["--log-level=debug"]).enable_pprof);
    assert!(!config(&["--log-level=info"]).enable_pprof);
}

#[test]
fn pings_and_memory_and_disk_are_read() {
    let min = |arg: &str| config(&[arg]).grpc_keepalive_min_time.as_secs();
    assert_eq!(min("--grpc-keepalive-min-time=1s"), 1);
    assert_eq!(min("--grpc-keepalive-min-time=0s"), 300, "as grpc-go has it where it is not told");
    assert!(config(&["--memory-mlock"]).memory_mlock);
    assert!(config(&["--unsafe-no-fsync"]).unsafe_no_fsync);
    let notices = told_of("--unsafe-no-fsync");
    assert!(notices[0].is_warning && notices[0].text.starts_with("NOTHING IS SYNCED"));
}
