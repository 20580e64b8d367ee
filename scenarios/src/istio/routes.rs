//! VirtualService: how requests are split among subsets, and how often a try is repeated.

use record::Weights;

use super::book::Known;
use super::host;
use super::node::Node;
use super::reader::{MESH, NAMESPACE, Reader};
use super::resource::Resource;

const SERVICE: Known = Known {
    idle: &[
        ("hosts", "they choose the service"),
        ("gateways", "sidecars read it, since it names `mesh` or no gateway"),
        ("exportTo", "it says who sees the rule"),
    ],
    not_done: &[
        ("tcp", "requests here are HTTP, and are not split by connection"),
        ("tls", "requests here are HTTP, and are not split by connection"),
    ],
    harmless: &[],
};

const ROUTE: Known = Known {
    idle: &[("name", "it stands in logs alone")],
    not_done: &[
        ("timeout", "requests are not given up here"),
        ("fault", "no fault is made by proxies here; services can fail: --error-rate"),
        ("mirror", "requests are not sent twice here"),
        ("mirrors", "requests are not sent twice here"),
        ("mirrorPercentage", "requests are not sent twice here"),
        ("mirrorPercent", "requests are not sent twice here"),
        ("mirror_percent", "requests are not sent twice here"),
        ("rewrite", "requests are not rewritten here"),
        ("redirect", "requests are not redirected here"),
        ("directResponse", "proxies do not answer themselves here"),
        ("delegate", "routes are read from one VirtualService"),
        ("headers", "headers are not changed here"),
        ("corsPolicy", "there is no CORS filter here"),
    ],
    harmless: &[],
};

const RETRIES: Known = Known {
    idle: &[
        ("retryRemoteLocalities", "all services here are in one place"),
        ("retryIgnorePreviousHosts", "each subset here is one process: there is no other host"),
    ],
    not_done: &[
        ("perTryTimeout", "tries are not given up here"),
        ("retryOn", "tries are repeated on what Istio's default policy names"),
        ("backoff", "Envoy's default wait before a try is kept"),
    ],
    harmless: &[],
};

/// What Istio's default policy repeats a try on; in any order.
const RETRY_ON: [&str; 5] = ["connect-failure", "refused-stream", "unavailable", "cancelled", "retriable-status-codes"];

/// A larger number of tries than this is not a setting of a scenario.
const MOST_RETRIES: u32 = 10;

