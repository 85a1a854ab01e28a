//! Durations as Go writes them (`1m30s`, `-5ms`, `1.5h`), because that is what etcd's flags hold.

/// A signed span of nanoseconds, as typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Span(pub(crate) i64);

impl Span {
    /// The span as a `Duration`, or `None` where it is not above zero (etcd's "off").
    #[must_use]
    pub(crate) fn positive(self) -> Option<std::time::Duration> {
        u64::try_from(self.0).ok().filter(|n| *n > 0).map(std::time::Duration::from_nanos)
    }
}

impl std::fmt::Display for Span {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let all = self.0.unsigned_abs();
        let sign = if self.0 < 0 { "-" } else { "" };
        let trim = |whole: u64, part: u64, width: usize| {
            let text = format!("{whole}.{part:0width$}");
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        };
        if all == 0 {
            return f.write_str("0s");
        }
        if all < 1_000 {
            return write!(f, "{sign}{all}ns");
        }
        if all < 1_000_000 {
            return write!(f, "{sign}{}µs", trim(all / 1_000, all % 1_000, 3));
        }
        if all < 1_000_000_000 {
            return write!(f, "{sign}{}ms", trim(all / 1_000_000, all % 1_000_000, 6));
        }
        let (seconds, rest) = (all / 1_000_000_000, all % 1_000_000_000);
        f.write_str(sign)?;
        if seconds >= 3_600 {
            write!(f, "{}h", seconds / 3_600)?;
        }
        if seconds >= 60 {
            write!(f, "{}m", seconds / 60 % 60)?;
        }
        write!(f, "{}s", trim(seconds % 60, rest, 9))
    }
}

/// A duration as etcd's log writes it.
pub(crate) fn go_duration(duration: std::time::Duration) -> String {
    Span(i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)).to_string()
}

const UNITS: [(&str, i64); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// Reads one duration; the error is worded as Go words it.
pub(crate) fn parse(text: &str) -> Result<Span, String> {
    let invalid = || format!("time: invalid duration {text:?}");
    let (negative, mut rest) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    if rest == "0" {
        return Ok(Span(0));
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut total: i128 = 0;
    while !rest.is_empty() {
        let number_end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, after) = rest.split_at(number_end);
        let unit_end = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, next) = after.split_at(unit_end);
        if !number.bytes().any(|b| b.is_ascii_digit()) || number.matches('.').count() > 1 {
            return Err(invalid());
        }
        if unit.is_empty() {
            return Err(format!("time: missing unit in duration {text:?}"));
        }
        let Some((_, scale)) = UNITS.iter().find(|(name, _)| *name == unit) else {
            return Err(format!("time: unknown unit {unit:?} in duration {text:?}"));
        };
        total = total.saturating_add(scaled(number, *scale).ok_or_else(invalid)?);
        rest = next;
    }
    let signed = if negative { -total } else { total };
    i64::try_from(signed).map(Span).map_err(|_| invalid())
}

/// `1.25` times a unit, cut (not rounded) to whole nanoseconds.
fn scaled(number: &str, scale: i64) -> Option<i128> {
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    let whole: i128 = if whole.is_empty() { 0 } else { whole.parse::<u64>().ok()?.into() };
    let mut nanos = whole * i128::from(scale);
    let mut weight = i128::from(scale);
    let mut fraction: i128 = 0;
    let mut denominator: i128 = 1;
    for digit in part.bytes().take(18) {
        fraction = fraction * 10 + i128::from(digit - b'0');
        denominator *= 10;
    }
    weight *= fraction;
    nanos += weight / denominator;
    Some(nanos)
}

#[cfg(test)]
mod tests {
    use super::{Span, parse};

    #[test]
    fn reads_what_go_reads() {
        for (text, nanos) in [
            ("0", 0),
            ("-0", 0),
            ("5m", 300_000_000_000),
            ("1h30m", 5_400_000_000_000),
            ("1.5h", 5_400_000_000_000),
            (".5s", 500_000_000),
            ("100ms", 100_000_000),
            ("-5ms", -5_000_000),
            ("3us2ns", 3_002),
            ("2µs", 2_000),
        ] {
            assert_eq!(parse(text), Ok(Span(nanos)), "{text}");
        }
    }

    #[test]
    fn refuses_in_go_s_words() {
        for (text, error) in [
            ("", "time: invalid duration \"\""),
            ("5", "time: missing unit in duration \"5\""),
            ("5x", "time: unknown unit \"x\" in duration \"5x\""),
            ("s", "time: invalid duration \"s\""),
            ("1.2.3s", "time: invalid duration \"1.2.3s\""),
            ("9999999h", "time: invalid duration \"9999999h\""),
        ] {
            assert_eq!(parse(text), Err(error.to_owned()));
        }
    }

    #[test]
    fn prints_as_go_prints() {
        for text in ["0s", "10m0s", "2h0m0s", "100ms", "1.5s", "1h0m1s", "-3µs", "7ns", "5s"] {
            assert_eq!(parse(text).unwrap().to_string(), text);
        }
    }
}
