//! The services of a chain: how each is started, and told whom to call.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use record::Role;

use super::builder::Builder;
use crate::deployment::{Deployment, DeploymentSpec, ServiceNode};
use crate::launch::{Launch, Launched};
use crate::service::{self, Script};
use crate::shape::Service;
use crate::{Error, Result};

/// One process of a service: without a canary its only one.
struct Instance<'a> {
    service: &'a Service,
    /// "s3", and "s3-v2" for another subset.
    name: String,
    /// The subset it answers as; none without a canary.
    subset: Option<&'a str>,
    /// CPU work and share of errors beyond those of the service.
    more_work_us: u64,
    more_errors: f64,
}

impl Builder<'_> {
    /// Starts every service; each says where it listens.
    pub(super) fn services(&self, deployment: &mut Deployment) -> Result<()> {
        for service in &self.spec.shape.services {
            for instance in instances(self.spec, service) {
                let started = self.service(deployment, &instance)?;
                deployment.services.push(started);
            }
        }
        Ok(())
    }

    fn service(&self, deployment: &Deployment, instance: &Instance<'_>) -> Result<ServiceNode> {
        let (factors, service) = (self.spec.factors, instance.service);
        let work_us = service.work_us.unwrap_or(factors.work_us) + instance.more_work_us;
        let response_bytes = service.response_bytes.unwrap_or(factors.response_bytes);
        let mut args = vec!["service".to_owned()];
        args.extend(["--name".to_owned(), service.name.clone()]);
        args.extend(["--work-us".to_owned(), work_us.to_string()]);
        args.extend(["--response-bytes".to_owned(), response_bytes.to_string()]);
        // Without a proxy in front of it the first service takes the load itself.
        let takes_the_load = service.name == self.spec.shape.services[0].name && !factors.meshed();
        let at = if takes_the_load { self.spec.entry_at } else { IpAddr::V4(Ipv4Addr::LOCALHOST) };
        for address in deployment.ground.service_listens(at) {
            args.extend(["--listen".to_owned(), address.to_string()]);
        }
        let errors = service.error_rate.unwrap_or(factors.error_rate).max(instance.more_errors);
        let place = self.spec.shape.services.iter().position(|s| s.name == service.name).unwrap_or_default();
        if errors > 0.0 {
            args.extend(["--error-rate".to_owned(), errors.to_string()]);
        }
        if !service.steps.is_empty() {
            let script = Script::of(self.spec.shape, place);
            let text = serde_json::to_string(&script)
                .map_err(|e| Error::Config { part: service.name.clone(), problem: e.to_string() })?;
            args.extend(["--script".to_owned(), text]);
        }
        if let Some(subset) = instance.subset {
            args.extend(["--subset".to_owned(), subset.to_owned()]);
        }
        // Services draw errors and calls each for itself.
        args.extend(["--seed".to_owned(), (place + 1).to_string()]);
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

    /// Tells every service where each of its callees is: the service itself, or where its own proxy takes calls to it.
    pub(super) fn tell(&self, deployment: &mut Deployment) -> Result<()> {
        for at in 0..deployment.services.len() {
            let Some(name) = deployment.services.get(at).map(|s| s.service.clone()) else { continue };
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
    spec.shape.services.iter().flat_map(|service| instances(spec, service)).map(|instance| instance.name).collect()
}

/// The processes of a service.
fn instances<'s>(spec: &DeploymentSpec<'s>, service: &'s Service) -> Vec<Instance<'s>> {
    let plain = |name: String, subset| Instance { service, name, subset, more_work_us: 0, more_errors: 0.0 };
    match spec.factors.canary.as_ref().filter(|canary| canary.service == service.name) {
        None => vec![plain(service.name.clone(), None)],
        Some(canary) => {
            let subsets = canary.weights.subsets().iter().enumerate();
            let of = |(at, (subset, _)): (usize, &'s (String, u32))| match at {
                0 => plain(service.name.clone(), Some(subset.as_str())),
                _ => Instance {
                    more_work_us: canary.work_us,
                    more_errors: canary.error_rate,
                    ..plain(format!("{}-{subset}", service.name), Some(subset.as_str()))
                },
            };
            subsets.map(of).collect()
        }
    }
}

/// Tells a service where a callee is; returns where it says it will call.
fn tell(part: &mut Launched, callee: &str, at: SocketAddr, patience: Duration) -> Result<SocketAddr> {
    part.write_line(&format!("next {callee} http://{at}/"))?;
    match part.read_json(patience, "the callee it was told")? {
        service::Reply::Next(hop) => Ok(hop.address),
        service::Reply::Error(problem) => Err(part.answer(format!("it did not take its callee {callee}: {problem}"))),
    }
}