impl<'a> Reader<'a> {
    /// The one VirtualService that sidecars read for the workload's host; the others are noted.
    pub(super) fn virtual_services(&mut self) {
        // One that is bound to gateways names no host for a sidecar.
        let hosts = |spec: &Node<'_>| {
            let named = spec.get("hosts").filter(|_| in_mesh(spec)).map(|hosts| hosts.items()).unwrap_or_default();
            named.iter().filter_map(|host| host.tree.text()).collect()
        };
        let closest = self.closest("VirtualService", hosts);
        for resource in self.resources.iter().filter(|r| r.kind == "VirtualService") {
            if let Some(spec) = resource.root().get("spec").filter(|spec| !in_mesh(spec)) {
                let why = "it is bound to gateways alone, and sidecars do not read it";
                self.book.no_effect(&spec, why);
            }
        }
        let Some(service) = closest else { return };
        let Some(spec) = service.root().get("spec") else { return };
        SERVICE.judge(&spec, &mut self.book);
        let mut taken: Option<Node<'a>> = None;
        for route in spec.get("http").map(|list| list.items()).unwrap_or_default() {
            if let Some(taken) = &taken {
                self.book.no_effect(&route, format!("{} takes every request before it", taken.place()));
                continue;
            }
            if let Some(matched) = route.get("match") {
                let why = "requests are not told apart here: every one takes the first route without a match";
                self.book.ignored(&matched, why);
                for (key, node) in route.entries() {
                    if key != "match" {
                        self.book.no_effect(&node, format!("no request takes the route of {}", matched.place()));
                    }
                }
                continue;
            }
            self.route(service, &route);
            taken = Some(route);
        }
    }

    fn route(&mut self, service: &'a Resource, route: &Node<'a>) {
        ROUTE.judge(route, &mut self.book);
        if let Some(retries) = route.get("retries") {
            self.retries(&retries, NAMESPACE);
        }
        let Some(list) = route.get("route") else { return };
        let destinations = list.items();
        let mut subsets: Vec<(String, u32)> = Vec::new();
        for destination in &destinations {
            if let Some(named) = self.destination(service, destination, destinations.len()) {
                subsets.push(named);
            }
        }
        if subsets.len() < 2 || subsets.len() < destinations.len() {
            return;
        }
        match Weights::new(subsets) {
            Ok(weights) => {
                for weight in destinations.iter().filter_map(|d| d.get("weight")) {
                    self.claims.weights.add(MESH, &weight, weights.clone());
                }
            }
            Err(problem) => self.book.wrong(&list, problem),
        }
    }

    /// A destination's name and weight; none for one that is wrong, which is noted.
    fn destination(&mut self, service: &Resource, node: &Node<'a>, of: usize) -> Option<(String, u32)> {
        let mut weight = None;
        for (key, field) in node.entries() {
            match key {
                "headers" => {
                    self.book.ignored(&field, "headers are not changed here");
                }
                "weight" => {
                    weight = self.whole(&field);
                    if of == 1 {
                        self.book.no_effect(&field, "it is the only destination");
                    }
                }
                _ => {}
            }
        }
        let to = node.get("destination")?;
        if let Some(port) = to.get("port") {
            self.book.no_effect(&port, "a service here has one port that is called");
        }
        let named = to.get("host")?;
        let whole = host::whole(&named.tree.text()?, &service.namespace);
        self.book.no_effect(&named, "it is the service that is called");
        let ours = self.workload.hosts.contains(&whole);
        let Some(subset) = to.get("subset") else {
            if of == 1 && !ours {
                self.book.ignored(&named, "every request would go to another service, which is not measured");
            }
            return Some((host::short(&whole).to_owned(), weight.unwrap_or(0)));
        };
        let name = subset.tree.text()?;
        if ours && !self.subsets().contains(&name) {
            let why = format!("no DestinationRule here has the subset {name}: the cluster would answer 503");
            self.book.ignored(&subset, why);
        } else if of == 1 {
            self.book.no_effect(&subset, "it takes every request, and is the only one here");
        } else {
            self.book.no_effect(&subset, "the weights are by this name");
        }
        Some((name, weight.unwrap_or(0)))
    }

    /// A policy of tries, of a route or of the mesh.
    pub(super) fn retries(&mut self, node: &Node<'a>, rank: u32) {
        RETRIES.judge(node, &mut self.book);
        if let Some(on) = node.get("retryOn")
            && on.tree.text().is_some_and(|text| default_retry_on(&text))
        {
            self.book.no_effect(&on, "it is Istio's default");
        }
        let Some(attempts) = node.get("attempts") else {
            // A policy without a number is one of no tries.
            self.claims.retries.add(rank, node, 0);
            return;
        };
        match self.whole(&attempts) {
            Some(n) if n > MOST_RETRIES => {
                self.book.ignored(&attempts, format!("more than {MOST_RETRIES} tries are not a setting here"));
            }
            Some(n) => self.claims.retries.add(rank, &attempts, n),
            None => {}
        }
    }
}

fn default_retry_on(text: &str) -> bool {
    let mut words: Vec<&str> = text.split(',').map(str::trim).collect();
    let mut known = RETRY_ON.to_vec();
    words.sort_unstable();
    known.sort_unstable();
    words == known
}

/// Whether sidecars read it.
fn in_mesh(spec: &Node<'_>) -> bool {
    let gateways = spec.get("gateways").map(|list| list.items()).unwrap_or_default();
    gateways.is_empty() || gateways.iter().any(|gateway| gateway.tree.text().as_deref() == Some("mesh"))
}
