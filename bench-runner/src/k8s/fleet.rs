//! The pods of a cell that are ready, with the probes of their nodes: whether they answer, and who they are.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use record::{EdgeReadings, Part, Reading, Role};
use scenarios::Shape;
use scenarios::cluster::{self, Mesh};

use super::clocks::Clocks;
use super::pods::Seat;
use super::reach::Reach;
use super::trouble::Trouble;
use crate::interrupt::Interrupt;
use crate::pod::words::{self, Found, FoundPart, Tried, Watched};

/// How long pods may take to be usable once they are there, and the chain to answer through its mesh.
const ANSWER_PATIENCE: Duration = Duration::from_secs(90);

/// Pods that are ready, and how they are reached.
pub(super) struct Fleet<'a> {
    pub(super) reach: &'a Reach<'a>,
    /// The pods of the cell.
    pub(super) seats: Vec<Seat>,
    /// The probe of each node that one of them is on.
    pub(super) probes: BTreeMap<String, Seat>,
    /// Pods of the mesh itself that are a part: the ztunnel of each node.
    pub(super) shared: Vec<Seat>,
    /// The namespace, as a mesh's counters name it.
    pub(super) namespace: String,
    /// Where each part is to be.
    pub(super) pins: BTreeMap<String, String>,
    /// Whether the pods are of use after the trial, since nobody makes others.
    pub(super) stays: bool,
    /// The CPU limit of each service.
    pub(super) service_cpu: Option<record::CpuQuantity>,
}

impl Fleet<'_> {
    pub(super) fn of(&self, role: Role) -> Vec<&Seat> {
        self.seats.iter().filter(|seat| role_of(seat) == role).collect()
    }

    /// Waits until every pod can be used, and a request has gone all the way and come back.
    pub(super) fn answers(&self, shape: &Shape, interrupt: &Interrupt) -> anyhow::Result<()> {
        let begun = Instant::now();
        let Some(load) = self.of(Role::Load).into_iter().next() else { anyhow::bail!("there is no load generator") };
        let expected = shape.visits().len();
        let mut calls = shape.services.iter().flat_map(|service| &service.steps).flat_map(|step| &step.calls);
        let certain = calls.all(|call| call.probability >= 1.0);
        loop {
            let last = match self.unready()? {
                Some(why) => why,
                None => {
                    let tried: Tried = self.reach.order(load, words::TRY, &())?;
                    let whole = if certain { tried.hops.len() == expected } else { !tried.hops.is_empty() };
                    if tried.status == 200 && whole {
                        return Ok(());
                    }
                    let said = tried.said.lines().next().unwrap_or_default();
                    let hops = tried.hops.len();
                    format!(
                        "a request to {} was answered with {} by {hops} of {expected} hops {said}",
                        tried.address, tried.status
                    )
                }
            };
            if begun.elapsed() > ANSWER_PATIENCE {
                let (what, namespace) = ("an answer of the chain through its mesh".to_owned(), load.namespace.clone());
                return Err(Trouble::Late { what, namespace, seconds: ANSWER_PATIENCE.as_secs_f64(), last }.into());
            }
            interrupt.sleep(Duration::from_millis(300), || Ok(()))?;
        }
    }

    /// What is not ready yet, if anything.
    fn unready(&self) -> anyhow::Result<Option<String>> {
        for seat in &self.seats {
            match self.reach.says(seat)?.phase {
                words::Phase::Failed { problem } => return Err(ended(seat, problem)),
                words::Phase::Waiting { waits_for } => return Ok(Some(format!("{} waits for {waits_for}", seat.part))),
                words::Phase::Starting => return Ok(Some(format!("{} starts", seat.part))),
                // A load that was fetched can be held anew.
                words::Phase::Ready | words::Phase::Done => {}
                words::Phase::Running => return Ok(Some(format!("{} is at work", seat.part))),
            }
        }
        Ok(None)
    }

    /// The mesh's proxies, by the names of their parts: sidecars, a gateway, and those of whole nodes.
    pub(super) fn proxies(&self) -> Vec<(String, &Seat)> {
        let of_mesh = |seat: &&Seat| seat.containers.iter().any(|container| sidecar_of(&container.name));
        self.seats.iter().chain(&self.shared).filter(of_mesh).map(|seat| (proxy_name(seat), seat)).collect()
    }

    /// What the probe of a node is to watch: each part of it by its own container, each sidecar by the mesh's.
    pub(super) fn watched(&self, node: &str) -> Watched {
        let mut parts = BTreeMap::new();
        for seat in self.seats.iter().chain(&self.shared).filter(|seat| seat.node == node) {
            for container in &seat.containers {
                let name = match (sidecar_of(&container.name), role_of(seat)) {
                    (true, _) => proxy_name(seat),
                    // Who answers the runner beside a gateway is no part.
                    (false, Role::Gateway) => continue,
                    (false, _) => seat.part.clone(),
                };
                let ids: &mut Vec<String> = parts.entry(name).or_default();
                ids.push(container.id.clone());
            }
        }
        Watched { parts }
    }

    pub(super) fn watch(&self) -> anyhow::Result<BTreeMap<String, FoundPart>> {
        let mut all = BTreeMap::new();
        for (node, probe) in &self.probes {
            let found: Found = self.reach.order(probe, words::WATCH, &self.watched(node))?;
            all.extend(found.parts);
        }
        Ok(all)
    }

    pub(super) fn edges(&self, clocks: &Clocks) -> anyhow::Result<EdgeReadings> {
        let mut whole: Option<EdgeReadings> = None;
        for (node, probe) in &self.probes {
            let mut read: EdgeReadings = self.reach.order(probe, words::EDGES, &self.watched(node))?;
            let offset = clocks.of(node);
            (read.before_ns, read.after_ns) = (offset.moved(read.before_ns), offset.moved(read.after_ns));
            match &mut whole {
                None => whole = Some(read),
                Some(whole) => {
                    whole.before_ns = whole.before_ns.min(read.before_ns);
                    whole.after_ns = whole.after_ns.max(read.after_ns);
                    whole.processes.extend(read.processes);
                }
            }
        }
        whole.ok_or_else(|| anyhow::anyhow!("there is no probe"))
    }

    /// Who took part, as reports know them.
    pub(super) fn parts(&self, found: &BTreeMap<String, FoundPart>) -> Vec<Part> {
        let program = |name: &str, seat: &Seat| {
            let sidecar = seat.containers.iter().find(|c| sidecar_of(&c.name));
            let of_mesh = name.ends_with("-sidecar") || matches!(role_of(seat), Role::NodeProxy | Role::Gateway);
            match (of_mesh, sidecar) {
                (true, Some(container)) => container.image.clone(),
                _ => crate::run::PROGRAM.to_owned(),
            }
        };
        let mut parts = Vec::new();
        for (name, part) in found {
            let Some(seat) = self
                .seats
                .iter()
                .chain(&self.shared)
                .find(|seat| *name == seat.part || *name == format!("{}-sidecar", seat.part))
            else {
                continue;
            };
            let role = if name.ends_with("-sidecar") { Role::Sidecar } else { role_of(seat) };
            let cgroup = part
                .cgroups
                .first()
                .map_or_else(|| Reading::absent("it has none that counts"), |c| Reading::Seen(c.clone()));
            let pid = part.pids.first().copied().unwrap_or_default();
            parts.push(Part { name: name.clone(), role, pid, program: program(name, seat), cgroup });
        }
        parts
    }
}

