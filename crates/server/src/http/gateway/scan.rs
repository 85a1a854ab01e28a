//! Where one JSON value ends and the next begins, and what is no JSON, in the words of Go's
//! `encoding/json`. Nothing is built: it remembers one byte for each open bracket.

/// Deeper nesting is refused, as in Go.
const DEEPEST: usize = 10_000;

/// Looks at the bytes of one value, which may come in any pieces.
#[derive(Debug, Default)]
pub(super) struct Scanner {
    step: Step,
    open: Vec<Open>,
}

/// What a byte leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// The value goes on.
    More,
    /// It ended with this byte.
    Ended,
    /// It ended before this byte.
    EndedBefore,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Step {
    #[default]
    Value,
    ValueOrEnd,
    NameOrEnd,
    Name,
    AfterValue,
    Text,
    Escape,
    Hex(u8),
    Minus,
    Digits,
    /// After a leading zero, or digits: a point or an exponent may come.
    Whole,
    Point,
    Fraction,
    Exponent,
    ExponentSign,
    ExponentDigits,
    /// Within a word, so many of whose bytes were seen.
    Word(&'static str, usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Open {
    Name,
    Member,
    List,
}

impl Scanner {
    /// Takes one byte.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn take(&mut self, byte: u8) -> Result<Seen, String> {
        match self.step {
            Step::Value => self.value(byte),
            Step::ValueOrEnd if byte == b']' => self.after_value(byte),
            Step::ValueOrEnd => self.value(byte),
            Step::NameOrEnd if byte == b'}' => {
                self.open.pop();
                self.open.push(Open::Member);
                self.after_value(byte)
            }
            Step::NameOrEnd | Step::Name => self.name(byte),
            Step::AfterValue => self.after_value(byte),
            Step::Text | Step::Escape | Step::Hex(_) => self.text(byte),
            Step::Word(word, seen) => self.word(byte, word, seen),
            _ => self.number(byte),
        }
    }

    /// Whether the value is complete if nothing follows.
    pub(super) fn ends_here(&mut self) -> bool {
        matches!(self.take(b' '), Ok(Seen::EndedBefore | Seen::Ended))
    }

    fn value(&mut self, byte: u8) -> Result<Seen, String> {
        self.step = match byte {
            _ if is_space(byte) => return Ok(Seen::More),
            b'{' => self.begin(byte, Open::Name, Step::NameOrEnd)?,
            b'[' => self.begin(byte, Open::List, Step::ValueOrEnd)?,
            b'"' => Step::Text,
            b'-' => Step::Minus,
            b'0' => Step::Whole,
            b'1'..=b'9' => Step::Digits,
            b't' => Step::Word("true", 1),
            b'f' => Step::Word("false", 1),
            b'n' => Step::Word("null", 1),
            _ => return Err(refused(byte, "looking for beginning of value")),
        };
        Ok(Seen::More)
    }

    fn begin(&mut self, byte: u8, open: Open, step: Step) -> Result<Step, String> {
        self.open.push(open);
        if self.open.len() > DEEPEST { Err(refused(byte, "exceeded max depth")) } else { Ok(step) }
    }

    fn name(&mut self, byte: u8) -> Result<Seen, String> {
        if byte == b'"' {
            self.step = Step::Text;
        } else if !is_space(byte) {
            return Err(refused(byte, "looking for beginning of object key string"));
        }
        Ok(Seen::More)
    }

    fn after_value(&mut self, byte: u8) -> Result<Seen, String> {
        let Some(open) = self.open.last_mut() else { return Ok(Seen::EndedBefore) };
        if is_space(byte) {
            self.step = Step::AfterValue;
            return Ok(Seen::More);
        }
        self.step = match (*open, byte) {
            (Open::Name, b':') => {
                *open = Open::Member;
                Step::Value
            }
            (Open::Member, b',') => {
                *open = Open::Name;
                Step::Name
            }
            (Open::List, b',') => Step::Value,
            (Open::Member, b'}') | (Open::List, b']') => {
                self.open.pop();
                self.step = Step::AfterValue;
                return Ok(if self.open.is_empty() { Seen::Ended } else { Seen::More });
            }
            (Open::Name, _) => return Err(refused(byte, "after object key")),
            (Open::Member, _) => return Err(refused(byte, "after object key:value pair")),
            (Open::List, _) => return Err(refused(byte, "after array element")),
        };
        Ok(Seen::More)
    }

    fn text(&mut self, byte: u8) -> Result<Seen, String> {
        self.step = match (self.step, byte) {
            (Step::Text, b'"') => Step::AfterValue,
            (Step::Text, b'\\') => Step::Escape,
            (Step::Text, 0..0x20) => return Err(refused(byte, "in string literal")),
            (Step::Text, _) => Step::Text,
            (Step::Escape, b'b' | b'f' | b'n' | b'r' | b't' | b'\\' | b'/' | b'"') => Step::Text,
            (Step::Escape, b'u') => Step::Hex(4),
            (Step::Escape, _) => return Err(refused(byte, "in string escape code")),
            (Step::Hex(left), _) if byte.is_ascii_hexdigit() => {
                if left == 1 {
                    Step::Text
                } else {
                    Step::Hex(left - 1)
                }
            }
            _ => return Err(refused(byte, "in \\u hexadecimal character escape")),
        };
        Ok(Seen::More)
    }

    fn word(&mut self, byte: u8, word: &'static str, seen: usize) -> Result<Seen, String> {
        let expected = word.as_bytes()[seen];
        if byte != expected {
            let expected = char::from(expected);
            return Err(refused(byte, &format!("in literal {word} (expecting '{expected}')")));
        }
        let seen = seen + 1;
        self.step = if seen == word.len() { Step::AfterValue } else { Step::Word(word, seen) };
        Ok(Seen::More)
    }

    fn number(&mut self, byte: u8) -> Result<Seen, String> {
        let digit = byte.is_ascii_digit();
        self.step = match (self.step, byte) {
            (Step::Minus, b'0') => Step::Whole,
            (Step::Minus | Step::Digits, _) if digit => Step::Digits,
            (Step::Minus, _) => return Err(refused(byte, "in numeric literal")),
            (Step::Digits | Step::Whole, b'.') => Step::Point,
            (Step::Digits | Step::Whole | Step::Fraction, b'e' | b'E') => Step::Exponent,
            (Step::Point | Step::Fraction, _) if digit => Step::Fraction,
            (Step::Point, _) => {
                return Err(refused(byte, "after decimal point in numeric literal"));
            }
            (Step::Exponent, b'+' | b'-') => Step::ExponentSign,
            (Step::Exponent | Step::ExponentSign | Step::ExponentDigits, _) if digit => {
                Step::ExponentDigits
            }
            (Step::Exponent | Step::ExponentSign, _) => {
                return Err(refused(byte, "in exponent of numeric literal"));
            }
            _ => return self.after_value(byte),
        };
        Ok(Seen::More)
    }
}

