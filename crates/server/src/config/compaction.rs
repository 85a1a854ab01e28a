//! `--auto-compaction-mode` and `--auto-compaction-retention`, read as etcd reads them.

use std::time::Duration;

use super::duration;

/// What is compacted without being asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AutoCompaction {
    /// Nothing.
    Off,
    /// History older than this.
    Periodic(Duration),
    /// All but this many of the newest revisions.
    Revision(i64),
}

impl AutoCompaction {
    /// Reads the pair; a bare number is hours or revisions, whichever the mode counts.
    pub fn parse(mode: &str, retention: &str) -> Result<Self, String> {
        match mode {
            "periodic" | "revision" => {}
            "" => return Err("undefined auto-compaction-mode".to_owned()),
            other => return Err(format!("unknown auto-compaction-mode {other:?}")),
        }
        // A duration in revision mode counts its nanoseconds, as in etcd.
        let retention = if retention.is_empty() { "0" } else { retention };
        let amount = match retention.parse::<i64>() {
            Ok(number) if number >= 0 && mode == "revision" => number,
            Ok(number) if number >= 0 => number
                .checked_mul(3_600_000_000_000)
                .ok_or_else(|| format!("--auto-compaction-retention={number} hours is too long"))?,
            _ => {
                duration::parse(retention)
                    .map_err(|e| format!("error parsing CompactionRetention: {e}"))?
                    .0
            }
        };
        Ok(match (u64::try_from(amount), mode) {
            (Err(_), _) => {
                return Err(format!(
                    "--auto-compaction-retention must be >=0 (set to {retention})"
                ));
            }
            (Ok(0), _) => Self::Off,
            (Ok(_), "revision") => Self::Revision(amount),
            (Ok(nanos), _) => Self::Periodic(Duration::from_nanos(nanos)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::AutoCompaction::{self, Off, Periodic, Revision};
    use std::time::Duration;

    #[test]
    fn retention_is_read_as_etcd_reads_it() {
        let hour = Duration::from_secs(3600);
        for (mode, retention, want) in [
            ("periodic", "0", Off),
            ("periodic", "", Off),
            ("periodic", "1", Periodic(hour)),
            ("periodic", "5m", Periodic(hour / 12)),
            ("periodic", "0s", Off),
            ("revision", "1000", Revision(1000)),
            ("revision", "0", Off),
            ("revision", "1us", Revision(1000)),
        ] {
            assert_eq!(AutoCompaction::parse(mode, retention), Ok(want), "{mode} {retention}");
        }
    }

    #[test]
    fn faults_are_told_in_etcd_s_words() {
        for (mode, retention, error) in [
            ("", "0", "undefined auto-compaction-mode"),
            ("x", "0", "unknown auto-compaction-mode \"x\""),
            (
                "periodic",
                "5x",
                "error parsing CompactionRetention: time: unknown unit \"x\" in duration \"5x\"",
            ),
            (
                "revision",
                "-1",
                "error parsing CompactionRetention: time: missing unit in duration \"-1\"",
            ),
            ("periodic", "-1h", "--auto-compaction-retention must be >=0 (set to -1h)"),
        ] {
            assert_eq!(AutoCompaction::parse(mode, retention), Err(error.to_owned()));
        }
    }
}
