//! A chain as processes on loopback of this host.
//!
//! It is built from the last service to the first: each part listens on a port that the kernel chose before anyone
//! is told to call it, so that no port is chosen first and bound later.

use std::cell::Cell;
use std::net::SocketAddr;
use std::time::Duration;

use record::{CpuQuantity, Dataplane, HopStamps, Mtls};

use crate::certs::Authority;
use crate::deployment::{Deployment, DeploymentSpec, Node, Private, ServiceNode, SidecarNode, envoy_of};
use crate::error::file_error;
use crate::launch::{Launch, Launched};
use crate::limits::CgroupTree;
use crate::proxy::sidecar::Embedded;
use crate::proxy::{Callee, Folders, Place, Proxy};
use crate::ready::{Deadline, until};
use crate::{Error, Result, Shape, http, service};

/// What the sidecar of the load generator stands beside.
const ENTRY: &str = "entry";

pub(crate) fn deploy(spec: &DeploymentSpec<'_>) -> Result<Deployment> {
    let shape = Shape::chain(spec.factors.services);
    let mut deployment = Deployment {
        factors: spec.factors.clone(),
        services: Vec::new(),
        sidecars: Vec::new(),
        proxy: proxy(spec)?,
        private: Private::create(spec.scratch)?,
        probes: Cell::new(0),
    };
    let builder = Builder::new(spec, &deployment)?;
    for at in (0..shape.services.len()).rev() {
        builder.add(&mut deployment, &shape, at)?;
    }
    if let Some(proxy) = &deployment.proxy {
        let callee = builder.callee(&deployment, &shape, 0)?;
        let sidecar = builder.sidecar(proxy.as_ref(), ENTRY, None, Some(callee))?;
        deployment.sidecars.insert(0, sidecar);
    }
    answers(&deployment, &shape, spec.ready_timeout)?;
    Ok(deployment)
}

fn proxy(spec: &DeploymentSpec<'_>) -> Result<Option<Box<dyn Proxy>>> {
    Ok(match spec.factors.dataplane {
        Dataplane::None => None,
        Dataplane::Embedded => Some(Box::new(Embedded)),
        Dataplane::Envoy => Some(Box::new(envoy_of(spec)?)),
    })
}

/// What every part is built from.
struct Builder<'a> {
    spec: &'a DeploymentSpec<'a>,
    folders: Folders,
    authority: Option<Authority>,
}

impl<'a> Builder<'a> {
    fn new(spec: &'a DeploymentSpec<'a>, deployment: &Deployment) -> Result<Self> {
        if let Some(limit) = spec.factors.cpu_limit {
            // Before anything is started: it would be in vain.
            cgroups_for_limit(spec)?.check_limit(limit)?;
        }
        let logs = spec.directory.join("logs");
        std::fs::create_dir_all(&logs).map_err(file_error("create", &logs))?;
        let secured = deployment.proxy.is_some() && spec.factors.mtls == Mtls::Strict;
        Ok(Self {
            spec,
            folders: Folders {
                meshtax: spec.program.to_owned(),
                kept: spec.directory.to_owned(),
                logs,
                private: deployment.private.path().to_owned(),
            },
            authority: secured.then(Authority::new).transpose()?,
        })
    }

    /// Starts a service, its sidecar if there are any, and tells the service whom to call.
    fn add(&self, deployment: &mut Deployment, shape: &Shape, at: usize) -> Result<()> {
        let described = shape.services.get(at);
        let name = described.map(|s| s.name.clone()).unwrap_or_default();
        let calls = described.and_then(|s| s.callees().first().copied());
        let mut service = self.service(&name, calls.is_some())?;
        let mut next = calls.and_then(|_| deployment.services.first()).map(|s| s.listen);
        let sidecar = match &deployment.proxy {
            None => None,
            Some(proxy) => {
                let callee = calls.map(|callee| self.callee(deployment, shape, callee)).transpose()?;
                Some(self.sidecar(proxy.as_ref(), &name, Some(service.listen), callee)?)
            }
        };
        if let Some(sidecar) = sidecar {
            next = sidecar.ports.outbound;
            deployment.sidecars.insert(0, sidecar);
        }
        if let Some(next) = next {
            service.calls = Some(tell(&mut service.node.part, next, self.spec.ready_timeout)?);
        }
        deployment.services.insert(0, service);
        Ok(())
    }

    fn service(&self, name: &str, calls: bool) -> Result<ServiceNode> {
        let factors = self.spec.factors;
        let mut args = vec!["service".to_owned()];
        args.extend(["--name".to_owned(), name.to_owned()]);
        args.extend(["--work-us".to_owned(), factors.work_us.to_string()]);
        args.extend(["--response-bytes".to_owned(), factors.response_bytes.to_string()]);
        if calls {
            args.push("--expect-next".to_owned());
        }
        let launch = Launch {
            name: name.to_owned(),
            program: self.spec.program.to_owned(),
            args: args.into_iter().map(Into::into).collect(),
            env: Vec::new(),
            cgroups: Vec::new(),
            netns: None,
            user: None,
            log: self.folders.log(name),
            pipe_stdin: true,
            pipe_stdout: true,
        };
        let mut node = self.start(launch, format!("meshtax {}", env!("CARGO_PKG_VERSION")))?;
        let said: service::Ready =
            node.part.read_json(self.spec.ready_timeout, "the line that says where it listens")?;
        Ok(ServiceNode { node, listen: said.ready.listen, calls: None })
    }

