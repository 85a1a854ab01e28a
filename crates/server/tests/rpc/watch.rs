//! The Watch service: from the stream's messages to the hub and back.

use server::wire::etcdserverpb as pb;
use tokio::sync::mpsc::Sender;
use tonic::Streaming;

use super::support::{Client, Server};

pub(crate) fn create(create: pb::WatchCreateRequest) -> pb::WatchRequest {
    let request = pb::watch_request::RequestUnion::CreateRequest(create);
    pb::WatchRequest { request_union: Some(request) }
}

fn key(key: &str) -> pb::WatchCreateRequest {
    pb::WatchCreateRequest { key: key.to_owned().into(), ..Default::default() }
}

async fn open(client: &mut Client) -> (Sender<pb::WatchRequest>, Streaming<pb::WatchResponse>) {
    client.talk("/etcdserverpb.Watch/Watch").await
}

#[tokio::test]
async fn events_come_with_what_was_asked_for() {
    let server = Server::start().await;
    let mut client = server.client().await;
    let (say, mut hear) = open(&mut client).await;
    say.send(create(pb::WatchCreateRequest { prev_kv: true, ..key("a") })).await.unwrap();
    let created = hear.message().await.unwrap().unwrap();
    assert!(created.created && !created.canceled);
    assert_eq!((created.watch_id, created.header.unwrap().revision), (0, 1));

    client.put("a", "1").await;
    client.put("b", "1").await;
    client.put("a", "2").await;
    let request = pb::DeleteRangeRequest { key: "a".into(), ..Default::default() };
    let path = "/etcdserverpb.KV/DeleteRange";
    client.call::<_, pb::DeleteRangeResponse>(path, request).await.unwrap();
    let mut events = Vec::new();
    while events.len() < 3 {
        let response = hear.message().await.unwrap().unwrap();
        assert_eq!(response.watch_id, 0);
        events.extend(response.events);
    }
    let seen: Vec<(i32, i64, Option<i64>)> = events
        .iter()
        .map(|event| {
            let kv = event.kv.as_ref().unwrap();
            (event.r#type, kv.mod_revision, event.prev_kv.as_ref().map(|kv| kv.mod_revision))
        })
        .collect();
    assert_eq!(seen, [(0, 2, None), (0, 4, Some(2)), (1, 5, Some(4))]);
}

#[tokio::test]
async fn cancel_and_progress_and_half_close() {
    let server = Server::start().await;
    let mut client = server.client().await;
    let (say, mut hear) = open(&mut client).await;
    for id in [7, 8] {
        say.send(create(pb::WatchCreateRequest { watch_id: id, ..key("a") })).await.unwrap();
        assert_eq!(hear.message().await.unwrap().unwrap().watch_id, id);
    }
    let cancel = pb::WatchCancelRequest { watch_id: 7 };
    let request = pb::watch_request::RequestUnion::CancelRequest(cancel);
    say.send(pb::WatchRequest { request_union: Some(request) }).await.unwrap();
    let canceled = hear.message().await.unwrap().unwrap();
    assert!(canceled.canceled && canceled.cancel_reason.is_empty());
    assert_eq!((canceled.watch_id, canceled.header.unwrap().revision), (7, 1));

    let request = pb::watch_request::RequestUnion::ProgressRequest(pb::WatchProgressRequest {});
    say.send(pb::WatchRequest { request_union: Some(request) }).await.unwrap();
    let progress = hear.message().await.unwrap().unwrap();
    assert_eq!((progress.watch_id, progress.header.unwrap().revision), (-1, 1));
    assert!(progress.events.is_empty());

    // An empty request is passed over, and a half-closed stream goes on.
    say.send(pb::WatchRequest::default()).await.unwrap();
    drop(say);
    client.put("a", "1").await;
    let response = hear.message().await.unwrap().unwrap();
    assert_eq!((response.watch_id, response.events.len()), (8, 1));
}

#[tokio::test]
async fn what_cannot_be_watched_is_refused_on_the_stream() {
    let server = Server::start().await;
    let mut client = server.client().await;
    for value in ["1", "2", "3"] {
        client.put("a", value).await;
    }
    let request = pb::CompactionRequest { revision: 3, physical: false };
    let path = "/etcdserverpb.KV/Compact";
    client.call::<_, pb::CompactionResponse>(path, request).await.unwrap();

    let (say, mut hear) = open(&mut client).await;
    let empty = pb::WatchCreateRequest { range_end: "a".into(), ..key("b") };
    say.send(create(empty)).await.unwrap();
    let refused = hear.message().await.unwrap().unwrap();
    assert!(refused.created && refused.canceled);
    assert_eq!((refused.watch_id, &*refused.cancel_reason), (-1, "mvcc: watcher range is empty"));

    let past = pb::WatchCreateRequest { start_revision: 2, ..key("a") };
    say.send(create(past)).await.unwrap();
    let created = hear.message().await.unwrap().unwrap();
    assert!(created.created && !created.canceled);
    let ended = hear.message().await.unwrap().unwrap();
    assert!(ended.canceled && ended.cancel_reason.is_empty());
    assert_eq!((ended.compact_revision, ended.header.unwrap().revision), (3, 0));
}
