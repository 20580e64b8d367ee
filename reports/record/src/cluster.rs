//! The cluster of a run that was made in one, and how the run stands in it: what it needs to go on there.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::CpuQuantity;

/// The cluster of a run; `cluster.json`, written with `run.json`. Only `nodes` grows, when a cell has parts that none had
/// before it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct RunCluster {
    /// The file format.
    pub schema: u32,
    /// The run's name as the cluster has it: a label, and a part of namespaces' names.
    pub run: String,
    /// The context of the kubeconfig; none for the cluster that the runner was in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<String>,
    /// The uid of its namespace kube-system, which no other cluster has.
    pub uid: String,
    /// Its version: "v1.37.0".
    pub kubernetes: String,
    /// The image of this program.
    pub image: String,
    /// The rule by which pods are placed: "together".
    pub placement: String,
    /// Load generators.
    pub generators: u32,
    /// The CPU limit of each service; none is no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_cpu: Option<CpuQuantity>,
    /// How long pods may take until they are ready.
    pub patience_ns: u64,
    /// Labels of each cell's namespace beside ours: "istio.io/rev" -> "canary".
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub namespace_labels: BTreeMap<String, String>,
    /// Where each part stands, from its first trial on: "s1" -> "node-a".
    pub nodes: BTreeMap<String, String>,
}