    /// The sidecar of a service that stands already.
    fn callee(&self, deployment: &Deployment, shape: &Shape, at: usize) -> Result<Callee> {
        let service = shape.services.get(at).map(|s| s.name.clone()).unwrap_or_default();
        let sidecar = deployment.sidecars.iter().find(|s| s.place.service == service);
        let inbound = sidecar.and_then(|s| s.ports.inbound);
        let missing = || Error::Config { part: service.clone(), problem: "it has no sidecar to be called by".into() };
        Ok(Callee { inbound: inbound.ok_or_else(missing)?, service: service.clone() })
    }

    fn sidecar(
        &self,
        proxy: &dyn Proxy,
        service: &str,
        app: Option<SocketAddr>,
        callee: Option<Callee>,
    ) -> Result<SidecarNode> {
        let identity = self.authority.as_ref().map(|authority| authority.issue(service)?.write(&self.folders.private));
        let place = Place {
            name: format!("{service}-sidecar"),
            service: service.to_owned(),
            workers: self.spec.factors.workers,
            mtls: self.spec.factors.mtls,
            app,
            callee,
            identity: identity.transpose()?,
        };
        let mut node = self.start(proxy.launch(&place, &self.folders)?, proxy.program())?;
        let ports = proxy.listening(&place, &mut node.part, &self.folders, self.spec.ready_timeout)?;
        if let Some(limit) = self.spec.factors.cpu_limit {
            self.limit(&node, limit)?;
        }
        Ok(SidecarNode { node, place, ports })
    }

    /// Limits a sidecar once it is up: what it does from now on is what is measured, while starting under a small
    /// limit takes many seconds and tells nothing.
    fn limit(&self, node: &Node, limit: CpuQuantity) -> Result<()> {
        let tree = cgroups_for_limit(self.spec)?;
        node.leaf.as_ref().map_or(Ok(()), |leaf| tree.set_limit(leaf, limit))
    }

    fn start(&self, mut launch: Launch, program: String) -> Result<Node> {
        let leaf = self.spec.cgroups.map(|tree| tree.leaf(&launch.name, None)).transpose()?;
        launch.cgroups = leaf.as_ref().map(|l| l.directories().to_vec()).unwrap_or_default();
        Ok(Node { part: launch.spawn(self.spec.program)?, program, leaf })
    }
}

fn cgroups_for_limit<'a>(spec: &'a DeploymentSpec<'_>) -> Result<&'a CgroupTree> {
    spec.cgroups.ok_or_else(|| Error::LimitNotPermitted {
        reason: "none could be made".to_owned(),
        remedy: "`meshtax doctor`, which says why".to_owned(),
    })
}

/// Tells a service whom to call; returns what it says it will.
fn tell(part: &mut Launched, next: SocketAddr, patience: Duration) -> Result<SocketAddr> {
    part.write_line(&format!("next http://{next}/"))?;
    match part.read_json(patience, "the next service it was told")? {
        service::Reply::Next(hop) => Ok(hop.address),
        service::Reply::Error(problem) => Err(part.answer(format!("it did not take its next service: {problem}"))),
    }
}

/// Waits until a request through the whole chain is answered by every service of it.
fn answers(deployment: &Deployment, shape: &Shape, patience: Duration) -> Result<()> {
    let first = deployment.sidecars.first().map(|s| &s.node).or(deployment.services.first().map(|s| &s.node));
    let (Some(node), Some(entry)) = (first, deployment.entry()) else {
        return Err(Error::Config { part: shape.name.clone(), problem: "it has no services".into() });
    };
    let expected: Vec<&str> = shape.services.iter().map(|s| s.name.as_str()).collect();
    let deadline = Deadline::after(patience);
    let mut last = String::new();
    let found = until(&node.part, "an answer", &deadline, || {
        deployment.check_alive()?;
        last = match http::get(entry, "/", deadline.left().max(Duration::from_millis(100))) {
            Err(e) => e.to_string(),
            Ok(answer) => {
                let hops = HopStamps::from_header(answer.header(HopStamps::HEADER).unwrap_or_default());
                let names: Vec<&str> = hops.iter().map(|h| h.service.as_str()).collect();
                if answer.status == 200 && names == expected {
                    return Ok(Some(()));
                }
                format!("status {} by way of [{}]", answer.status, names.join(", "))
            }
        };
        Ok(None)
    });
    found.map_err(|e| match e {
        Error::NotReady { part, seconds, log, .. } => {
            let waited_for = format!("an answer from http://{entry}/ by way of {} (last: {last})", expected.join(", "));
            Error::NotReady { part, waited_for, seconds, log }
        }
        other => other,
    })
}
