//! A line's words. `"…"` keeps spaces and knows `\0`, `\xNN`, `\n`, `\"`, `\\`; `( ) ; ,` stand alone.

use bytes::Bytes;

pub(crate) struct Words<'a> {
    place: &'a str,
    words: std::iter::Peekable<std::vec::IntoIter<Word>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Word {
    pub(crate) bytes: Vec<u8>,
    quoted: bool,
}

impl Word {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    fn is(&self, text: &str) -> bool {
        !self.quoted && self.bytes == text.as_bytes()
    }

    fn is_mark(&self) -> bool {
        ["(", ")", ";", ","].iter().any(|mark| self.is(mark))
    }
}

impl<'a> Words<'a> {
    pub(crate) fn of(line: &str, place: &'a str) -> Self {
        let mut words = Vec::new();
        let mut rest = line.trim_start();
        while !rest.is_empty() {
            let (word, after) = one(rest, place);
            words.push(word);
            rest = after.trim_start();
        }
        Self { place, words: words.into_iter().peekable() }
    }

    pub(crate) fn fail(&self, what: &str) -> ! {
        panic!("{}: {what}", self.place)
    }

    pub(crate) fn text(&mut self) -> String {
        self.word().text()
    }

    pub(crate) fn bytes(&mut self) -> Bytes {
        self.word().bytes.into()
    }

    fn word(&mut self) -> Word {
        match self.words.next() {
            Some(word) => word,
            None => self.fail("a word is missing"),
        }
    }

    pub(crate) fn number(&mut self) -> i64 {
        let text = self.text();
        text.parse().unwrap_or_else(|_| self.fail(&format!("{text:?} is not a number")))
    }

    /// Takes the next word if it is this one.
    pub(crate) fn take(&mut self, text: &str) -> bool {
        self.words.next_if(|word| word.is(text)).is_some()
    }

    /// Takes the next word if it is `name=…`, and gives what follows.
    pub(crate) fn setting(&mut self, name: &str) -> Option<String> {
        let prefix = format!("{name}=");
        let word = self.words.next_if(|word| word.text().starts_with(&prefix))?;
        Some(word.text()[prefix.len()..].to_owned())
    }

    pub(crate) fn setting_number(&mut self, name: &str) -> Option<i64> {
        let text = self.setting(name)?;
        Some(text.parse().unwrap_or_else(|_| self.fail(&format!("{name} needs a number"))))
    }

    /// The next word, unless it is a mark or one of `reserved` or the line ends.
    pub(crate) fn plain(&mut self, reserved: &[&str]) -> Option<Bytes> {
        let word = self.words.next_if(|word| {
            !word.is_mark() && !reserved.iter().any(|name| word.is(name)) && !is_setting(word)
        })?;
        Some(word.bytes.into())
    }

    pub(crate) fn end(&mut self) {
        if let Some(word) = self.words.next() {
            self.fail(&format!("{:?} is not understood here", word.text()));
        }
    }
}

fn is_setting(word: &Word) -> bool {
    !word.quoted && word.bytes.contains(&b'=')
}

fn one<'l>(rest: &'l str, place: &str) -> (Word, &'l str) {
    if let Some(quoted) = rest.strip_prefix('"') {
        let (bytes, after) = quoted_bytes(quoted, place);
        return (Word { bytes, quoted: true }, after);
    }
    if rest.starts_with(['(', ')', ';', ',']) {
        return (Word { bytes: rest.as_bytes()[..1].to_vec(), quoted: false }, &rest[1..]);
    }
    let length = rest.find([' ', '(', ')', ';', ',', '"']).unwrap_or(rest.len());
    (Word { bytes: rest.as_bytes()[..length].to_vec(), quoted: false }, &rest[length..])
}

fn quoted_bytes<'l>(text: &'l str, place: &str) -> (Vec<u8>, &'l str) {
    let mut bytes = Vec::new();
    let mut rest = text.chars();
    loop {
        match rest.next() {
            Some('"') => return (bytes, rest.as_str()),
            Some('\\') => match rest.next() {
                Some('0') => bytes.push(0),
                Some('n') => bytes.push(b'\n'),
                Some('x') => {
                    let digits: String = rest.by_ref().take(2).collect();
                    let byte = u8::from_str_radix(&digits, 16);
                    bytes.push(byte.unwrap_or_else(|_| panic!("{place}: bad \\x")));
                }
                Some(other) => bytes.extend(other.to_string().bytes()),
                None => panic!("{place}: a quote is not closed"),
            },
            Some(other) => bytes.extend(other.to_string().bytes()),
            None => panic!("{place}: a quote is not closed"),
        }
    }
}
