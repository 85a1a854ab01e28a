//! Query strings: `?exclude=a&exclude=b&verbose`.

use std::borrow::Cow;

/// Names and values, in order.
pub(super) struct Query<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'a> Query<'a> {
    /// Takes any text; what cannot be read is passed over.
    pub(super) fn parse(text: &'a str) -> Self {
        let pairs = text.split('&').filter(|pair| !pair.is_empty());
        let pairs = pairs.filter_map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Some((decode(name)?, decode(value)?))
        });
        Self(pairs.collect())
    }

    /// Whether `name` is there, with or without a value.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(key, _)| key == name)
    }

    /// Whether the first value of `name` is `value`.
    pub(super) fn is(&self, name: &str, value: &str) -> bool {
        self.0.iter().find(|(key, _)| key == name).is_some_and(|(_, first)| first == value)
    }

    /// All values of `name`.
    pub(super) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| &**value)
    }

    /// Whether one of the values of `name` is `value`.
    pub(super) fn holds(&self, name: &str, value: &str) -> bool {
        self.0.iter().any(|(key, one)| key == name && one == value)
    }
}

/// A text without `%XX` and `+`, if it is one.
pub(super) fn decode(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains(['%', '+']) {
        return Some(Cow::Borrowed(text));
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digit = |byte: u8| char::from(byte).to_digit(16);
                let (high, low) = (digit(rest.next()?)?, digit(rest.next()?)?);
                u8::try_from(high * 16 + low).ok()?
            }
            other => other,
        });
    }
    String::from_utf8(decoded).ok().map(Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries() {
        let query = Query::parse("exclude=a&exclude=b%20c&verbose&x=%zz&y=1+2");
        assert!(query.holds("exclude", "a") && query.holds("exclude", "b c"));
        assert!(query.has("verbose") && !query.has("x"));
        assert!(query.is("y", "1 2") && !query.is("exclude", "b c"));
        assert!(!Query::parse("").has(""));
    }
}
