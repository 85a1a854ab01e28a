//! Snapshots: a database as stock clients take it, of one moment, made while others write.

use std::io::Write;

use aws_lc_rs::digest::{SHA256, digest};
use bolt::Reader;
use server::wire::etcdserverpb as pb;
use tonic::{Code, Streaming};

use super::support::{Client, Server, refused};

const PATH: &str = "/etcdserverpb.Maintenance/Snapshot";
const BLOB: usize = 32 << 10;
const ENABLE: i32 = 1;
const CANCEL: i32 = 2;

async fn begin(client: &mut Client) -> Streaming<pb::SnapshotResponse> {
    client.stream(PATH, pb::SnapshotRequest {}).await.expect("a stream")
}

/// The database, after looking at every message as etcd's client does.
async fn finish(messages: Streaming<pb::SnapshotResponse>) -> Vec<u8> {
    finish_of(messages, "3.7.0").await
}

async fn finish_of(mut messages: Streaming<pb::SnapshotResponse>, version: &str) -> Vec<u8> {
    let (mut bytes, mut last) = (Vec::new(), None);
    while let Some(message) = messages.message().await.expect("no error") {
        assert_eq!(message.version, version);
        assert_eq!(message.header, None);
        if let Some(before) = last.replace(message) {
            let before: pb::SnapshotResponse = before;
            let after = last.as_ref().expect("just put there");
            bytes.extend_from_slice(&before.blob);
            assert!(before.remaining_bytes == 0 || before.blob.len() == BLOB);
            let next = if before.remaining_bytes == 0 { 0 } else { after.blob.len() as u64 };
            assert_eq!(before.remaining_bytes, after.remaining_bytes + next);
        }
    }
    let sum = last.expect("a sum");
    assert_eq!(sum.remaining_bytes, 0);
    assert_eq!(*sum.blob, *digest(&SHA256, &bytes).as_ref());
    assert_eq!((bytes.len() + sum.blob.len()) % 512, 32, "what etcdctl asks for");
    bytes
}

fn database(bytes: &[u8]) -> Reader {
    let mut file = tempfile::tempfile().expect("a file");
    file.write_all(bytes).expect("room");
    Reader::new(file).expect("a database")
}

fn versions(reader: &Reader) -> usize {
    let bucket = reader.bucket(b"key").expect("sound").expect("there");
    let (mut cursor, mut count) = (bucket.cursor(), 0);
    while cursor.next().expect("sound").is_some() {
        count += 1;
    }
    count
}

#[tokio::test]
async fn a_snapshot_is_a_database_with_its_sum() {
    let server = Server::start().await;
    let mut client = server.client().await;
    for keys in [0, 1, 400] {
        for n in 0..keys {
            client.put(&format!("key/{n}"), &"v".repeat(n)).await;
        }
        let messages = begin(&mut client).await;
        let reader = database(&finish(messages).await);
        assert_eq!(versions(&reader), keys + usize::from(keys == 400));
        let members = reader.bucket(b"members").expect("sound").expect("there");
        let member = members.get(b"4d").expect("sound").expect("this one");
        assert!(
            member.starts_with(br#"{"id":77,"peerURLs":["http://127.0.0.1:2380"],"name":"one""#)
        );
    }
}

#[tokio::test]
async fn a_snapshot_made_while_a_downgrade_is_under_way_has_that_version() {
    let server = Server::start().await;
    let mut client = server.client().await;
    for (action, version) in [(ENABLE, "3.6.0"), (CANCEL, "3.7.0")] {
        let request = pb::DowngradeRequest { action, version: "3.6".to_owned() };
        let path = "/etcdserverpb.Maintenance/Downgrade";
        let _: pb::DowngradeResponse = client.call(path, request).await.expect("done");
        let messages = begin(&mut client).await;
        let reader = database(&finish_of(messages, version).await);
        for (bucket, key) in
            [(&b"meta"[..], &b"storageVersion"[..]), (b"cluster", b"clusterVersion")]
        {
            let bucket = reader.bucket(bucket).expect("sound").expect("there");
            let found = bucket.get(key).expect("sound").expect("there");
            assert_eq!(String::from_utf8_lossy(&found), version);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_is_of_one_moment_and_writes_go_on_beside_it() {
    let server = Server::start().await;
    let mut client = server.client().await;
    for n in 0..100 {
        client.put(&format!("key/{n}"), &"v".repeat(1 << 18)).await;
    }
    // Its client does not read yet: 25 MB are neither on their way nor in memory.
    let messages = begin(&mut client).await;
    for n in 0..300 {
        client.put(&format!("key/{n}"), "later").await;
    }
    let bytes = finish(messages).await;
    assert!(bytes.len() > 100 << 18);
    assert_eq!(versions(&database(&bytes)), 100);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn so_many_snapshots_at_once_and_those_that_nobody_reads_end() {
    let server = Server::start().await;
    let mut client = server.client().await;
    for n in 0..16 {
        client.put(&format!("key/{n}"), &"v".repeat(1 << 20)).await;
    }
    let mut held = Vec::new();
    for _ in 0..16 {
        // Each on a connection of its own, since they share what a connection may have on its way.
        held.push(begin(&mut server.client().await).await);
    }
    let one_more = client.stream::<_, pb::SnapshotResponse>(PATH, pb::SnapshotRequest {}).await;
    let words = "meridian: 16 snapshots are on their way already";
    refused(one_more.map(|_| ()), Code::ResourceExhausted, words);
    drop(held);
    let mut tries = 0;
    let messages = loop {
        tries += 1;
        assert!(tries < 200, "a snapshot that nobody reads goes on");
        match client.stream(PATH, pb::SnapshotRequest {}).await {
            Ok(messages) => break messages,
            Err(_) => tokio::time::sleep(std::time::Duration::from_millis(50)).await,
        }
    };
    assert_eq!(versions(&database(&finish(messages).await)), 16);
}
