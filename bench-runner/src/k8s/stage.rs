//! The pods of a cell: raised, awaited, and taken away again.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use record::{Cell, Dataplane, Role, RunCluster, Timing};
use scenarios::Shape;
use scenarios::cluster::{self, CellSpec, Mesh, Placement, RunSpec};
use serde_json::Value;

use super::cluster::{Cluster, List};
use super::fleet::Fleet;
use super::objects::{DEPLOYMENT, EVENT, JOB, POD};
use super::pods::{self, Awaited, Seat};
use super::reach::Reach;
use super::trouble::Trouble;
use crate::exit::Usage;

/// How long is watched before events are asked why a pod is not there.
const WATCH_FOR: Duration = Duration::from_secs(5);

/// What is the same for all cells of a run.
pub(super) struct Stage<'a> {
    cluster: &'a Cluster,
    reach: &'a Reach<'a>,
    /// What is kept of it with the run; its nodes are those of the pods of the first trials.
    pub(super) kept: RunCluster,
    placement: Placement,
    timing: Timing,
    /// How long pods may take.
    patience: Duration,
}

/// A cell with its short name.
#[derive(Clone, Copy)]
pub(super) struct Of<'a> {
    pub(super) cell: &'a Cell,
    pub(super) name: &'a str,
    pub(super) shape: &'a Shape,
}

impl<'a> Stage<'a> {
    /// The stage of a run as it is kept with it.
    ///
    /// # Errors
    /// When its placement is none, as that of a later version may be.
    pub(super) fn of(
        kept: RunCluster,
        cluster: &'a Cluster,
        reach: &'a Reach<'a>,
        timing: Timing,
    ) -> anyhow::Result<Self> {
        let placement = kept.placement.parse().map_err(Usage)?;
        let patience = Duration::from_nanos(kept.patience_ns);
        Ok(Self { cluster, reach, kept, placement, timing, patience })
    }

