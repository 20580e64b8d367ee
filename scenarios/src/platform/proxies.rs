//! The proxies of a chain: one beside each process of a service, and one where the load enters.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use record::{Entry, Mtls, Role, Sidecars};

use super::builder::Builder;
use crate::certs::{Authority, GATEWAY_NAME, IdentityFiles};
use crate::deployment::{Deployment, ENTRY, GATEWAY, ProxyNode, ServiceNode};
use crate::proxy::{App, Callee, Door, Place, Proxy, Subset};
use crate::{Error, Result};

impl Builder<'_> {
    /// Starts the proxies of these services, each after those of the services that its own service calls; with the first
    /// service the one where the load enters.
    pub(super) fn proxies(&self, deployment: &mut Deployment, services: &[&str]) -> Result<()> {
        let Some(proxy) = deployment.proxy.take() else { return Ok(()) };
        let made = self.of(proxy.as_ref(), deployment, services);
        deployment.proxy = Some(proxy);
        made
    }

    fn of(&self, proxy: &dyn Proxy, deployment: &mut Deployment, services: &[&str]) -> Result<()> {
        for name in services {
            for at in (0..deployment.services.len()).rev() {
                if let Some(place) = self.beside(deployment, at, name)? {
                    let started = self.proxy(deployment, proxy, Role::Sidecar, place)?;
                    deployment.proxies.insert(0, started);
                }
            }
        }
        let entered = self.spec.shape.services.first().is_some_and(|first| services.contains(&&*first.name));
        let front = if entered { self.front(deployment)? } else { None };
        if let Some((role, place)) = front {
            let started = self.proxy(deployment, proxy, role, place)?;
            deployment.proxies.insert(0, started);
        }
        Ok(())
    }

    /// The place beside a process of a service; none where no proxy belongs there.
    fn beside(&self, deployment: &Deployment, at: usize, name: &str) -> Result<Option<Place>> {
        let Some(service) = deployment.services.get(at).filter(|s| s.service == name) else { return Ok(None) };
        let sides = self.spec.factors.sidecars;
        let app = App { address: service.listen, ports: service.ports.clone() };
        let callees = self.callees_of(name).into_iter().map(|callee| self.callee(deployment, callee));
        let callees = if sides == Sidecars::Server { Vec::new() } else { callees.collect::<Result<_>>()? };
        let app = (sides != Sidecars::Client).then_some(app);
        if app.is_none() && callees.is_empty() {
            return Ok(None);
        }
        self.place(deployment, service.node.part.name(), name, app, callees, None).map(Some)
    }

    /// The place where the load enters; none where it enters in clear.
    fn front(&self, deployment: &Deployment) -> Result<Option<(Role, Place)>> {
        let Some(first) = self.spec.shape.services.first() else { return Ok(None) };
        let callees = || -> Result<_> { Ok(vec![self.callee(deployment, &first.name)?]) };
        Ok(match self.spec.factors.entry {
            Entry::Plain => None,
            Entry::Sidecar => Some((Role::Sidecar, self.place(deployment, ENTRY, ENTRY, None, callees()?, None)?)),
            Entry::Gateway => {
                let door = Door { identity: self.server_identity(deployment)? };
                Some((Role::Gateway, self.place(deployment, GATEWAY, GATEWAY, None, callees()?, Some(door))?))
            }
        })
    }

    fn place(
        &self,
        deployment: &Deployment,
        beside: &str,
        service: &str,
        app: Option<App>,
        callees: Vec<Callee>,
        door: Option<Door>,
    ) -> Result<Place> {
        let issue = |authority: &Authority| deployment.folders.identity(&authority.issue(service)?.named(beside));
        Ok(Place {
            name: if door.is_some() { beside.to_owned() } else { format!("{beside}-sidecar") },
            service: service.to_owned(),
            factors: self.spec.factors.clone(),
            stand: deployment.ground.stand(beside)?,
            taken_at: match beside {
                ENTRY | GATEWAY => self.spec.entry_at,
                _ => IpAddr::V4(Ipv4Addr::LOCALHOST),
            },
            reached_at: self.spec.reached_at(service),
            app,
            callees,
            identity: deployment.authority.as_ref().map(issue).transpose()?,
            door,
        })
    }

    /// A service whose own proxies, if it has any, stand already.
    fn callee(&self, deployment: &Deployment, service: &str) -> Result<Callee> {
        let factors = self.spec.factors;
        let has_proxy = factors.sidecars != Sidecars::Client;
        let of = |node: &ServiceNode| -> Option<Subset> {
            let address = if has_proxy { deployment.inbound(node.node.part.name())? } else { node.listen };
            Some(self.subset(node.subset.clone(), address))
        };
        let instances: Vec<_> = deployment.services.iter().filter(|s| s.service == service).collect();
        let (subsets, address): (Option<Vec<Subset>>, Option<SocketAddr>) = match deployment.elsewhere(service) {
            Some(reached) => {
                let subsets = reached.instances.iter().map(|at| self.subset(at.subset.clone(), at.address)).collect();
                (Some(subsets), reached.instances.first().map(|at| at.address))
            }
            None => (instances.iter().map(|node| of(node)).collect(), instances.first().map(|node| node.listen)),
        };
        match (subsets, address) {
            (Some(subsets), Some(address)) => Ok(Callee {
                service: service.to_owned(),
                address,
                secured: has_proxy && factors.own_port_mtls() != Mtls::Disable,
                subsets,
            }),
            _ => Err(Error::Config { part: service.to_owned(), problem: "it has no sidecar to be called by".into() }),
        }
    }

    /// A process of a callee, with the weight that its subset has at first.
    fn subset(&self, subset: Option<String>, address: SocketAddr) -> Subset {
        let canary = self.spec.factors.canary.as_ref().filter(|_| subset.is_some());
        let weights = canary.map(|c| c.weights.subsets()).unwrap_or_default();
        let name = subset.unwrap_or_default();
        let weight = weights.iter().find(|(n, _)| *n == name).map_or(1, |(_, weight)| *weight);
        Subset { name, weight, address }
    }

    fn proxy(&self, deployment: &Deployment, proxy: &dyn Proxy, role: Role, place: Place) -> Result<ProxyNode> {
        let beside = place.beside();
        if place.door.is_none() {
            // Before the proxy, as Istio's init container has it.
            deployment.ground.intercept(beside, place.app.is_some(), !place.callees.is_empty())?;
        }
        let launch = proxy.launch(&place, &deployment.folders)?;
        let mut node = self.start(&deployment.ground, role, beside, launch, proxy.program())?;
        let ports = proxy.listening(&place, &mut node.part, &deployment.folders, self.spec.ready_timeout)?;
        self.limit(&node)?;
        Ok(ProxyNode { node, place, ports })
    }

    /// What the gateway shows to clients that know nothing of the mesh.
    fn server_identity(&self, deployment: &Deployment) -> Result<IdentityFiles> {
        let fresh;
        let authority = match &deployment.authority {
            Some(authority) => authority,
            None => {
                fresh = Authority::new()?;
                &fresh
            }
        };
        deployment.folders.identity(&authority.issue_server(GATEWAY_NAME)?.named("gateway-door"))
    }
}
