//! A length of time in a scenario file.

use toml::de::DeValue;

use super::field::{Fault, Field, wrong_type};

/// A length of time in a file: "500ms", "5s", "1.5s", "2m".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Length {
    /// Nanoseconds.
    pub ns: u64,
}

/// The units, the longest first.
const UNITS: [(&str, u64); 5] =
    [("m", 60_000_000_000), ("s", 1_000_000_000), ("ms", 1_000_000), ("us", 1_000), ("ns", 1)];

impl Length {
    /// None when it is no length, or finer than a nanosecond.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let split = text.find(|c: char| c != '.' && !c.is_ascii_digit())?;
        let (number, unit) = text.split_at(split);
        let (_, unit_ns) = UNITS.iter().find(|(word, _)| *word == unit.trim_start())?;
        let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
        if whole.is_empty() || fraction.is_empty() || fraction.contains('.') || fraction.len() > 9 {
            return None;
        }
        let scale = 10_u64.pow(fraction.len() as u32);
        let part = fraction.parse::<u64>().ok()?.checked_mul(*unit_ns)?;
        if part % scale != 0 {
            return None;
        }
        let ns = whole.parse::<u64>().ok()?.checked_mul(*unit_ns)?.checked_add(part / scale)?;
        Some(Self { ns })
    }
}

impl Field for Length {
    const EXPECTED: &'static str = "a time with its unit in quotes: \"500ms\", \"5s\", \"2m\"";

    fn read(value: &DeValue<'_>) -> Result<Self, Fault> {
        let text = value.as_str().ok_or_else(|| wrong_type::<Self>(value))?;
        Self::parse(text).ok_or_else(|| Fault::new(format!("\"{text}\" is no length of time"), Self::EXPECTED))
    }

    fn write(&self) -> String {
        // Minutes are read, but never written: "90s" next to "2m" is harder to compare than "120s".
        let fits = UNITS.iter().skip(1).find(|(_, unit_ns)| self.ns.is_multiple_of(*unit_ns));
        let (word, unit_ns) = fits.copied().unwrap_or(("ns", 1));
        format!("\"{}{word}\"", self.ns / unit_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_read_exactly() {
        for (text, ns) in [
            ("500ms", 500_000_000),
            ("5s", 5_000_000_000),
            ("1.5s", 1_500_000_000),
            ("2m", 120_000_000_000),
            ("0.25ms", 250_000),
            ("7 us", 7_000),
            ("0s", 0),
        ] {
            assert_eq!(Length::parse(text), Some(Length { ns }), "{text}");
        }
        for text in ["", "5", "s", "-1s", "1h", "1.s", ".5s", "1.2.3s", "0.5ns", "1e3s", "99999999999m"] {
            assert_eq!(Length::parse(text), None, "{text}");
        }
    }

    #[test]
    fn lengths_are_written_in_the_largest_unit_that_fits() {
        for (ns, want) in [(0, "\"0s\""), (1_500_000_000, "\"1500ms\""), (120_000_000_000, "\"120s\""), (7, "\"7ns\"")]
        {
            assert_eq!(Length { ns }.write(), want);
        }
    }
}
