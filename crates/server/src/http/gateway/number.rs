//! Integers as `protojson` takes them: `12`, `"12"`, `1.2e1`, but nothing with a fraction.

use super::token::{Kind, number};

/// The digits of an integer, with its sign, if the token is one.
fn digits(kind: &Kind<'_>) -> Option<String> {
    match kind {
        Kind::Number(text) => whole(text),
        Kind::Text(text) if text.trim() == text => whole(number(text.as_bytes())),
        _ => None,
    }
}

/// A signed integer of so many bits.
pub(super) fn signed(kind: &Kind<'_>, bits: u32) -> Option<i64> {
    let number: i64 = digits(kind)?.parse().ok()?;
    (bits == 64 || i32::try_from(number).is_ok()).then_some(number)
}

/// An unsigned integer of so many bits.
pub(super) fn unsigned(kind: &Kind<'_>, bits: u32) -> Option<u64> {
    let number: u64 = digits(kind)?.parse().ok()?;
    (bits == 64 || u32::try_from(number).is_ok()).then_some(number)
}

/// A JSON number without its point and exponent, if it needs none.
fn whole(text: &str) -> Option<String> {
    /// What the largest number has.
    const MOST_DIGITS: usize = 20;
    let (sign, rest) = text.strip_prefix('-').map_or(("", text), |rest| ("-", rest));
    let (mantissa, exponent) = rest.split_once(['e', 'E']).unwrap_or((rest, ""));
    let (integer, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if integer.is_empty() {
        return None;
    }
    let integer = if integer == "0" { "" } else { integer };
    let fraction = fraction.trim_end_matches('0');
    if integer.is_empty() && fraction.is_empty() {
        return Some("0".to_owned());
    }
    let exponent: i32 = if exponent.is_empty() { 0 } else { exponent.parse().ok()? };
    let moved = usize::try_from(exponent.unsigned_abs()).ok()?;
    if exponent >= 0 {
        if fraction.len() > moved || integer.len().saturating_add(moved) > MOST_DIGITS {
            return None;
        }
        let zeros = "0".repeat(moved - fraction.len());
        return Some(format!("{sign}{integer}{fraction}{zeros}"));
    }
    let kept = integer.len().checked_sub(moved)?;
    let (kept, cut) = integer.split_at(kept);
    let exact = fraction.is_empty() && cut.bytes().all(|digit| digit == b'0');
    // Nothing is left of 0e-1 alone, which was dealt with; Go refuses the empty rest.
    (exact && !kept.is_empty()).then(|| format!("{sign}{kept}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_in_all_their_guises() {
        for (text, value) in [
            ("0", 0),
            ("-0", 0),
            ("12", 12),
            ("1.2e1", 12),
            ("1200e-2", 12),
            ("-1.50e2", -150),
            ("9223372036854775807", i64::MAX),
            ("-9223372036854775808", i64::MIN),
            ("12 34", 12),
            ("0.0", 0),
        ] {
            let quoted = Kind::Text(text.into());
            assert_eq!(signed(&quoted, 64), Some(value), "{text}");
        }
        for text in [
            "",
            " 1",
            "1 ",
            "x",
            "1x",
            "1.5",
            "1e",
            "1e-1",
            "9223372036854775808",
            "1e19",
            "+1",
            "1e99999999999",
            "01",
            "--1",
            "-",
        ] {
            assert_eq!(signed(&Kind::Text(text.into()), 64), None, "{text}");
        }
    }

    #[test]
    fn ranges() {
        assert_eq!(signed(&Kind::Number("2147483648"), 32), None);
        assert_eq!(signed(&Kind::Number("-2147483648"), 32), Some(-2_147_483_648));
        assert_eq!(unsigned(&Kind::Number("18446744073709551615"), 64), Some(u64::MAX));
        assert_eq!(unsigned(&Kind::Number("-1"), 64), None);
        assert_eq!(unsigned(&Kind::Number("4294967296"), 32), None);
        assert_eq!(unsigned(&Kind::Bool(true), 64), None);
    }
}
