//! Calls of every shape.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::http::{Exchange, post};
use super::support::Server;

const KEY: &str = r#"{"key":"Zm9v"}"#;

#[tokio::test]
async fn one_message_each_way() {
    let server = Server::start().await;
    let put = post(&server, "/v3/kv/put", r#"{"key":"Zm9v","value":"YmFy"}"#).await;
    assert_eq!(put.code, 200);
    let expected =
        r#"{"header":{"cluster_id":"193","member_id":"77","revision":"2","raft_term":"1"}}"#;
    assert_eq!(put.body, expected);
    for header in
        ["content-type: application/json\n", "grpc-metadata-content-type: application/grpc\n"]
    {
        assert!(put.head.contains(header), "{}", put.head);
    }
    for path in ["/v3/kv/range", "/v3beta/kv/range", "/v3/kv/%72ange"] {
        let range = post(&server, path, KEY).await;
        let kvs = r#""kvs":[{"key":"Zm9v","create_revision":"2","mod_revision":"2","version":"1","value":"YmFy"}],"count":"1"}"#;
        assert!(range.body.ends_with(kvs), "{path}: {}", range.body);
    }
}

#[tokio::test]
async fn refusals() {
    let server = Server::start().await;
    for (path, headers, body, code, expected) in [
        ("/v3/kv/put", "", "{}", 400, r#"{"code":3,"message":"etcdserver: key is not provided"}"#),
        (
            "/v3/kv/range",
            "",
            "xx",
            400,
            r#"{"code":3,"message":"invalid character 'x' looking for beginning of value"}"#,
        ),
        ("/v3/nope", "", "{}", 404, r#"{"code":5,"message":"Not Found"}"#),
        (
            "/v3/lease/revoke",
            "",
            "{}",
            404,
            r#"{"code":5,"message":"etcdserver: requested lease not found"}"#,
        ),
        (
            "/v3/kv/range",
            "grpc-timeout: 1n\r\n",
            KEY,
            504,
            r#"{"code":4,"message":"context deadline exceeded"}"#,
        ),
        (
            "/v3/kv/range",
            "grpc-timeout: x\r\n",
            KEY,
            400,
            r#"{"code":3,"message":"invalid grpc-timeout: x"}"#,
        ),
    ] {
        let answer = Exchange::post(&server, path, headers, body.as_bytes()).await.answer().await;
        assert_eq!((answer.code, &*answer.body), (code, expected), "{path} {body}");
        assert!(!answer.head.contains("grpc-metadata"), "{}", answer.head);
    }
    let mut get = Exchange::send(&server, b"GET /v3/kv/range HTTP/1.1\r\nhost: x\r\n\r\n").await;
    let get = get.answer().await;
    assert_eq!((get.code, &*get.body), (501, r#"{"code":12,"message":"Method Not Allowed"}"#));
}

#[tokio::test]
async fn a_watch_goes_on_when_its_body_has_ended() {
    let server = Server::start().await;
    let create = r#"{"create_request":{"key":"Zm9v"}}"#;
    let mut watch = Exchange::post(&server, "/v3/watch", "", create.as_bytes()).await;
    assert!(watch.head().await.starts_with("http/1.1 200 ok\n"));
    assert!(watch.next().await.contains(r#""created":true"#));
    for value in ["MQ==", "Mg=="] {
        post(&server, "/v3/kv/put", &format!(r#"{{"key":"Zm9v","value":"{value}"}}"#)).await;
        let event = watch.next().await;
        let starts = event.starts_with(r#"{"result":{"header":"#);
        assert!(starts && event.contains(&format!(r#""value":"{value}""#)), "{event}");
    }
}

#[tokio::test]
async fn a_client_may_say_more_on_a_stream() {
    let server = Server::start().await;
    let mut watch = Exchange::open(&server, "/v3/watch").await;
    watch.chunk(r#"{"create_request":{"key":"YQ==","wat"#).await;
    watch.chunk(r#"ch_id":"5"}}"#).await;
    assert!(watch.head().await.starts_with("http/1.1 200 ok\n"));
    assert!(watch.next().await.contains(r#""watch_id":"5","created":true"#));
    watch.chunk(r#"{"cancel_request":{"watch_id":5}}"#).await;
    assert!(watch.next().await.contains(r#""watch_id":"5","canceled":true"#));
    // What is no JSON ends what the client says, and no more.
    watch.chunk(r#"{"create_request":{"key":"YQ=="}} oops"#).await;
    assert!(watch.next().await.contains(r#""created":true"#));
    post(&server, "/v3/kv/put", r#"{"key":"YQ=="}"#).await;
    assert!(watch.next().await.contains(r#""events":[{"kv":"#));
}

#[tokio::test]
async fn leases_are_kept_alive_line_by_line() {
    let server = Server::start().await;
    post(&server, "/v3/lease/grant", r#"{"TTL":60,"ID":7}"#).await;
    let said = br#"{"ID":"7"} {"ID":8}"#;
    let answer = Exchange::post(&server, "/v3/lease/keepalive", "", said).await.answer().await;
    let told: Vec<_> = answer.body.split("}{").collect();
    assert!(told[0].ends_with(r#""ID":"7","TTL":"60"}"#), "{}", answer.body);
    assert!(told[1].ends_with(r#""ID":"8"}}"#), "{}", answer.body);
    let nothing = Exchange::post(&server, "/v3/lease/keepalive", "", b"").await.answer().await;
    assert_eq!((nothing.code, &*nothing.body), (200, ""));
    assert!(!nothing.head.contains("\ncontent-type"), "{}", nothing.head);
}

#[tokio::test]
async fn a_stream_without_time_says_so_in_its_last_line() {
    let server = Server::start().await;
    let create = br#"{"create_request":{"key":"YQ=="}}"#;
    let headers = "grpc-timeout: 200m\r\n";
    let answer = Exchange::post(&server, "/v3/watch", headers, create).await.answer().await;
    let end = r#"{"error":{"code":4,"message":"context deadline exceeded"}}"#;
    assert!(answer.code == 200 && answer.body.ends_with(end), "{answer:?}");
    let answer = Exchange::post(&server, "/v3/watch", headers, b"").await.answer().await;
    assert_eq!((answer.code, &*answer.body), (504, end));
}

/// A list that is sent while it is made.
#[tokio::test]
async fn a_large_list_is_whole() {
    let server = Server::start().await;
    let value = STANDARD.encode(vec![b'v'; 300_000]);
    for number in 0..20 {
        let key = STANDARD.encode(format!("k{number:02}"));
        post(&server, "/v3/kv/put", &format!(r#"{{"key":"{key}","value":"{value}"}}"#)).await;
    }
    let list = post(&server, "/v3/kv/range", r#"{"key":"AA==","range_end":"AA=="}"#).await;
    assert!(list.head.contains("transfer-encoding: chunked"), "{}", list.head);
    let read: serde_json::Value = serde_json::from_str(&list.body).unwrap();
    assert_eq!(read["count"], "20");
    let kvs = read["kvs"].as_array().unwrap();
    assert!(kvs.len() == 20 && kvs.iter().all(|kv| kv["value"] == value));
}

#[tokio::test]
async fn calls_are_counted_as_calls() {
    let server = Server::start().await;
    post(&server, "/v3/kv/put", KEY).await;
    post(&server, "/v3/kv/put", "{}").await;
    let metrics = server.http("GET /metrics").await;
    for (code, count) in [("OK", 1), ("InvalidArgument", 1)] {
        let line = format!(
            "grpc_server_handled_total{{grpc_code=\"{code}\",grpc_method=\"Put\",\
             grpc_service=\"etcdserverpb.KV\",grpc_type=\"unary\"}} {count}\n"
        );
        assert!(metrics.contains(&line), "{line}");
    }
}
