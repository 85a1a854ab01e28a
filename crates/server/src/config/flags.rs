//! Settings as typed: what stood on the command line, in the environment or in the file, checked
//! one by one for its kind and nothing more.

use std::collections::BTreeMap;
use std::time::Duration;

use super::aliases::{self, Alias};
use super::duration::Span;
use super::notice::Notice;
use super::table::{self, Flag};
use super::url::Url;
use super::value::{Kind, Value};

/// What was set, by flag; what was not set answers with its default.
#[derive(Debug, Default)]
pub(crate) struct Flags {
    set: BTreeMap<&'static str, Value>,
    notices: Vec<Notice>,
}

/// Why a line or a variable could not be taken.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// `--help` was asked for.
    Help,
    /// The text breaks the syntax; etcd exits with 2.
    Syntax(String),
    /// A word stands where a flag should; etcd exits with 1.
    Stray(String),
}

impl Flags {
    /// Reads a command line without the program's name, by the rules of Go's `flag` package: one
    /// dash or two, `=value` or the next word, and no next word for a switch.
    pub(crate) fn read_arguments(&mut self, arguments: &[String]) -> Result<(), Fault> {
        let mut words = arguments.iter();
        while let Some(word) = words.next() {
            if word == "--" {
                return words.next().map_or(Ok(()), |next| Err(stray(next)));
            }
            let Some(body) = word.strip_prefix('-').filter(|rest| !rest.is_empty()) else {
                return Err(stray(word));
            };
            let body = body.strip_prefix('-').unwrap_or(body);
            if body.is_empty() || body.starts_with(['-', '=']) {
                return Err(Fault::Syntax(format!("bad flag syntax: {word}")));
            }
            let (name, value) =
                body.split_once('=').map_or((body, None), |(name, value)| (name, Some(value)));
            let kind = known(name)?;
            let value = match value {
                Some(value) => value,
                None if kind.is_switch() => "true",
                None => words
                    .next()
                    .ok_or_else(|| Fault::Syntax(format!("flag needs an argument: -{name}")))?,
            };
            self.set_text(name, value).map_err(|why| invalid(kind, name, value, &why))?;
        }
        Ok(())
    }

    /// Takes one setting by any name that [`known`] accepts, old spellings included.
    pub(crate) fn set_text(&mut self, name: &str, text: &str) -> Result<(), String> {
        if let Some(flag) = table::find(name) {
            let value = flag.kind.parse(text)?;
            self.set(flag, value);
        } else if let Some(alias) = aliases::alias(name) {
            self.set_alias(name, alias, text)?;
        } else {
            self.notices.push(Notice::warning(name, "flag is no longer supported - ignoring"));
        }
        Ok(())
    }

    /// Takes one setting that has been read already.
    pub(crate) fn set(&mut self, flag: &'static Flag, value: Value) {
        match (flag.kind, value) {
            (Kind::Urls, Value::Urls(urls)) if urls.is_empty() => {
                // An empty list leaves the default in place, and yet counts as given.
                self.set.insert(flag.name, default(flag));
            }
            (Kind::Gates, Value::Gates(more)) => {
                let mut all = self.gates(flag.name);
                all.extend(more);
                self.set.insert(flag.name, Value::Gates(all));
            }
            (_, value) => {
                self.set.insert(flag.name, value);
            }
        }
    }

    fn set_alias(&mut self, old: &str, alias: Alias, text: &str) -> Result<(), String> {
        let (name, text) = match alias {
            Alias::Flag(name) => (name, text.to_owned()),
            Alias::Gate(gate) => {
                let Value::Bool(on) = Kind::Bool.parse(text)? else { return Ok(()) };
                ("feature-gates", format!("{gate}={on}"))
            }
        };
        self.set_text(name, &text)?;
        let meaning = match alias {
            Alias::Flag(name) => format!("removed in etcd 3.7; read as --{name}"),
            Alias::Gate(_) => format!("removed in etcd 3.7; read as --feature-gates={text}"),
        };
        self.notices.push(Notice::warning(old, &meaning));
        Ok(())
    }

