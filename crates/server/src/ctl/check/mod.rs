//! `meridian check`: looks at the data directory of a stopped server, and changes nothing.
//! `docs/check.md` is for who runs it.

mod report;

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use engine::check::{Finding, Report, Weight};
use engine::restore::Unusable;

use crate::start;

/// Exit code: all is well. Torn tails and foreign files are.
pub const WELL: u8 = 0;
/// Exit code: something is damaged, also where nothing is lost by it.
pub const DAMAGED: u8 = 1;
/// Exit code: the directory cannot be looked at.
pub const UNREADABLE: u8 = 2;

/// A line of progress at most so often.
const EVERY: Duration = Duration::from_secs(1);

/// What `meridian check --help` says.
pub const HELP: &str = "Usage:

  meridian check DATA-DIR

Reads all of a stopped server's data directory as a start would, and writes nothing: every checkpoint
and its digest, every file of the journal frame by frame, every entry, and the state they come to.
Says what is there, and for each damage the file, the place, what it means and what to do.

The directory must not be in use; a server that is started meanwhile is turned away. The memory that
is needed is that of the server. A replica's directory has no journal: the database has it.

Exit code:
  0  no damage (the tail that a crash tore, or files that are not Meridian's, are none)
  1  damage, also where nothing is lost by it
  2  the directory cannot be read, is in use, is of a newer version, or is none of Meridian's with a
     journal
";

/// Reads the arguments behind `check`; none, if the help was asked for.
///
/// # Errors
/// What is wrong with them.
pub fn directory(arguments: &[String]) -> Result<Option<PathBuf>, String> {
    match arguments {
        [flag] if flag == "--help" || flag == "-h" => Ok(None),
        [flag, dir] if flag == "--data-dir" || flag == "--" => Ok(Some(dir.into())),
        [one] => match one.strip_prefix("--data-dir=") {
            Some(dir) => Ok(Some(dir.into())),
            None if one.starts_with('-') => {
                Err(format!("unknown flag: {one} (run 'meridian check --help')"))
            }
            None => Ok(Some(one.into())),
        },
        _ => Err("check requires exactly one argument: the data directory".to_owned()),
    }
}

/// Checks `dir`, says on `out` what was found and on `err` how far it is; the exit code.
pub fn check(dir: &Path, out: &mut dyn io::Write, err: &mut (dyn io::Write + Send)) -> u8 {
    let mut last = Instant::now();
    let mut progress = |what: &'static str, done: u64, of: u64| {
        if last.elapsed() >= EVERY {
            last = Instant::now();
            let percent = done.min(of) as f64 * 100.0 / of.max(1) as f64;
            // Nobody may be reading any more: the check goes on.
            drop(writeln!(err, "{what}: {percent:.0} %"));
        }
    };
    match look(dir, &mut progress) {
        Ok(found) => {
            drop(out.write_all(report::text(dir, &found).as_bytes()));
            if found.is_damaged() { DAMAGED } else { WELL }
        }
        Err(why) => {
            drop(writeln!(err, "Error: {why}"));
            UNREADABLE
        }
    }
}

fn look(dir: &Path, progress: engine::check::Progress<'_>) -> Result<Report, Unusable> {
    let file = dir.join(start::IDENTITY);
    let identity = std::fs::read(&file);
    let text = identity.as_ref().map(|bytes| String::from_utf8_lossy(bytes));
    if text.as_ref().is_ok_and(|text| start::is_shared(text)) {
        return Err(Unusable(format!(
            "{} is that of a replica, whose journal is in a database: there is none to check here. Its \
             checkpoints are copies of what the database has; a start reads them again, and if one is \
             damaged the directory may be removed",
            dir.display()
        )));
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let runtime = runtime.map_err(|error| Unusable(error.to_string()))?;
    let mut report = runtime.block_on(engine::check::check(dir, progress))?;
    let (weight, what) = match text.as_ref().map(|text| start::parse_identity(text)) {
        Ok(Some(_)) => return Ok(report),
        Ok(None) => {
            (Weight::Damage, "not two lines 'member HEX' and 'cluster HEX', or not their checksum")
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            (Weight::Note, "there is none: the next start makes one of its flags")
        }
        Err(error) => return Err(Unusable(format!("cannot read {}: {error}", file.display()))),
    };
    report.findings.push(Finding {
        weight,
        file,
        what: what.to_owned(),
        means: "who this member is; keys are not concerned".to_owned(),
        advice: "take the ids from the log of an earlier start, or from a backup".to_owned(),
    });
    Ok(report)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Option<PathBuf>, String> {
        directory(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn one_directory_is_wanted() {
        for line in ["d", "--data-dir d", "--data-dir=d", "-- d"] {
            assert_eq!(parse(line), Ok(Some(PathBuf::from("d"))), "{line}");
        }
        assert_eq!(parse("--help"), Ok(None));
        for line in ["", "a b", "--fast", "--data-dir"] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
