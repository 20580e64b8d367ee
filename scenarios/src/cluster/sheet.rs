//! What a template is told of a run, of a cell and of a pod.

use std::collections::BTreeMap;

use record::{AccessLog, CpuQuantity, Factors, MemoryQuantity, Mtls, Role, Sidecars, Timing, WorkerRule};
use serde::Serialize;

use super::placement::Affinity;
use super::workload::{Workload, ports};
use super::{ATTEND_PORT, GATEWAY_FOLDER, GATEWAY_PORT, Mesh, Pins, Placement, SERVICE_PORT, by_gateway};
use crate::certs::{Authority, GATEWAY_NAME};
use crate::proxy::envoy::log;
use crate::{Result, Shape};

/// What is the same for all pods of a run.
#[derive(Clone, Debug)]
pub struct RunSpec<'a> {
    /// The run's short name, a part of namespaces' names and a label of everything: "a1b2".
    pub run: &'a str,
    /// The image of this program.
    pub image: &'a str,
    /// The rule by which pods are placed.
    pub placement: &'a Placement,
    /// Where parts stand that have no choice.
    pub pins: &'a Pins,
    /// Load generators.
    pub generators: u32,
    /// The CPU limit of each service; none is no limit.
    pub service_cpu: Option<CpuQuantity>,
}

/// A cell of a run.
#[derive(Clone, Debug)]
pub struct CellSpec<'a> {
    /// Its run.
    pub run: &'a RunSpec<'a>,
    /// Its short name, a part of its namespace's name: "c2".
    pub cell: &'a str,
    /// Its name in the run: "chain3-istio-sidecar".
    pub id: &'a str,
    /// Its factors.
    pub factors: &'a Factors,
    /// The services and their calls.
    pub shape: &'a Shape,
    /// How long a trial's phases are.
    pub timing: &'a Timing,
}

/// The runner inside of the cluster.
#[derive(Clone, Debug)]
pub struct RunnerSpec<'a> {
    /// The image of this program.
    pub image: &'a str,
    /// The scenario, in TOML.
    pub scenario: &'a str,
    /// What `meshtax k8s run` is told beside it.
    pub args: &'a [String],
    /// Whether it tells Istio anything.
    pub istio: bool,
    /// Whether it has Istio write its log in JSON.
    pub json_log: bool,
    /// Whether it makes a gateway.
    pub gateway: bool,
}

impl RunSpec<'_> {
    /// The namespace of the probe, which is there as long as the run is.
    pub fn namespace(&self) -> String {
        format!("meshtax-{}", self.run)
    }

    pub(super) fn labels(&self) -> BTreeMap<&'static str, String> {
        BTreeMap::from([
            ("app.kubernetes.io/name", "meshtax".to_owned()),
            ("app.kubernetes.io/managed-by", "meshtax".to_owned()),
            ("meshtax/run", self.run.to_owned()),
        ])
    }
}

impl CellSpec<'_> {
    /// Its namespace.
    pub fn namespace(&self) -> String {
        format!("meshtax-{}-{}", self.run.run, self.cell)
    }

    pub(super) fn labels(&self) -> BTreeMap<&'static str, String> {
        let mut labels = self.run.labels();
        labels.insert("meshtax/cell", self.cell.to_owned());
        labels
    }
}

/// What is the same in all templates of a cell.
#[derive(Debug, Serialize)]
pub(super) struct Sheet {
    run: String,
    namespace: String,
    image: String,
    common: BTreeMap<&'static str, String>,
    attend_port: u16,
    service_port: u16,
    generators: u32,
    at_most_seconds: u64,
    mtls: Mtls,
    port_mtls: Option<Mtls>,
    own_port_mtls: Mtls,
    sidecars: Sidecars,
    retries: u32,
    requests_per_connection: u32,
    access_log: AccessLog,
    cpu_limit: Option<String>,
    cpu_request: String,
    memory_limit: Option<String>,
    memory_request: String,
    concurrency: Option<u32>,
    services: Vec<ServiceSheet>,
    tls_counters: &'static str,
    secret_ttl: Option<String>,
    log_fields: Vec<log::Field>,
    has_gateway: bool,
    gateway_port: u16,
    gateway_folder: &'static str,
    door: Option<DoorSheet>,
}

