//! The log in etcd's shape: one JSON object a line (`level`, `ts`, `caller`, `msg`, then the
//! fields), or etcd's console columns. Times are in UTC. A line is written whole; a place that
//! cannot be written to loses it, for there is nowhere left to complain.

use std::fmt::{self, Write as _};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::Registry;

use super::journald::{Journald, SOCKET};
use super::rotation::RotatingFile;
use crate::config::{LogFormat, LogLevel, LogOutput, LogSettings, Rotation};

/// The field that lifts an error to etcd's graver levels: `severity = "fatal"`.
const SEVERITY: &str = "severity";

/// Crates whose lines are written at every level; of others only warnings and errors are.
const OURS: [&str; 7] =
    ["server", "engine", "journal", "postgres_journal", "cosmos_journal", "state", "meridian"];
/// What begins the names of crates that warn of what they then put right, and of what we tell of in our own
/// words: all of it is for who looks closely.
const TALKATIVE: [&str; 2] = ["azure_", "typespec_"];

/// Writes events as lines.
pub struct LogLines {
    level: LogLevel,
    format: LogFormat,
    places: Mutex<Vec<Box<dyn Write + Send>>>,
    journal: Option<Journald>,
}

impl LogLines {
    /// Opens the places that the settings name.
    pub fn open(settings: &LogSettings) -> io::Result<Self> {
        let (journals, places): (Vec<_>, Vec<_>) =
            settings.outputs.iter().partition(|output| **output == LogOutput::Journal);
        let places = places.into_iter().map(|output| place(output, settings.rotation));
        let places = places.collect::<io::Result<Vec<_>>>()?;
        let journal = journals.first().map(|_| Journald::open(Path::new(SOCKET))).transpose()?;
        Ok(Self { journal, ..Self::to(settings, places) })
    }

    /// Writes to these places instead of those that the settings name.
    #[must_use]
    pub fn to(settings: &LogSettings, places: Vec<Box<dyn Write + Send>>) -> Self {
        let places = Mutex::new(places);
        Self { level: settings.level, format: settings.format, places, journal: None }
    }

    fn is_wanted(&self, metadata: &Metadata<'_>) -> bool {
        let Some(level) = level_of(*metadata.level()) else { return false };
        let origin = metadata.target().split("::").next().unwrap_or("");
        let quiet = TALKATIVE.iter().any(|name| origin.starts_with(name));
        if quiet && self.level > LogLevel::Debug {
            return false;
        }
        // An error may turn out to be fatal, so it is always looked at.
        let grave = level >= self.level || level == LogLevel::Error;
        metadata.is_event() && grave && (level >= LogLevel::Warn || OURS.contains(&origin))
    }
}

/// Makes these settings the log of the whole process.
pub fn install(settings: &LogSettings) -> io::Result<()> {
    let subscriber = Registry::default().with(LogLines::open(settings)?);
    tracing::subscriber::set_global_default(subscriber).map_err(io::Error::other)
}

fn place(output: &LogOutput, rotation: Option<Rotation>) -> io::Result<Box<dyn Write + Send>> {
    let path = match output {
        LogOutput::Stderr | LogOutput::Journal => return Ok(Box::new(io::stderr())),
        LogOutput::Stdout => return Ok(Box::new(io::stdout())),
        LogOutput::File(path) => path,
    };
    let named = |e: io::Error| {
        io::Error::new(e.kind(), format!("--log-outputs: open {}: {e}", path.display()))
    };
    Ok(match rotation {
        Some(rotation) => Box::new(RotatingFile::open(path, rotation).map_err(named)?),
        None => {
            let opened: io::Result<File> = OpenOptions::new().append(true).create(true).open(path);
            Box::new(opened.map_err(named)?)
        }
    })
}

