//! The OpenAPI document: what is served is what is checked in, and says what it should.

use std::fs;
use std::path::Path;

use super::support::Server;

const FILE: &str = "../../docs/openapi.json";

/// `UPDATE=1 cargo test -p server --test gateway document` writes it anew.
#[test]
fn the_document_that_is_checked_in_is_the_one_that_is_served() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(FILE);
    let made = String::from_utf8(server::http::openapi().to_vec()).expect("text");
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&file, &made).expect("a file that can be written");
    }
    let kept = fs::read_to_string(&file).unwrap_or_default();
    assert!(kept == made, "docs/openapi.json is out of date; run this test with UPDATE=1");
}

#[tokio::test]
async fn it_is_served_and_complete() {
    let server = Server::start().await;
    let reply = server.http("GET /v3/openapi.json").await;
    let (head, body) = reply.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("content-type: application/json"), "{head}");
    let document: serde_json::Value = serde_json::from_str(body).unwrap();
    let paths = document["paths"].as_object().unwrap();
    assert_eq!(paths.len(), 51);
    // Every reference leads somewhere.
    for (at, _) in body.match_indices("#/components/schemas/") {
        let name = body[at..].split('"').next().unwrap().rsplit('/').next().unwrap();
        assert!(document["components"]["schemas"].get(name).is_some(), "{name}");
    }
    let put = &document["components"]["schemas"]["etcdserverpb.PutRequest"]["properties"];
    assert_eq!(put["lease"]["format"], "int64");
    assert_eq!(put["value"]["format"], "byte");
}
