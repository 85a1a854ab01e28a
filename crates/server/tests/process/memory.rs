//! Pitfalls q and aa: memory is what the data needs, however many ask for it and however it came in.

use std::time::Duration;

use server::wire::etcdserverpb as pb;
use tonic::Streaming;

use super::running::Process;
use super::support::{Client, everything};

const MIB: u64 = 1 << 20;
const RANGE: &str = "/etcdserverpb.KV/Range";

/// So many keys of 64 KiB.
async fn load(client: &mut Client, keys: usize) {
    let value = bytes::Bytes::from(vec![b'v'; 64 << 10]);
    let keys: Vec<_> = (0..keys).map(|n| format!("key{n:04}")).collect();
    for some in keys.chunks(16) {
        let put = |key: &String| {
            let (key, value) = (key.clone().into(), value.clone());
            let put = pb::PutRequest { key, value, ..Default::default() };
            pb::RequestOp { request: Some(pb::request_op::Request::RequestPut(put)) }
        };
        let txn = pb::TxnRequest { success: some.iter().map(put).collect(), ..Default::default() };
        client.call::<_, pb::TxnResponse>("/etcdserverpb.KV/Txn", txn).await.unwrap();
    }
}

/// Pitfall q: 32 clients are in the middle of receiving a list of everything, 64 MiB each; were
/// it made for each of them, that would be 2 GiB.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_of_everything_do_not_multiply_memory() {
    let dir = tempfile::tempdir().unwrap();
    let process = Process::start(dir.path());
    let mut client = process.client().await;
    load(&mut client, 1024).await;
    let before = process.resident();
    assert!(before > 64 * MIB, "the store holds its data: {before}");
    let mut lists: Vec<Streaming<pb::RangeResponse>> = Vec::new();
    for _ in 0..32 {
        // The head has come, and the client's window is all that is read of the rest.
        let mut caller = process.client().await;
        let list = caller.stream::<pb::RangeRequest, _>(RANGE, everything()).await;
        lists.push(list.unwrap());
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    let grown = process.resident().saturating_sub(before);
    assert!(grown < 64 * MIB, "32 lists took {} MiB", grown / MIB);
    let whole = lists.pop().unwrap().message().await.unwrap().unwrap();
    assert_eq!((whole.kvs.len(), whole.count), (1024, 1024));
    assert!(whole.kvs.iter().all(|kv| kv.value.len() == 64 << 10));
    drop(client);
}

/// Pitfall aa: each small value comes in beside 12 KiB of something that is not kept. With a store
/// that keeps what a value came in, this takes 90 MiB.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn small_values_do_not_keep_what_they_came_in() {
    let dir = tempfile::tempdir().unwrap();
    let process = Process::start(dir.path());
    let client = process.client().await;
    let before = process.resident();
    let absent = bytes::Bytes::from(vec![b'x'; 12 << 10]);
    for round in 0..100 {
        let pairs = (0..100).map(|n| {
            let (mut puts, mut asks, absent) = (client.clone(), client.clone(), absent.clone());
            async move {
                let ask = pb::RangeRequest { key: absent, ..Default::default() };
                let key = format!("key{round:03}-{n:03}");
                let value = "v".repeat(300);
                let (put, asked) = futures::join!(puts.put(&key, &value), asks.range(ask));
                assert_eq!((put.header.is_some(), asked.unwrap().count), (true, 0));
            }
        });
        futures::future::join_all(pairs).await;
    }
    let grown = process.resident().saturating_sub(before);
    assert!(grown > 3 * MIB, "10,000 values of 300 bytes are kept: {grown}");
    assert!(grown < 48 * MIB, "10,000 values of 300 bytes took {} MiB", grown / MIB);
}
