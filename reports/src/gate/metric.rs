//! What a gate may be asked about.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A figure of a cell that a gate judges. More of each is worse.
///
/// There is no largest request among them: the largest of a trial scatters by a factor of e from trial to trial, so that
/// twenty pairs still leave it open by 80 %.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Median response time, in nanoseconds.
    P50,
    /// Response time at 0.9, in nanoseconds.
    P90,
    /// Response time at 0.99, in nanoseconds.
    P99,
    /// Response time at 0.999, in nanoseconds.
    P999,
    /// CPU of all proxies together, in thousandths of a core for 1000 requests a second.
    Cpu,
    /// Resident memory of all proxies together, in bytes.
    Rss,
    /// Requests that failed, were answered with an error or had no end, of those due; 0 to 1.
    Errors,
}

impl Metric {
    /// All of them.
    pub const ALL: [Self; 7] = [Self::P50, Self::P90, Self::P99, Self::P999, Self::Cpu, Self::Rss, Self::Errors];

    /// Its name in flags and files.
    pub fn word(self) -> &'static str {
        match self {
            Self::P50 => "p50",
            Self::P90 => "p90",
            Self::P99 => "p99",
            Self::P999 => "p999",
            Self::Cpu => "cpu",
            Self::Rss => "rss",
            Self::Errors => "errors",
        }
    }

    /// Its unit in files.
    pub fn unit(self) -> &'static str {
        match self {
            Self::P50 | Self::P90 | Self::P99 | Self::P999 => "ns",
            Self::Cpu => "millicores_per_1000_rps",
            Self::Rss => "bytes",
            Self::Errors => "share",
        }
    }

    /// Whether it is a response time.
    pub fn is_time(self) -> bool {
        matches!(self, Self::P50 | Self::P90 | Self::P99 | Self::P999)
    }

    /// For people: "p99.9", "CPU of the proxies".
    pub fn label(self) -> &'static str {
        match self {
            Self::P999 => "p99.9",
            Self::Cpu => "CPU of the proxies",
            Self::Rss => "memory of the proxies",
            other => other.word(),
        }
    }

    /// A value of it for people: "4.31 ms", "41.2 MiB", "0.02 %".
    pub fn shown(self, value: f64) -> String {
        match self {
            Self::P50 | Self::P90 | Self::P99 | Self::P999 if value < 9.995e5 => format!("{:.0} µs", value / 1e3),
            Self::P50 | Self::P90 | Self::P99 | Self::P999 => format!("{:.2} ms", value / 1e6),
            Self::Cpu => format!("{value:.0} m per 1000 rps"),
            Self::Rss => format!("{:.1} MiB", value / f64::from(1 << 20)),
            Self::Errors => format!("{} %", trimmed(value * 100.0)),
        }
    }
}

/// Three digits behind the point at most, and no zeros at the end.
fn trimmed(value: f64) -> String {
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

impl FromStr for Metric {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "max" => Err(
                "the largest request is not gated on: it scatters by a factor of e from trial to trial, and twenty pairs leave it open by 80 %; use p999"
                    .to_owned(),
            ),
            "p99.9" => Ok(Self::P999),
            _ => Self::ALL.into_iter().find(|metric| metric.word() == text).ok_or_else(|| {
                let known: Vec<&str> = Self::ALL.iter().map(|metric| metric.word()).collect();
                format!("'{text}' is no metric; there are {}", known.join(", "))
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written_and_the_largest_is_refused() {
        for metric in Metric::ALL {
            assert_eq!(metric.to_string().parse(), Ok(metric));
        }
        assert_eq!("p99.9".parse(), Ok(Metric::P999));
        assert!("max".parse::<Metric>().unwrap_err().ends_with("use p999"));
        assert_eq!(
            "p98".parse::<Metric>().unwrap_err(),
            "'p98' is no metric; there are p50, p90, p99, p999, cpu, rss, errors"
        );
    }

    #[test]
    fn values_are_shown_in_the_unit_that_a_person_would_use() {
        for (metric, value, shown) in [
            (Metric::P99, 999_400.0, "999 µs"),
            (Metric::P99, 4_312_000.0, "4.31 ms"),
            (Metric::Cpu, 412.4, "412 m per 1000 rps"),
            (Metric::Rss, 43_201_331.0, "41.2 MiB"),
            (Metric::Errors, 0.001, "0.1 %"),
            (Metric::Errors, 0.0, "0 %"),
        ] {
            assert_eq!(metric.shown(value), shown);
        }
    }
}
