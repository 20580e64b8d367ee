//! Building a slice of a chain, in turns with those who build the others.

use record::Sidecars;

use super::{Deployment, DeploymentSpec, ServiceNode};
use crate::{Error, Reached, ReachedAt, Result};

impl Deployment {
    /// Starts the proxies of services of this slice, all of whose callees stand, here or elsewhere; returns where these
    /// services are reached now. `spec` is what the slice was begun with, `elsewhere` what is known of other slices.
    ///
    /// # Errors
    /// [`Error::Config`] for a service that is not of this slice or whose callee is not known; else as [`crate::deploy`].
    pub fn stand(
        &mut self,
        spec: &DeploymentSpec<'_>,
        services: &[String],
        elsewhere: &[Reached],
    ) -> Result<Vec<Reached>> {
        elsewhere.clone_into(&mut self.elsewhere);
        let names: Vec<&str> = services.iter().map(String::as_str).collect();
        for name in &names {
            self.expect_callees(name)?;
        }
        crate::platform::stand(spec, self, &names)?;
        Ok(names.into_iter().map(|name| self.reached(name)).collect())
    }

    /// What comes last, when all slices stand: where the load enters, it is waited until a request has gone through the
    /// whole chain.
    ///
    /// # Errors
    /// As [`crate::deploy`].
    pub fn complete(&mut self, spec: &DeploymentSpec<'_>) -> Result<()> {
        crate::platform::complete(spec, self)
    }

    fn expect_callees(&self, name: &str) -> Result<()> {
        let lacks = |problem: String| Error::Config { part: name.to_owned(), problem };
        let here = |service: &str| self.services.iter().any(|s| s.service == service);
        let service = self.shape.services.iter().find(|s| s.name == name && here(name));
        let service = service.ok_or_else(|| lacks("it does not stand on this host".to_owned()))?;
        for callee in service.callees().into_iter().filter_map(|at| self.shape.services.get(at)) {
            if !here(&callee.name) && self.elsewhere(&callee.name).is_none() {
                return Err(lacks(format!("nothing is known of {}, which it calls", callee.name)));
            }
        }
        Ok(())
    }

    /// Where the callers of a service of this host reach it.
    fn reached(&self, service: &str) -> Reached {
        let has_proxy = self.factors.meshed() && self.factors.sidecars != Sidecars::Client;
        let at = |node: &ServiceNode| {
            let name = node.node.part.name();
            let proxy = self.proxies.iter().find(|p| has_proxy && p.is_beside(name));
            let address = proxy.and_then(|proxy| proxy.ports.inbound).unwrap_or(node.listen);
            let part = proxy.map_or(name, |proxy| proxy.node.part.name()).to_owned();
            ReachedAt { part, subset: node.subset.clone(), address }
        };
        let instances = self.services.iter().filter(|s| s.service == service).map(at).collect();
        Reached { service: service.to_owned(), instances }
    }
}
