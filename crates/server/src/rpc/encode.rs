//! Replies that carry keys, encoded straight from where the keys are kept. The bytes are those that
//! prost would make from the same message; the tests hold the two side by side.

use bytes::{BufMut, Bytes, BytesMut};
use engine::watch::{Event, EventKind, Response};
use prost::Message;
use state::{KeyValue, KvRef, RangePage};

use super::size::varint_size;
use crate::grpc::{Code, PREFIX, Payload, Status, frame_with, put_prefix};
use crate::wire::etcdserverpb::ResponseHeader;

/// A larger reply is made while it is sent.
const WHOLE_UP_TO: usize = 256 << 10;
/// How much of it at a time.
const PIECE: usize = 128 << 10;
/// What grpc-go sends at most.
const MAX_MESSAGE: usize = i32::MAX as usize;

/// The fields of etcd's `KeyValue`, wherever they are kept.
#[derive(Clone, Copy)]
struct Fields<'a> {
    key: &'a [u8],
    value: &'a [u8],
    create_revision: i64,
    mod_revision: i64,
    version: i64,
    lease: i64,
}

impl<'a> From<&'a KeyValue> for Fields<'a> {
    fn from(kv: &'a KeyValue) -> Self {
        Self {
            key: &kv.key,
            value: &kv.value,
            create_revision: kv.create_revision.0,
            mod_revision: kv.mod_revision.0,
            version: kv.version,
            lease: kv.lease.0,
        }
    }
}

impl<'a> From<KvRef<'a>> for Fields<'a> {
    fn from(kv: KvRef<'a>) -> Self {
        Self {
            key: kv.key,
            value: kv.value,
            create_revision: kv.create_revision.0,
            mod_revision: kv.mod_revision.0,
            version: kv.version,
            lease: kv.lease.0,
        }
    }
}

impl Fields<'_> {
    fn length(&self) -> usize {
        bytes_length(self.key)
            + number_length(self.create_revision)
            + number_length(self.mod_revision)
            + number_length(self.version)
            + bytes_length(self.value)
            + number_length(self.lease)
    }

    fn write(&self, out: &mut BytesMut) {
        put_bytes(out, 0x0a, self.key);
        put_number(out, 0x10, self.create_revision);
        put_number(out, 0x18, self.mod_revision);
        put_number(out, 0x20, self.version);
        put_bytes(out, 0x2a, self.value);
        put_number(out, 0x30, self.lease);
    }
}

/// Which part of a page goes into a `RangeResponse`, and what is said about the whole.
#[derive(Clone, Copy)]
pub(super) struct Part {
    pub(super) header: Option<ResponseHeader>,
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) more: bool,
    pub(super) count: i64,
}

impl Part {
    /// All of it.
    pub(super) const fn whole(header: ResponseHeader, page: &RangePage) -> Self {
        let (to, more, count) = (page.len(), page.more, page.count);
        Self { header: Some(header), from: 0, to, more, count }
    }

    /// The encoded length. Looks at every key.
    pub(super) fn length(&self, page: &RangePage) -> usize {
        let kvs = page.part(self.from..self.to).map(|kv| nested_length(Fields::from(kv).length()));
        let header = self.header.map_or(0, |header| nested_length(header.encoded_len()));
        let tail = number_length(i64::from(self.more)) + number_length(self.count);
        header + kvs.sum::<usize>() + tail
    }

    /// As one message of `RangeStream`.
    pub(super) fn chunk(&self, page: &RangePage, length: usize) -> Result<Bytes, Status> {
        let outer = nested_length(length);
        if outer > MAX_MESSAGE {
            return Err(too_large(outer));
        }
        Ok(frame_with(outer, |out| {
            put_nested(out, 0x0a, length);
            self.write(page, out);
        }))
    }

    fn write(&self, page: &RangePage, out: &mut BytesMut) {
        self.write_head(out);
        page.part(self.from..self.to).for_each(|kv| write_kv(kv, out));
        self.write_tail(out);
    }

    fn write_head(&self, out: &mut BytesMut) {
        if let Some(header) = &self.header {
            put_nested(out, 0x0a, header.encoded_len());
            header.encode_raw(out);
        }
    }

    fn write_tail(&self, out: &mut BytesMut) {
        put_number(out, 0x18, i64::from(self.more));
        put_number(out, 0x20, self.count);
    }
}

fn write_kv(kv: KvRef<'_>, out: &mut BytesMut) {
    let fields = Fields::from(kv);
    put_nested(out, 0x12, fields.length());
    fields.write(out);
}

/// A page as the answer to `Range`; `length` is that of `part`.
pub(super) fn range_reply(page: RangePage, part: Part, length: usize) -> Result<Payload, Status> {
    if length > MAX_MESSAGE {
        return Err(too_large(length));
    }
    if length > WHOLE_UP_TO {
        let pieces = Pieces { page, length, rest: part, state: Sent::Nothing };
        return Ok(Payload::Pieces(Box::new(pieces)));
    }
    Ok(Payload::Whole(frame_with(length, |out| part.write(&page, out))))
}

