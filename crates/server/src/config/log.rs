//! The flags of the log. What writes it is [`crate::observe::logs`].

use std::path::PathBuf;

use super::flags::Flags;
use super::notice::Notice;
use super::rotation::Rotation;

/// How grave a line must be to be written, in etcd's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// Everything.
    Debug,
    /// What an operator may want to follow.
    Info,
    /// What deserves attention.
    Warn,
    /// What went wrong.
    Error,
    /// What should be impossible.
    Dpanic,
    /// What ends a task.
    Panic,
    /// What ends the process.
    Fatal,
}

/// The shape of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object.
    Json,
    /// Columns between tabs.
    Console,
}

/// Where lines go.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogOutput {
    /// Standard error.
    Stderr,
    /// Standard output.
    Stdout,
    /// systemd's journal.
    Journal,
    /// The end of a file.
    File(PathBuf),
}

/// All of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSettings {
    /// Lines below it are dropped.
    pub level: LogLevel,
    /// Shape.
    pub format: LogFormat,
    /// Places, each once.
    pub outputs: Vec<LogOutput>,
    /// Files are put aside when they have grown.
    pub rotation: Option<Rotation>,
}

impl Default for LogSettings {
    fn default() -> Self {
        let outputs = vec![LogOutput::Stderr];
        Self { level: LogLevel::Info, format: LogFormat::Json, outputs, rotation: None }
    }
}

impl LogLevel {
    /// Reads etcd's name of a level, in either case.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Some(match name.to_ascii_lowercase().as_str() {
            "debug" => Self::Debug,
            "info" | "" => Self::Info,
            "warn" | "warning" => Self::Warn,
            "error" => Self::Error,
            "dpanic" => Self::Dpanic,
            "panic" => Self::Panic,
            "fatal" => Self::Fatal,
            _ => return None,
        })
    }

    /// etcd's name of the level.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
            Self::Dpanic => "dpanic",
            Self::Panic => "panic",
            Self::Fatal => "fatal",
        }
    }
}

impl LogSettings {
    pub(crate) fn resolve(flags: &Flags, notices: &mut Vec<Notice>) -> Result<Self, String> {
        match flags.text("logger").as_str() {
            "zap" => {}
            "capnslog" => return Err("--logger=capnslog is removed in v3.5".to_owned()),
            other => return Err(format!("unknown logger option {other:?}")),
        }
        let level = flags.text("log-level");
        let level = LogLevel::parse(&level).ok_or_else(|| {
            format!(
                "unrecognized level: {level:?} (choose one of debug, info, warn, error, dpanic, \
                 panic, fatal)"
            )
        })?;
        let format = match flags.text("log-format").as_str() {
            "json" | "" => LogFormat::Json,
            "console" => LogFormat::Console,
            other => {
                return Err(format!("unknown log format: {other}, supported values json, console"));
            }
        };
        let names = flags.list("log-outputs");
        let outputs = outputs(&names)?;
        let rotation = Rotation::resolve(flags, &names, notices)?;
        Ok(Self { level, format, outputs, rotation })
    }
}

fn outputs(names: &[String]) -> Result<Vec<LogOutput>, String> {
    if names.len() > 1 && names.iter().any(|name| name == "default") {
        return Err("multi logoutput for \"default\" is not supported yet".to_owned());
    }
    if names.len() > 1 && names.iter().any(|name| name == "systemd/journal") {
        let quoted: Vec<String> = names.iter().map(|name| format!("{name:?}")).collect();
        return Err(format!(
            "running with systemd/journal but other '--log-outputs' values ([{}]) are configured \
             with 'default'; override 'default' value with something else",
            quoted.join(" ")
        ));
    }
    if names.iter().any(|name| name == "/dev/null") {
        return Ok(Vec::new());
    }
    let mut outputs: Vec<_> = names
        .iter()
        .map(|name| match name.as_str() {
            "default" | "stderr" => LogOutput::Stderr,
            "stdout" => LogOutput::Stdout,
            "systemd/journal" => LogOutput::Journal,
            path => LogOutput::File(PathBuf::from(path)),
        })
        .collect();
    if outputs.is_empty() {
        outputs.push(LogOutput::Stderr);
    }
    outputs.sort();
    outputs.dedup();
    Ok(outputs)
}
