//! The services of a chain: how each is started, and told whom to call.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use record::{Role, Sidecars};

use super::builder::Builder;
use super::instance::{Instance, instances};
use crate::Result;
use crate::deployment::{Deployment, DeploymentSpec, ServiceNode};
use crate::launch::{Launch, Launched};
use crate::service;
use crate::shape::Service;

impl Builder<'_> {
    /// Starts every service; each says where it listens.
    pub(super) fn services(&self, deployment: &mut Deployment) -> Result<()> {
        for service in self.spec.shape.services.iter().filter(|s| self.spec.has(&s.name)) {
            for instance in instances(self.spec.factors, service) {
                let started = self.service(deployment, &instance)?;
                deployment.services.push(started);
            }
        }
        Ok(())
    }

    fn service(&self, deployment: &Deployment, instance: &Instance<'_>) -> Result<ServiceNode> {
        let service = instance.service;
        let mut args = vec!["service".to_owned()];
        args.extend(instance.args(self.spec.factors, self.spec.shape)?);
        let factors = self.spec.factors;
        // Without a proxy in front of it the first service takes the load itself, and any other its callers.
        let takes_the_load = service.name == self.spec.shape.services[0].name && !factors.meshed();
        let at = match factors.meshed() && factors.sidecars != Sidecars::Client {
            _ if takes_the_load => self.spec.entry_at,
            true => IpAddr::V4(Ipv4Addr::LOCALHOST),
            false => self.spec.reached_at(&service.name),
        };
        for address in deployment.ground.service_listens(at) {
            args.extend(["--listen".to_owned(), address.to_string()]);
        }
        let launch = Launch {
            name: instance.name.clone(),
            program: self.spec.program.to_owned(),
            args: args.into_iter().map(Into::into).collect(),
            env: Vec::new(),
            cgroups: Vec::new(),
            log: deployment.folders.log(&instance.name),
            stdout: None,
            pipe_stdin: true,
            pipe_stdout: true,
            netns: None,
            user: None,
            within: None,
        };
        let program = format!("meshtax {}", env!("CARGO_PKG_VERSION"));
        let mut node = self.start(&deployment.ground, Role::Service, &instance.name, launch, program)?;
        let said: service::Ready =
            node.part.read_json(self.spec.ready_timeout, "the line that says where it listens")?;
        let (listen, ports) = deployment.ground.known(&instance.name, said.ready.listen)?;
        Ok(ServiceNode {
            node,
            service: service.name.clone(),
            subset: instance.subset.map(str::to_owned),
            listen,
            ports,
            calls: Vec::new(),
        })
    }

    /// Tells these services where each of their callees is: the service itself, or where its own proxy takes calls to it.
    pub(super) fn tell(&self, deployment: &mut Deployment, services: &[&str]) -> Result<()> {
        for at in 0..deployment.services.len() {
            let Some(name) = deployment.services.get(at).map(|s| s.service.clone()) else { continue };
            if !services.contains(&&*name) {
                continue;
            }
            let callees = self.callees_of(&name);
            let dials: Vec<(String, SocketAddr)> = callees
                .into_iter()
                .filter_map(|callee| Some((callee.to_owned(), deployment.dial(at, callee)?)))
                .collect();
            let Some(service) = deployment.services.get_mut(at) else { continue };
            for (callee, address) in dials {
                let taken = tell(&mut service.node.part, &callee, address, self.spec.ready_timeout)?;
                service.calls.push((callee, taken));
            }
        }
        Ok(())
    }

    /// The names of the services that a service calls.
    pub(super) fn callees_of(&self, service: &str) -> Vec<&str> {
        let all = &self.spec.shape.services;
        let callees = all.iter().find(|s| s.name == service).map(Service::callees).unwrap_or_default();
        callees.into_iter().filter_map(|at| all.get(at)).map(|s| s.name.as_str()).collect()
    }
}

/// The names of all processes of services.
pub(super) fn processes(spec: &DeploymentSpec<'_>) -> Vec<String> {
    spec.shape
        .services
        .iter()
        .filter(|service| spec.has(&service.name))
        .flat_map(|service| instances(spec.factors, service))
        .map(|instance| instance.name)
        .collect()
}

/// Tells a service where a callee is; returns where it says it will call.
fn tell(part: &mut Launched, callee: &str, at: SocketAddr, patience: Duration) -> Result<SocketAddr> {
    part.write_line(&format!("next {callee} http://{at}/"))?;
    match part.read_json(patience, "the callee it was told")? {
        service::Reply::Next(hop) => Ok(hop.address),
        service::Reply::Error(problem) => Err(part.answer(format!("it did not take its callee {callee}: {problem}"))),
    }
}
