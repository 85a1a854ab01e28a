//! RangeStream: the chunks, merged, are the Range reply.

use prost::Message;
use server::wire::etcdserverpb as pb;
use tonic::Code;

use super::support::{Client, Server, everything, refused};

async fn chunks(client: &mut Client, request: pb::RangeRequest) -> Vec<pb::RangeResponse> {
    let mut stream = client
        .stream::<pb::RangeRequest, pb::RangeStreamResponse>(
            "/etcdserverpb.KV/RangeStream",
            request,
        )
        .await
        .unwrap();
    let mut chunks = Vec::new();
    while let Some(chunk) = stream.message().await.unwrap() {
        chunks.push(chunk.range_response.unwrap());
    }
    chunks
}

fn merged(chunks: &[pb::RangeResponse]) -> pb::RangeResponse {
    let mut merged = pb::RangeResponse::default();
    for chunk in chunks {
        merged.merge(&chunk.encode_to_vec()[..]).unwrap();
    }
    merged
}

#[tokio::test]
async fn chunks_add_up_to_the_range() {
    let server = Server::start().await;
    let mut client = server.client().await;
    for n in 0..100 {
        client.put(&format!("key{n:03}"), "value").await;
    }
    for limit in [0, 1, 10, 50, 100, 200] {
        for revision in [0, 51] {
            let request = pb::RangeRequest { limit, revision, ..everything() };
            let got = chunks(&mut client, request.clone()).await;
            let (last, others) = got.split_last().unwrap();
            for chunk in others {
                assert_eq!((chunk.header, chunk.more, chunk.count), (None, false, 0));
            }
            assert!(last.header.is_some());
            assert_eq!(merged(&got), client.range(request).await.unwrap());
        }
    }
    let got = chunks(&mut client, everything()).await;
    let sizes: Vec<usize> = got.iter().map(|chunk| chunk.kvs.len()).collect();
    assert_eq!(sizes, [10, 20, 40, 30]);
}

#[tokio::test]
async fn nothing_and_a_count_are_one_chunk() {
    let server = Server::start().await;
    let mut client = server.client().await;
    let nothing = chunks(&mut client, everything()).await;
    assert_eq!(nothing.len(), 1);
    assert_eq!(nothing[0].header.unwrap().revision, 1);
    client.put("a", "1").await;
    let counted = chunks(&mut client, pb::RangeRequest { count_only: true, ..everything() }).await;
    assert_eq!(counted.len(), 1);
    assert_eq!((counted[0].count, counted[0].kvs.len()), (1, 0));
}

#[tokio::test]
async fn sorting_and_filtering_are_not_for_streams() {
    let server = Server::start().await;
    let mut client = server.client().await;
    let cases = [
        (
            pb::RangeRequest { sort_order: 2, ..everything() },
            "RangeStream does not support custom sort orders",
        ),
        (
            pb::RangeRequest { min_mod_revision: 2, ..everything() },
            "RangeStream does not support revision filters",
        ),
    ];
    for (request, words) in cases {
        let answer = client
            .stream::<pb::RangeRequest, pb::RangeStreamResponse>(
                "/etcdserverpb.KV/RangeStream",
                request,
            )
            .await;
        refused(answer.map(drop), Code::Unimplemented, words);
    }
}
