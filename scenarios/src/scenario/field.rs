//! How each kind of value stands in a scenario file: read from TOML, written back as TOML.

use record::{Arrival, CpuQuantity, Dataplane, Mtls, Pace};
use toml::de::{DeInteger, DeValue};

/// What is wrong with a value, and what would be right.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) problem: String,
    pub(super) remedy: String,
}

impl Fault {
    pub(super) fn new(problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { problem: problem.into(), remedy: remedy.into() }
    }
}

/// A kind of value.
pub(super) trait Field: Sized + Clone + PartialEq {
    /// What may stand there, for people.
    const EXPECTED: &'static str;

    fn read(value: &DeValue<'_>) -> Result<Self, Fault>;

    fn write(&self) -> String;
}

/// The error for a value of another type.
pub(super) fn wrong_type<T: Field>(value: &DeValue<'_>) -> Fault {
    Fault::new(format!("expected {}, found {}", T::EXPECTED, described(value)), T::EXPECTED)
}

fn described(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(s) => format!("the text \"{s}\""),
        DeValue::Integer(i) => format!("the number {i}"),
        DeValue::Float(f) => format!("the number {f}"),
        DeValue::Boolean(b) => format!("{b}"),
        DeValue::Array(a) if a.is_empty() => "an empty list".to_owned(),
        DeValue::Array(_) => "a list".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
        DeValue::Datetime(_) => "a date".to_owned(),
    }
}

fn whole_number(integer: &DeInteger<'_>) -> Option<i128> {
    i128::from_str_radix(integer.as_str(), integer.radix()).ok()
}

macro_rules! whole_numbers {
    ($($type:ty),+) => {$(
        impl Field for $type {
            const EXPECTED: &'static str = "a whole number";

            fn read(value: &DeValue<'_>) -> Result<Self, Fault> {
                let DeValue::Integer(integer) = value else { return Err(wrong_type::<Self>(value)) };
                whole_number(integer).and_then(|n| Self::try_from(n).ok()).ok_or_else(|| {
                    Fault::new(format!("{integer} is out of range"), format!("a whole number from 0 to {}", <$type>::MAX))
                })
            }

            fn write(&self) -> String {
                self.to_string()
            }
        }
    )+};
}

whole_numbers!(u32, u64);

impl Field for f64 {
    const EXPECTED: &'static str = "a number";

    fn read(value: &DeValue<'_>) -> Result<Self, Fault> {
        match value {
            DeValue::Integer(i) => whole_number(i).map(|n| n as f64),
            DeValue::Float(f) => f.as_str().parse().ok(),
            _ => None,
        }
        .ok_or_else(|| wrong_type::<Self>(value))
    }

    fn write(&self) -> String {
        self.to_string()
    }
}

impl Field for bool {
    const EXPECTED: &'static str = "true or false";

    fn read(value: &DeValue<'_>) -> Result<Self, Fault> {
        value.as_bool().ok_or_else(|| wrong_type::<Self>(value))
    }

    fn write(&self) -> String {
        self.to_string()
    }
}

impl Field for String {
    const EXPECTED: &'static str = "a text in quotes";

    fn read(value: &DeValue<'_>) -> Result<Self, Fault> {
        value.as_str().map(str::to_owned).ok_or_else(|| wrong_type::<Self>(value))
    }

    fn write(&self) -> String {
        toml::Value::from(self.as_str()).to_string()
    }
}

macro_rules! words {
    ($($type:ty => $expected:literal),+ $(,)?) => {$(
        impl Field for $type {
            const EXPECTED: &'static str = $expected;

            fn read(value: &DeValue<'_>) -> Result<Self, Fault> {
                let text = value.as_str().ok_or_else(|| wrong_type::<Self>(value))?;
                text.parse().map_err(|problem: String| Fault::new(problem, Self::EXPECTED))
            }

            fn write(&self) -> String {
                format!("\"{self}\"")
            }
        }
    )+};
}

words! {
    Dataplane => "one of \"none\", \"embedded\", \"envoy\"",
    Mtls => "\"disable\" or \"strict\"",
    Arrival => "\"constant\" or \"poisson\"",
    Pace => "\"precise\", \"hybrid\" or \"economy\"",
}

impl Field for Option<CpuQuantity> {
    const EXPECTED: &'static str = "\"none\", or cores as Kubernetes writes them: \"500m\", \"1.5\", 2";

    fn read(value: &DeValue<'_>) -> Result<Self, Fault> {
        let text = match value {
            DeValue::String(s) => s.to_string(),
            DeValue::Integer(i) => i.to_string(),
            DeValue::Float(f) => f.to_string(),
            _ => return Err(wrong_type::<Self>(value)),
        };
        if text == "none" {
            return Ok(None);
        }
        let first_line = |e: record::Error| e.to_string().lines().next().unwrap_or_default().to_owned();
        text.parse().map(Some).map_err(|e| Fault::new(first_line(e), Self::EXPECTED))
    }

    fn write(&self) -> String {
        self.map_or_else(|| "\"none\"".to_owned(), |q| format!("\"{q}\""))
    }
}

/// A length of time in a file: "500ms", "5s", "1.5s", "2m".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Length {
    pub(super) ns: u64,
}

/// The units, the longest first.
const UNITS: [(&str, u64); 5] =
    [("m", 60_000_000_000), ("s", 1_000_000_000), ("ms", 1_000_000), ("us", 1_000), ("ns", 1)];

impl Length {
    /// None when it is no length, or finer than a nanosecond.
    fn parse(text: &str) -> Option<Self> {
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
