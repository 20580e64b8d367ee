//! A value that was seen, or the reason why it was not: absent is never zero.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Something read from the machine, or why it could not be.
///
/// In JSON: the value itself, or `{"absent": "reason"}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum Reading<T> {
    /// It could not be read, and why.
    Absent {
        /// The reason, for people: "PSI is off in this kernel".
        absent: String,
    },
    /// It was read.
    Seen(T),
}

// By way of a JSON value and not of serde's untagged form: that one loses numeric map keys, and its errors
// say only that no variant matched.
impl<'de, T: DeserializeOwned> Deserialize<'de> for Reading<T> {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let value = serde_json::Value::deserialize(d)?;
        if let Some(object) = value.as_object()
            && object.len() == 1
            && let Some(reason) = object.get("absent").and_then(|v| v.as_str())
        {
            return Ok(Self::absent(reason));
        }
        serde_json::from_value(value).map(Self::Seen).map_err(serde::de::Error::custom)
    }
}

/// The reason of a reading that was not tried.
const UNREAD: &str = "not read";

impl<T> Default for Reading<T> {
    // Kept without its words: a sample has hundreds of these, and an empty text costs nothing to make.
    fn default() -> Self {
        Self::Absent { absent: String::new() }
    }
}

impl<T> Reading<T> {
    /// Whether it was not tried: its source is read less often than others. Such readings are left out of files.
    pub fn is_unread(&self) -> bool {
        matches!(self, Self::Absent { absent } if absent.is_empty() || absent == UNREAD)
    }

    /// An absent reading with its reason.
    pub fn absent(reason: impl Into<String>) -> Self {
        Self::Absent { absent: reason.into() }
    }

    /// The value, if it was seen.
    pub fn seen(&self) -> Option<&T> {
        match self {
            Self::Seen(value) => Some(value),
            Self::Absent { .. } => None,
        }
    }

    /// The reason, if it was not seen.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Seen(_) => None,
            Self::Absent { absent } if absent.is_empty() => Some(UNREAD),
            Self::Absent { absent } => Some(absent),
        }
    }

    /// The same reading of something made from the value.
    pub fn map<U>(self, make: impl FnOnce(T) -> U) -> Reading<U> {
        match self {
            Self::Seen(value) => Reading::Seen(make(value)),
            Self::Absent { absent } => Reading::Absent { absent },
        }
    }

    /// A reading of something that may be absent as well.
    pub fn and_then<U>(self, make: impl FnOnce(T) -> Reading<U>) -> Reading<U> {
        match self {
            Self::Seen(value) => make(value),
            Self::Absent { absent } => Reading::Absent { absent },
        }
    }

    /// A reading from a result: the error's text is the reason.
    pub fn from_result<E: std::fmt::Display>(result: Result<T, E>) -> Self {
        match result {
            Ok(value) => Self::Seen(value),
            Err(error) => Self::absent(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absent_is_written_as_a_reason_and_seen_as_itself() {
        let seen: Reading<u64> = Reading::Seen(0);
        let absent: Reading<u64> = Reading::absent("PSI is off in this kernel");
        assert_eq!(serde_json::to_string(&seen).unwrap(), "0");
        assert_eq!(serde_json::to_string(&absent).unwrap(), r#"{"absent":"PSI is off in this kernel"}"#);
        for r in [seen, absent] {
            let text = serde_json::to_string(&r).unwrap();
            assert_eq!(serde_json::from_str::<Reading<u64>>(&text).unwrap(), r);
        }
    }

    #[test]
    fn what_was_not_tried_says_so() {
        let unread = Reading::<u64>::default();
        assert!(unread.is_unread() && !Reading::<u64>::absent("no PSI").is_unread());
        assert_eq!(unread.reason(), Some("not read"));
    }

    #[test]
    fn numeric_keys_survive_and_errors_say_what_is_wrong() {
        let read: Reading<std::collections::BTreeMap<u32, u64>> = serde_json::from_str(r#"{"8":1}"#).unwrap();
        assert_eq!(read.seen().unwrap()[&8], 1);
        let said = serde_json::from_str::<Reading<u64>>("\"x\"").unwrap_err().to_string();
        assert!(said.contains("expected u64"), "{said}");
    }
}
