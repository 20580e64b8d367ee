//! A canary: one service in several subsets, and how requests are split among them.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// More subsets than this are no canary.
const MOST_SUBSETS: usize = 8;

/// How requests are split among subsets: "v1=90,v2=10". A subset's share is its weight over the sum of all.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Weights {
    subsets: Vec<(String, u32)>,
}

impl Weights {
    /// Of names and weights; the first is the stable subset.
    ///
    /// # Errors
    /// Fewer than two subsets or too many, a name that is no label or stands twice, a sum of zero.
    pub fn new(subsets: Vec<(String, u32)>) -> Result<Self, String> {
        let label = |name: &str| {
            let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
            !name.is_empty() && name.len() <= 20 && name.bytes().all(inner) && !name.starts_with('-')
        };
        if subsets.len() < 2 || subsets.len() > MOST_SUBSETS {
            return Err(format!("{} subsets, and it takes 2 to {MOST_SUBSETS}", subsets.len()));
        }
        for (at, (name, _)) in subsets.iter().enumerate() {
            if !label(name) {
                return Err(format!("'{name}' is no name of a subset: lower case letters, digits and '-'"));
            }
            if subsets.iter().take(at).any(|(other, _)| other == name) {
                return Err(format!("subset '{name}' stands twice"));
            }
        }
        match subsets.iter().try_fold(0_u32, |sum, (_, weight)| sum.checked_add(*weight)) {
            Some(0) => Err("the weights add up to 0, so that nobody would answer".to_owned()),
            None => Err("the weights are too large".to_owned()),
            Some(_) => Ok(Self { subsets }),
        }
    }

    /// Names and weights, the stable subset first.
    pub fn subsets(&self) -> &[(String, u32)] {
        &self.subsets
    }

    /// The sum of the weights, never 0.
    pub fn total(&self) -> u32 {
        self.subsets.iter().map(|(_, weight)| weight).sum()
    }

    /// The share of a subset, 0 to 1; 0 for one that is not in it.
    pub fn share(&self, subset: &str) -> f64 {
        let weight = self.subsets.iter().find(|(name, _)| name == subset).map_or(0, |(_, weight)| *weight);
        f64::from(weight) / f64::from(self.total())
    }
}

impl FromStr for Weights {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let one = |part: &str| {
            let (name, weight) = part.split_once('=').ok_or_else(|| format!("'{part}' has no '=' and no weight"))?;
            let weight = weight.trim().trim_end_matches('%');
            let weight = weight.parse().map_err(|_| format!("'{weight}' is no weight: a whole number, such as 90"))?;
            Ok((name.trim().to_owned(), weight))
        };
        Self::new(text.split(',').map(one).collect::<Result<_, String>>()?)
    }
}

impl fmt::Display for Weights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text: Vec<String> = self.subsets.iter().map(|(name, weight)| format!("{name}={weight}")).collect();
        f.pad(&text.join(","))
    }
}

impl Serialize for Weights {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Weights {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Cow::<str>::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(feature = "schemas")]
impl schemars::JsonSchema for Weights {
    fn schema_name() -> Cow<'static, str> {
        "Weights".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "pattern": "^[a-z0-9-]+=[0-9]+(,[a-z0-9-]+=[0-9]+)+$",
            "description": "How requests are split among subsets: v1=90,v2=10"
        })
    }
}

/// New weights while the load runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Shift {
    /// When, after the measured phase has begun.
    pub at_ns: u64,
    /// From then on; of the same subsets.
    pub weights: Weights,
}

/// One service in several subsets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Canary {
    /// The service; its first subset is the stable one.
    pub service: String,
    /// How its requests are split at first.
    pub weights: Weights,
    /// CPU work of the other subsets for each request, beyond that of the stable one.
    pub work_us: u64,
    /// Of requests to the other subsets: the share that they fail, 0 to 1.
    pub error_rate: f64,
    /// How the weights change under load, in the order of time.
    pub shifts: Vec<Shift>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_read_as_they_are_written() {
        let weights: Weights = "v1=90,v2=10".parse().unwrap();
        assert_eq!(weights.to_string(), "v1=90,v2=10");
        assert_eq!((weights.share("v1"), weights.share("v2"), weights.share("v3")), (0.9, 0.1, 0.0));
        assert_eq!("v1=3, v2=1".parse::<Weights>().unwrap().share("v2"), 0.25);
        assert_eq!("v1=90%,v2=10%".parse::<Weights>().unwrap(), weights);
        assert_eq!(serde_json::from_str::<Weights>("\"v1=90,v2=10\"").unwrap(), weights);
    }

    #[test]
    fn what_is_no_split_says_why() {
        for (text, why) in [
            ("v1=90", "1 subsets, and it takes 2 to 8"),
            ("v1,v2=1", "'v1' has no '=' and no weight"),
            ("v1=x,v2=1", "'x' is no weight"),
            ("v1=1,v1=2", "subset 'v1' stands twice"),
            ("V1=1,v2=2", "'V1' is no name of a subset"),
            ("v1=0,v2=0", "the weights add up to 0"),
            ("v1=4294967295,v2=1", "the weights are too large"),
        ] {
            let said = text.parse::<Weights>().unwrap_err();
            assert!(said.contains(why), "{text}: {said}");
        }
    }
}
