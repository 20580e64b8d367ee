//! What a plan says: the recommendation, every other plan, the cliffs of the limits, and what is not shown.

use record::{CpuQuantity, Dataplane, MemoryQuantity, Reading};
use serde::{Deserialize, Serialize};

use crate::findings::Figure;
use crate::stats::Estimate;

/// Whether something in the price list holds the SLO.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum PlanVerdict {
    /// There is a recommendation.
    Holds,
    /// Nothing that was measured holds it.
    DoesNotHold,
}

/// All that a plan says; `meshtax plan --format json`. Units stand in the names; a share is 0 to 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PlanReport {
    /// The file format.
    pub schema: u32,
    /// The way figures are made.
    pub method: u32,
    /// Whether the SLO can be held.
    pub verdict: PlanVerdict,
    /// The answer in sentences, the most important first.
    pub answer: Vec<String>,
    /// What was asked.
    pub asked: PlanAsked,
    /// What is assumed of how services and requests lie on hosts, in sentences.
    pub model: Vec<String>,
    /// The cheapest that holds.
    pub recommendation: Option<Recommendation>,
    /// Each plan of the price list at its best, the cheapest first; those that do not hold last.
    pub plans: Vec<PlanRow>,
    /// The best without a mesh, where that was measured: what the mesh costs is the difference.
    pub without_mesh: Option<PlanRow>,
    /// Of the recommended plan's host: at which rate each limit breaks the SLO.
    pub cliffs: Vec<Cliff>,
    /// What would be known by measuring it, with the command.
    pub to_measure: Vec<ToMeasure>,
    /// What weakens the figures.
    pub doubts: Vec<String>,
}

/// What was asked of a plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PlanAsked {
    /// As on the command line.
    pub slo: String,
    /// Requests a second that enter the mesh.
    pub rps: f64,
    /// Services in the mesh, each with a sidecar.
    pub services: u32,
    /// What is left free of every capacity.
    pub headroom: f64,
    /// Memory of each replica of a service besides its sidecar, in bytes; absent: as the measured services have.
    pub service_memory_bytes: Option<u64>,
    /// The currency of all prices.
    pub currency: String,
    /// The price list.
    pub prices: String,
    /// The runs.
    pub runs: Vec<String>,
}

/// What to buy and what to set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Recommendation {
    /// The plan and where everything goes.
    pub plan: PlanRow,
    /// What each proxy gets.
    pub proxy: Sizing,
    /// What each replica of a service is to ask for besides: CPU at the planned rate, as the measured services used it.
    pub service_cpu_request: Option<CpuQuantity>,
    /// Its memory.
    pub service_memory: MemoryQuantity,
    /// What trials next to the planned rate of a host did.
    pub shown: Shown,
    /// How sure it is that a host holds more than is relied on, for the drawn trials: the one-sided level of the lower end.
    /// 0 where one block alone gives no interval.
    pub level_held: f64,
    /// Plans whose interval of the cost reaches below this one's: more trials may prefer them.
    pub not_told_apart: Vec<String>,
}

/// One plan of the price list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PlanRow {
    /// Its name.
    pub name: String,
    /// CPUs of one.
    pub cores: u32,
    /// Memory of one, in bytes.
    pub memory_bytes: u64,
    /// Price of one for a month.
    pub price_per_month: f64,
    /// The runs measured on it.
    pub runs: Vec<String>,
    /// How it would be used, or why it cannot be.
    #[serde(rename = "use")]
    pub placement: Reading<Placement>,
}