/// A reply too large to be held: it is encoded as fast as the client reads.
struct Pieces {
    page: RangePage,
    length: usize,
    rest: Part,
    state: Sent,
}

#[derive(PartialEq)]
enum Sent {
    Nothing,
    Some,
    All,
}

impl Iterator for Pieces {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        if self.state == Sent::All {
            return None;
        }
        let mut piece = BytesMut::with_capacity(PIECE + PIECE / 8);
        if self.state == Sent::Nothing {
            put_prefix(&mut piece, self.length);
            self.rest.write_head(&mut piece);
            self.state = Sent::Some;
        }
        for kv in self.page.part(self.rest.from..self.rest.to) {
            if piece.len() >= PIECE {
                break;
            }
            write_kv(kv, &mut piece);
            self.rest.from += 1;
        }
        if self.rest.from == self.rest.to {
            self.rest.write_tail(&mut piece);
            self.state = Sent::All;
        }
        Some(piece.freeze())
    }
}

/// A watch response, framed.
pub(super) fn watch_response(
    header: &ResponseHeader,
    response: &Response,
) -> Result<Bytes, Status> {
    let events: usize =
        response.events.iter().map(|event| nested_length(event_length(event))).sum();
    let length = nested_length(header.encoded_len())
        + number_length(response.watch_id)
        + number_length(i64::from(response.created))
        + number_length(i64::from(response.canceled))
        + number_length(response.compact_revision.0)
        + bytes_length(response.cancel_reason.as_bytes())
        + number_length(i64::from(response.fragment))
        + events;
    if length > MAX_MESSAGE {
        return Err(too_large(length));
    }
    Ok(frame_with(length, |out| {
        put_nested(out, 0x0a, header.encoded_len());
        header.encode_raw(out);
        put_number(out, 0x10, response.watch_id);
        put_number(out, 0x18, i64::from(response.created));
        put_number(out, 0x20, i64::from(response.canceled));
        put_number(out, 0x28, response.compact_revision.0);
        put_bytes(out, 0x32, response.cancel_reason.as_bytes());
        put_number(out, 0x38, i64::from(response.fragment));
        for event in &response.events {
            put_nested(out, 0x5a, event_length(event));
            write_event(event, out);
        }
    }))
}

fn event_kind(event: &Event) -> i64 {
    match event.kind {
        EventKind::Put => 0,
        EventKind::Delete => 1,
    }
}

fn event_length(event: &Event) -> usize {
    let previous = event.prev_kv.as_ref().map_or(0, |kv| nested_length(Fields::from(kv).length()));
    number_length(event_kind(event)) + nested_length(Fields::from(&event.kv).length()) + previous
}

fn write_event(event: &Event, out: &mut BytesMut) {
    put_number(out, 0x08, event_kind(event));
    let fields = Fields::from(&event.kv);
    put_nested(out, 0x12, fields.length());
    fields.write(out);
    if let Some(previous) = &event.prev_kv {
        let fields = Fields::from(previous);
        put_nested(out, 0x1a, fields.length());
        fields.write(out);
    }
}

fn too_large(length: usize) -> Status {
    let text = format!("grpc: trying to send message larger than max ({length} vs. {MAX_MESSAGE})");
    Status::new(Code::ResourceExhausted, text)
}

// Protobuf's encoding. Every tag here is one byte, and a field with its default value is left out.

const fn nested_length(length: usize) -> usize {
    1 + varint_size(length as u64) + length
}

const fn bytes_length(bytes: &[u8]) -> usize {
    if bytes.is_empty() { 0 } else { nested_length(bytes.len()) }
}

const fn number_length(number: i64) -> usize {
    if number == 0 { 0 } else { 1 + varint_size(number as u64) }
}

fn put_nested(out: &mut BytesMut, tag: u8, length: usize) {
    out.put_u8(tag);
    put_varint(out, length as u64);
}

fn put_bytes(out: &mut BytesMut, tag: u8, bytes: &[u8]) {
    if !bytes.is_empty() {
        put_nested(out, tag, bytes.len());
        out.put_slice(bytes);
    }
}

fn put_number(out: &mut BytesMut, tag: u8, number: i64) {
    if number != 0 {
        out.put_u8(tag);
        put_varint(out, number as u64);
    }
}

fn put_varint(out: &mut BytesMut, mut number: u64) {
    while number >= 0x80 {
        out.put_u8(number as u8 | 0x80);
        number >>= 7;
    }
    out.put_u8(number as u8);
}

const _: () = assert!(WHOLE_UP_TO > PREFIX + PIECE);
