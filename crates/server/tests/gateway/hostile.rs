//! Bodies that are meant to hurt: an answer to each, and the server lives.

use super::http::{Exchange, post};
use super::support::Server;

#[tokio::test]
async fn too_much_is_refused() {
    let server = Server::start().await;
    let value = "AAAA".repeat(1_000_000);
    let large =
        post(&server, "/v3/kv/put", &format!(r#"{{"key":"YQ==","value":"{value}"}}"#)).await;
    let words =
        r#"{"code":8,"message":"grpc: received message larger than max (3000008 vs. 2097152)"}"#;
    assert_eq!((large.code, &*large.body), (429, words));
    let half = post(
        &server,
        "/v3/kv/put",
        &format!(r#"{{"key":"YQ==","value":"{}"}}"#, &value[..2_400_000]),
    )
    .await;
    assert_eq!(
        (half.code, &*half.body),
        (400, r#"{"code":3,"message":"etcdserver: request is too large"}"#)
    );
    // A body without an end is not read to it.
    let mut endless = Exchange::open(&server, "/v3/kv/put").await;
    let spaces = " ".repeat(1 << 20);
    for _ in 0..9 {
        endless.chunk(&spaces).await;
    }
    let answer = endless.head().await;
    assert!(answer.starts_with("http/1.1 429 "), "{answer}");
}

#[tokio::test]
async fn deep_nesting_is_refused() {
    let server = Server::start().await;
    for depth in [99, 101, 5_000, 200_000] {
        let lists = format!(r#"{{"x":{}"#, "[".repeat(depth));
        let answer = post(&server, "/v3/kv/range", &lists).await;
        let words = if depth < 10_000 { "unexpected EOF" } else { "exceeded max depth" };
        assert!(answer.code == 400 && answer.body.contains(words), "{answer:?}");
        let txn = r#"{"success":[{"request_txn":"#.repeat(depth);
        let answer = post(&server, "/v3/kv/txn", &txn).await;
        assert_eq!(answer.code, 400, "{}", answer.body);
        let closed = format!("{txn}{{}}{}", "}]}".repeat(depth));
        let answer = post(&server, "/v3/kv/txn", &closed).await;
        assert!(matches!(answer.code, 400 | 429), "{depth}: {}", answer.body);
    }
    let answer = post(&server, "/v3/kv/range", r#"{"key":"YQ=="}"#).await;
    assert_eq!(answer.code, 200);
}

#[tokio::test]
async fn many_small_things_cost_what_they_weigh() {
    let server = Server::start().await;
    let compares = format!(r#"{{"compare":[{}]}}"#, vec!["{}"; 100_000].join(","));
    let answer = post(&server, "/v3/kv/txn", &compares).await;
    assert_eq!(
        (answer.code, &*answer.body),
        (400, r#"{"code":3,"message":"etcdserver: too many operations in txn request"}"#)
    );
    let members: Vec<_> = (0..50_000).map(|number| format!(r#""m{number}":{number}"#)).collect();
    let answer = post(&server, "/v3/lease/leases", &format!("{{{}}}", members.join(","))).await;
    assert_eq!(answer.code, 200);
}
