//! The pages beside gRPC, on the same port.

use server::wire::etcdserverpb as pb;

use super::support::Server;

/// Status line and body.
async fn get(server: &Server, path: &str) -> (String, String) {
    let reply = server.http(&format!("GET {path}")).await;
    let (head, body) = reply.split_once("\r\n\r\n").unwrap();
    (head.lines().next().unwrap().to_owned(), body.to_owned())
}

#[tokio::test]
async fn pages_are_etcds() {
    let server = Server::start().await;
    let versions = "{\"etcdserver\":\"3.7.1\",\"etcdcluster\":\"3.7.0\",\"storage\":\"3.7.0\"}";
    let ready = "[+]data_corruption ok\n[+]serializable_read ok\n[+]linearizable_read ok\n\
                 [+]non_learner ok\nok\n";
    for (path, code, expected) in [
        ("/health", "200 OK", "{\"health\":\"true\",\"reason\":\"\"}"),
        ("/livez", "200 OK", "ok\n"),
        ("/livez?verbose", "200 OK", "[+]serializable_read ok\nok\n"),
        ("/readyz?verbose", "200 OK", ready),
        ("/readyz/non_learner?verbose", "200 OK", "[+]non_learner ok\nok\n"),
        ("/version", "200 OK", versions),
        ("/", "404 Not Found", "404 page not found\n"),
        ("/readyz/x", "404 Not Found", "404 page not found\n"),
    ] {
        let (status, body) = get(&server, path).await;
        assert_eq!((&*status, &*body), (&*format!("HTTP/1.1 {code}"), expected), "{path}");
    }
    let reply = server.http("POST /health").await;
    assert!(reply.starts_with("HTTP/1.1 405 Method Not Allowed"));
    assert!(reply.contains("allow: GET\r\n") && reply.ends_with("\r\n\r\nMethod Not Allowed\n"));
    let (status, body) = get(&server, "/v3/kv/range").await;
    assert!(status.starts_with("HTTP/1.1 501") && body.contains("Method Not Allowed"));
}

#[tokio::test]
async fn alarms_make_it_unhealthy() {
    let server = Server::start().await;
    let mut client = server.client().await;
    for alarm in [1, 2] {
        let request = pb::AlarmRequest { action: 1, member_id: 1, alarm };
        let path = "/etcdserverpb.Maintenance/Alarm";
        client.call::<_, pb::AlarmResponse>(path, request).await.unwrap();
    }
    let unavailable = "HTTP/1.1 503 Service Unavailable";
    let (status, body) = get(&server, "/health").await;
    let expected = "{\"health\":\"false\",\"reason\":\"ALARM NOSPACE\"}\n";
    assert_eq!((&*status, &*body), (unavailable, expected));
    let (_, body) = get(&server, "/health?exclude=NOSPACE").await;
    assert_eq!(body, "{\"health\":\"false\",\"reason\":\"ALARM CORRUPT\"}\n");
    let (status, _) = get(&server, "/health?exclude=NOSPACE&exclude=CORRUPT").await;
    assert_eq!(status, "HTTP/1.1 200 OK");
    let (status, body) = get(&server, "/readyz/data_corruption").await;
    let expected = "[-]data_corruption failed: alarm activated: CORRUPT\n\n";
    assert_eq!((&*status, &*body), (unavailable, expected));
    let (status, _) = get(&server, "/readyz?exclude=data_corruption").await;
    assert_eq!(status, "HTTP/1.1 200 OK");
    let (status, _) = get(&server, "/livez").await;
    assert_eq!(status, "HTTP/1.1 200 OK");
}

#[tokio::test]
async fn metrics_count_calls() {
    let server = Server::start().await;
    let mut client = server.client().await;
    client.put("a", "1").await;
    let (_, metrics) = get(&server, "/metrics").await;
    for line in [
        "grpc_server_handled_total{grpc_code=\"OK\",grpc_method=\"Put\",\
         grpc_service=\"etcdserverpb.KV\",grpc_type=\"unary\"} 1",
        "grpc_server_handled_total{grpc_code=\"OK\",grpc_method=\"Snapshot\",\
         grpc_service=\"etcdserverpb.Maintenance\",grpc_type=\"server_stream\"} 0",
        "etcd_server_has_leader 1",
        "etcd_mvcc_put_total 1",
        "etcd_debugging_mvcc_current_revision 2",
        "etcd_server_version{server_version=\"3.7.1\"} 1",
    ] {
        assert!(metrics.contains(&format!("\n{line}\n")), "{line}\n{metrics}");
    }
    // Prometheus refuses a page that names a metric twice.
    let mut heads: Vec<&str> = metrics.lines().filter(|line| line.starts_with("# TYPE")).collect();
    let all = heads.len();
    heads.sort_unstable();
    heads.dedup();
    assert_eq!(heads.len(), all);
}
