//! The encoder's bytes beside prost's, for any page and any event.

use std::sync::Arc;

use bytes::Bytes;
use engine::watch::{Event, EventKind, Response};
use proptest::prelude::*;
use prost::Message;
use state::{
    Command, Entry, Epoch, KeyRange, KeyValue, LeaseId, Position, Put, RangeQuery, Revision, State,
    Timestamp, View,
};

use super::encode::{Part, range_reply, watch_response};
use super::translate::key_value;
use crate::grpc::{PREFIX, Payload, frame};
use crate::wire::etcdserverpb as pb;
use crate::wire::mvccpb;

fn view_of(puts: Vec<(Vec<u8>, Vec<u8>)>) -> Arc<View> {
    let mut state = State::new();
    let commands = puts
        .into_iter()
        .map(|(key, value)| {
            let (key, value) = (Bytes::from(key), Bytes::from(value));
            Command::Put(Put { key, value, ..Put::default() })
        })
        .collect();
    let entry = Entry { epoch: Epoch(0), clock: Timestamp(1), commands, origins: Vec::new() };
    state.apply(Position(1), &entry);
    Arc::new(state.view())
}

fn everything() -> KeyRange {
    KeyRange { key: Bytes::from_static(b"\0"), range_end: Bytes::from_static(b"\0") }
}

fn header() -> pb::ResponseHeader {
    pb::ResponseHeader { cluster_id: u64::MAX, member_id: 7, revision: 300, raft_term: 2 }
}

fn collect(payload: Payload) -> Vec<u8> {
    match payload {
        Payload::Whole(bytes) => bytes.to_vec(),
        Payload::Pieces(pieces) => pieces.flatten().collect(),
    }
}

fn same_as_prost(view: &View, query: &RangeQuery) {
    let page = view.range(query).unwrap();
    let expected = pb::RangeResponse {
        header: Some(header()),
        kvs: page.iter().map(|kv| key_value(kv.to_owned())).collect(),
        more: page.more,
        count: page.count,
    };
    let part = Part::whole(header(), &page);
    let length = part.length(&page);
    assert_eq!(length, expected.encoded_len());
    assert_eq!(collect(range_reply(page, part, length).unwrap()), frame(&expected));
}

#[test]
fn a_large_reply_comes_in_pieces() {
    let puts = (0..500).map(|n| (format!("key{n:04}").into_bytes(), vec![b'x'; 2000])).collect();
    let view = view_of(puts);
    let query = RangeQuery { range: everything(), ..RangeQuery::default() };
    let page = view.range(&query).unwrap();
    let part = Part::whole(header(), &page);
    let length = part.length(&page);
    let Payload::Pieces(pieces) = range_reply(page, part, length).unwrap() else {
        panic!("a megabyte is not held in one piece");
    };
    let pieces: Vec<Bytes> = pieces.collect();
    assert!(pieces.len() > 5 && pieces.iter().all(|piece| piece.len() < 150_000));
    assert_eq!(pieces.iter().map(Bytes::len).sum::<usize>(), PREFIX + length);
    same_as_prost(&view, &query);
}

fn any_bytes(most: usize) -> impl Strategy<Value = Bytes> {
    prop::collection::vec(any::<u8>(), 0..most).prop_map(Bytes::from)
}

prop_compose! {
    fn any_kv()(
        key in any_bytes(200),
        value in any_bytes(300),
        numbers in any::<[i64; 4]>(),
    ) -> KeyValue {
        let [create, modified, version, lease] = numbers;
        KeyValue {
            key,
            value,
            create_revision: Revision(create),
            mod_revision: Revision(modified),
            version,
            lease: LeaseId(lease),
        }
    }
}

prop_compose! {
    fn any_event()(
        delete in any::<bool>(),
        kv in any_kv(),
        prev_kv in prop::option::of(any_kv()),
    ) -> Event {
        let kind = if delete { EventKind::Delete } else { EventKind::Put };
        Event { kind, kv, prev_kv }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn range_replies(
        puts in prop::collection::vec(
            (
                prop::collection::vec(any::<u8>(), 1..40),
                prop::collection::vec(any::<u8>(), 0..300),
            ),
            0..60,
        ),
        limit in 0..70i64,
        keys_only in any::<bool>(),
        count_only in any::<bool>(),
    ) {
        let view = view_of(puts);
        let query =
            RangeQuery { range: everything(), limit, keys_only, count_only, ..Default::default() };
        same_as_prost(&view, &query);
    }

    #[test]
    fn watch_responses(
        events in prop::collection::vec(any_event(), 0..5),
        numbers in any::<(i64, i64)>(),
        flags in any::<[bool; 3]>(),
        cancel_reason in "[a-z ]{0,20}",
    ) {
        let [created, canceled, fragment] = flags;
        let response = Response {
            watch_id: numbers.0,
            revision: Revision(300),
            created,
            canceled,
            compact_revision: Revision(numbers.1),
            cancel_reason: cancel_reason.clone().into(),
            fragment,
            events: events.clone(),
        };
        let wire_event = |event: Event| mvccpb::Event {
            r#type: i32::from(event.kind == EventKind::Delete),
            kv: Some(key_value(event.kv)),
            prev_kv: event.prev_kv.map(key_value),
        };
        let expected = pb::WatchResponse {
            header: Some(header()),
            watch_id: numbers.0,
            created,
            canceled,
            compact_revision: numbers.1,
            cancel_reason,
            fragment,
            events: events.into_iter().map(wire_event).collect(),
        };
        prop_assert_eq!(watch_response(&header(), &response).unwrap(), frame(&expected));
    }
}
