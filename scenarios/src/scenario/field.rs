//! How each kind of value stands in a scenario file: read from TOML, written back as TOML.

use record::{
    AccessLog, Arrival, CpuQuantity, Dataplane, Entry, LogSink, MemoryQuantity, Mtls, Neighbour, Pace, Platform,
    Protocol, Sidecars, Weights, WorkerRule,
};
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
    super::Form => "\"chain\", \"fan-out\" or \"tree\"",
    Dataplane => "one of \"none\", \"embedded\", \"envoy\", \"haproxy\", \"nginx\", \"ambient\"",
    Mtls => "\"disable\", \"permissive\" or \"strict\"",
    Entry => "\"sidecar\", \"plain\" or \"gateway\"",
    Sidecars => "\"both\", \"client\" or \"server\"",
    Protocol => "\"http\" or \"auto\"",
    AccessLog => "\"off\", \"text\" or \"json\"",
    LogSink => "\"file\" or \"stdout\"",
    Platform => "\"processes\" or \"pods\"",
    Arrival => "\"constant\" or \"poisson\"",
    Pace => "\"precise\", \"hybrid\" or \"economy\"",
}

/// The text of a value, be it written in quotes or as a number.
fn text_of<T: Field>(value: &DeValue<'_>) -> Result<String, Fault> {
    match value {
        DeValue::String(s) => Ok(s.to_string()),
        DeValue::Integer(i) => Ok(i.to_string()),
        DeValue::Float(f) => Ok(f.to_string()),
        _ => Err(wrong_type::<T>(value)),
    }
}

/// The first line of a message: a file's errors have a remedy of their own.
fn first_line(error: &impl std::fmt::Display) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}

macro_rules! optional {
    ($($type:ty, $nothing:literal => $expected:literal),+ $(,)?) => {$(
        impl Field for Option<$type> {
            const EXPECTED: &'static str = $expected;

            fn read(value: &DeValue<'_>) -> Result<Self, Fault> {
                let text = text_of::<Self>(value)?;
                if text == $nothing {
                    return Ok(None);
                }
                text.parse().map(Some).map_err(|e| Fault::new(first_line(&e), Self::EXPECTED))
            }

            fn write(&self) -> String {
                self.as_ref().map_or_else(|| concat!("\"", $nothing, "\"").to_owned(), |value| format!("\"{value}\""))
            }
        }
    )+};
}

optional! {
    CpuQuantity, "none" => "\"none\", or cores as Kubernetes writes them: \"500m\", \"1.5\", 2",
    MemoryQuantity, "none" => "\"none\", or memory as Kubernetes writes it: \"128Mi\", \"1Gi\"",
    Mtls, "same" => "\"same\", \"disable\", \"permissive\" or \"strict\"",
    Weights, "none" => "\"none\", or weights of subsets: \"v1=90,v2=10\"",
}

macro_rules! texts {
    ($($type:ty => $expected:literal),+ $(,)?) => {$(
        impl Field for $type {
            const EXPECTED: &'static str = $expected;

            fn read(value: &DeValue<'_>) -> Result<Self, Fault> {
                text_of::<Self>(value)?.parse().map_err(|e| Fault::new(first_line(&e), Self::EXPECTED))
            }

            fn write(&self) -> String {
                format!("\"{self}\"")
            }
        }
    )+};
}

texts! {
    WorkerRule => "a number of threads, or a rule: \"istio\", \"envoy\", \"linkerd\"",
    Neighbour => "\"none\", \"cpu:2\", \"disk:1\", \"memory:1\", or several joined by '+'",
}
