//! What a flag can hold, and how its text is read: exactly as Go's `flag` package and etcd's own
//! flag types read it, refusals included.

use std::collections::BTreeMap;

use super::duration::{self, Span};
use super::gates;
use super::url::{self, Url};

/// The type of a flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Bool,
    Int,
    Uint,
    Uint32,
    Duration,
    Text,
    /// A list of URLs; empty text leaves the default.
    Urls,
    /// A list of URLs, or `*`.
    Origins,
    /// A comma-separated list in the order typed.
    List,
    /// A comma-separated set.
    Set,
    /// Any of a few words, comma-separated.
    AnyOf(&'static [&'static str]),
    /// One of a few words.
    OneOf(&'static [&'static str]),
    /// `Name=true,Other=false`.
    Gates,
    /// Long gone; its value is not looked at.
    Ignored,
}

/// A flag's value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Bool(bool),
    Int(i64),
    Uint(u64),
    Duration(Span),
    Text(String),
    Urls(Vec<Url>),
    List(Vec<String>),
    Gates(BTreeMap<String, bool>),
}

impl Kind {
    /// Whether the flag may stand without a value.
    pub(crate) fn is_switch(self) -> bool {
        matches!(self, Self::Bool | Self::Ignored)
    }

    /// Reads a value; the error is the part that follows `invalid value "x" for flag -name: `.
    pub(crate) fn parse(self, text: &str) -> Result<Value, String> {
        let not_a_number = |fault: Fault| match fault {
            Fault::Syntax => "parse error".to_owned(),
            Fault::Range => "value out of range".to_owned(),
        };
        Ok(match self {
            Self::Bool => Value::Bool(boolean(text).ok_or("parse error")?),
            Self::Ignored => Value::Bool(true),
            Self::Int => Value::Int(signed(text).map_err(not_a_number)?),
            Self::Uint => Value::Uint(unsigned(text).map_err(not_a_number)?),
            Self::Uint32 => Value::Uint(unsigned32(text)?),
            Self::Duration => {
                Value::Duration(duration::parse(text).map_err(|_| "parse error".to_owned())?)
            }
            Self::Text => Value::Text(text.to_owned()),
            Self::Urls if text.is_empty() => Value::Urls(Vec::new()),
            Self::Urls => Value::Urls(url::parse_list(text)?),
            Self::Origins if text == "*" => Value::List(vec!["*".to_owned()]),
            Self::Origins => {
                Value::List(url::parse_list(text)?.iter().map(Url::to_string).collect())
            }
            Self::List => Value::List(split(text)),
            Self::Set => {
                let mut all = split(text);
                all.sort();
                all.dedup();
                Value::List(all)
            }
            Self::OneOf(words) if words.contains(&text) => Value::Text(text.to_owned()),
            Self::OneOf(words) => {
                return Err(format!("invalid value (choose one of {})", words.join(", ")));
            }
            Self::AnyOf(words) => {
                if let Some(other) = text.split(',').find(|word| !words.contains(word)) {
                    return Err(format!("invalid value {other:?}"));
                }
                Value::List(split(text))
            }
            Self::Gates => Value::Gates(gates::parse(text)?),
        })
    }
}

fn split(text: &str) -> Vec<String> {
    text.split(',').map(str::to_owned).collect()
}

/// Go's `strconv.ParseBool`.
pub(crate) fn boolean(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    Syntax,
    Range,
}

/// Go's `strconv.ParseUint` with base 0: `0x`, `0o`, `0b`, a bare leading `0`, `_` between digits.
fn unsigned(text: &str) -> Result<u64, Fault> {
    let lower = text.to_ascii_lowercase();
    let (radix, digits) = match lower.as_bytes() {
        [b'0', b'x', ..] => (16, &lower[2..]),
        [b'0', b'o', ..] => (8, &lower[2..]),
        [b'0', b'b', ..] => (2, &lower[2..]),
        [b'0', _, ..] => (8, &lower[1..]),
        _ => (10, lower.as_str()),
    };
    let bare = digits.replace('_', "");
    // An underscore stands between two digits, or between a prefix and a digit.
    let first = radix == 10 && digits.starts_with('_');
    let loose = first || digits.ends_with('_') || digits.contains("__");
    if loose || !bare.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(Fault::Syntax);
    }
    u64::from_str_radix(&bare, radix).map_err(|e| match e.kind() {
        std::num::IntErrorKind::PosOverflow => Fault::Range,
        _ => Fault::Syntax,
    })
}

fn signed(text: &str) -> Result<i64, Fault> {
    let (negative, digits) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    let size = i128::from(unsigned(digits)?);
    i64::try_from(if negative { -size } else { size }).map_err(|_| Fault::Range)
}

fn unsigned32(text: &str) -> Result<u64, String> {
    let words = |fault| match fault {
        Fault::Syntax => format!("strconv.ParseUint: parsing {text:?}: invalid syntax"),
        Fault::Range => format!("strconv.ParseUint: parsing {text:?}: value out of range"),
    };
    let wide = unsigned(text).map_err(words)?;
    if wide > u64::from(u32::MAX) { Err(words(Fault::Range)) } else { Ok(wide) }
}

#[cfg(test)]
mod tests {
    use super::{Kind, Value};

    #[test]
    fn numbers_are_read_as_go_reads_them() {
        for (text, number) in [
            ("0", 0),
            ("0x10", 16),
            ("010", 8),
            ("0b11", 3),
            ("0x_ff", 255),
            ("1_0", 10),
            ("0_7", 7),
        ] {
            assert_eq!(Kind::Uint.parse(text), Ok(Value::Uint(number)), "{text}");
        }
        assert_eq!(Kind::Int.parse("-5"), Ok(Value::Int(-5)));
        assert_eq!(Kind::Int.parse("-9223372036854775808"), Ok(Value::Int(i64::MIN)));
        for text in ["", "abc", "-1", "_1", "1__0", "1_", "0x", "1.5", "١", "+1"] {
            assert_eq!(Kind::Uint.parse(text), Err("parse error".to_owned()), "{text}");
        }
        let large = "18446744073709551616";
        assert_eq!(Kind::Uint.parse(large), Err("value out of range".to_owned()));
        let error = "strconv.ParseUint: parsing \"4294967296\": value out of range";
        assert_eq!(Kind::Uint32.parse("4294967296"), Err(error.to_owned()));
    }

    #[test]
    fn sets_are_sorted_and_lists_keep_their_order() {
        let list = |words: &[&str]| Value::List(words.iter().map(|w| (*w).to_owned()).collect());
        assert_eq!(Kind::Set.parse("b,a,b"), Ok(list(&["a", "b"])));
        assert_eq!(Kind::List.parse("b,a"), Ok(list(&["b", "a"])));
        assert_eq!(Kind::Origins.parse("*"), Ok(list(&["*"])));
    }
}
