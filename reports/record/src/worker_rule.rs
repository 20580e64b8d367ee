//! How many worker threads a proxy has: a number, or the rule by which a mesh derives it from the limits.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{CpuQuantity, Error};

/// The worker threads of a proxy, as they are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WorkerRule {
    /// So many; 0 stands for a cell without proxies.
    Fixed(u32),
    /// Istio's: its agent hands Envoy the CPU limit, which the downward API rounds up to whole cores; without a limit,
    /// the node's CPUs.
    Istio,
    /// Envoy's own: the least of the CPUs it may run on and the limit rounded down, and at least one.
    Envoy,
    /// Linkerd's: the limit rounded up; without one the request rounded up; with neither, one.
    Linkerd,
}

impl WorkerRule {
    /// The threads it comes to. `cpus` are those that the proxy may run on: the node's, less those that its affinity
    /// excludes.
    pub fn resolve(&self, limit: Option<CpuQuantity>, request: Option<CpuQuantity>, cpus: u32) -> u32 {
        let cpus = cpus.max(1);
        match self {
            Self::Fixed(threads) => *threads,
            Self::Istio => limit.map_or(cpus, CpuQuantity::cores_rounded_up),
            Self::Envoy => limit.map_or(cpus, |limit| (limit.millicores() / 1000).clamp(1, cpus)),
            Self::Linkerd => limit.or(request).map_or(1, CpuQuantity::cores_rounded_up),
        }
    }
}

impl FromStr for WorkerRule {
    type Err = Error;

    fn from_str(text: &str) -> crate::Result<Self> {
        match text {
            "istio" => Ok(Self::Istio),
            "envoy" => Ok(Self::Envoy),
            "linkerd" => Ok(Self::Linkerd),
            _ if text.bytes().all(|b| b.is_ascii_digit()) => match text.parse() {
                Ok(threads) if threads > 0 => Ok(Self::Fixed(threads)),
                _ => Err(Error::WorkerRule { text: text.to_owned() }),
            },
            _ => Err(Error::WorkerRule { text: text.to_owned() }),
        }
    }
}

impl fmt::Display for WorkerRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(threads) => f.pad(&threads.to_string()),
            Self::Istio => f.pad("istio"),
            Self::Envoy => f.pad("envoy"),
            Self::Linkerd => f.pad("linkerd"),
        }
    }
}

impl Serialize for WorkerRule {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for WorkerRule {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        d.deserialize_any(Visitor)
    }
}

/// Text, or a plain number as in files of before there were rules.
struct Visitor;

impl serde::de::Visitor<'_> for Visitor {
    type Value = WorkerRule;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number of worker threads, or one of istio, envoy, linkerd")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<WorkerRule, E> {
        // Written for a cell without proxies; nobody may ask for it.
        if text == "0" { Ok(WorkerRule::Fixed(0)) } else { text.parse().map_err(E::custom) }
    }

    fn visit_u64<E: serde::de::Error>(self, threads: u64) -> Result<WorkerRule, E> {
        u32::try_from(threads).map(WorkerRule::Fixed).map_err(E::custom)
    }

    fn visit_i64<E: serde::de::Error>(self, threads: i64) -> Result<WorkerRule, E> {
        u32::try_from(threads).map(WorkerRule::Fixed).map_err(E::custom)
    }
}

#[cfg(feature = "schemas")]
impl schemars::JsonSchema for WorkerRule {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "WorkerRule".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "pattern": "^([0-9]+|istio|envoy|linkerd)$",
            "description": "Worker threads of a proxy: a number, or the rule of istio, envoy or linkerd"
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cpu(text: &str) -> Option<CpuQuantity> {
        (text != "none").then(|| text.parse().unwrap())
    }

    #[test]
    fn the_rules_come_to_what_each_mesh_does() {
        // On a node of 8 CPUs.
        for (limit, istio, envoy, linkerd) in [
            ("100m", 1, 1, 1),
            ("500m", 1, 1, 1),
            ("1", 1, 1, 1),
            ("1500m", 2, 1, 2),
            ("2", 2, 2, 2),
            ("2500m", 3, 2, 3),
            ("12", 12, 8, 12),
            ("none", 8, 8, 1),
        ] {
            for (rule, want) in [(WorkerRule::Istio, istio), (WorkerRule::Envoy, envoy), (WorkerRule::Linkerd, linkerd)]
            {
                assert_eq!(rule.resolve(cpu(limit), None, 8), want, "{rule} of {limit}");
            }
        }
    }

    #[test]
    fn only_linkerd_looks_at_the_request_and_only_without_a_limit() {
        for (limit, want) in [("none", [8, 8, 3]), ("500m", [1, 1, 1])] {
            let rules = [WorkerRule::Istio, WorkerRule::Envoy, WorkerRule::Linkerd];
            assert_eq!(rules.map(|rule| rule.resolve(cpu(limit), cpu("2100m"), 8)), want);
        }
        assert_eq!(WorkerRule::Fixed(3).resolve(cpu("100m"), None, 1), 3);
    }

    #[test]
    fn text_and_rule_are_one_and_nothing_else_is_a_rule() {
        for text in ["1", "2", "64", "istio", "envoy", "linkerd"] {
            let rule: WorkerRule = text.parse().unwrap();
            assert_eq!(rule.to_string(), text);
            assert_eq!(serde_json::from_str::<WorkerRule>(&serde_json::to_string(&rule).unwrap()).unwrap(), rule);
        }
        for text in ["", "0", "-1", "Istio", "auto", "2.5", "+1", "99999999999"] {
            let said = text.parse::<WorkerRule>().unwrap_err().to_string();
            assert!(said.starts_with(&format!("'{text}' is no number of worker threads")), "{said}");
        }
    }

    #[test]
    fn a_plain_number_is_read_and_so_is_the_zero_of_a_cell_without_proxies() {
        assert_eq!(serde_json::from_str::<WorkerRule>("2").unwrap(), WorkerRule::Fixed(2));
        let none = WorkerRule::Fixed(0);
        assert_eq!(serde_json::from_str::<WorkerRule>(&serde_json::to_string(&none).unwrap()).unwrap(), none);
        assert!(serde_json::from_str::<WorkerRule>("-1").is_err());
        assert!(serde_json::from_str::<WorkerRule>("\"some\"").is_err());
    }
}
