//! A cell in a cluster of Kubernetes: what its meshes can be, and the manifests of a cell.

mod load;
mod manifests;
mod mesh;
mod placement;
mod sheet;
mod workload;

use record::{AccessLog, Dataplane, Entry, Factors, LogSink, Platform, Protocol, WorkerRule};

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

/// Where an ingress gateway takes its clients.
pub const GATEWAY_PORT: u16 = 8443;

/// The part that an ingress gateway is, and its name in the cluster.
pub const GATEWAY: &str = "gateway";

/// Where the files of a gateway's certificate are, in its pod and in those of its clients.
pub const GATEWAY_FOLDER: &str = "/gateway";

/// The entry of a chain, as the load generator calls it.
pub fn entry_url(factors: &Factors, shape: &crate::Shape) -> String {
    if by_gateway(factors) {
        return format!("https://{GATEWAY}:{GATEWAY_PORT}/");
    }
    let first = shape.services.first().map_or("s1", |service| service.name.as_str());
    format!("http://{first}:{SERVICE_PORT}/")
}

/// Whether the load enters by an ingress gateway.
pub fn by_gateway(factors: &Factors) -> bool {
    factors.meshed() && factors.entry == Entry::Gateway
}

/// Puts a scenario into a cluster, with these meshes; without any, those of the scenario that a cluster has, or no mesh
/// beside Istio's sidecars.
///
/// Access logs go to a container's output there: that is the only sink a mesh has.
pub fn put_in(scenario: &mut Scenario, meshes: &[Dataplane]) {
    let there: Vec<Dataplane> =
        scenario.mesh.dataplane.iter().copied().filter(|d| d.of_a_cluster() || *d == Dataplane::None).collect();
    let of_a_cluster = scenario.plan.platform == Platform::Kubernetes || there.iter().any(|d| d.of_a_cluster());
    scenario.mesh.dataplane = match (meshes, of_a_cluster && !there.is_empty()) {
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
        (true, false) => {
            Some(format!("a cluster has no {}; it has istio-sidecar, istio-ambient and linkerd", f.dataplane))
        }
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

#[cfg(test)]
mod tests {
    use record::Mtls;

    use super::*;

    fn cells(text: &str, meshes: &[Dataplane]) -> crate::Matrix {
        let mut scenario = Scenario::parse(text, "s.toml").unwrap();
        put_in(&mut scenario, meshes);
        scenario.matrix().unwrap()
    }

    #[test]
    fn a_scenario_in_a_cluster_has_the_clusters_meshes_and_logs_to_the_containers_output() {
        let text = "[mesh]\ndataplane = [\"none\", \"envoy\"]\naccess_log = \"text\"\naccess_log_dir = \"/var/log\"\n";
        let cells_of = cells(text, &[]).cells;
        let found: Vec<(Dataplane, Platform)> =
            cells_of.iter().map(|c| (c.factors.dataplane, c.factors.platform)).collect();
        assert_eq!(found, [(Dataplane::None, Platform::Kubernetes), (Dataplane::IstioSidecar, Platform::Kubernetes)]);
        assert_eq!(cells_of[1].factors.access_log_to, LogSink::Stdout);
        let none = "[mesh]\ndataplane = [\"none\"]\n[plan]\nplatform = \"kubernetes\"\n";
        assert_eq!(cells(none, &[]).cells.len(), 1);
        let own = "[mesh]\ndataplane = [\"linkerd\"]\n";
        assert_eq!(cells(own, &[]).cells[0].factors.dataplane, Dataplane::Linkerd);
    }

    #[test]
    fn what_a_mesh_decides_stands_in_its_cell_and_what_it_cannot_be_is_left_out() {
        let text = "[mesh]\nmtls = [\"disable\", \"strict\"]\ncpu_limit = \"1500m\"\nworkers = 4\n";
        let matrix = cells(text, &[Dataplane::IstioSidecar, Dataplane::IstioAmbient, Dataplane::Linkerd]);
        let of = |dataplane| matrix.cells.iter().filter(|c| c.factors.dataplane == dataplane).collect::<Vec<_>>();
        let istio: Vec<Mtls> = of(Dataplane::IstioSidecar).iter().map(|c| c.factors.mtls).collect();
        assert_eq!(istio, [Mtls::Disable, Mtls::Strict]);
        assert_eq!(of(Dataplane::IstioSidecar)[0].factors.workers, 4);
        // Linkerd takes its threads from its limit, whatever was asked for.
        let [linkerd] = of(Dataplane::Linkerd)[..] else { panic!("{matrix:?}") };
        assert_eq!((linkerd.factors.workers, linkerd.factors.retries), (2, 0));
        assert!(of(Dataplane::IstioAmbient).is_empty());
        assert!(
            matrix.left_out.iter().any(|l| l.reason.contains("ztunnel serves the whole node")),
            "{:?}",
            matrix.left_out
        );
    }

    #[test]
    fn what_is_of_a_cluster_is_told_where_it_can_be_had() {
        let on_this_host = Scenario::parse("[mesh]\ndataplane = [\"none\", \"linkerd\"]\n", "s.toml").unwrap();
        let left_out = on_this_host.matrix().unwrap().left_out;
        assert!(left_out[0].reason.contains("linkerd needs a cluster: meshtax k8s run"), "{left_out:?}");
        let mut envoy = Scenario::parse("[mesh]\ndataplane = [\"none\", \"envoy\"]\n", "s.toml").unwrap();
        envoy.plan.platform = Platform::Kubernetes;
        assert!(envoy.matrix().unwrap().left_out[0].reason.contains("a cluster has no envoy"));
    }

    #[test]
    fn a_name_that_no_service_can_have_is_refused() {
        let mut shape = crate::Shape::chain(2);
        shape.services[1].name = "Front_End".to_owned();
        let timing = Scenario::default().timing;
        let said = workloads(&Factors::unmeshed(), &shape, &timing, 1).unwrap_err().to_string();
        assert!(said.contains("the service 'Front_End'") && said.contains("try: lower case letters"), "{said}");
    }
}
