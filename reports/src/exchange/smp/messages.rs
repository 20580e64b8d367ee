//! The messages of the Service Mesh Performance specification, with those of their fields that a run can fill.
//!
//! A field that is left out has its default in protocol buffers; what was not measured is left out and never 0.

use std::collections::BTreeMap;

use serde::Serialize;

/// The version of the specification.
pub(super) const VERSION: &str = "v0.0.1";

#[derive(Serialize)]
pub(super) struct PerformanceTestConfig {
    pub(super) smp_version: &'static str,
    pub(super) id: String,
    pub(super) name: String,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) clients: Vec<Client>,
    pub(super) duration: String,
}

#[derive(Serialize)]
pub(super) struct Client {
    /// Whether it runs where the mesh does.
    pub(super) internal: bool,
    pub(super) load_generator: String,
    pub(super) protocol: &'static str,
    pub(super) connections: i32,
    pub(super) rps: i64,
    pub(super) endpoint_urls: Vec<String>,
}

#[derive(Serialize)]
pub(super) struct PerformanceTestResult {
    pub(super) smp_version: &'static str,
    pub(super) id: String,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) start_time: String,
    pub(super) end_time: String,
    pub(super) latencies_ms: Latency,
    pub(super) actual_qps: f64,
    /// Where the extension is: a file beside this one.
    pub(super) details_uri: String,
    pub(super) test_id: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) mesh_config_id: String,
    pub(super) env_id: String,
}

#[derive(Serialize)]
pub(super) struct Latency {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) min: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) average: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) p50: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) p90: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) p99: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) max: Option<f64>,
}

#[derive(Serialize)]
pub(super) struct ServiceMeshConfig {
    pub(super) smp_version: &'static str,
    pub(super) id: String,
    pub(super) labels: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ingress_gateway: Option<Gateway>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) sidecar: Option<Sidecars>,
    pub(super) mtls_enabled: bool,
    pub(super) proxy_concurrency: i32,
    pub(super) proxy_build: String,
    pub(super) exp_group_uuid: String,
}

#[derive(Serialize)]
pub(super) struct Gateway {
    pub(super) count: i32,
    pub(super) cpu_mcores: i32,
    pub(super) mem_mb: i32,
    pub(super) rps: i32,
}

/// All sidecars together.
#[derive(Serialize)]
pub(super) struct Sidecars {
    pub(super) count: i32,
    pub(super) cpu_mcores: i32,
    pub(super) mem_mb: i32,
    pub(super) rps: i32,
}

#[derive(Serialize)]
pub(super) struct EnvironmentConfig {
    pub(super) smp_version: &'static str,
    pub(super) id: String,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) nodes: Vec<Node>,
}

#[derive(Serialize)]
pub(super) struct Node {
    pub(super) r#type: String,
    pub(super) cores: i32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) mem_mb: Option<i64>,
}