/// Where everything goes on the hosts of one plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Placement {
    /// The CPU limit of each proxy; none is no limit.
    pub cpu_limit: Option<CpuQuantity>,
    /// Worker threads of each proxy.
    pub workers: u32,
    /// Hosts to take: what the lower ends of capacities ask for.
    pub hosts: u64,
    /// Hosts needed: the figure, and what the ends of the capacities' intervals ask for.
    pub hosts_needed: Estimate,
    /// What the hosts to take cost for a month.
    pub cost_per_month: f64,
    /// The cost of the hosts needed.
    pub cost_needed: Estimate,
    /// Replicas of each service.
    pub replicas: u64,
    /// Replicas on a host, at most.
    pub replicas_per_host: u64,
    /// Requests a second that enter by way of each host.
    pub rps_per_host: f64,
    /// Requests a second that each replica's sidecar sees.
    pub rps_per_sidecar: f64,
    /// Requests a second at which a host holds the SLO.
    pub host_capacity: Estimate,
    /// Requests a second at which sidecars with this limit, one for each service, hold it.
    pub sidecar_capacity: Estimate,
    /// Whether the host held at its highest measured rate: its capacity is at least that.
    pub at_least: bool,
    /// The same for the sidecar.
    pub sidecar_at_least: bool,
    /// Requests a second at the SLO for each CPU of the host.
    pub rps_per_core: Estimate,
    /// Requests a second at the SLO for each unit of currency a month.
    pub rps_per_currency: Estimate,
    /// What decides the number of hosts: "rate", "memory".
    pub bound_by: Bound,
}

/// What decides the number of hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    /// The rate that a host holds.
    Rate,
    /// The CPU that proxies use while they wait.
    IdleProxies,
    /// Its memory.
    Memory,
}

/// What each proxy gets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Sizing {
    /// The dataplane that was measured.
    pub dataplane: Dataplane,
    /// Its CPU limit; none is no limit.
    pub cpu_limit: Option<CpuQuantity>,
    /// Its CPU request: what the busiest proxy uses at the planned rate, with headroom.
    pub cpu_request: CpuQuantity,
    /// Its memory request: the resident memory of the largest, with headroom.
    pub memory_request: MemoryQuantity,
    /// Its memory limit: twice the request.
    pub memory_limit: MemoryQuantity,
    /// Its worker threads.
    pub workers: u32,
    /// CPU of the busiest proxy at the planned rate.
    pub cpu_millicores: Figure,
    /// Resident memory of the largest proxy.
    pub rss_bytes: Figure,
}

/// Trials at the measured rates on either side of the planned one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Shown {
    /// At the highest measured rate that is no higher than the planned one.
    pub at_or_below: Option<HeldAt>,
    /// At the lowest measured rate that is higher.
    pub above: Option<HeldAt>,
}

/// How often the SLO held at one rate.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct HeldAt {
    /// Requests a second.
    pub rate_per_second: f64,
    /// Trials in which it held.
    pub held: u64,
    /// Trials.
    pub trials: u64,
    /// The share of trials that hold (Clopper and Pearson).
    pub share: Estimate,
}

/// At which rate a limit breaks the SLO.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Cliff {
    /// The limit.
    pub cpu_limit: CpuQuantity,
    /// Worker threads.
    pub workers: u32,
    /// Requests a second, for one sidecar of each service, at which the busiest proxy uses its quota up in the mean.
    pub quota_used_up_at: Figure,
    /// Requests a second at which the SLO breaks, predicted from CPU per request.
    pub predicted: Figure,
    /// Of quota periods at the predicted rate, the share that runs out.
    pub periods_run_out: Reading<f64>,
    /// Whether it lies beyond the rates at which CPU per request was measured.
    pub beyond_measured: bool,
    /// What a sweep of rates in the runs says of the same.
    pub measured: Option<Figure>,
    /// What `--confirm` found on this host.
    pub confirmed: Option<Confirmed>,
}

/// A cliff that was looked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Confirmed {
    /// The highest rate at which the SLO held, with the bounds between which the limit lies; n counts loads.
    pub rate: Estimate,
    /// Why the search ended.
    pub end: String,
    /// Predicted over found, less 1.
    pub apart: f64,
}

/// Something that is not known, and how it could be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ToMeasure {
    /// What would be known.
    pub what: String,
    /// The command that measures it.
    pub command: String,
}