/// What a gateway shows to its clients, PEM.
#[derive(Debug, Serialize)]
struct DoorSheet {
    certificate: String,
    key: String,
    authority: String,
}

impl DoorSheet {
    fn new() -> Result<Self> {
        let shown = Authority::new()?.issue_server(GATEWAY_NAME)?;
        let (certificate, key, authority) = shown.pems();
        let text = str::to_owned;
        Ok(Self { certificate: text(certificate), key: text(key), authority: text(authority) })
    }
}

/// A service as callers know it.
#[derive(Debug, Serialize)]
struct ServiceSheet {
    name: String,
    subsets: Vec<SubsetSheet>,
}

#[derive(Debug, Serialize)]
struct SubsetSheet {
    name: String,
    /// Of 100, as Istio's check of several destinations wants it.
    weight: u32,
}

/// What Istio's and Linkerd's proxies ask for where nobody says otherwise (Istio's chart: global.proxy.resources.requests).
const CPU_REQUEST_MILLICORES: u32 = 100;
const MEMORY_REQUEST: &str = "128Mi";
const MEMORY_REQUEST_BYTES: u64 = 128 << 20;

/// The counters of Envoy by which TLS is proven: handshakes at a sidecar's inbound listener and at a gateway's.
const TLS_COUNTERS: &str = r"listener\..*_(15006|8443)\.ssl\.handshake";

/// Of how many such spans a certificate's life is, when it is replaced after one: a clock that is wrong by a few seconds, or
/// an authority that is slow, must not leave a proxy with one that has run out.
const RENEWED_AFTER: u64 = 10;

/// The longest a Job of load generators may last beyond its trial: pods start, images are pulled.
const JOB_GRACE_SECONDS: u64 = 900;

impl Sheet {
    pub(super) fn of(spec: &CellSpec<'_>) -> Self {
        let (run, f, timing) = (spec.run, spec.factors, spec.timing);
        let whole_ns = timing.settle_ns + timing.warm_up_ns + timing.measure_ns + timing.cool_down_ns;
        Self {
            run: run.run.to_owned(),
            namespace: spec.namespace(),
            image: run.image.to_owned(),
            common: spec.labels(),
            attend_port: ATTEND_PORT,
            service_port: SERVICE_PORT,
            generators: run.generators,
            at_most_seconds: whole_ns / 1_000_000_000 + JOB_GRACE_SECONDS,
            mtls: f.mtls,
            port_mtls: f.port_mtls,
            own_port_mtls: f.own_port_mtls(),
            sidecars: f.sidecars,
            retries: f.retries,
            requests_per_connection: f.requests_per_connection,
            access_log: f.access_log,
            cpu_limit: f.cpu_limit.map(|limit| limit.to_string()),
            cpu_request: cpu_request(f),
            memory_limit: f.memory_limit.map(|limit| limit.to_string()),
            memory_request: memory_request(f.memory_limit),
            concurrency: (f.worker_rule != WorkerRule::Istio && f.workers > 0).then_some(f.workers),
            services: spec.shape.services.iter().map(|s| ServiceSheet::of(&s.name, f)).collect(),
            tls_counters: TLS_COUNTERS,
            secret_ttl: (f.rotate_ns > 0)
                .then(|| format!("{}ms", f.rotate_ns.saturating_mul(RENEWED_AFTER) / 1_000_000)),
            log_fields: log::FIELDS.to_vec(),
            has_gateway: by_gateway(f),
            gateway_port: GATEWAY_PORT,
            gateway_folder: GATEWAY_FOLDER,
            door: None,
        }
    }

    /// The same with a certificate for its gateway, where it has one.
    pub(super) fn with_door(mut self) -> Result<Self> {
        if self.has_gateway {
            self.door = Some(DoorSheet::new()?);
        }
        Ok(self)
    }
}

/// A request above the limit is refused.
fn cpu_request(f: &Factors) -> String {
    let usual = CPU_REQUEST_MILLICORES.min(f.cpu_limit.map_or(u32::MAX, CpuQuantity::millicores));
    f.cpu_request.map_or_else(|| format!("{usual}m"), |request| request.to_string())
}