/// What a pod does, by the part it is.
pub(super) fn role_of(seat: &Seat) -> Role {
    match seat.part.as_str() {
        "neighbour" => Role::Neighbour,
        "probe" => Role::Probe,
        cluster::GATEWAY => Role::Gateway,
        part if part == "load" || part.starts_with("load-") => Role::Load,
        part if part.starts_with("node-proxy") => Role::NodeProxy,
        _ => Role::Service,
    }
}

/// The part that the mesh's proxy in a pod is: a ztunnel's container, and a gateway's, has the name that a sidecar's has, and
/// is beside no service.
pub(super) fn proxy_name(seat: &Seat) -> String {
    match role_of(seat) {
        Role::NodeProxy | Role::Gateway => seat.part.clone(),
        _ => format!("{}-sidecar", seat.part),
    }
}

/// Whether a container is a mesh's.
pub(super) fn sidecar_of(container: &str) -> bool {
    Mesh::ALL.iter().any(|mesh| mesh.sidecar() == Some(container))
}

pub(super) fn ended(seat: &Seat, why: String) -> anyhow::Error {
    Trouble::Ended { pod: seat.named(), why, log: seat.log() }.into()
}

/// The node of most parts; of several the first by name.
pub(super) fn main_node<'n>(nodes: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for node in nodes {
        *counts.entry(node).or_default() += 1;
    }
    counts.into_iter().max_by(|a, b| a.1.cmp(&b.1).then(b.0.cmp(a.0))).map(|(node, _)| node)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_is_that_of_most_parts() {
        assert_eq!(main_node(["b", "a", "b"].into_iter()), Some("b"));
        assert_eq!(main_node(["b", "a"].into_iter()), Some("a"));
        assert_eq!(main_node(std::iter::empty()), None);
    }
}