impl<S: Subscriber> Layer<S> for LogLines {
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        self.is_wanted(metadata)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(match self.level {
            LogLevel::Debug => LevelFilter::DEBUG,
            LogLevel::Info => LevelFilter::INFO,
            LogLevel::Warn => LevelFilter::WARN,
            _ => LevelFilter::ERROR,
        })
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        if !self.is_wanted(metadata) {
            return;
        }
        let mut line = Line::default();
        event.record(&mut line);
        let level = line.severity.or(level_of(*metadata.level())).unwrap_or(LogLevel::Info);
        if level < self.level {
            return;
        }
        let caller = caller(metadata);
        let time = timestamp(SystemTime::now());
        let text = match self.format {
            LogFormat::Json => line.json(level, &time, &caller),
            LogFormat::Console => line.console(level, &time, &caller),
        };
        for place in self.places.lock().iter_mut() {
            place.write_all(text.as_bytes()).and_then(|()| place.flush()).unwrap_or(());
        }
        if let Some(journal) = &self.journal {
            journal.line(level, &caller, &text);
        }
    }
}

fn level_of(level: Level) -> Option<LogLevel> {
    Some(match level {
        Level::ERROR => LogLevel::Error,
        Level::WARN => LogLevel::Warn,
        Level::INFO => LogLevel::Info,
        Level::DEBUG => LogLevel::Debug,
        Level::TRACE => return None,
    })
}

/// `folder/file.rs:12`, as etcd shortens it.
fn caller(metadata: &Metadata<'_>) -> String {
    let file = metadata.file().unwrap_or("unknown").replace('\\', "/");
    let short = file.rmatch_indices('/').nth(1).map_or(file.as_str(), |(at, _)| &file[at + 1..]);
    format!("{short}:{}", metadata.line().unwrap_or(0))
}

/// What an event says, its fields already written as JSON.
#[derive(Default)]
struct Line {
    message: String,
    fields: Vec<(&'static str, String)>,
    severity: Option<LogLevel>,
}

impl Line {
    fn json(&self, level: LogLevel, time: &str, caller: &str) -> String {
        let mut out = format!("{{\"level\":\"{}\",\"ts\":\"{time}\",\"caller\":", level.name());
        quote(&mut out, caller);
        out.push_str(",\"msg\":");
        quote(&mut out, &self.message);
        for (name, value) in &self.fields {
            out.push(',');
            quote(&mut out, name);
            out.push(':');
            out.push_str(value);
        }
        out.push_str("}\n");
        out
    }

    fn console(&self, level: LogLevel, time: &str, caller: &str) -> String {
        let message = self.message.replace('\n', "\\n");
        let mut out = format!("{time}\t{}\t{caller}\t{message}", level.name());
        let mut opening = "\t{";
        for (name, value) in &self.fields {
            out.push_str(opening);
            quote(&mut out, name);
            out.push_str(": ");
            out.push_str(value);
            opening = ", ";
        }
        out.push_str(if self.fields.is_empty() { "\n" } else { "}\n" });
        out
    }

    fn add(&mut self, field: &Field, value: String) {
        self.fields.push((field.name(), value));
    }

    fn add_text(&mut self, field: &Field, text: &str) {
        match field.name() {
            "message" => text.clone_into(&mut self.message),
            SEVERITY => self.severity = LogLevel::parse(text),
            _ => {
                let mut value = String::new();
                quote(&mut value, text);
                self.add(field, value);
            }
        }
    }
}

impl Visit for Line {
    fn record_f64(&mut self, field: &Field, value: f64) {
        let text = if value.is_finite() { value.to_string() } else { format!("\"{value}\"") };
        self.add(field, text);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, value.to_string());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, value.to_string());
    }

    fn record_i128(&mut self, field: &Field, value: i128) {
        self.add(field, value.to_string());
    }

    fn record_u128(&mut self, field: &Field, value: u128) {
        self.add(field, value.to_string());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, value.to_string());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add_text(field, value);
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.add_text(field, &value.to_string());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add_text(field, &format!("{value:?}"));
    }
}

/// A JSON string.
fn quote(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            // Writing to a String cannot fail.
            c if c < ' ' || c == '\u{7f}' => drop(write!(out, "\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
}

/// `2006-01-02T15:04:05.000000Z`, the time etcd writes on a machine that runs in UTC.
pub(crate) fn timestamp(now: SystemTime) -> String {
    let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (days, seconds) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    let (year, month, day) = date(days);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let micros = since.subsec_micros();
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micros:06}Z")
}

/// The Gregorian date of a day counted from 1970. Years begin in March here, so that the leap day
/// is the last of its year, and 400 of them make a whole cycle.
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (cycle, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (cycle * 400 + year + next, month, day)
}

#[cfg(test)]
#[path = "logs_tests.rs"]
mod tests;
