//! `--enable-log-rotation` and `--log-rotation-config-json`, as the library that etcd uses reads
//! them. What rotates is `observe::rotation`.

use std::time::Duration;

use super::flags::Flags;
use super::node::Node;
use super::notice::Notice;

const MIB: u64 = 1 << 20;
const DEFAULT_MIB: u64 = 100;
const DAY: u64 = 24 * 3600;

/// When a log file is put aside, and what becomes of those that were.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// A file does not grow over this.
    pub max_bytes: u64,
    /// Older ones are removed.
    pub max_age: Option<Duration>,
    /// Of more than this, the oldest are removed.
    pub max_backups: Option<usize>,
    /// They are kept compressed.
    pub compress: bool,
}

impl Default for Rotation {
    fn default() -> Self {
        let max_bytes = DEFAULT_MIB * MIB;
        Self { max_bytes, max_age: None, max_backups: None, compress: false }
    }
}

impl Rotation {
    /// What is asked for, if anything is; `outputs` are the names of `--log-outputs`.
    pub(crate) fn resolve(
        flags: &Flags,
        outputs: &[String],
        notices: &mut Vec<Notice>,
    ) -> Result<Option<Self>, String> {
        if !flags.switch("enable-log-rotation") {
            return Ok(None);
        }
        let is_file = |name: &&String| !matches!(name.as_str(), "default" | "stderr" | "stdout");
        let files = outputs.iter().filter(is_file).count();
        if files > 1 || (files == 0 && outputs.len() < 2) {
            return Err("--log-outputs requires a single file path when --log-rotate-config-json \
                        is defined"
                .to_owned());
        }
        Self::parse(&flags.text("log-rotation-config-json"), notices).map(Some)
    }

    fn parse(text: &str, notices: &mut Vec<Notice>) -> Result<Self, String> {
        let malformed = |why: &str| Err(format!("improperly formatted log rotation config: {why}"));
        let entries = match Node::parse(text) {
            Ok(Node::Map(entries)) if text.trim_start().starts_with('{') => entries,
            Ok(Node::Null) => return malformed("unexpected end of JSON input"),
            Ok(_) => return Err("invalid log rotation config: not a JSON object".to_owned()),
            Err(why) => return malformed(&why),
        };
        let mut rotation = Self::default();
        for entry in entries {
            let of = |why: &str| format!("invalid log rotation config: {} {why}", entry.key);
            let number = || match &entry.value {
                Node::Int(number) => i64::try_from(*number).map_err(|_| of("is out of range")),
                _ => Err(of("is not a whole number")),
            };
            let switch = || match &entry.value {
                Node::Bool(on) => Ok(*on),
                _ => Err(of("is neither true nor false")),
            };
            // Zero is the default of each; so is, as in etcd, what is less.
            let positive = |number: i64| u64::try_from(number).ok().filter(|number| *number > 0);
            match entry.key.to_ascii_lowercase().as_str() {
                _ if entry.value == Node::Null => {}
                "maxsize" => {
                    let size = positive(number()?).unwrap_or(DEFAULT_MIB);
                    rotation.max_bytes = size.saturating_mul(MIB);
                }
                "maxage" => {
                    let days = positive(number()?);
                    rotation.max_age = days.map(|n| Duration::from_secs(n.saturating_mul(DAY)));
                }
                "maxbackups" => {
                    let most = positive(number()?);
                    rotation.max_backups = most.map(|n| usize::try_from(n).unwrap_or(usize::MAX));
                }
                "compress" => rotation.compress = switch()?,
                "localtime" if switch()? => {
                    let text = "localtime: the names of old files are in UTC, as are the lines";
                    notices.push(Notice::info("log-rotation-config-json", text));
                }
                _ => {}
            }
        }
        Ok(rotation)
    }
}
