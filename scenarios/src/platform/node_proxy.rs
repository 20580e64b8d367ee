//! The proxy that all workloads of a chain share, and where each of them meets it.

use record::{Dataplane, Entry, Role};

use super::builder::Builder;
use crate::deployment::{Deployment, ENTRY, NodeProxy};
use crate::proxy::App;
use crate::proxy::node_proxy::{self, NODE_PROXY, Seat};
use crate::{Error, Result};

impl Builder<'_> {
    /// Starts the one proxy of a dataplane that has no others.
    pub(super) fn node_proxy(&self, deployment: &mut Deployment) -> Result<()> {
        if self.spec.factors.dataplane != Dataplane::Ambient {
            return Ok(());
        }
        let seats = self.seats(deployment)?;
        for seat in &seats {
            // Before the proxy, as in ambient mode Istio's agent has it. Its rules differ from those of a sidecar in
            // how the proxy's own sockets are known (by a mark, not by their user) and not in what they redirect.
            deployment.ground.intercept(&seat.name, seat.app.is_some(), !seat.callees.is_empty())?;
        }
        let launch = node_proxy::launch(self.spec.factors, &seats, &deployment.folders)?;
        let mut node = self.start(&deployment.ground, Role::NodeProxy, NODE_PROXY, launch, node_proxy::program())?;
        let at = node_proxy::listening(&seats, &mut node.part, self.spec.ready_timeout)?;
        self.limit(&node)?;
        deployment.node_proxy = Some(NodeProxy { node, seats, at, looks: 0 });
        Ok(())
    }

    /// Who is in the mesh: the load generator if it enters so, and every service.
    fn seats(&self, deployment: &Deployment) -> Result<Vec<Seat>> {
        let mut seats = Vec::new();
        if let (Entry::Sidecar, Some(first)) = (self.spec.factors.entry, self.spec.shape.services.first()) {
            seats.push(self.seat(deployment, ENTRY, ENTRY, None, vec![first.name.clone()])?);
        }
        for service in &deployment.services {
            let app = App { address: service.listen, ports: service.ports.clone() };
            let callees = self.callees_of(&service.service).into_iter().map(str::to_owned).collect();
            seats.push(self.seat(deployment, service.node.part.name(), &service.service, Some(app), callees)?);
        }
        Ok(seats)
    }

    fn seat(
        &self,
        deployment: &Deployment,
        name: &str,
        service: &str,
        app: Option<App>,
        callees: Vec<String>,
    ) -> Result<Seat> {
        let authority = deployment.authority.as_ref().ok_or_else(|| Error::Config {
            part: NODE_PROXY.to_owned(),
            problem: "there is no authority to issue identities".to_owned(),
        })?;
        Ok(Seat {
            name: name.to_owned(),
            service: service.to_owned(),
            stand: deployment.ground.stand(name)?,
            app,
            callees,
            identity: deployment.folders.identity(&authority.issue(service)?.named(name))?,
        })
    }
}
