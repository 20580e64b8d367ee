//! PeerAuthentication: what a workload takes from its callers.

use record::Mtls;

use super::node::Node;
use super::reader::{Reader, SELECTED};
use super::resource::Resource;
use super::tree::Value;

impl<'a> Reader<'a> {
    pub(super) fn peer_authentication(&mut self, resource: &'a Resource) {
        let Some(spec) = resource.root().get("spec") else { return };
        let Some(rank) = self.scope(resource, &spec) else { return };
        if let Some(node) = spec.far(&["mtls", "mode"])
            && let Some(mode) = self.mode(&node)
        {
            self.claims.mode.add(rank, &node, mode);
        }
        let Some(ports) = spec.get("portLevelMtls") else { return };
        if rank < SELECTED {
            self.book.wrong(&ports, "Istio takes modes of ports only together with a selector");
            return;
        }
        let called = self.called_port();
        let entries = ports.entries();
        for (port, node) in &entries {
            let Some(mode_node) = node.get("mode") else { continue };
            match called {
                Some(called) if called.to_string() != **port => {
                    self.book.no_effect(node, format!("callers call port {called}"));
                }
                None if entries.len() > 1 => {
                    let why = "several ports have modes of their own, and no Service and no containerPort says which \
                               is called";
                    self.book.ignored(node, why);
                }
                _ => {
                    if let Some(mode) = self.mode(&mode_node) {
                        self.claims.port_mode.add(rank, &mode_node, mode);
                    }
                }
            }
        }
    }

    /// A mode; none for one that leaves it to what is above, or is none, which is noted.
    fn mode(&mut self, node: &Node<'a>) -> Option<Mtls> {
        match node.tree.text().as_deref() {
            Some("STRICT") => Some(Mtls::Strict),
            Some("PERMISSIVE") => Some(Mtls::Permissive),
            Some("DISABLE") => Some(Mtls::Disable),
            Some("UNSET") => {
                self.book.no_effect(node, "it leaves the mode to the namespace, the mesh or the default");
                None
            }
            _ => {
                self.book.wrong(node, "a mode is STRICT, PERMISSIVE, DISABLE or UNSET");
                None
            }
        }
    }

    /// The port of the workload that callers end at: of its Service's first port, else its first one.
    fn called_port(&self) -> Option<u16> {
        let pod = self.workload.pod();
        let containers =
            pod.and_then(|pod| pod.far(&["spec", "containers"])).map(|list| list.items()).unwrap_or_default();
        let ports = containers.iter().filter_map(|c| c.get("ports")).flat_map(|p| p.items());
        let ports: Vec<(Option<String>, u16)> = ports
            .filter_map(|port| Some((port.text_of("name"), port.text_of("containerPort")?.parse().ok()?)))
            .collect();
        let service = self.workload.service.and_then(|service| service.root().far(&["spec", "ports"]));
        let first = service.and_then(|ports| ports.items().into_iter().next());
        let target = first.as_ref().and_then(|port| port.text_of("targetPort").or_else(|| port.text_of("port")));
        match target {
            Some(target) => target.parse().ok().or_else(|| {
                let named = ports.iter().find(|(name, _)| name.as_deref() == Some(target.as_str()));
                named.map(|(_, port)| *port)
            }),
            None => ports.first().map(|(_, port)| *port),
        }
    }

    /// Service: how its first port is named tells proxies what it carries.
    pub(super) fn service(&mut self, resource: &'a Resource) {
        let Some(spec) = resource.root().get("spec") else { return };
        if self.workload.service.is_none_or(|service| service.at != resource.at) {
            self.book.no_effect(&spec, format!("it does not lead to {}", self.workload.title));
            return;
        }
        for (key, node) in spec.entries() {
            if key != "ports" || !matches!(node.tree.value, Value::List(_)) {
                self.book.no_effect(&node, "it says where the service is; here each is where meshtax starts it");
                continue;
            }
            for (at, port) in node.items().iter().enumerate() {
                if at > 0 {
                    self.book.no_effect(port, "callers call the first port");
                    continue;
                }
                self.port(port);
            }
        }
    }

    fn port(&mut self, port: &Node<'a>) {
        use record::Protocol;
        for (key, node) in port.entries() {
            if !["name", "appProtocol"].contains(&key) {
                self.book.no_effect(&node, "each service here has a port of its own");
            }
        }
        let by = |key: &str| port.get(key).and_then(|node| Some((node.clone(), node.tree.text()?)));
        let application = by("appProtocol");
        if let (Some(_), Some((name, _))) = (&application, by("name")) {
            self.book.no_effect(&name, "appProtocol says it already");
        }
        let Some((node, said)) = application.or_else(|| by("name")) else {
            self.claims.protocol.add(SELECTED, port, Protocol::Auto);
            return;
        };
        match said.split('-').next().unwrap_or_default() {
            "http" => self.claims.protocol.add(SELECTED, &node, Protocol::Http),
            "grpc" | "http2" | "tcp" | "tls" | "https" | "mongo" | "redis" | "mysql" | "udp" => {
                self.book.ignored(&node, format!("services here speak HTTP/1.1 with one another, and not {said}"));
            }
            _ => self.claims.protocol.add(SELECTED, &node, Protocol::Auto),
        }
    }
}
