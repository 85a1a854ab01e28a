//! Lines that say how far a restore is: what, how much, how quick.

use std::io;
use std::time::{Duration, Instant};

/// A line at most so often.
const EVERY: Duration = Duration::from_secs(1);

/// Writes lines for a person.
pub(super) struct Lines<'a> {
    out: &'a mut dyn io::Write,
}

impl<'a> Lines<'a> {
    pub(super) fn new(out: &'a mut dyn io::Write) -> Self {
        Self { out }
    }

    /// Nobody may be reading any more: the restore goes on.
    pub(super) fn say(&mut self, line: &str) {
        drop(writeln!(self.out, "{line}"));
    }

    /// Runs a part of the work, which tells how many bytes of how many are done.
    pub(super) fn phase<T, E>(
        &mut self,
        what: &str,
        work: impl FnOnce(&mut dyn FnMut(u64, u64)) -> Result<T, E>,
    ) -> Result<T, E> {
        let begun = Instant::now();
        let (mut last, mut done, mut of, mut said_all) = (begun, 0, 0, false);
        let result = work(&mut |bytes, all| {
            (done, of) = (bytes, all);
            if last.elapsed() >= EVERY {
                last = Instant::now();
                said_all = done >= of;
                self.say(&line(what, done, of, begun.elapsed()));
            }
        })?;
        if of > 0 && !said_all {
            self.say(&line(what, of, of, begun.elapsed()));
        }
        Ok(result)
    }
}

fn line(what: &str, done: u64, of: u64, took: Duration) -> String {
    let percent = done.min(of) * 100 / of.max(1);
    let mebibytes = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let rate = mebibytes(done) / took.as_secs_f64().max(0.001);
    let (done, of) = (mebibytes(done), mebibytes(of));
    format!("{what}: {percent} % ({done:.1} of {of:.1} MiB, {rate:.0} MiB/s)")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_percent_and_rate() {
        let said = line("reading", 3 << 20, 4 << 20, Duration::from_secs(2));
        assert_eq!(said, "reading: 75 % (3.0 of 4.0 MiB, 2 MiB/s)");
    }

    #[test]
    fn the_end_is_said_and_an_error_is_not() {
        let mut out = Vec::new();
        let mut lines = Lines::new(&mut out);
        let done: Result<(), ()> = lines.phase("reading", |step| {
            step(1, 1 << 20);
            Ok(())
        });
        assert_eq!(done, Ok(()));
        assert_eq!(lines.phase("writing", |_| Err::<(), _>("no")), Err("no"));
        let out = String::from_utf8(out).expect("text");
        assert!(out.starts_with("reading: 100 %") && !out.contains("writing"), "{out}");
    }
}
