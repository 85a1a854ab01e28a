//! The tokens of one JSON value that the scanner has found to be JSON, and the words of Go's
//! `protojson` for what is wrong with it all the same.

use std::borrow::Cow;

use super::scan::is_space;

/// Reads tokens from left to right.
pub(super) struct Reader<'a> {
    text: &'a [u8],
    at: usize,
}

/// One token, and where it stands.
pub(super) struct Token<'a> {
    pub(super) kind: Kind<'a>,
    pub(super) at: usize,
    raw: &'a [u8],
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind<'a> {
    Null,
    Bool(bool),
    Number(&'a str),
    Text(Cow<'a, str>),
    ObjectOpen,
    ObjectClose,
    ListOpen,
    ListClose,
    End,
}

/// A refusal in the words of `protojson`.
pub(super) type Refusal = String;

impl<'a> Reader<'a> {
    /// `text` is one JSON value, and nothing else.
    pub(super) const fn new(text: &'a [u8]) -> Self {
        Self { text, at: 0 }
    }

    /// The next token, names of members included. Commas and colons are none: they stand where they
    /// must.
    pub(super) fn next(&mut self) -> Result<Token<'a>, Refusal> {
        while self.text.get(self.at).is_some_and(|b| is_space(*b) || matches!(b, b',' | b':')) {
            self.at += 1;
        }
        let at = self.at;
        let (kind, length) = match self.text.get(at) {
            None => (Kind::End, 0),
            Some(b'{') => (Kind::ObjectOpen, 1),
            Some(b'}') => (Kind::ObjectClose, 1),
            Some(b'[') => (Kind::ListOpen, 1),
            Some(b']') => (Kind::ListClose, 1),
            Some(b'n') => (Kind::Null, 4),
            Some(b't') => (Kind::Bool(true), 4),
            Some(b'f') => (Kind::Bool(false), 5),
            Some(b'"') => {
                let (text, length) = self.string()?;
                (Kind::Text(text), length)
            }
            Some(_) => {
                let number = number(&self.text[at..]);
                (Kind::Number(number), number.len().max(1))
            }
        };
        self.at = (at + length).min(self.text.len());
        Ok(Token { kind, at, raw: &self.text[at..self.at] })
    }

    /// Goes back to before a token.
    pub(super) fn again(&mut self, token: &Token<'_>) {
        self.at = token.at;
    }

    /// The refusal of a token that may not stand there.
    pub(super) fn unexpected(&self, token: &Token<'_>) -> Refusal {
        self.syntax(token.at, &format!("unexpected token {}", token.raw()))
    }

    pub(super) fn syntax(&self, at: usize, what: &str) -> Refusal {
        let (line, column) = self.position(at);
        format!("proto: syntax error (line {line}:{column}): {what}")
    }

    /// A refusal of what is said at this place.
    pub(super) fn refuse(&self, at: usize, what: &str) -> Refusal {
        let (line, column) = self.position(at);
        format!("proto: (line {line}:{column}): {what}")
    }

    /// Line and column, from 1, in characters; a byte that is in none counts as one.
    fn position(&self, at: usize) -> (usize, usize) {
        let before = &self.text[..at];
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        let start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
        let characters = before[start..]
            .utf8_chunks()
            .map(|chunk| chunk.valid().chars().count() + chunk.invalid().len());
        (line, characters.sum::<usize>() + 1)
    }

    /// The string that begins here, and its length as it stands.
    fn string(&self) -> Result<(Cow<'a, str>, usize), Refusal> {
        let inner = &self.text[self.at + 1..];
        let plain = inner.iter().position(|byte| matches!(byte, b'"' | b'\\'));
        let plain = &inner[..plain.unwrap_or(inner.len())];
        if inner.get(plain.len()) == Some(&b'"')
            && let Ok(text) = std::str::from_utf8(plain)
        {
            return Ok((Cow::Borrowed(text), plain.len() + 2));
        }
        let mut text = String::new();
        let mut rest = inner;
        loop {
            let run = rest.iter().position(|byte| matches!(byte, b'"' | b'\\'));
            let (run, after) = rest.split_at(run.ok_or_else(unfinished)?);
            let run = std::str::from_utf8(run);
            text.push_str(run.map_err(|_| self.syntax(self.at, "invalid UTF-8 in string"))?);
            if after[0] == b'"' {
                return Ok((Cow::Owned(text), inner.len() - after.len() + 2));
            }
            let (character, length) = self.escaped(after)?;
            text.push(character);
            rest = &after[length..];
        }
    }

    /// The character that an escape stands for, and the escape's length.
    fn escaped(&self, escape: &[u8]) -> Result<(char, usize), Refusal> {
        let plain = match escape.get(1) {
            Some(b'u') => return self.unicode(escape),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(byte) => char::from(*byte),
            None => return Err(unfinished()),
        };
        Ok((plain, 2))
    }

    fn unicode(&self, escape: &[u8]) -> Result<(char, usize), Refusal> {
        let first = hex(escape).ok_or_else(unfinished)?;
        if let Some(character) = char::from_u32(first) {
            return Ok((character, 6));
        }
        let second = escape.get(6..12).ok_or_else(unfinished)?;
        let paired = second.starts_with(b"\\u").then(|| hex(second)).flatten();
        let paired = paired.and_then(|low| u16::try_from(low).ok());
        let high = u16::try_from(first).unwrap_or_default();
        let pair = paired.and_then(|low| char::decode_utf16([high, low]).next()?.ok());
        pair.map(|character| (character, 12)).ok_or_else(|| {
            let shown = String::from_utf8_lossy(second);
            self.syntax(self.at, &format!("invalid escape code {shown:?} in string"))
        })
    }
}

impl Token<'_> {
    /// As it stands in the text.
    pub(super) fn raw(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(self.raw)
    }
}

fn unfinished() -> Refusal {
    "proto: unexpected EOF".to_owned()
}

/// The number in `\uXXXX`.
fn hex(escape: &[u8]) -> Option<u32> {
    let digits = std::str::from_utf8(escape.get(2..6)?).ok()?;
    u32::from_str_radix(digits, 16).ok().filter(|_| !digits.starts_with('+'))
}

/// The number at the beginning of a text, empty if there is none.
pub(super) fn number(text: &[u8]) -> &str {
    let digits = |from: usize| text[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let sign = usize::from(text.first() == Some(&b'-'));
    let whole = if text.get(sign) == Some(&b'0') { 1 } else { digits(sign) };
    if whole == 0 {
        return "";
    }
    let mut end = sign + whole;
    if text.get(end) == Some(&b'.') && digits(end + 1) > 0 {
        end += 1 + digits(end + 1);
    }
    if matches!(text.get(end), Some(b'e' | b'E')) && end + 1 < text.len() {
        let sign = usize::from(matches!(text[end + 1], b'+' | b'-'));
        if end + 1 + sign == text.len() && sign == 1 {
            return "";
        }
        end += 1 + sign + digits(end + 1 + sign);
    }
    let follows = |byte: &u8| byte.is_ascii_alphanumeric() || b"-+._".contains(byte);
    if text.get(end).is_some_and(follows) {
        return "";
    }
    std::str::from_utf8(&text[..end]).unwrap_or_default()
}
