//! JSON to messages and back, against what etcd was seen to do.

use proptest::prelude::*;

use super::routes::ROUTES;
use super::schema::SCHEMA;
use super::*;
use crate::wire::etcdserverpb as pb;

fn read<M: prost::Message + Default>(name: &str, json: &str) -> Result<M, String> {
    let place = SCHEMA.find(&format!("etcdserverpb.{name}")).expect("a message");
    let wire = decode::decode(&SCHEMA, place, json.as_bytes())?;
    Ok(M::decode(&wire[..]).expect("a message on the wire"))
}

fn written(name: &str, message: &impl prost::Message) -> String {
    let place = SCHEMA.find(&format!("etcdserverpb.{name}")).expect("a message");
    let mut json = String::new();
    encode::encode(&SCHEMA, place, &message.encode_to_vec(), &mut json).expect("JSON");
    json
}

fn range(json: &str) -> Result<pb::RangeRequest, String> {
    read("RangeRequest", json)
}

#[test]
fn requests_are_read_in_every_guise() {
    let expected = pb::RangeRequest {
        key: "foo".into(),
        range_end: vec![0xfb, 0xff].into(),
        limit: 5,
        revision: 7,
        sort_order: pb::range_request::SortOrder::Descend as i32,
        keys_only: true,
        ..pb::RangeRequest::default()
    };
    for json in [
        r#"{"key":"Zm9v","range_end":"+/8=","limit":"5","revision":7,"sort_order":"DESCEND",
            "keys_only":true}"#,
        r#"{"key":"Zm9v","rangeEnd":"-_8","limit":5e0,"revision":"7","sortOrder":2,
            "keysOnly":true,"unknown":{"a":[1,{}]},"serializable":null}"#,
        r#"{"\u006bey":"Zm\n9v\n\n\n","range_end":"-_8=","limit":5.0,"revision":70e-1,
            "sort_order":"DESCEND","keys_only":true}"#,
    ] {
        assert_eq!(range(json), Ok(expected.clone()), "{json}");
    }
    assert_eq!(range(r#"{"sort_order":"SIDEWAYS"}"#), Ok(pb::RangeRequest::default()));
}

#[test]
fn requests_are_refused_in_the_words_of_protojson() {
    for (json, refusal) in [
        (r#"{"limit":"x"}"#, r#"(line 1:10): invalid value for int64 field limit: "x""#),
        ("[]", "syntax error (line 1:1): unexpected token ["),
        ("{\n \"key\": 1}", "(line 2:9): invalid value for bytes field key: 1"),
        (r#"{"key":"Zm9v","key":""}"#, r#"(line 1:15): duplicate field "key""#),
        (r#"{"key":"é","limit":1.5}"#, "(line 1:8): invalid value for bytes field key: \"é\""),
        (r#"{"limit":1.5}"#, "(line 1:10): invalid value for int64 field limit: 1.5"),
        (
            r#"{"keys_only":"true"}"#,
            r#"(line 1:14): invalid value for bool field keysOnly: "true""#,
        ),
        (r#"{"key":[]}"#, "(line 1:8): invalid value for bytes field key: ["),
        (
            r#"{"key":"\ud800\ud800"}"#,
            r#"syntax error (line 1:8): invalid escape code "\\ud800" in string"#,
        ),
        (r#"{"key":"\ud800"}"#, "unexpected EOF"),
    ] {
        assert_eq!(range(json), Err(format!("proto: {refusal}")), "{json}");
    }
    let invalid =
        decode::decode(&SCHEMA, SCHEMA.find("etcdserverpb.PutRequest").unwrap(), b"{\"\xff\":1}");
    let words = "proto: syntax error (line 1:2): invalid UTF-8 in string";
    assert_eq!(invalid, Err(words.to_owned()));
}

#[test]
fn oneofs_are_set_once() {
    let compare: pb::Compare = read("Compare", r#"{"key":"YQ==","version":"0"}"#).unwrap();
    assert_eq!(compare.target_union, Some(pb::compare::TargetUnion::Version(0)));
    let twice: Result<pb::Compare, _> = read("Compare", r#"{"version":1,"modRevision":2}"#);
    let words = "proto: (line 1:14): error parsing \"modRevision\", oneof \
                 etcdserverpb.Compare.target_union is already set";
    assert_eq!(twice, Err(words.to_owned()));
    let watch: pb::WatchRequest =
        read("WatchRequest", r#"{"create_request":{"filters":["NOPUT",1]}}"#).unwrap();
    let Some(pb::watch_request::RequestUnion::CreateRequest(create)) = watch.request_union else {
        panic!("a creation");
    };
    assert_eq!(create.filters, [0, 1]);
}

#[test]
fn replies_leave_out_what_is_not_set() {
    assert_eq!(written("RangeResponse", &pb::RangeResponse::default()), "{}");
    let reply = pb::RangeResponse {
        header: Some(pb::ResponseHeader {
            cluster_id: u64::MAX,
            revision: -1,
            ..Default::default()
        }),
        kvs: vec![crate::wire::mvccpb::KeyValue { key: "foo".into(), ..Default::default() }],
        more: true,
        count: 2,
    };
    let json = r#"{"header":{"cluster_id":"18446744073709551615","revision":"-1"},"kvs":[{"key":"Zm9v"}],"more":true,"count":"2"}"#;
    assert_eq!(written("RangeResponse", &reply), json);
    let alarms = pb::AlarmResponse {
        header: None,
        alarms: vec![
            pb::AlarmMember { member_id: 0, alarm: 1 },
            pb::AlarmMember { member_id: 2, alarm: 9 },
        ],
    };
    assert_eq!(
        written("AlarmResponse", &alarms),
        r#"{"alarms":[{"alarm":"NOSPACE"},{"memberID":"2","alarm":9}]}"#
    );
    let create = pb::WatchCreateRequest { filters: vec![1, 0], ..Default::default() };
    assert_eq!(written("WatchCreateRequest", &create), r#"{"filters":["NODELETE","NOPUT"]}"#);
    // A oneof that holds a default is set all the same.
    let union = Some(pb::compare::TargetUnion::Lease(0));
    let compare = pb::Compare { target_union: union, ..Default::default() };
    assert_eq!(written("Compare", &compare), r#"{"lease":"0"}"#);
}

#[test]
fn strings_are_escaped_as_in_go() {
    let mut json = String::new();
    encode::string("a\"\\\n\u{1}<é\u{2028}", &mut json);
    assert_eq!(json, "\"a\\\"\\\\\\n\\u0001<é\u{2028}\"");
    assert_eq!(encode::fit_for_html(json), "\"a\\\"\\\\\\n\\u0001\\u003cé\\u2028\"");
}

#[test]
fn routes_lead_to_messages_that_are_there() {
    assert_eq!(TARGETS.len(), ROUTES.len(), "a path stands for one method");
    for route in ROUTES {
        for name in [route.request, route.reply] {
            assert!(SCHEMA.find(name).is_some(), "{name}");
        }
    }
}

#[test]
fn nesting_ends_before_the_stack_does() {
    let deep = |depth: usize| {
        let (open, close) = (r#"{"success":[{"request_txn":"#.repeat(depth), "}]}".repeat(depth));
        format!("{open}{{}}{close}")
    };
    assert!(read::<pb::TxnRequest>("TxnRequest", &deep(40)).is_ok());
    let refusal = read::<pb::TxnRequest>("TxnRequest", &deep(3_000)).unwrap_err();
    assert_eq!(refusal, "proto: exceeded max recursion depth");
    let unknown = format!(r#"{{"unknown":{}{}}}"#, "[".repeat(9_000), "]".repeat(9_000));
    assert_eq!(range(&unknown), Ok(pb::RangeRequest::default()));
}

fn json() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "null",
        "true",
        "1",
        "-1",
        "1e5",
        "\"Zm9v\"",
        "\"key\"",
        "\"success\"",
        "\"request_txn\"",
        "\"compare\"",
        "\"lease\"",
        "\"\\u00\"",
        "\"\\ud83d\\ude00\"",
        " ",
        "\n",
        "{\"compare\":[",
        "{\"success\":[{\"request_put\":",
        "\"",
        "\\",
        "é",
        "\u{0}",
    ]);
    prop::collection::vec(word, 0..60).prop_map(|words| words.concat())
}

proptest! {
    /// Whatever is sent: an answer, and no more memory than the text warrants.
    #[test]
    fn no_body_makes_it_panic(text in json(), size in 1_usize..9, place in 0..SCHEMA.messages.len()) {
        check(text.as_bytes(), size, place);
    }

    #[test]
    fn no_bytes_make_it_panic(text: Vec<u8>, size in 1_usize..9, place in 0..SCHEMA.messages.len()) {
        check(&text, size, place);
        let mut json = String::new();
        if encode::encode(&SCHEMA, place, &text, &mut json).is_ok() {
            prop_assert!(json.len() <= 100 + text.len() * 40, "{} of {}", json.len(), text.len());
        }
    }
}

fn check(text: &[u8], size: usize, place: usize) {
    use futures::executor::block_on;
    let pieces: Vec<_> = text.chunks(size).map(Bytes::copy_from_slice).map(Ok).collect();
    let mut values = Values::new(Box::pin(stream::iter(pieces)), 1 << 10);
    while let Ok(Some(value)) = block_on(values.next()) {
        assert!(value.len() <= text.len());
        if let Ok(wire) = decode::decode(&SCHEMA, place, &value) {
            assert!(wire.len() <= 4 * value.len() + 16, "{} of {}", wire.len(), value.len());
            let mut json = String::new();
            encode::encode(&SCHEMA, place, &wire, &mut json).expect("what was read can be written");
        }
    }
}