    pub(crate) fn note(&mut self, notice: Notice) {
        self.notices.push(notice);
    }

    /// What is to be said once in the log about how the settings were read.
    pub(crate) fn take_notices(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.notices)
    }

    /// The flags that were set, in the order of their names.
    pub(crate) fn given(&self) -> impl Iterator<Item = &'static str> {
        self.set.keys().copied()
    }

    pub(crate) fn is_set(&self, name: &str) -> bool {
        self.set.contains_key(name)
    }

    /// Removes a setting and gives back what it was.
    pub(crate) fn forget(&mut self, name: &str) -> Option<Value> {
        self.set.remove(name)
    }

    fn value(&self, name: &str) -> Value {
        let typed = self.set.get(name).cloned();
        typed.or_else(|| table::find(name).map(default)).unwrap_or(Value::Bool(false))
    }

    pub(crate) fn text(&self, name: &str) -> String {
        if let Value::Text(text) = self.value(name) { text } else { String::new() }
    }

    pub(crate) fn switch(&self, name: &str) -> bool {
        self.value(name) == Value::Bool(true)
    }

    pub(crate) fn uint(&self, name: &str) -> u64 {
        if let Value::Uint(number) = self.value(name) { number } else { 0 }
    }

    pub(crate) fn int(&self, name: &str) -> i64 {
        if let Value::Int(number) = self.value(name) { number } else { 0 }
    }

    pub(crate) fn span(&self, name: &str) -> Span {
        if let Value::Duration(span) = self.value(name) { span } else { Span(0) }
    }

    /// A duration where zero and less mean "off".
    pub(crate) fn positive(&self, name: &str) -> Option<Duration> {
        self.span(name).positive()
    }

    pub(crate) fn urls(&self, name: &str) -> Vec<Url> {
        if let Value::Urls(urls) = self.value(name) { urls } else { Vec::new() }
    }

    pub(crate) fn list(&self, name: &str) -> Vec<String> {
        if let Value::List(list) = self.value(name) { list } else { Vec::new() }
    }

    pub(crate) fn gates(&self, name: &str) -> BTreeMap<String, bool> {
        if let Value::Gates(gates) = self.value(name) { gates } else { BTreeMap::new() }
    }
}

/// A flag's default. The table's defaults are all of their kind; a test holds it to that.
fn default(flag: &'static Flag) -> Value {
    if flag.default.is_empty() && matches!(flag.kind, Kind::List | Kind::Set) {
        return Value::List(Vec::new());
    }
    flag.kind.parse(flag.default).unwrap_or(Value::Bool(false))
}

fn stray(word: &str) -> Fault {
    Fault::Stray(format!("{word:?} is not a valid flag"))
}

/// The kind of a flag by any of its names.
fn known(name: &str) -> Result<Kind, Fault> {
    if let Some(flag) = table::find(name) {
        return Ok(flag.kind);
    }
    match aliases::alias(name) {
        Some(Alias::Gate(_)) => return Ok(Kind::Bool),
        Some(Alias::Flag(today)) => return known(today),
        None => {}
    }
    if table::LONG_GONE.contains(&name) {
        return Ok(Kind::Ignored);
    }
    if matches!(name, "h" | "help") {
        return Err(Fault::Help);
    }
    let hint = table::nearest(name).map_or(String::new(), |n| format!("; did you mean --{n}?"));
    Err(Fault::Syntax(format!("flag provided but not defined: -{name}{hint}")))
}

fn invalid(kind: Kind, name: &str, value: &str, why: &str) -> Fault {
    Fault::Syntax(match kind {
        Kind::Bool => format!("invalid boolean value {value:?} for -{name}: {why}"),
        _ => format!("invalid value {value:?} for flag -{name}: {why}"),
    })
}
