//! An amount of memory as Kubernetes writes it.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::Error;

/// The suffixes that Kubernetes knows for whole amounts, with the bytes each stands for, the largest first.
/// <https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/>
const SUFFIXES: [(&str, u64); 12] = [
    ("Ei", 1 << 60),
    ("E", 1_000_000_000_000_000_000),
    ("Pi", 1 << 50),
    ("P", 1_000_000_000_000_000),
    ("Ti", 1 << 40),
    ("T", 1_000_000_000_000),
    ("Gi", 1 << 30),
    ("G", 1_000_000_000),
    ("Mi", 1 << 20),
    ("M", 1_000_000),
    ("Ki", 1 << 10),
    ("k", 1000),
];

/// An amount of memory as Kubernetes writes it: `128Mi`, `1.5Gi`, `64M`, or plain bytes; kept in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemoryQuantity {
    bytes: u64,
}

impl MemoryQuantity {
    /// Bytes, at least 1.
    ///
    /// # Errors
    /// Zero is no quantity.
    pub fn from_bytes(bytes: u64) -> crate::Result<Self> {
        if bytes == 0 {
            return Err(Error::MemoryQuantity { text: "0".into(), reason: "it must be more than zero" });
        }
        Ok(Self { bytes })
    }

    /// Bytes.
    pub fn bytes(self) -> u64 {
        self.bytes
    }
}

impl FromStr for MemoryQuantity {
    type Err = Error;

    /// A fraction of a byte is rounded up, as Kubernetes does.
    fn from_str(text: &str) -> crate::Result<Self> {
        let bad = |reason| Error::MemoryQuantity { text: text.to_owned(), reason };
        let digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
        let suffixed = SUFFIXES.iter().find_map(|(suffix, unit)| Some((text.strip_suffix(suffix)?, *unit)));
        let (number, unit) = suffixed.unwrap_or((text, 1));
        let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
        if !digits(whole) || !digits(fraction) {
            return Err(bad("it is neither a number of bytes nor a number with a suffix such as Mi, Gi, M or G"));
        }
        let fraction = fraction.trim_end_matches('0');
        if fraction.len() > 9 {
            return Err(bad("it has more than nine digits after the point"));
        }
        let whole: u64 = whole.parse().map_err(|_| bad("it is too large"))?;
        let billionths: u128 = format!("{fraction:0<9}").parse().map_err(|_| bad("it is too large"))?;
        // In 128 bits neither product can overflow.
        let bytes = u128::from(whole) * u128::from(unit) + (billionths * u128::from(unit)).div_ceil(1_000_000_000);
        match u64::try_from(bytes) {
            Ok(0) => Err(bad("it must be more than zero")),
            Ok(bytes) => Ok(Self { bytes }),
            Err(_) => Err(bad("it is too large")),
        }
    }
}

impl fmt::Display for MemoryQuantity {
    /// With the largest suffix that leaves a whole number, so that it reads back to the same bytes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = SUFFIXES.iter().find(|(_, unit)| self.bytes.is_multiple_of(*unit));
        let (suffix, unit) = whole.copied().unwrap_or(("", 1));
        f.pad(&format!("{}{suffix}", self.bytes / unit))
    }
}

impl Serialize for MemoryQuantity {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for MemoryQuantity {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(d)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(feature = "schemas")]
impl schemars::JsonSchema for MemoryQuantity {
    fn schema_name() -> Cow<'static, str> {
        "MemoryQuantity".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "pattern": "^[0-9]+(\\.[0-9]+)?(k|[MGTPE]|[KMGTPE]i)?$",
            "description": "An amount of memory as Kubernetes writes it: 128Mi, 1.5Gi, 64M, or plain bytes"
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(text: &str) -> Option<u64> {
        text.parse::<MemoryQuantity>().ok().map(MemoryQuantity::bytes)
    }

    #[test]
    fn quantities_are_read_as_kubernetes_reads_them() {
        for (text, want) in [
            ("128Mi", 134_217_728),
            ("1Gi", 1_073_741_824),
            ("1.5Gi", 1_610_612_736),
            ("64M", 64_000_000),
            ("40Mi", 41_943_040),
            ("1k", 1000),
            ("1Ki", 1024),
            ("0.5Ki", 512),
            ("2T", 2_000_000_000_000),
            ("4096", 4096),
            // Rounded up to whole bytes.
            ("1.1Ki", 1127),
            ("0.1", 1),
            ("15.999999999Ei", 18_446_744_072_556_630_112),
        ] {
            assert_eq!(bytes(text), Some(want), "{text}");
        }
    }

    #[test]
    fn what_is_no_quantity_is_refused_with_its_text() {
        for text in [
            "",
            "0",
            "0Mi",
            "-1",
            "1e3",
            "Mi",
            "1KB",
            "1MB",
            "1mi",
            "1 Mi",
            "128m",
            "+2M",
            ".5Gi",
            "5.Gi",
            "1K",
            "16Ei",
            "1.0000000001Gi",
            "99999999999999999999",
            "1,5Gi",
        ] {
            let said = text.parse::<MemoryQuantity>().map(|q| q.to_string()).unwrap_err().to_string();
            assert!(said.contains(&format!("'{text}' is not a memory quantity")) && said.contains("try: "), "{said}");
        }
    }

    #[test]
    fn what_it_shows_reads_back_to_the_same() {
        for (text, shown) in [
            ("128Mi", "128Mi"),
            ("1024Mi", "1Gi"),
            ("1.5Gi", "1536Mi"),
            ("64M", "64M"),
            ("64000000", "64M"),
            ("1000Ki", "1000Ki"),
            ("4097", "4097"),
            ("1500", "1500"),
            ("8E", "8E"),
        ] {
            let quantity: MemoryQuantity = text.parse().unwrap();
            assert_eq!(quantity.to_string(), shown);
            assert_eq!(shown.parse::<MemoryQuantity>().unwrap(), quantity, "{text}");
            let json = serde_json::to_string(&quantity).unwrap();
            assert_eq!(json, format!("\"{shown}\""));
            assert_eq!(serde_json::from_str::<MemoryQuantity>(&json).unwrap(), quantity);
        }
        assert!(serde_json::from_str::<MemoryQuantity>("\"much\"").is_err());
        assert!(MemoryQuantity::from_bytes(0).is_err());
        assert_eq!(MemoryQuantity::from_bytes(1).unwrap().to_string(), "1");
    }
}
