//! Calls that are followed, as a collector hears of them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use server::config::Tracing;
use server::grpc::Settings;
use server::http::Access;
use server::observe::metrics::Settings as Measured;
use server::observe::spans::Spans;
use server::rpc::Services;
use server::wire::etcdserverpb as pb;
use server::wire::otlp::{ExportTraceServiceRequest, Span, any_value::Value};
use tokio::net::TcpListener;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::timeout;
use tonic::Code;

use super::collector::collector;
use super::support::{Client, Server, everything, refused};

const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const UNFOLLOWED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";

fn settings(address: SocketAddr, sampled_per_million: u32) -> Tracing {
    let (service_name, instance_id) = ("etcd".to_owned(), Some("one".to_owned()));
    Tracing { address: address.to_string(), service_name, instance_id, sampled_per_million }
}

/// A server that follows calls, and who tells of them every 50 ms.
async fn serve(tracing: &Tracing) -> (Server, Arc<Spans>) {
    let (spans, exporter) = Spans::with(tracing, 64, Duration::from_millis(50));
    tokio::spawn(exporter.run());
    let mut metrics = Services::metrics(Measured::default());
    metrics.spans = Some(Arc::clone(&spans));
    (Server::set(Settings::default(), metrics, Access::default()).await, spans)
}

async fn next(hears: &mut UnboundedReceiver<ExportTraceServiceRequest>) -> Vec<Span> {
    let request = timeout(Duration::from_secs(10), hears.recv()).await.expect("in time").unwrap();
    let [of_resource] = &request.resource_spans[..] else { panic!("{request:?}") };
    let attributes = &of_resource.resource.as_ref().unwrap().attributes;
    let text = |value: &str| Value::StringValue(value.to_owned());
    let told: Vec<_> = attributes.iter().map(|one| (one.key.as_str(), value(one))).collect();
    assert_eq!(told, [("service.name", text("etcd")), ("service.instance.id", text("one"))]);
    of_resource.scope_spans.iter().flat_map(|scope| scope.spans.clone()).collect()
}

fn value(of: &server::wire::otlp::KeyValue) -> Value {
    of.value.clone().unwrap().value.unwrap()
}

fn with_trace<T>(message: T, parent: &'static str) -> tonic::Request<T> {
    let mut request = tonic::Request::new(message);
    request.metadata_mut().insert("traceparent", parent.parse().unwrap());
    request
}

async fn put(client: &mut Client, parent: &'static str) -> Result<pb::PutResponse, tonic::Status> {
    let put = pb::PutRequest { key: "k".into(), value: "v".into(), ..Default::default() };
    client.call_with("/etcdserverpb.KV/Put", with_trace(put, parent)).await
}

/// That these are a call and its stages, one after the other; gives the call.
fn one_call(spans: &[Span], name: &str, stages: &[&str]) -> Span {
    let (call, rest) = spans.split_first().expect("a call");
    assert_eq!((call.name.as_str(), call.kind), (name, 2));
    assert_eq!(rest.iter().map(|span| span.name.as_str()).collect::<Vec<_>>(), stages);
    let mut ids: Vec<_> = spans.iter().map(|span| span.span_id.clone()).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), spans.len(), "each has a number of its own");
    let mut last = call.start_time_unix_nano;
    for span in rest {
        assert_eq!((&span.trace_id, &span.parent_span_id), (&call.trace_id, &call.span_id));
        assert_eq!((span.start_time_unix_nano, span.kind), (last, 1), "{}", span.name);
        assert!(span.end_time_unix_nano >= last);
        last = span.end_time_unix_nano;
    }
    assert!(last <= call.end_time_unix_nano);
    call.clone()
}

#[tokio::test]
async fn a_write_is_told_stage_by_stage() {
    let (address, mut hears) = collector(0).await;
    let (server, spans) = serve(&settings(address, 0)).await;
    let mut client = server.client().await;
    let before = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
    client.put("k", "is followed by nobody").await;
    put(&mut client, UNFOLLOWED).await.unwrap();
    put(&mut client, TRACE).await.unwrap();
    let stages = ["receive", "decode", "order", "append", "apply", "reply"];
    let heard = next(&mut hears).await;
    let call = one_call(&heard, "etcdserverpb.KV/Put", &stages);
    assert_eq!(call.trace_id[..2], [0x0a, 0xf7]);
    assert_eq!(call.parent_span_id[..], [0xb7, 0xad, 0x6b, 0x71, 0x69, 0x20, 0x33, 0x31]);
    assert!(u128::from(call.start_time_unix_nano) >= before && call.status.is_none());
    let told: BTreeMap<_, _> =
        call.attributes.iter().map(|one| (one.key.as_str(), value(one))).collect();
    assert_eq!(told["rpc.method"], Value::StringValue("Put".to_owned()));
    assert_eq!(told["rpc.grpc.status_code"], Value::IntValue(0));
    super::support::eventually("it is counted", || {
        spans.counts().exported.load(Relaxed) == heard.len() as u64
    })
    .await;
    let page = server.http("GET /metrics").await;
    assert!(page.contains("meridian_spans_exported_total 7"), "{page}");
    assert!(page.contains("meridian_spans_dropped_total 0"));
}

#[tokio::test]
async fn reads_and_refusals_are_told() {
    let (address, mut hears) = collector(0).await;
    let (server, _) = serve(&settings(address, 0)).await;
    let mut client = server.client().await;
    let read = with_trace(everything(), TRACE);
    client.call_with::<_, pb::RangeResponse>("/etcdserverpb.KV/Range", read).await.unwrap();
    let stages = ["receive", "decode", "read", "reply"];
    one_call(&next(&mut hears).await, "etcdserverpb.KV/Range", &stages);
    let empty = with_trace(pb::PutRequest::default(), TRACE);
    let answer = client.call_with::<_, pb::PutResponse>("/etcdserverpb.KV/Put", empty).await;
    refused(answer, Code::InvalidArgument, "etcdserver: key is not provided");
    let call = one_call(&next(&mut hears).await, "etcdserverpb.KV/Put", &["receive", "reply"]);
    assert!(call.status.is_none(), "the caller's own fault is none of the server's");
    assert_eq!(value(call.attributes.last().unwrap()), Value::IntValue(3));
}

#[tokio::test]
async fn calls_without_a_trace_are_drawn() {
    let (address, mut hears) = collector(2).await;
    let (server, spans) = serve(&settings(address, 1_000_000)).await;
    let mut client = server.client().await;
    put(&mut client, UNFOLLOWED).await.unwrap();
    client.put("k", "v").await;
    let heard = next(&mut hears).await;
    assert_eq!((heard.len(), &heard[0].parent_span_id[..]), (7, &[][..]));
    super::support::eventually("what was refused is counted", || {
        let counts = spans.counts();
        (counts.exported.load(Relaxed), counts.dropped.load(Relaxed)) == (5, 2)
    })
    .await;
}

#[tokio::test]
async fn no_call_waits_for_a_collector() {
    // Nobody listens on the one; the other takes connections and never says a word.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    for address in [gone, silent.local_addr().unwrap()] {
        let (server, spans) = serve(&settings(address, 1_000_000)).await;
        let mut client = server.client().await;
        for _ in 0..500 {
            timeout(Duration::from_secs(10), client.put("k", "v")).await.unwrap();
        }
        super::support::eventually("what has no room is dropped and counted", || {
            spans.counts().dropped.load(Relaxed) > 0
        })
        .await;
        assert_eq!(spans.counts().exported.load(Relaxed), 0);
    }
}
