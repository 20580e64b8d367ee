//! One combination of factors, and the factors' values.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::CpuQuantity;

/// What stands between two services.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Dataplane {
    /// Nothing: services call one another directly.
    None,
    /// The sidecar built into meshtax.
    Embedded,
    /// A real Envoy.
    Envoy,
}

/// How sidecars speak with one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Mtls {
    /// In clear (and always so without sidecars).
    Disable,
    /// TLS, each side verifying the other's SPIFFE identity; plaintext is refused.
    Strict,
}

/// How arrivals are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Arrival {
    /// Evenly spaced.
    Constant,
    /// Independent of one another, with exponential gaps.
    Poisson,
}

/// How the arrivals of a load come about; [`Arrival`] names those that a cell may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Process {
    /// Evenly spaced.
    Constant,
    /// Independent of one another, with exponential gaps.
    Poisson,
    /// Several at the same moment, the moments evenly spaced.
    Burst,
    /// At given moments.
    Replay,
    /// Each when the one before on its connection was answered: a closed loop.
    Closed,
}

impl From<Arrival> for Process {
    fn from(arrival: Arrival) -> Self {
        match arrival {
            Arrival::Constant => Self::Constant,
            Arrival::Poisson => Self::Poisson,
        }
    }
}

/// How the generator waits for the next due time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Pace {
    /// Always spinning: takes a whole core.
    Precise,
    /// Sleeps, then spins the last microseconds.
    Hybrid,
    /// Sleeps only, and puts together what falls due within a window.
    Economy,
}

/// Where services and sidecars run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Platform {
    /// Processes on loopback of this host; needs no privilege.
    Processes,
}

macro_rules! words {
    ($($type:ident { $($variant:ident => $word:literal),+ $(,)? })+) => {$(
        impl $type {
            /// Every value, in the order of the documentation.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The word for it in files and on the command line.
            pub fn word(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.word())
            }
        }

        impl std::str::FromStr for $type {
            type Err = String;

            /// # Errors
            /// A text that is none of the words, with the words.
            fn from_str(text: &str) -> Result<Self, String> {
                Self::ALL.iter().copied().find(|v| v.word() == text).ok_or_else(|| {
                    let words: Vec<&str> = Self::ALL.iter().map(|v| v.word()).collect();
                    format!("'{text}' is none of {}", words.join(", "))
                })
            }
        }
    )+};
}

words! {
    Dataplane { None => "none", Embedded => "embedded", Envoy => "envoy" }
    Mtls { Disable => "disable", Strict => "strict" }
    Arrival { Constant => "constant", Poisson => "poisson" }
    Process {
        Constant => "constant", Poisson => "poisson", Burst => "burst", Replay => "replay", Closed => "closed",
    }
    Pace { Precise => "precise", Hybrid => "hybrid", Economy => "economy" }
    Platform { Processes => "processes" }
}

/// The factors of a cell. Two cells are compared only if they differ in what is declared to differ.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Factors {
    /// The shape's name: "chain3".
    pub chain: String,
    /// Services in it.
    pub services: u32,
    /// Edges a request crosses, the one into the first service counted: hops that carry the tax.
    pub hops: u32,
    /// What stands between two services.
    pub dataplane: Dataplane,
    /// How sidecars speak with one another.
    pub mtls: Mtls,
    /// The CPU limit of each proxy, as Kubernetes writes it; none is no limit.
    #[serde(with = "limit")]
    #[schemars(with = "String")]
    pub cpu_limit: Option<CpuQuantity>,
    /// Worker threads of each proxy; 0 without proxies.
    pub workers: u32,
    /// CPU work of each service for each request.
    pub work_us: u64,
    /// Body bytes of each response.
    pub response_bytes: u64,
    /// Requests per second into the chain.
    pub rate_per_second: f64,
    /// Connections of the load generator.
    pub connections: u32,
    /// How arrivals are drawn.
    pub arrival: Arrival,
    /// How the generator waits.
    pub pace: Pace,
    /// Where it runs.
    pub platform: Platform,
    /// 0, and 1 for the second of two equal cells of an A/A pair.
    pub twin: u32,
}

mod limit {
    //! `none` or a quantity.
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::CpuQuantity;

    #[allow(clippy::ref_option)] // serde calls it with this shape
    pub(super) fn serialize<S: Serializer>(limit: &Option<CpuQuantity>, s: S) -> Result<S::Ok, S::Error> {
        match limit {
            Some(q) => s.collect_str(q),
            None => s.serialize_str("none"),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Option<CpuQuantity>, D::Error> {
        let text = String::deserialize(d)?;
        if text == "none" {
            return Ok(None);
        }
        text.parse().map(Some).map_err(serde::de::Error::custom)
    }
}

impl Factors {
    /// Whether there are proxies.
    pub fn meshed(&self) -> bool {
        self.dataplane != Dataplane::None
    }

    /// The factors of the unmeshed cell that this one is compared with.
    pub fn baseline(&self) -> Factors {
        Factors {
            dataplane: Dataplane::None,
            mtls: Mtls::Disable,
            cpu_limit: None,
            workers: 0,
            twin: 0,
            ..self.clone()
        }
    }

    /// The factors in which two cells differ, by name, with both values.
    pub fn differences(&self, other: &Factors) -> Vec<(&'static str, String, String)> {
        // Destructured, so that a new factor does not compile until it is compared here.
        let Factors {
            chain,
            services,
            hops,
            dataplane,
            mtls,
            cpu_limit,
            workers,
            work_us,
            response_bytes,
            rate_per_second,
            connections,
            arrival,
            pace,
            platform,
            twin,
        } = self;
        let limit = |l: &Option<CpuQuantity>| l.map_or_else(|| "none".to_owned(), |q| q.to_string());
        let all = [
            ("chain", chain.clone(), other.chain.clone()),
            ("services", services.to_string(), other.services.to_string()),
            ("hops", hops.to_string(), other.hops.to_string()),
            ("dataplane", dataplane.to_string(), other.dataplane.to_string()),
            ("mtls", mtls.to_string(), other.mtls.to_string()),
            ("cpu_limit", limit(cpu_limit), limit(&other.cpu_limit)),
            ("workers", workers.to_string(), other.workers.to_string()),
            ("work_us", work_us.to_string(), other.work_us.to_string()),
            ("response_bytes", response_bytes.to_string(), other.response_bytes.to_string()),
            ("rate_per_second", rate_per_second.to_string(), other.rate_per_second.to_string()),
            ("connections", connections.to_string(), other.connections.to_string()),
            ("arrival", arrival.to_string(), other.arrival.to_string()),
            ("pace", pace.to_string(), other.pace.to_string()),
            ("platform", platform.to_string(), other.platform.to_string()),
            ("twin", twin.to_string(), other.twin.to_string()),
        ];
        all.into_iter().filter(|(_, a, b)| a != b).collect()
    }
}

/// One cell of the plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Cell {
    /// Short and unique in the run: "chain3-envoy-500m".
    pub id: String,
    /// What it is for people: "envoy, 500m", naming only what varies in the run.
    pub label: String,
    /// Its factors.
    pub factors: Factors,
}