pub(super) const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

fn refused(byte: u8, context: &str) -> String {
    format!("invalid character '{}' {context}", quoted(byte))
}

/// A byte as Go shows the character of that number.
fn quoted(byte: u8) -> String {
    match byte {
        b'\'' => "\\'".to_owned(),
        0x07 => "\\a".to_owned(),
        0x08 => "\\b".to_owned(),
        0x0b => "\\v".to_owned(),
        0x0c => "\\f".to_owned(),
        b'\n' => "\\n".to_owned(),
        b'\r' => "\\r".to_owned(),
        b'\t' => "\\t".to_owned(),
        b'\\' => "\\\\".to_owned(),
        0..0x20 | 0x7f => format!("\\x{byte:02x}"),
        0x80..=0xa0 | 0xad => format!("\\u{byte:04x}"),
        _ => char::from(byte).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The length of the first value, nothing if it is not complete, or what is wrong.
    fn first(text: &str) -> Result<Option<usize>, String> {
        let mut scanner = Scanner::default();
        for (at, byte) in text.bytes().enumerate() {
            match scanner.take(byte)? {
                Seen::More => {}
                Seen::Ended => return Ok(Some(at + 1)),
                Seen::EndedBefore => return Ok(Some(at)),
            }
        }
        Ok(scanner.ends_here().then_some(text.len()))
    }

    #[test]
    fn values_end_where_go_says() {
        for (text, end) in [
            ("{}{}", 2),
            (" {\"a\" : [1, -0.5e+3, true, null, \"\\u00e9\\\"\"]} x", 45),
            ("[[],{}]]", 7),
            ("12 3", 2),
            ("0", 1),
            ("null", 4),
            ("\"a\"b", 3),
        ] {
            assert_eq!(first(text), Ok(Some(end)), "{text}");
        }
        for unfinished in ["", " ", "{", "{\"a\"", "[1,", "-", "1.", "1e", "tru", "\"a"] {
            assert_eq!(first(unfinished), Ok(None), "{unfinished}");
        }
    }

    #[test]
    fn what_is_no_json_is_refused_in_gos_words() {
        for (text, words) in [
            ("x", "'x' looking for beginning of value"),
            ("{a", "'a' looking for beginning of object key string"),
            ("{\"a\"}", "'}' after object key"),
            ("{\"a\":1]", "']' after object key:value pair"),
            ("[1}", "'}' after array element"),
            ("[1,]", "']' looking for beginning of value"),
            ("nul!", "'!' in literal null (expecting 'l')"),
            ("-a", "'a' in numeric literal"),
            ("1.x", "'x' after decimal point in numeric literal"),
            ("1e+x", "'x' in exponent of numeric literal"),
            ("\"\n\"", "'\\n' in string literal"),
            ("\"\\x\"", "'x' in string escape code"),
            ("\"\\u12g\"", "'g' in \\u hexadecimal character escape"),
            ("'", "'\\'' looking for beginning of value"),
            ("\"a", ""),
        ] {
            let expected = format!("invalid character {words}");
            match first(text) {
                Err(refusal) => assert_eq!(refusal, expected, "{text}"),
                Ok(end) => assert!(words.is_empty() && end.is_none(), "{text}"),
            }
        }
    }

    #[test]
    fn nesting_ends_somewhere() {
        assert_eq!(first(&"[".repeat(DEEPEST)), Ok(None));
        let refusal = first(&"[".repeat(DEEPEST + 1)).unwrap_err();
        assert_eq!(refusal, "invalid character '[' exceeded max depth");
    }
}
