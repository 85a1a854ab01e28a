//! What takes longer than `--warning-apply-duration` is logged in etcd's words, and counted.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::Value;
use server::config::LogSettings;
use server::grpc::Settings;
use server::http::Access;
use server::observe::logs::LogLines;
use server::observe::metrics::Settings as Measured;
use server::rpc::Services;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::Registry;

use super::support::{Server, everything};

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

/// The lines about slowness after a put and a list, and the page of metrics.
async fn told(warn_apply_after: Duration) -> (Vec<Value>, String) {
    let paper = Paper::default();
    let lines = LogLines::to(&LogSettings::default(), vec![Box::new(paper.clone())]);
    let _guard = tracing::subscriber::set_default(Registry::default().with(lines));
    let measured = Measured { warn_apply_after, ..Measured::default() };
    let metrics = Services::metrics(measured);
    let server = Server::set(Settings::default(), metrics, Access::default()).await;
    let mut client = server.client().await;
    client.put("key", "value").await;
    client.range(everything()).await.unwrap();
    let page = server.http("GET /metrics").await;
    let text = String::from_utf8(paper.0.lock().clone()).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    (lines.filter(|line| line["msg"] == "apply request took too long").collect(), page)
}

#[tokio::test]
async fn slow_work_is_told_with_what_was_asked() {
    let (lines, page) = told(Duration::ZERO).await;
    let [put, list] = &lines[..] else { panic!("{lines:?}") };
    for (line, prefix) in [(put, ""), (list, "read-only range ")] {
        assert_eq!((&line["level"], &line["prefix"]), (&"warn".into(), &prefix.into()));
        assert_eq!(line["expected-duration"], "0s");
        assert!(line["took"].as_str().unwrap().ends_with('s'), "{line}");
    }
    assert_eq!(put["request"], "put:<key:\"key\" value_size:5 >");
    assert_eq!(list["request"], "key:\"\\x00\" range_end:\"\\x00\"");
    assert!(list["response"].as_str().unwrap().starts_with("range_response_count:1 size:"));
    assert!(page.contains("\netcd_server_slow_apply_total 2\n"));
}

#[tokio::test]
async fn what_is_quick_enough_is_not() {
    let (lines, page) = told(Duration::from_secs(3600)).await;
    assert!(lines.is_empty(), "{lines:?}");
    assert!(page.contains("\netcd_server_slow_apply_total 0\n"));
}
