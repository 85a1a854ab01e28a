//! The names, types and labels that dashboards know, in `series.txt`: as a real etcd 3.7.1 with
//! `--metrics=extensive` shows them after some of everything. `conformance/metrics` compares live.

use std::collections::{BTreeMap, BTreeSet};

use journal::{FileJournal, FileOptions, Journal};
use std::sync::Arc;

use super::support::{Server, everything};
use engine::Options;
use server::wire::etcdserverpb as pb;

const SERIES: &str = include_str!("series.txt");

/// A family's type, and the names of its labels.
type Families = BTreeMap<String, (String, BTreeSet<String>)>;

/// Reads an exposition; families without a value are left out.
fn families(text: &str) -> Families {
    let mut kinds = BTreeMap::new();
    let mut found = Families::new();
    for line in text.lines() {
        if let Some(head) = line.strip_prefix("# TYPE ") {
            let (name, kind) = head.split_once(' ').expect("a name and a type");
            kinds.insert(name, kind);
        }
        let Some((series, _)) = line.rsplit_once(' ').filter(|_| !line.starts_with('#')) else {
            continue;
        };
        let (name, labels) = series.split_once('{').unwrap_or((series, ""));
        let parts = ["_bucket", "_sum", "_count"].iter().filter_map(|part| name.strip_suffix(part));
        let family = std::iter::once(name).chain(parts).find(|name| kinds.contains_key(name));
        let family = family.unwrap_or_else(|| panic!("{line} was not announced"));
        let names = labels.split("\",").filter_map(|label| label.split_once('='));
        let entry = found.entry(family.to_owned()).or_default();
        kinds[family].clone_into(&mut entry.0);
        entry.1.extend(names.map(|(name, _)| name.to_owned()).filter(|name| name != "le"));
    }
    found
}

/// A little of everything.
async fn traffic(server: &Server) {
    let mut client = server.client().await;
    client.put("a", "1").await;
    client.range(everything()).await.unwrap();
    let put = pb::PutRequest { key: "b".into(), ..Default::default() };
    let put = pb::RequestOp { request: Some(pb::request_op::Request::RequestPut(put)) };
    let txn = pb::TxnRequest { success: vec![put.clone(), put], ..Default::default() };
    let twice = client.call::<_, pb::TxnResponse>("/etcdserverpb.KV/Txn", txn.clone()).await;
    assert!(twice.is_err(), "one key is put twice");
    // One that holds nothing stands inside, and counts for nothing.
    let nothing = pb::request_op::Request::RequestTxn(pb::TxnRequest::default());
    let nothing = pb::RequestOp { request: Some(nothing) };
    let success = vec![txn.success[0].clone(), nothing];
    let txn = pb::TxnRequest { success, ..Default::default() };
    client.call::<_, pb::TxnResponse>("/etcdserverpb.KV/Txn", txn).await.unwrap();
    for page in ["GET /health", "GET /livez", "GET /readyz"] {
        server.http(page).await;
    }
}

#[tokio::test]
async fn the_series_are_those_that_dashboards_read() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::measured(
        |flushed| {
            let options = FileOptions { on_flush: flushed, ..FileOptions::default() };
            let journal = FileJournal::open(folder.path(), options).unwrap().0;
            Arc::new(journal) as Arc<dyn Journal>
        },
        Options::default(),
    )
    .await;
    traffic(&server).await;
    let page = server.http("GET /metrics").await;
    let (_, text) = page.split_once("\r\n\r\n").unwrap();
    let ours = families(text);
    for line in SERIES.lines() {
        let mut words = line.split(' ').map(str::to_owned);
        let (name, kind) = (words.next().unwrap(), words.next().unwrap());
        let labels: BTreeSet<String> = words.collect();
        assert_eq!(ours.get(&name), Some(&(kind, labels)), "{name}");
    }
    let value = |series: &str| -> f64 {
        let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {series}")).parse().unwrap()
    };
    // One put alone, one in a transaction; what was refused put nothing.
    assert_eq!(value("etcd_mvcc_put_total"), 2.0);
    assert_eq!(value("etcd_mvcc_range_total"), 1.0);
    assert_eq!(value("etcd_mvcc_txn_total"), 0.0);
    assert_eq!(value("etcd_debugging_mvcc_total_put_size_in_bytes"), 3.0);
    let put = "{op=\"Put\",success=\"true\",version=\"v3\"}";
    assert_eq!(value(&format!("etcd_server_apply_duration_seconds_count{put}")), 1.0);
    assert_eq!(value("etcd_server_range_duration_seconds_count{success=\"true\"}"), 1.0);
    // Each of the two commands was alone in its batch, after the one that claimed the journal. A
    // mark may follow.
    assert_eq!(value("meridian_journal_append_duration_seconds_count"), 2.0);
    assert!(value("etcd_disk_wal_fsync_duration_seconds_count") >= 3.0);
    assert!(value("etcd_disk_wal_fsync_duration_seconds_sum") > 0.0);
    assert_eq!(value("etcd_server_proposals_committed_total"), 3.0);
    assert_eq!(value("meridian_apply_lag_entries"), 0.0);
    let handling = "grpc_server_handling_seconds_count{grpc_method=\"Put\",\
                    grpc_service=\"etcdserverpb.KV\",grpc_type=\"unary\"}";
    assert_eq!(value(handling), 1.0);
}

#[tokio::test]
async fn basic_metrics_leave_the_durations_of_calls_out() {
    let server = Server::start().await;
    traffic(&server).await;
    let page = server.http("GET /metrics").await;
    assert!(!page.contains("grpc_server_handling_seconds"));
    assert!(page.contains("\netcd_server_has_leader 1\n"));
}
