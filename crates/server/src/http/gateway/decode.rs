//! JSON to a message on the wire, as Go's `protojson` reads it with unknown fields discarded: names
//! in either case, integers as numbers or strings, enums by name or number, any base64.

use std::collections::BTreeSet;

use base64::alphabet::{Alphabet, STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, Engine, GeneralPurpose, GeneralPurposeConfig};
use prost::encoding::{WireType, encode_key, encode_varint};

use super::number::{signed, unsigned};
use super::schema::{Field, Kind, Schema};
use super::token::{Kind as Said, Reader, Refusal, Token};

/// Messages within messages: as deep as protobuf is read behind it.
const DEEPEST: usize = 100;

/// What the text, one JSON value, says as the message at this place of the schema.
///
/// # Errors
/// What is wrong with it, in the words of `protojson`.
pub(super) fn decode(schema: &Schema, message: usize, text: &[u8]) -> Result<Vec<u8>, Refusal> {
    let mut decoder = Decoder { schema, reader: Reader::new(text), depth: 0 };
    let mut wire = Vec::with_capacity(text.len());
    decoder.message(message, &mut wire)?;
    Ok(wire)
}

struct Decoder<'a> {
    schema: &'a Schema,
    reader: Reader<'a>,
    depth: usize,
}

/// The members of one object that were seen.
#[derive(Default)]
struct SeenMembers {
    fields: BTreeSet<u32>,
    oneofs: BTreeSet<usize>,
}

impl<'a> Decoder<'a> {
    fn message(&mut self, place: usize, wire: &mut Vec<u8>) -> Result<(), Refusal> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err("proto: exceeded max recursion depth".to_owned());
        }
        let token = self.reader.next()?;
        if token.kind != Said::ObjectOpen {
            return Err(self.reader.unexpected(&token));
        }
        let mut seen = SeenMembers::default();
        loop {
            let token = self.reader.next()?;
            match &token.kind {
                Said::ObjectClose => break,
                Said::Text(name) => self.member(place, name, &token, &mut seen, wire)?,
                _ => return Err(self.reader.unexpected(&token)),
            }
        }
        self.depth -= 1;
        Ok(())
    }

    fn member(
        &mut self,
        place: usize,
        name: &str,
        token: &Token<'_>,
        seen: &mut SeenMembers,
        wire: &mut Vec<u8>,
    ) -> Result<(), Refusal> {
        let message = &self.schema.messages[place];
        let named = |field: &&Field| field.json_name == name || field.name == name;
        let Some(field) = message.fields.iter().find(named) else { return self.skip() };
        if !seen.fields.insert(field.number) {
            let what = format!("duplicate field {}", token.raw());
            return Err(self.reader.refuse(token.at, &what));
        }
        let value = self.reader.next()?;
        if value.kind == Said::Null {
            return Ok(());
        }
        if field.repeated {
            return self.list(field, value, wire);
        }
        if let Some(oneof) = field.oneof
            && !seen.oneofs.insert(oneof)
        {
            let set = format!("{}.{}", message.name, message.oneofs[oneof]);
            let what = format!("error parsing {}, oneof {set} is already set", token.raw());
            return Err(self.reader.refuse(token.at, &what));
        }
        self.single(field, value, wire)
    }

    fn list(&mut self, field: &Field, open: Token<'a>, wire: &mut Vec<u8>) -> Result<(), Refusal> {
        if open.kind != Said::ListOpen {
            return Err(self.reader.unexpected(&open));
        }
        loop {
            let token = self.reader.next()?;
            if token.kind == Said::ListClose {
                return Ok(());
            }
            self.single(field, token, wire)?;
        }
    }

    /// One value of a field, whose first token was read.
    fn single(
        &mut self,
        field: &Field,
        token: Token<'a>,
        wire: &mut Vec<u8>,
    ) -> Result<(), Refusal> {
        if let Kind::Message(place) = field.kind {
            let mut inner = Vec::new();
            self.reader.again(&token);
            self.message(place, &mut inner)?;
            put_bytes(field, &inner, wire);
            return Ok(());
        }
        if self.scalar(field, &token.kind, wire).is_some() {
            return Ok(());
        }
        let (kind, name) = (field.kind.name(), &field.json_name);
        let what = format!("invalid value for {kind} field {name}: {}", token.raw());
        Err(self.reader.refuse(token.at, &what))
    }

    /// Writes a scalar; nothing, if it is not one of the field's kind.
    fn scalar(&self, field: &Field, said: &Said<'_>, wire: &mut Vec<u8>) -> Option<()> {
        let number = match (field.kind, said) {
            (Kind::Bool, Said::Bool(value)) => u64::from(*value),
            (Kind::Int32, _) => signed(said, 32)?.cast_unsigned(),
            (Kind::Int64, _) => signed(said, 64)?.cast_unsigned(),
            (Kind::Uint32, _) => unsigned(said, 32)?,
            (Kind::Uint64, _) => unsigned(said, 64)?,
            (Kind::Enum(_), Said::Number(_)) => signed(said, 32)?.cast_unsigned(),
            (Kind::Enum(place), Said::Text(name)) => {
                let values = &self.schema.enums[place].values;
                // A name that is not known counts as a field that is not known.
                let Some((_, number)) = values.iter().find(|(one, _)| one == name) else {
                    return Some(());
                };
                i64::from(*number).cast_unsigned()
            }
            (Kind::Text, Said::Text(text)) => {
                put_bytes(field, text.as_bytes(), wire);
                return Some(());
            }
            (Kind::Bytes, Said::Text(text)) => {
                put_bytes(field, &base64(text)?, wire);
                return Some(());
            }
            _ => return None,
        };
        encode_key(field.number, WireType::Varint, wire);
        encode_varint(number, wire);
        Some(())
    }

    /// Passes over a value of any kind.
    fn skip(&mut self) -> Result<(), Refusal> {
        let mut open = 0_usize;
        loop {
            match self.reader.next()?.kind {
                Said::ObjectOpen | Said::ListOpen => open += 1,
                Said::ObjectClose | Said::ListClose => open = open.saturating_sub(1),
                Said::End => return Err("proto: unexpected EOF".to_owned()),
                _ => {}
            }
            if open == 0 {
                return Ok(());
            }
        }
    }
}

