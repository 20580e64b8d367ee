//! Building a chain: services, the proxies beside them, and who calls whom.
//!
//! On loopback each part listens on a port that the kernel chose before anyone is told to call it, so that no port is
//! chosen first and bound later: all services first, then the proxies, each after those of the services it calls.

use record::{Dataplane, Role};

use super::Ground;
use super::answers::answers;
use super::neighbour::asked;
use super::services::processes;
use crate::deployment::{Deployment, DeploymentSpec, Node, Private, envoy_of, packaged_of};
use crate::error::file_error;
use crate::launch::Launch;
use crate::limits::{CgroupTree, Limits};
use crate::proxy::haproxy::Haproxy;
use crate::proxy::nginx::Nginx;
use crate::proxy::sidecar::Embedded;
use crate::proxy::{Folders, Proxy};
use crate::{Error, Result, turns};

/// All of a chain.
pub(crate) fn deploy(spec: &DeploymentSpec<'_>) -> Result<Deployment> {
    let mut deployment = begin(spec)?;
    let builder = Builder { spec };
    let all = turns(spec.shape, |_| Some(0))?;
    let called = all.iter().flat_map(|(_, services)| services).map(String::as_str);
    builder.proxies(&mut deployment, &called.collect::<Vec<_>>())?;
    builder.node_proxy(&mut deployment)?;
    let all: Vec<&str> = spec.shape.services.iter().map(|s| s.name.as_str()).collect();
    builder.tell(&mut deployment, &all)?;
    complete(spec, &mut deployment)?;
    Ok(deployment)
}

/// The services of a chain, or of a slice of one.
pub(crate) fn begin(spec: &DeploymentSpec<'_>) -> Result<Deployment> {
    let ground = Ground::make(spec, &processes(spec))?;
    let private = Private::create(spec.scratch, ground.proxy_user(spec.users))?;
    let folders = folders(spec, &ground, &private)?;
    let mut deployment = Deployment::new(spec, ground, private, folders, proxy(spec)?)?;
    Builder::new(spec)?.services(&mut deployment)?;
    Ok(deployment)
}

/// The proxies of services of a slice, all of whose callees stand; the services are told where those are.
pub(crate) fn stand(spec: &DeploymentSpec<'_>, deployment: &mut Deployment, services: &[&str]) -> Result<()> {
    let builder = Builder { spec };
    builder.proxies(deployment, services)?;
    builder.tell(deployment, services)
}

/// What comes last, when all of a chain stands: an answer, and whoever is to disturb it.
pub(crate) fn complete(spec: &DeploymentSpec<'_>, deployment: &mut Deployment) -> Result<()> {
    if spec.takes_the_load() {
        answers(deployment, spec.shape, spec.ready_timeout)?;
    }
    Builder { spec }.neighbour(deployment)
}

fn folders(spec: &DeploymentSpec<'_>, ground: &Ground, private: &Private) -> Result<Folders> {
    let logs = spec.directory.join("logs");
    std::fs::create_dir_all(&logs).map_err(file_error("create", &logs))?;
    Ok(Folders {
        meshtax: spec.program.to_owned(),
        kept: spec.directory.to_owned(),
        logs,
        private: private.path().to_owned(),
        owner: ground.proxy_user(spec.users),
    })
}

fn proxy(spec: &DeploymentSpec<'_>) -> Result<Option<Box<dyn Proxy>>> {
    Ok(match spec.factors.dataplane {
        // Of the latter there is one for all, which stands beside no one.
        Dataplane::None | Dataplane::Ambient => None,
        Dataplane::Embedded => Some(Box::new(Embedded)),
        Dataplane::Envoy => Some(Box::new(envoy_of(spec)?)),
        Dataplane::Haproxy => Some(Box::new(Haproxy::new(packaged_of(spec.haproxy, spec.factors.dataplane)?))),
        Dataplane::Nginx => Some(Box::new(Nginx::new(packaged_of(spec.nginx, spec.factors.dataplane)?))),
        mesh @ (Dataplane::IstioSidecar | Dataplane::IstioAmbient | Dataplane::Linkerd) => {
            return Err(crate::cluster::only_there("mesh.dataplane", mesh.word()));
        }
    })
}

/// What every part is built from.
pub(super) struct Builder<'a> {
    pub(super) spec: &'a DeploymentSpec<'a>,
}

impl<'a> Builder<'a> {
    fn new(spec: &'a DeploymentSpec<'a>) -> Result<Self> {
        let limits = Limits::of(spec.factors);
        if limits != Limits::default() {
            // Before anything is started: it would be in vain.
            cgroups_for_limits(spec)?.check(&limits)?;
        }
        if let Some(config) = asked(spec) {
            crate::neighbour::possible(&config)?;
        }
        Ok(Self { spec })
    }

    /// Starts a part where it belongs, in a cgroup of its own.
    pub(super) fn start(
        &self,
        ground: &Ground,
        role: Role,
        beside: &str,
        mut launch: Launch,
        program: String,
    ) -> Result<Node> {
        ground.put(&mut launch, role, beside, self.spec.users)?;
        self.begin(role, launch, program)
    }

    /// Starts a part in a cgroup of its own, where that is permitted.
    pub(super) fn begin(&self, role: Role, mut launch: Launch, program: String) -> Result<Node> {
        let leaf = self.spec.cgroups.map(|tree| tree.leaf(&launch.name, None)).transpose()?;
        launch.cgroups = leaf.as_ref().map(|l| l.directories().to_vec()).unwrap_or_default();
        // From its first page on: memory that was taken before a limit would be over it or outside of it.
        let limit = self.spec.factors.memory_limit.filter(|_| role.is_proxy());
        let held = limit.zip(leaf.as_ref());
        if let Some((limit, leaf)) = held {
            cgroups_for_limits(self.spec)?.set_memory(leaf, limit)?;
        }
        let user = launch.user;
        let mut part = launch.spawn(self.spec.launcher)?;
        if let Some((limit, leaf)) = held {
            part.watch_memory(leaf.watch_memory(limit));
        }
        Ok(Node { role, part, program, leaf, user })
    }

    /// Holds a proxy to its CPU limit and request once it is up: what it does from now on is what is measured, while
    /// starting under a small limit takes many seconds and tells nothing.
    pub(super) fn limit(&self, node: &Node) -> Result<()> {
        let Limits { cpu, request, memory: _ } = Limits::of(self.spec.factors);
        let Some(leaf) = &node.leaf else { return Ok(()) };
        if let Some(limit) = cpu {
            cgroups_for_limits(self.spec)?.set_limit(leaf, limit)?;
        }
        if let Some(request) = request {
            cgroups_for_limits(self.spec)?.set_request(leaf, request)?;
        }
        Ok(())
    }
}

fn cgroups_for_limits<'a>(spec: &'a DeploymentSpec<'_>) -> Result<&'a CgroupTree> {
    spec.cgroups.ok_or_else(|| Error::LimitNotPermitted {
        what: "a limit",
        reason: "none could be made".to_owned(),
        remedy: "`meshtax doctor`, which says why".to_owned(),
    })
}