fn memory_request(limit: Option<MemoryQuantity>) -> String {
    match limit {
        Some(limit) if limit.bytes() < MEMORY_REQUEST_BYTES => limit.to_string(),
        _ => MEMORY_REQUEST.to_owned(),
    }
}

impl ServiceSheet {
    fn of(name: &str, f: &Factors) -> Self {
        let canary = f.canary.as_ref().filter(|canary| canary.service == name);
        let subset = |(name, weight): &(String, u32)| SubsetSheet { name: name.clone(), weight: *weight };
        let subsets = canary.map(|canary| canary.weights.subsets().iter().map(subset).collect()).unwrap_or_default();
        Self { name: name.to_owned(), subsets }
    }
}

/// What a template is told of a pod.
#[derive(Debug, Serialize)]
pub(super) struct PodSheet {
    part: String,
    role: &'static str,
    says: &'static str,
    restart: &'static str,
    container: &'static str,
    args: Vec<String>,
    ports: Vec<PortSheet>,
    cpu: &'static str,
    memory: &'static str,
    memory_limit: Option<String>,
    cpu_limit: Option<String>,
    affinity: Option<Affinity>,
    trusts_gateway: bool,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
}

#[derive(Debug, Serialize)]
struct PortSheet {
    name: &'static str,
    number: u16,
}

/// Labels and annotations that a mesh wants.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Marks {
    #[serde(default)]
    pub(super) labels: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) annotations: BTreeMap<String, String>,
}

impl PodSheet {
    pub(super) fn of(spec: &CellSpec<'_>, workload: &Workload, marks: Marks) -> Self {
        let Marks { labels: mut all, annotations } = marks;
        let is_load = workload.role == Role::Load;
        let (role, says, container) = described(workload.role);
        let side = if is_load { "load" } else { "chain" };
        for (key, value) in spec.labels() {
            all.insert(key.to_owned(), value);
        }
        for (key, value) in [
            ("meshtax/part", workload.part.as_str()),
            ("meshtax/role", role),
            ("meshtax/side", side),
            ("app", workload.service.as_deref().unwrap_or(&workload.part)),
            ("version", workload.subset.as_deref().unwrap_or("v1")),
        ] {
            all.insert(key.to_owned(), value.to_owned());
        }
        let run = spec.run;
        Self {
            part: workload.part.clone(),
            role,
            says,
            restart: if is_load { "Never" } else { "Always" },
            container,
            args: workload.args.clone(),
            ports: ports(workload).into_iter().map(|(name, number)| PortSheet { name, number }).collect(),
            cpu: if is_load { "250m" } else { "20m" },
            memory: if is_load { "64Mi" } else { "32Mi" },
            // A neighbour takes what it can get: that is what it is for.
            memory_limit: (workload.role != Role::Neighbour).then(|| if is_load { "1Gi" } else { "512Mi" }.to_owned()),
            cpu_limit: run.service_cpu.filter(|_| workload.role == Role::Service).map(|limit| limit.to_string()),
            trusts_gateway: is_load && by_gateway(spec.factors),
            affinity: run.placement.affinity(run.run, spec.cell, &workload.part, is_load, run.pins),
            labels: all,
            annotations,
        }
    }
}

fn described(role: Role) -> (&'static str, &'static str, &'static str) {
    match role {
        Role::Load => ("load", "makes the load", "load"),
        Role::Gateway => ("gateway", "is in front of the chain", "attend"),
        Role::Neighbour => ("neighbour", "is at work on the same node, to be in the way", "neighbour"),
        _ => ("service", "a service of the chain", "service"),
    }
}

/// What a mesh's folder is told to say the marks of a pod.
#[derive(Debug, Serialize)]
pub(super) struct Marked<'a> {
    #[serde(flatten)]
    pub(super) sheet: &'a Sheet,
    pub(super) in_mesh: bool,
    pub(super) role: &'static str,
}

impl<'a> Marked<'a> {
    pub(super) fn of(sheet: &'a Sheet, workload: &Workload) -> Self {
        Self { sheet, in_mesh: workload.in_mesh, role: described(workload.role).0 }
    }
}

/// The mesh of a cell's factors; none's for a dataplane that no cluster has, which the matrix leaves out.
pub(super) fn mesh(factors: &Factors) -> Mesh {
    Mesh::of(factors.dataplane).unwrap_or(Mesh::None)
}