fn put_bytes(field: &Field, bytes: &[u8], wire: &mut Vec<u8>) {
    encode_key(field.number, WireType::LengthDelimited, wire);
    encode_varint(bytes.len() as u64, wire);
    wire.extend_from_slice(bytes);
}

/// Bytes from base64 of either alphabet, padded or not, as Go reads it: line ends count for nothing
/// but the length.
pub(super) fn base64(text: &str) -> Option<Vec<u8>> {
    const fn engine(alphabet: &Alphabet, padding: DecodePaddingMode) -> GeneralPurpose {
        let config = GeneralPurposeConfig::new()
            .with_decode_allow_trailing_bits(true)
            .with_decode_padding_mode(padding);
        GeneralPurpose::new(alphabet, config)
    }
    const PADDED: DecodePaddingMode = DecodePaddingMode::RequireCanonical;
    const BARE: DecodePaddingMode = DecodePaddingMode::RequireNone;
    let engine = match (text.contains(['-', '_']), text.len().is_multiple_of(4)) {
        (false, true) => const { engine(&STANDARD, PADDED) },
        (false, false) => const { engine(&STANDARD, BARE) },
        (true, true) => const { engine(&URL_SAFE, PADDED) },
        (true, false) => const { engine(&URL_SAFE, BARE) },
    };
    if text.contains(['\r', '\n']) {
        return engine.decode(text.replace(['\r', '\n'], "")).ok();
    }
    engine.decode(text).ok()
}
