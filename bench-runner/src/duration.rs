//! Lengths of time as people write them: `10s`, `500ms`, `2m`, `1m30s`.

use std::fmt::Write as _;
use std::time::Duration;

/// The units, the largest first, each in nanoseconds.
const UNITS: [(&str, u64); 7] = [
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

/// Reads `10s`, `500ms`, `2m`, `1.5s`, `1m30s`; a bare number has no unit and is refused, but for `0`.
///
/// # Errors
/// What is wrong with the text, and what would be right.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    let refuse = |why: &str| format!("{why}; write a time as 10s, 500ms, 2m or 1m30s");
    let mut rest = text.trim();
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    if rest.is_empty() {
        return Err(refuse("it is empty"));
    }
    let mut total_ns: u64 = 0;
    let mut smaller_than = u64::MAX;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, after) = rest.split_at(digits);
        let letters = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
        let (unit, after) = after.split_at(letters);
        if number.is_empty() {
            return Err(refuse("a number is missing"));
        }
        if unit.is_empty() && after.is_empty() {
            return Err(refuse(&format!("{number} of what? the unit is missing")));
        }
        let (_, unit_ns) = *UNITS
            .iter()
            .find(|(name, _)| *name == unit)
            .ok_or_else(|| refuse(&format!("'{unit}{after}' is no unit")))?;
        if unit_ns >= smaller_than {
            return Err(refuse("the units must fall from the largest to the smallest"));
        }
        smaller_than = unit_ns;
        let ns = times(number, unit_ns).ok_or_else(|| refuse(&format!("'{number}' is no number, or too large")))?;
        total_ns = total_ns.checked_add(ns).ok_or_else(|| refuse("it is too long"))?;
        rest = after;
    }
    Ok(Duration::from_nanos(total_ns))
}

/// A decimal number of units in nanoseconds, exactly; digits finer than a nanosecond are cut off.
fn times(number: &str, unit_ns: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    if whole.is_empty() || fraction.is_empty() || fraction.len() > 18 || fraction.contains('.') {
        return None;
    }
    let scale = 10u128.pow(fraction.len() as u32);
    let part = fraction.parse::<u128>().ok()? * u128::from(unit_ns) / scale;
    whole.parse::<u64>().ok()?.checked_mul(unit_ns)?.checked_add(u64::try_from(part).ok()?)
}

/// The same length as [`parse`] reads it: `1m30s`, `500ms`, `0s`.
pub(crate) fn text(length: Duration) -> String {
    let mut left = length.as_nanos();
    if left == 0 {
        return "0s".to_owned();
    }
    let mut out = String::new();
    for (unit, unit_ns) in UNITS {
        let count = left / u128::from(unit_ns);
        left %= u128::from(unit_ns);
        if count > 0 {
            // A String takes everything.
            let _ = write!(out, "{count}{unit}");
        }
    }
    out
}

/// A length of time to be printed as it would be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Length(pub(crate) Duration);

impl std::fmt::Display for Length {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(&text(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_people_write_them() {
        for (text, ns) in [
            ("10s", 10_000_000_000u64),
            ("500ms", 500_000_000),
            ("2m", 120_000_000_000),
            ("1m30s", 90_000_000_000),
            ("1.5s", 1_500_000_000),
            ("0.1ms", 100_000),
            ("250us", 250_000),
            ("7ns", 7),
            ("1h", 3_600_000_000_000),
            ("30d", 2_592_000_000_000_000),
            ("0", 0),
            ("0s", 0),
            (" 3s ", 3_000_000_000),
            ("0.000000001s", 1),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_nanos(ns)), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_refused_with_the_way_out() {
        for text in [
            "",
            "10",
            "s",
            "-1s",
            "1x",
            "1s1m",
            "1s1s",
            "1 s",
            "1..5s",
            ".5s",
            "5.s",
            "1e3s",
            "99999999999h",
            "1s5",
            "∞",
        ] {
            let said = parse(text).unwrap_err();
            assert!(said.ends_with("write a time as 10s, 500ms, 2m or 1m30s"), "{text}: {said}");
        }
        assert!(parse("10").unwrap_err().starts_with("10 of what?"));
    }

    #[test]
    fn what_is_printed_is_read_again() {
        for ns in [0, 1, 999, 1_000, 1_500_000_000, 90_000_000_000, 3_661_001_001_001, 86_400_000_000_000] {
            let length = Duration::from_nanos(ns);
            assert_eq!(parse(&text(length)), Ok(length), "{}", text(length));
        }
        assert_eq!(
            format!("{:>6}|{}", Length(Duration::from_secs(90)), Length(Duration::from_millis(500))),
            " 1m30s|500ms"
        );
    }
}
