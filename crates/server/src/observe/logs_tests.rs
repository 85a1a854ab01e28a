//! Every line is one JSON object of etcd's shape, whatever is logged.

use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use parking_lot::Mutex;
use serde_json::Value;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::Registry;

use super::{LogLines, timestamp};
use crate::config::{LogFormat, LogLevel, LogOutput, LogSettings};

#[derive(Clone, Default)]
struct Paper(Arc<Mutex<Vec<u8>>>);

impl Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn written(level: LogLevel, format: LogFormat, say: impl FnOnce()) -> String {
    let paper = Paper::default();
    let settings = LogSettings { level, format, outputs: Vec::new(), rotation: None };
    let lines = LogLines::to(&settings, vec![Box::new(paper.clone())]);
    tracing::subscriber::with_default(Registry::default().with(lines), say);
    let bytes = paper.0.lock().clone();
    String::from_utf8(bytes).unwrap()
}

fn levels(level: LogLevel) -> Vec<String> {
    let text = written(level, LogFormat::Json, || {
        tracing::trace!("0");
        tracing::debug!("1");
        tracing::info!("2");
        tracing::warn!("3");
        tracing::error!("4");
        tracing::error!(severity = "panic", "5");
        tracing::error!(severity = "fatal", "6");
    });
    let object = |line: &str| serde_json::from_str::<Value>(line).unwrap();
    text.lines().map(|line| object(line)["level"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn every_line_is_one_json_object_of_etcd_s_shape() {
    let error = std::io::Error::other("no \"luck\"\n");
    let nasty: String = (0..0x100).filter_map(char::from_u32).collect();
    let text = written(LogLevel::Debug, LogFormat::Json, || {
        tracing::info!("ready to serve client requests");
        tracing::warn!(setting = nasty, "two\nlines \u{2028} \"quoted\" \\ {}", nasty);
        tracing::debug!(a = -1_i64, b = u64::MAX, c = 1.5, d = true, e = f64::NAN, "numbers");
        tracing::error!(error = &error as &dyn std::error::Error, list = ?[1, 2], "failed");
        tracing::info!(name = %"n", "");
    });
    let lines: Vec<Value> =
        text.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    assert_eq!(lines.len(), 5);
    for (line, text) in lines.iter().zip(text.lines()) {
        assert!(text.starts_with(&format!("{{\"level\":{},\"ts\":\"2", line["level"])), "{text}");
        assert_eq!(line["ts"].as_str().unwrap().len(), "2006-01-02T15:04:05.000000Z".len());
        assert!(line["caller"].as_str().unwrap().starts_with("observe/logs_tests.rs:"), "{line}");
        assert!(line["msg"].is_string());
    }
    assert_eq!(lines[0]["msg"], "ready to serve client requests");
    assert_eq!(lines[1]["setting"], nasty.as_str());
    assert_eq!(lines[1]["msg"], format!("two\nlines \u{2028} \"quoted\" \\ {nasty}"));
    assert_eq!(lines[2]["b"], u64::MAX);
    assert_eq!((&lines[2]["a"], &lines[2]["e"]), (&Value::from(-1), &Value::from("NaN")));
    assert_eq!((&lines[2]["c"], &lines[2]["d"]), (&Value::from(1.5), &Value::from(true)));
    assert_eq!(lines[3]["error"], "no \"luck\"\n");
    assert_eq!(lines[3]["list"], "[1, 2]");
    assert_eq!(lines[4]["name"], "n");
}

#[test]
fn console_lines_are_columns() {
    let text = written(LogLevel::Info, LogFormat::Console, || {
        tracing::info!("ready");
        tracing::warn!(a = 1, b = "x", "two\nlines");
    });
    let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split('\t').collect()).collect();
    assert_eq!(lines.len(), 2, "{text}");
    assert_eq!((lines[0][1], lines[0][3], lines[0].len()), ("info", "ready", 4));
    assert!(lines[0][2].starts_with("observe/logs_tests.rs:"));
    assert_eq!((lines[1][3], lines[1][4]), ("two\\nlines", "{\"a\": 1, \"b\": \"x\"}"));
}

#[test]
fn levels_are_etcd_s() {
    let all = ["debug", "info", "warn", "error", "panic", "fatal"];
    assert_eq!(levels(LogLevel::Debug), all);
    assert_eq!(levels(LogLevel::Info), all[1..]);
    assert_eq!(levels(LogLevel::Warn), all[2..]);
    assert_eq!(levels(LogLevel::Error), all[3..]);
    assert_eq!(levels(LogLevel::Dpanic), all[4..]);
    assert_eq!(levels(LogLevel::Fatal), all[5..]);
}

#[test]
fn other_crates_are_heard_from_warnings_on() {
    let text = written(LogLevel::Debug, LogFormat::Json, || {
        tracing::debug!(target: "h2::codec", "frame");
        tracing::info!(target: "hyper", "connection");
        tracing::warn!(target: "h2::codec", "reset");
    });
    assert_eq!(text.lines().count(), 1);
    assert!(text.contains("\"msg\":\"reset\""));
}

#[test]
fn lines_are_added_to_the_end_of_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let settings =
        LogSettings { outputs: vec![LogOutput::File(path.clone())], ..Default::default() };
    for _ in 0..2 {
        let lines = LogLines::open(&settings).unwrap();
        tracing::subscriber::with_default(Registry::default().with(lines), || {
            tracing::info!("once");
        });
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 2);
    let nowhere = LogSettings {
        outputs: vec![LogOutput::File(folder.path().join("no/such/folder"))],
        ..Default::default()
    };
    let refused = LogLines::open(&nowhere).err().unwrap().to_string();
    assert!(refused.starts_with("--log-outputs: open "), "{refused}");
}

#[test]
fn times_are_written_as_etcd_writes_them() {
    for (micros, text) in [
        (0, "1970-01-01T00:00:00.000000Z"),
        (951_782_399_000_001, "2000-02-28T23:59:59.000001Z"),
        (951_782_400_000_000, "2000-02-29T00:00:00.000000Z"),
        (951_868_800_000_000, "2000-03-01T00:00:00.000000Z"),
        (1_735_689_599_999_999, "2024-12-31T23:59:59.999999Z"),
        (4_107_542_400_500_000, "2100-03-01T00:00:00.500000Z"),
    ] {
        assert_eq!(timestamp(UNIX_EPOCH + Duration::from_micros(micros)), text);
    }
}