    fn spec(&self) -> RunSpec<'_> {
        let RunCluster { run, image, generators, service_cpu, nodes, .. } = &self.kept;
        let (generators, service_cpu) = (*generators, *service_cpu);
        RunSpec { run, image, placement: &self.placement, pins: nodes, generators, service_cpu }
    }

    /// The namespace of the run itself.
    pub(super) fn namespace(&self) -> String {
        self.spec().namespace()
    }

    fn cell_spec<'s>(&'s self, of: Of<'s>, spec: &'s RunSpec<'s>) -> CellSpec<'s> {
        CellSpec {
            run: spec,
            cell: of.name,
            id: &of.cell.id,
            factors: &of.cell.factors,
            shape: of.shape,
            timing: &self.timing,
        }
    }

    /// Puts the probe on every node, and waits for one at least.
    pub(super) fn raise_probe(&self) -> anyhow::Result<()> {
        for object in cluster::probe(&self.spec())?.objects()? {
            self.cluster.apply(&object, "mesh")?;
        }
        self.probes(|_| true).map(drop)
    }

    /// The probes that are ready, by node, once those that are needed are among them.
    fn probes(&self, enough: impl Fn(&BTreeMap<String, Seat>) -> bool) -> anyhow::Result<BTreeMap<String, Seat>> {
        let namespace = self.namespace();
        let selector = format!("meshtax/run={},meshtax/role=probe", self.kept.run);
        let list =
            List { kind: POD, namespace: &namespace, selector: &selector, what: "a probe on each node of the chain" };
        self.awaiting(&list, |all| {
            let mut seats = BTreeMap::new();
            for pod in all {
                let (parts, alone) = ([("probe".to_owned(), 1)], std::slice::from_ref(pod));
                let awaited = Awaited { parts: &parts, sidecar: None, labels: "", since: Instant::now() };
                // One that cannot run on a node without the chain is no matter of ours.
                if let Ok(Ok(found)) = awaited.look(alone) {
                    seats.extend(found.into_iter().map(|seat| (seat.node.clone(), seat)));
                }
            }
            if !seats.is_empty() && enough(&seats) {
                return Ok(Ok(seats));
            }
            all.iter().try_for_each(pods::fatal)?;
            Ok(Err(format!("{} probes are ready", seats.len())))
        })
    }

    /// Raises a cell, and waits until all of its pods are ready; from then on its parts stay on their nodes.
    pub(super) fn raise(&mut self, of: Of<'_>) -> anyhow::Result<Fleet<'a>> {
        let mesh = Mesh::of(of.cell.factors.dataplane).unwrap_or(Mesh::None);
        let (seats, namespace) = {
            let spec = self.spec();
            let cell = self.cell_spec(of, &spec);
            for mut object in cluster::cell(&cell)?.objects()? {
                self.label(&mut object);
                self.cluster.apply(&object, mesh.folder())?;
            }
            (self.seats(of, &cell, mesh)?, cell.namespace())
        };
        for seat in &seats {
            self.kept.nodes.entry(seat.part.clone()).or_insert_with(|| seat.node.clone());
        }
        let probes = self.probes(|there| seats.iter().all(|seat| there.contains_key(&seat.node)))?;
        let probes: BTreeMap<String, Seat> =
            probes.into_iter().filter(|(node, _)| seats.iter().any(|seat| seat.node == *node)).collect();
        let shared =
            if of.cell.factors.dataplane == Dataplane::IstioAmbient { self.ztunnels(&seats)? } else { Vec::new() };
        let pins = self.kept.nodes.clone();
        let (reach, service_cpu) = (self.reach, self.kept.service_cpu);
        Ok(Fleet { reach, seats, probes, shared, namespace, pins, stays: false, service_cpu })
    }

    fn label(&self, object: &mut Value) {
        if object["kind"] != "Namespace" {
            return;
        }
        for (key, value) in &self.kept.namespace_labels {
            object["metadata"]["labels"][key.as_str()] = value.as_str().into();
            // A revision and the switch for the default one exclude one another.
            if key == "istio.io/rev"
                && let Some(labels) = object["metadata"]["labels"].as_object_mut()
                && labels.get("istio-injection").and_then(Value::as_str) == Some("enabled")
            {
                labels.remove("istio-injection");
            }
        }
    }

    fn seats(&self, of: Of<'_>, spec: &CellSpec<'_>, mesh: Mesh) -> anyhow::Result<Vec<Seat>> {
        let workloads = cluster::workloads(&of.cell.factors, of.shape, &self.timing, self.kept.generators)?;
        let count = |role: Role| if role == Role::Load { self.kept.generators as usize } else { 1 };
        let parts: Vec<(String, usize)> = workloads.iter().map(|w| (w.part.clone(), count(w.role))).collect();
        let meshed: Vec<String> = workloads.iter().filter(|w| w.in_mesh).map(|w| w.part.clone()).collect();
        let namespace = spec.namespace();
        let selector = format!("meshtax/run={},meshtax/cell={}", self.kept.run, of.name);
        let list = List { kind: POD, namespace: &namespace, selector: &selector, what: "the pods of the chain" };
        let labels = if mesh == Mesh::Linkerd { "linkerd.io/inject=enabled" } else { "istio-injection=enabled" };
        let sidecar = mesh.sidecar().map(|container| (container, meshed.as_slice()));
        let awaited = Awaited { parts: &parts, sidecar, labels, since: Instant::now() };
        self.awaiting(&list, |all| awaited.look(all))
    }

    /// Watches in stretches, between which events are asked why a pod is not there.
    fn awaiting<T>(
        &self,
        list: &List<'_>,
        mut look: impl FnMut(&[Value]) -> anyhow::Result<Result<T, String>>,
    ) -> anyhow::Result<T> {
        let begun = Instant::now();
        loop {
            let left = self.patience.saturating_sub(begun.elapsed());
            let error = match self.cluster.watch(list, WATCH_FOR.min(left), &mut look) {
                Ok(found) => return Ok(found),
                Err(error) => error,
            };
            let late = error.downcast::<Trouble>()?;
            let Trouble::Late { what, namespace, last, .. } = late else { return Err(late.into()) };
            let events = self.cluster.list(EVENT, Some(list.namespace), "")?;
            let events = events.get("items").and_then(Value::as_array).cloned().unwrap_or_default();
            if let Some(trouble) = pods::not_made(&events, list.namespace) {
                return Err(trouble.into());
            }
            if begun.elapsed() >= self.patience {
                if let Some((pod, why)) = last.split_once(pods::WITHOUT_A_NODE) {
                    return Err(Trouble::Pending { pod: pod.to_owned(), why: why.to_owned() }.into());
                }
                return Err(Trouble::Late { what, namespace, seconds: self.patience.as_secs_f64(), last }.into());
            }
        }
    }

    /// The ztunnel of each node that a pod is on.
    fn ztunnels(&self, seats: &[Seat]) -> anyhow::Result<Vec<Seat>> {
        let system = Mesh::IstioAmbient.control_plane().unwrap_or_default();
        let all = self.cluster.list(POD, Some(system), "app=ztunnel")?;
        let all = all.get("items").and_then(Value::as_array).cloned().unwrap_or_default();
        let mut found: Vec<Seat> = Vec::new();
        for pod in &all {
            let name = if found.is_empty() { "node-proxy".to_owned() } else { format!("node-proxy-{}", found.len()) };
            let seat = pods::seat(name, pod);
            if seats.iter().any(|s| s.node == seat.node) {
                found.push(seat);
            }
        }
        if found.is_empty() {
            let why = format!("no pod of {system} with the label app=ztunnel is on a node of the chain");
            return Err(Trouble::NoMesh { mesh: Mesh::IstioAmbient.folder().to_owned(), why }.into());
        }
        Ok(found)
    }

    /// Looks whether the pods of a cell are still what they were.
    pub(super) fn check(&self, of: Of<'_>, seats: &[Seat]) -> anyhow::Result<()> {
        let spec = self.spec();
        let namespace = self.cell_spec(of, &spec).namespace();
        let selector = format!("meshtax/run={},meshtax/cell={}", self.kept.run, of.name);
        let all = self.cluster.list(POD, Some(&namespace), &selector)?;
        let all = all.get("items").and_then(Value::as_array).cloned().unwrap_or_default();
        all.iter().try_for_each(pods::fatal)?;
        for seat in seats {
            let there = all.iter().find(|pod| pod.pointer("/metadata/name").and_then(Value::as_str) == Some(&seat.pod));
            let why = match there {
                None => "it is gone",
                Some(pod) if pods::seat(seat.part.clone(), pod).containers != seat.containers => {
                    "a container of it was started anew"
                }
                Some(_) => continue,
            };
            return Err(Trouble::Ended { pod: seat.named(), why: why.to_owned(), log: seat.log() }.into());
        }
        Ok(())
    }

    /// Tells a cell's mesh new weights.
    pub(super) fn shift(&self, of: Of<'_>, weights: &record::Weights) -> anyhow::Result<()> {
        let spec = self.spec();
        for object in cluster::split(&self.cell_spec(of, &spec), weights)?.objects()? {
            self.cluster.apply(&object, "mesh")?;
        }
        Ok(())
    }

    /// Takes the pods of a cell away, and waits until they are gone: two cells are never there at once.
    pub(super) fn lower(&self, of: Of<'_>) -> anyhow::Result<()> {
        let spec = self.spec();
        let namespace = self.cell_spec(of, &spec).namespace();
        let selector = format!("meshtax%2Frun%3D{}", self.kept.run);
        for kind in [JOB, DEPLOYMENT] {
            let path = format!("{}?labelSelector={selector}", kind.path(Some(&namespace)));
            self.cluster.delete(&path, kind.plural, &namespace)?;
        }
        let selector = format!("meshtax/run={}", self.kept.run);
        let list = List { kind: POD, namespace: &namespace, selector: &selector, what: "the end of the pods" };
        let gone = |all: &[Value]| {
            Ok(if all.is_empty() { Ok(()) } else { Err(format!("{} pods are still there", all.len())) })
        };
        self.cluster.watch(&list, self.patience, gone)
    }
}
