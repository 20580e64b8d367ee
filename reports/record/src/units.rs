//! Units that need more than a suffix in a name, and the one clock that every stamp is read from.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::Error;

/// CLOCK_MONOTONIC in nanoseconds: the same clock in every process of a host.
pub fn monotonic_ns() -> u64 {
    let t = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    // Positive on any system that runs this.
    t.tv_sec as u64 * 1_000_000_000 + t.tv_nsec as u64
}

/// CLOCK_REALTIME in nanoseconds since 1970, for people; never used to measure.
pub fn realtime_ns() -> u64 {
    // Asked of the C library, as by all else in the program: so a test can set the time of day for it and for nobody else.
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}

/// An amount of CPU as Kubernetes writes it: `100m`, `2`, `1.5`; kept in thousandths of a core.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CpuQuantity {
    millicores: u32,
}

impl CpuQuantity {
    /// Thousandths of a core, at least 1.
    ///
    /// # Errors
    /// Zero is no quantity.
    pub fn from_millicores(millicores: u32) -> crate::Result<Self> {
        if millicores == 0 {
            return Err(Error::CpuQuantity { text: "0".into(), reason: "it must be more than zero" });
        }
        Ok(Self { millicores })
    }

    /// Thousandths of a core.
    pub fn millicores(self) -> u32 {
        self.millicores
    }

    /// Cores, rounded up: the worker threads Istio derives from a limit.
    pub fn cores_rounded_up(self) -> u32 {
        self.millicores.div_ceil(1000)
    }
}

impl FromStr for CpuQuantity {
    type Err = Error;

    fn from_str(text: &str) -> crate::Result<Self> {
        let bad = |reason| Error::CpuQuantity { text: text.to_owned(), reason };
        let digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
        let millicores = if let Some(m) = text.strip_suffix('m') {
            if !digits(m) {
                return Err(bad("before the 'm' there must be a whole number"));
            }
            m.parse().map_err(|_| bad("it is too large"))?
        } else {
            let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
            if !digits(whole) || !digits(fraction) {
                return Err(bad("it is neither a number of cores nor a number with 'm'"));
            }
            let fraction = fraction.trim_end_matches('0');
            if fraction.len() > 3 {
                return Err(bad("it is finer than a thousandth of a core"));
            }
            let whole: u32 = whole.parse().map_err(|_| bad("it is too large"))?;
            let thousandths: u32 = format!("{fraction:0<3}").parse().map_err(|_| bad("it is too large"))?;
            whole.checked_mul(1000).and_then(|m| m.checked_add(thousandths)).ok_or_else(|| bad("it is too large"))?
        };
        if millicores == 0 {
            return Err(bad("it must be more than zero"));
        }
        Ok(Self { millicores })
    }
}

impl fmt::Display for CpuQuantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.millicores.is_multiple_of(1000) {
            write!(f, "{}", self.millicores / 1000)
        } else {
            write!(f, "{}m", self.millicores)
        }
    }
}

impl Serialize for CpuQuantity {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for CpuQuantity {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(d)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(feature = "schemas")]
impl schemars::JsonSchema for CpuQuantity {
    fn schema_name() -> Cow<'static, str> {
        "CpuQuantity".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "pattern": "^[0-9]+(m|\\.[0-9]+)?$",
            "description": "An amount of CPU as Kubernetes writes it: 100m, 2, 1.5"
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millicores(text: &str) -> Option<u32> {
        text.parse::<CpuQuantity>().ok().map(CpuQuantity::millicores)
    }

    #[test]
    fn quantities_are_read_as_kubernetes_reads_them() {
        for (text, want) in
            [("100m", 100), ("2", 2000), ("1.5", 1500), ("0.25", 250), ("0.1", 100), ("1.500", 1500), ("1m", 1)]
        {
            assert_eq!(millicores(text), Some(want), "{text}");
        }
    }

    #[test]
    fn what_is_no_quantity_is_refused_with_its_text() {
        for text in ["", "0", "0m", "-1", "1e3", "m", "1.2345", "1,5", "+2", "99999999999", ".5", "5.", "100M"] {
            let said = text.parse::<CpuQuantity>().map(|q| q.to_string()).unwrap_err().to_string();
            assert!(said.contains(&format!("'{text}'")), "{said}");
        }
    }

    #[test]
    fn text_and_quantity_are_one() {
        for text in ["100m", "2", "1500m", "1m"] {
            assert_eq!(text.parse::<CpuQuantity>().unwrap().to_string(), text);
        }
        assert_eq!("1.5".parse::<CpuQuantity>().unwrap().to_string(), "1500m");
    }

    #[test]
    fn the_clock_moves_forward() {
        let a = monotonic_ns();
        assert!(monotonic_ns() >= a && a > 0);
    }
}
