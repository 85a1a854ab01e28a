//! A message on the wire to JSON, as Go's `protojson` writes it with the names of `proto/` and
//! without what is not set: 64-bit integers as strings, bytes as base64, enums by name.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use prost::encoding::{WireType, decode_key, decode_varint};

use super::schema::{Field, Kind, Schema};

/// Messages within messages: as deep as protobuf is read elsewhere.
const DEEPEST: usize = 100;

/// The message is not what its descriptor says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// What a field holds on the wire.
#[derive(Clone, Copy)]
pub(super) enum Held<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

/// Appends the message as JSON.
///
/// # Errors
/// If the bytes are not that message.
pub(super) fn encode(
    schema: &Schema,
    message: usize,
    wire: &[u8],
    json: &mut String,
) -> Result<(), Malformed> {
    object(schema, message, wire, json, 0)
}

fn object(
    schema: &Schema,
    place: usize,
    wire: &[u8],
    json: &mut String,
    depth: usize,
) -> Result<(), Malformed> {
    if depth > DEEPEST {
        return Err(Malformed);
    }
    let fields = &schema.messages[place].fields;
    let held = held(fields, wire)?;
    json.push('{');
    let mut first = true;
    for run in held.chunk_by(|(one, _), (other, _)| one == other) {
        let (at, last) = run[run.len() - 1];
        let field = &fields[at];
        if !field.repeated && field.oneof.is_none() && is_default(field.kind, last) {
            continue;
        }
        if !std::mem::take(&mut first) {
            json.push(',');
        }
        string(&field.name, json);
        json.push(':');
        if field.repeated {
            list(schema, field.kind, run, json, depth)?;
        } else {
            value(schema, field.kind, last, json, depth)?;
        }
    }
    json.push('}');
    Ok(())
}

/// What the message holds, in the order of its fields: a field's values stand together.
fn held<'a>(fields: &[Field], mut wire: &'a [u8]) -> Result<Vec<(usize, Held<'a>)>, Malformed> {
    let mut held = Vec::new();
    while !wire.is_empty() {
        let (number, wire_type) = decode_key(&mut wire).map_err(|_| Malformed)?;
        let value = one(wire_type, &mut wire)?;
        let Some(at) = fields.iter().position(|field| field.number == number) else { continue };
        match (value, fields[at].kind) {
            // Numbers of a list may be packed into one field.
            (Held::Bytes(mut packed), kind) if !is_delimited(kind) => {
                while !packed.is_empty() {
                    held.push((at, one(WireType::Varint, &mut packed)?));
                }
            }
            (Held::Number(_), kind) if is_delimited(kind) => return Err(Malformed),
            (value, _) => held.push((at, value)),
        }
    }
    held.sort_by_key(|(at, _)| *at);
    Ok(held)
}

/// Takes one value off the wire.
pub(super) fn one<'a>(wire_type: WireType, wire: &mut &'a [u8]) -> Result<Held<'a>, Malformed> {
    let number = match wire_type {
        WireType::Varint | WireType::LengthDelimited => {
            decode_varint(wire).map_err(|_| Malformed)?
        }
        // No message of etcd has any other.
        _ => return Err(Malformed),
    };
    if wire_type == WireType::Varint {
        return Ok(Held::Number(number));
    }
    let length = usize::try_from(number).map_err(|_| Malformed)?;
    let (bytes, rest) = wire.split_at_checked(length).ok_or(Malformed)?;
    *wire = rest;
    Ok(Held::Bytes(bytes))
}

const fn is_delimited(kind: Kind) -> bool {
    matches!(kind, Kind::Text | Kind::Bytes | Kind::Message(_))
}

pub(super) const fn is_default(kind: Kind, held: Held<'_>) -> bool {
    match (kind, held) {
        (Kind::Message(_), _) => false,
        (_, Held::Number(number)) => number == 0,
        (_, Held::Bytes(bytes)) => bytes.is_empty(),
    }
}

fn list(
    schema: &Schema,
    kind: Kind,
    values: &[(usize, Held<'_>)],
    json: &mut String,
    depth: usize,
) -> Result<(), Malformed> {
    for (number, (_, held)) in values.iter().enumerate() {
        json.push(if number == 0 { '[' } else { ',' });
        value(schema, kind, *held, json, depth)?;
    }
    json.push(']');
    Ok(())
}

/// Appends one value.
pub(super) fn value(
    schema: &Schema,
    kind: Kind,
    held: Held<'_>,
    json: &mut String,
    depth: usize,
) -> Result<(), Malformed> {
    let written = match (kind, held) {
        (Kind::Bool, Held::Number(number)) => write!(json, "{}", number != 0),
        // The lower 32 bits count, as in every implementation.
        (Kind::Int32, Held::Number(number)) => write!(json, "{}", number as i32),
        (Kind::Uint32, Held::Number(number)) => write!(json, "{}", number as u32),
        (Kind::Int64, Held::Number(number)) => write!(json, "\"{}\"", number.cast_signed()),
        (Kind::Uint64, Held::Number(number)) => write!(json, "\"{number}\""),
        (Kind::Enum(place), Held::Number(number)) => {
            let number = number as i32;
            match schema.enums[place].values.iter().find(|(_, one)| *one == number) {
                Some((name, _)) => write!(json, "\"{name}\""),
                None => write!(json, "{number}"),
            }
        }
        (Kind::Text, Held::Bytes(bytes)) => {
            string(&String::from_utf8_lossy(bytes), json);
            return Ok(());
        }
        (Kind::Bytes, Held::Bytes(bytes)) => {
            json.push('"');
            STANDARD.encode_string(bytes, json);
            json.push('"');
            return Ok(());
        }
        (Kind::Message(place), Held::Bytes(bytes)) => {
            return object(schema, place, bytes, json, depth + 1);
        }
        _ => return Err(Malformed),
    };
    written.map_err(|_| Malformed)
}

/// Appends a string with its quotes.
pub(super) fn string(text: &str, json: &mut String) {
    json.push('"');
    for character in text.chars() {
        match character {
            '"' => json.push_str("\\\""),
            '\\' => json.push_str("\\\\"),
            '\u{8}' => json.push_str("\\b"),
            '\u{c}' => json.push_str("\\f"),
            '\n' => json.push_str("\\n"),
            '\r' => json.push_str("\\r"),
            '\t' => json.push_str("\\t"),
            '\0'..' ' => json.push_str(&format!("\\u{:04x}", u32::from(character))),
            _ => json.push(character),
        }
    }
    json.push('"');
}

/// As Go's `encoding/json` passes on JSON that others wrote: fit to stand in HTML. What it changes
/// stands in strings alone.
pub(super) fn fit_for_html(json: String) -> String {
    if !json.contains(['<', '>', '&', '\u{2028}', '\u{2029}']) {
        return json;
    }
    let mut fit = String::with_capacity(json.len() + 32);
    for character in json.chars() {
        match character {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                fit.push_str(&format!("\\u{:04x}", u32::from(character)));
            }
            _ => fit.push(character),
        }
    }
    fit
}
