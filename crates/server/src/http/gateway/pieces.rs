//! JSON of a reply that is too large to be held: made while it is sent, member by member, from a
//! message that is made in the same way.

use bytes::{Buf, Bytes, BytesMut};
use prost::encoding::decode_key;

use super::encode::{self, Malformed, is_default, one};
use super::schema::Schema;
use crate::grpc::{PREFIX, Status};
use crate::observe::metrics::Meter;

/// See the module. What is not made yet is one member, and what came with it.
pub(super) struct Pieces {
    schema: &'static Schema,
    message: usize,
    wire: Option<Box<dyn Iterator<Item = Bytes> + Send>>,
    rest: BytesMut,
    prefix: usize,
    /// The field written last. Fields come in their order, as we write messages.
    under_way: Option<usize>,
    meter: Meter,
}

impl Pieces {
    /// Of the message at this place of the schema, whose prefix is part of the first piece.
    pub(super) fn new(
        schema: &'static Schema,
        message: usize,
        wire: Box<dyn Iterator<Item = Bytes> + Send>,
        meter: Meter,
    ) -> Self {
        let rest = BytesMut::new();
        Self { schema, message, wire: Some(wire), rest, prefix: PREFIX, under_way: None, meter }
    }

    /// Writes the members that are complete.
    fn members(&mut self, json: &mut String) -> Result<(), Malformed> {
        loop {
            let mut wire = &self.rest[..];
            let whole = wire.len();
            let Ok((number, wire_type)) = decode_key(&mut wire) else { return Ok(()) };
            // What cannot be read may be read when more of it is there; if not, it is found at the end.
            let Ok(held) = one(wire_type, &mut wire) else { return Ok(()) };
            let taken = whole - wire.len();
            let fields = &self.schema.messages[self.message].fields;
            let at = fields.iter().position(|field| field.number == number).ok_or(Malformed)?;
            let field = &fields[at];
            if self.under_way.is_some_and(|before| at < before) {
                return Err(Malformed);
            }
            if field.repeated || !is_default(field.kind, held) {
                let goes_on = self.under_way == Some(at) && field.repeated;
                json.push_str(if goes_on { "," } else { self.end_of_list() });
                if !goes_on {
                    json.push(if self.under_way.is_none() { '{' } else { ',' });
                    encode::string(&field.name, json);
                    json.push_str(if field.repeated { ":[" } else { ":" });
                }
                encode::value(self.schema, field.kind, held, json, 0)?;
                self.under_way = Some(at);
            }
            self.rest.advance(taken);
        }
    }

    fn end_of_list(&self) -> &'static str {
        let fields = &self.schema.messages[self.message].fields;
        if self.under_way.is_some_and(|at| fields[at].repeated) { "]" } else { "" }
    }

    fn last(&mut self, json: &mut String) -> Result<(), Malformed> {
        self.wire = None;
        if !self.rest.is_empty() {
            return Err(Malformed);
        }
        json.push_str(self.end_of_list());
        json.push_str(if self.under_way.is_none() { "{}" } else { "}" });
        self.meter.sent(0);
        self.meter.ended(&Status::OK);
        Ok(())
    }

    fn more(&mut self, json: &mut String) -> Result<(), Malformed> {
        let Some(wire) = &mut self.wire else { return Ok(()) };
        let Some(mut piece) = wire.next() else { return self.last(json) };
        self.meter.sent_bytes(piece.len());
        let prefix = self.prefix.min(piece.len());
        self.prefix -= prefix;
        piece.advance(prefix);
        self.rest.extend_from_slice(&piece);
        self.members(json)
    }
}

impl Iterator for Pieces {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        let mut json = String::new();
        while self.wire.is_some() && json.is_empty() {
            if self.more(&mut json).is_err() {
                // The beginning was sent: all that is left is to end it where nobody can read it.
                tracing::error!("a reply is not what its descriptor says; it was cut off");
                self.wire = None;
                return None;
            }
        }
        (!json.is_empty()).then(|| json.into())
    }
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;
    use crate::grpc::frame;
    use crate::http::gateway::schema::SCHEMA;
    use crate::rpc::Services;
    use crate::wire::{etcdserverpb as pb, mvccpb};
    use std::sync::Arc;

    fn in_pieces(message: &impl prost::Message, size: usize) -> String {
        let framed = frame(message);
        let pieces: Vec<_> = framed.chunks(size).map(Bytes::copy_from_slice).collect();
        let place = SCHEMA.find("etcdserverpb.RangeResponse").unwrap();
        let meter = Meter::start(&Arc::new(Services::metrics(Default::default())), 0);
        let json = Pieces::new(&SCHEMA, place, Box::new(pieces.into_iter()), meter);
        String::from_utf8(json.flatten().collect()).unwrap()
    }

    #[test]
    fn pieces_are_the_whole() {
        let kv = |key: &str| mvccpb::KeyValue {
            key: key.to_owned().into(),
            value: vec![7; 100].into(),
            version: 1,
            ..Default::default()
        };
        let header = Some(pb::ResponseHeader { revision: 5, ..Default::default() });
        let kvs = vec![kv("a"), kv("b"), mvccpb::KeyValue::default()];
        for reply in [
            pb::RangeResponse { header, kvs, more: true, count: 7 },
            pb::RangeResponse { kvs: vec![kv("a")], ..Default::default() },
            pb::RangeResponse { count: 7, ..Default::default() },
            pb::RangeResponse::default(),
        ] {
            let mut whole = String::new();
            let place = SCHEMA.find("etcdserverpb.RangeResponse").unwrap();
            encode::encode(&SCHEMA, place, &reply.encode_to_vec(), &mut whole).unwrap();
            for size in 1..=reply.encoded_len() + PREFIX {
                assert_eq!(in_pieces(&reply, size), whole, "in pieces of {size}");
            }
        }
    }
}
