//! The noisy neighbour of a trial: how many threads of it take CPU, disk and memory bandwidth.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::Error;

/// The most threads of one kind; more would be a mistake in typing.
const MOST_THREADS: u32 = 1024;

/// A noisy neighbour, as `cpu:2+disk:1`; the default is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Neighbour {
    /// Threads that spin.
    pub cpu: u32,
    /// Threads that write to a disk past the page cache.
    pub disk: u32,
    /// Threads that stream over more memory than the last cache holds.
    pub memory: u32,
}

impl Neighbour {
    /// Whether there is none.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    fn kinds(self) -> [(&'static str, u32); 3] {
        let Self { cpu, disk, memory } = self;
        [("cpu", cpu), ("disk", disk), ("memory", memory)]
    }
}

impl FromStr for Neighbour {
    type Err = Error;

    fn from_str(text: &str) -> crate::Result<Self> {
        let bad = |reason| Error::Neighbour { text: text.to_owned(), reason };
        let mut neighbour = Self::default();
        if text == "none" {
            return Ok(neighbour);
        }
        for word in text.split('+') {
            let (kind, count) = word.split_once(':').ok_or_else(|| bad("each part is a kind, ':' and a number"))?;
            let threads = match kind {
                "cpu" => &mut neighbour.cpu,
                "disk" => &mut neighbour.disk,
                "memory" => &mut neighbour.memory,
                _ => return Err(bad("a kind is one of cpu, disk, memory")),
            };
            if *threads != 0 {
                return Err(bad("a kind stands in it twice"));
            }
            let whole = count.bytes().all(|b| b.is_ascii_digit()).then(|| count.parse().ok()).flatten();
            *threads = whole
                .filter(|n| (1..=MOST_THREADS).contains(n))
                .ok_or_else(|| bad("the number of threads is from 1 to 1024"))?;
        }
        Ok(neighbour)
    }
}

impl fmt::Display for Neighbour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_none() {
            return f.pad("none");
        }
        let kinds = self.kinds().into_iter().filter(|(_, threads)| *threads > 0);
        let words: Vec<String> = kinds.map(|(kind, threads)| format!("{kind}:{threads}")).collect();
        f.pad(&words.join("+"))
    }
}

impl Serialize for Neighbour {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Neighbour {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(d)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(feature = "schemas")]
impl schemars::JsonSchema for Neighbour {
    fn schema_name() -> Cow<'static, str> {
        "Neighbour".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "pattern": "^(none|(cpu|disk|memory):[0-9]+(\\+(cpu|disk|memory):[0-9]+)*)$",
            "description": "A noisy neighbour: none, or threads of a kind as cpu:2, disk:1, memory:1, joined by +"
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_of_each_kind_are_read_in_any_order_and_shown_in_one() {
        for (text, cpu, disk, memory, shown) in [
            ("none", 0, 0, 0, "none"),
            ("cpu:2", 2, 0, 0, "cpu:2"),
            ("disk:1", 0, 1, 0, "disk:1"),
            ("memory:1+cpu:12", 12, 0, 1, "cpu:12+memory:1"),
            ("disk:3+memory:2+cpu:1", 1, 3, 2, "cpu:1+disk:3+memory:2"),
        ] {
            let neighbour: Neighbour = text.parse().unwrap();
            assert_eq!(neighbour, Neighbour { cpu, disk, memory });
            assert_eq!(neighbour.to_string(), shown);
            assert_eq!(neighbour.is_none(), text == "none");
            let json = serde_json::to_string(&neighbour).unwrap();
            assert_eq!(json, format!("\"{shown}\""));
            assert_eq!(serde_json::from_str::<Neighbour>(&json).unwrap(), neighbour);
        }
    }

    #[test]
    fn what_is_no_neighbour_is_refused_with_its_text() {
        for text in
            ["", "cpu", "cpu:", "cpu:0", "cpu:-1", "cpu:+1", "gpu:1", "cpu:1+cpu:2", "cpu:1+", "none+cpu:1", "cpu:1025"]
        {
            let said = text.parse::<Neighbour>().unwrap_err().to_string();
            assert!(said.starts_with(&format!("'{text}' is no neighbour: ")) && said.contains("try: "), "{said}");
        }
    }
}
