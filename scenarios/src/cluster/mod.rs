//! A cell in a cluster of Kubernetes: what its meshes can be, and the manifests of a cell.

mod load;
mod manifests;
mod mesh;
mod placement;
mod sheet;
mod workload;

use record::{AccessLog, Dataplane, Factors, LogSink, Platform, Protocol, WorkerRule};

use crate::{Error, Scenario};
pub use load::{Share, share};
pub use manifests::{Documents, cell, probe, runner, split};
pub use mesh::{Mesh, cannot};
pub use placement::{Pins, Placement};
pub use sheet::{CellSpec, RunSpec, RunnerSpec};
pub use workload::{Workload, workloads};

/// Where a pod of a run listens for its runner.
pub const ATTEND_PORT: u16 = 9469;

/// Where services listen.
pub const SERVICE_PORT: u16 = 8080;

/// The entry of a chain, as the load generator calls it.
pub fn entry_url(shape: &crate::Shape) -> String {
    let first = shape.services.first().map_or("s1", |service| service.name.as_str());
    format!("http://{first}:{SERVICE_PORT}/")
}

/// Puts a scenario into a cluster, with these meshes; without any, those of the scenario that a cluster has, or no mesh
/// beside Istio's sidecars.
///
/// Access logs go to a container's output there: that is the only sink a mesh has.
pub fn put_in(scenario: &mut Scenario, meshes: &[Dataplane]) {
    let there: Vec<Dataplane> =
        scenario.mesh.dataplane.iter().copied().filter(|d| d.of_a_cluster() || *d == Dataplane::None).collect();
    scenario.mesh.dataplane = match (meshes, there.iter().any(|d| d.of_a_cluster())) {
        ([], true) => there,
        ([], false) => vec![Dataplane::None, Dataplane::IstioSidecar],
        (asked, _) => asked.to_vec(),
    };
    scenario.plan.platform = Platform::Kubernetes;
    scenario.mesh.access_log_to = vec![LogSink::Stdout];
    scenario.mesh.access_log_dir = vec![String::new()];
}

/// Why a dataplane and a platform do not go together; none if they do.
pub(crate) fn elsewhere(f: &Factors) -> Option<String> {
    match (f.platform == Platform::Kubernetes, f.dataplane.of_a_cluster()) {
        (true, false) => Some(format!("a cluster has no {}; it has istio-sidecar, istio-ambient and linkerd", f.dataplane)),
        (false, true) => Some(format!("{} needs a cluster: meshtax k8s run", f.dataplane)),
        (true, true) | (false, false) => None,
    }
}

/// The error of what only `meshtax k8s run` has.
pub(crate) fn only_there(what: &str, word: &str) -> Error {
    Error::Value {
        what: what.to_owned(),
        problem: format!("{word} is of a cluster, and nothing that is started on this host"),
        remedy: "meshtax k8s run SCENARIO".to_owned(),
    }
}

/// Puts each factor that a cluster's mesh decides to what it then is, so that a cell says what it will be.
pub(crate) fn settle(f: &mut Factors) {
    if f.access_log == AccessLog::Off {
        f.access_log_to = Factors::unmeshed().access_log_to;
    }
    match f.dataplane {
        // It carries bytes: there is no try but the caller's, no request to count, and no worker of ours to set.
        Dataplane::IstioAmbient => {
            (f.retries, f.requests_per_connection) = (0, 0);
            (f.workers, f.worker_rule) = (0, WorkerRule::Fixed(0));
            f.protocol = Factors::unmeshed().protocol;
        }
        // It tries again where a Service asks it to, looks at the first bytes of each connection, and takes its threads
        // from its limit.
        Dataplane::Linkerd => {
            f.retries = 0;
            f.protocol = Protocol::Auto;
            f.worker_rule = WorkerRule::Linkerd;
            f.workers = f.worker_rule.resolve(f.cpu_limit, f.cpu_request, 1);
        }
        // Without a limit Istio's rule is the CPUs of a node that nobody knows yet.
        Dataplane::IstioSidecar if f.worker_rule == WorkerRule::Istio && f.cpu_limit.is_none() => f.workers = 0,
        _ => {}
    }
}
