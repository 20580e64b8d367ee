//! DestinationRule: how callers reach a host.

use super::book::Known;
use super::node::Node;
use super::reader::{ClientTls, MESH, Reader};

const RULE: Known = Known {
    idle: &[("host", "it chooses the service"), ("exportTo", "it says who sees the rule")],
    not_done: &[("workloadSelector", "all callers here are alike")],
    harmless: &[],
};

const POLICY: Known = Known {
    idle: &[],
    not_done: &[
        ("outlierDetection", "hosts that fail are not ejected here"),
        ("portLevelSettings", "a service here has one port; a policy of its own is not read"),
        ("tunnel", "requests are not tunnelled here"),
        ("proxyProtocol", "connections begin without a PROXY header here"),
        ("retryBudget", "tries are not bounded by a budget here"),
    ],
    harmless: &[],
};

const BALANCER: Known = Known {
    idle: &[
        ("simple", "each subset here is one process: there is nothing to choose among"),
        ("localityLbSetting", "all services here are in one place"),
        ("warmupDurationSecs", "no service joins while it is measured"),
        ("warmup", "no service joins while it is measured"),
    ],
    not_done: &[("consistentHash", "requests are not hashed here, which each request pays for")],
    harmless: &[],
};

const HTTP_POOL: Known = Known {
    idle: &[],
    not_done: &[
        ("http1MaxPendingRequests", "waiting requests are not bounded here"),
        ("http2MaxRequests", "requests in flight are not bounded here"),
        ("maxRetries", "tries in flight are not bounded here"),
        ("idleTimeout", "connections are not closed for being idle here"),
        ("maxConcurrentStreams", "streams are not bounded here"),
    ],
    harmless: &[
        ("h2UpgradePolicy", &["DEFAULT", "DO_NOT_UPGRADE"], "HTTP/1.1 is not made HTTP/2 here"),
        ("useClientProtocol", &["false"], "proxies here speak HTTP/1.1 to services"),
    ],
};

const TCP_POOL: Known = Known {
    idle: &[("tcpKeepalive", "a probe of an idle connection comes later than any run ends")],
    not_done: &[
        ("maxConnections", "connections to a service are not bounded here, and a bound makes requests wait"),
        ("connectTimeout", "connects are not given up here, and a starved proxy may take long for one"),
        ("maxConnectionDuration", "connections are not closed for their age here"),
        ("idleTimeout", "connections are not closed for being idle here"),
    ],
    harmless: &[],
};

const TLS: Known = Known {
    idle: &[],
    not_done: &[
        ("clientCertificate", "callers show the certificate that meshtax made"),
        ("privateKey", "callers show the certificate that meshtax made"),
        ("caCertificates", "callers trust the authority that meshtax made"),
        ("credentialName", "callers show the certificate that meshtax made"),
        ("subjectAltNames", "callers look for the identity that meshtax gave"),
        ("sni", "callers name the service that they call"),
        ("caCrl", "certificates are not revoked here"),
    ],
    harmless: &[("insecureSkipVerify", &["false"], "callers always verify here")],
};

impl<'a> Reader<'a> {
    /// The one rule that is for the workload's host; the others are noted.
    pub(super) fn destination_rules(&mut self) {
        let hosts = |spec: &Node<'_>| spec.text_of("host").into_iter().collect();
        let Some(rule) = self.closest("DestinationRule", hosts) else { return };
        let Some(spec) = rule.root().get("spec") else { return };
        RULE.judge(&spec, &mut self.book);
        if let Some(policy) = spec.get("trafficPolicy") {
            self.policy(&policy);
        }
        for subset in spec.get("subsets").map(|list| list.items()).unwrap_or_default() {
            for (key, node) in subset.entries() {
                match key {
                    "name" => self.book.no_effect(&node, "a route names it"),
                    "labels" => self.book.no_effect(&node, "they choose pods; a subset here is a process of its own"),
                    "trafficPolicy" => {
                        self.book.ignored(&node, "callers treat all subsets alike here");
                    }
                    _ => {}
                }
            }
        }
    }

    /// The names of the subsets of the workload's host.
    pub(super) fn subsets(&self) -> Vec<String> {
        let rules = self.resources.iter().filter(|r| r.kind == "DestinationRule");
        let ours = rules.filter(|rule| {
            let named = rule.root().far(&["spec", "host"]).and_then(|host| host.tree.text());
            let whole = named.map(|host| super::host::whole(&host, &rule.namespace));
            whole.is_some_and(|whole| self.workload.hosts.iter().any(|h| super::host::closeness(&whole, h).is_some()))
        });
        let lists = ours.filter_map(|rule| rule.root().far(&["spec", "subsets"]));
        lists.flat_map(|list| list.items()).filter_map(|subset| subset.text_of("name")).collect()
    }

    fn policy(&mut self, policy: &Node<'a>) {
        POLICY.judge(policy, &mut self.book);
        if let Some(balancer) = policy.get("loadBalancer") {
            BALANCER.judge(&balancer, &mut self.book);
        }
        if let Some(pool) = policy.far(&["connectionPool", "tcp"]) {
            TCP_POOL.judge(&pool, &mut self.book);
        }
        if let Some(pool) = policy.far(&["connectionPool", "http"]) {
            HTTP_POOL.judge(&pool, &mut self.book);
            if let Some(node) = pool.get("maxRequestsPerConnection")
                && let Some(requests) = self.whole(&node)
            {
                self.claims.per_connection.add(MESH, &node, requests);
            }
        }
        let Some(tls) = policy.get("tls") else { return };
        TLS.judge(&tls, &mut self.book);
        let Some(mode) = tls.get("mode") else { return };
        match mode.tree.text().as_deref() {
            Some("DISABLE") => self.claims.client.add(MESH, &mode, ClientTls::Clear),
            Some("ISTIO_MUTUAL") => self.claims.client.add(MESH, &mode, ClientTls::Mutual),
            Some("SIMPLE" | "MUTUAL") => {
                let why = "callers would not show the identity that the mesh gave them, and a sidecar would take them \
                           for outsiders";
                self.book.wrong(&mode, why);
            }
            _ => self.book.wrong(&mode, "a mode is DISABLE, SIMPLE, MUTUAL or ISTIO_MUTUAL"),
        }
    }

    /// A whole number; none for what is none, which is noted.
    pub(super) fn whole(&mut self, node: &Node<'a>) -> Option<u32> {
        let number = node.tree.text().and_then(|text| text.trim().parse().ok());
        if number.is_none() {
            self.book.wrong(node, format!("'{}' is no whole number", node.tree.said()));
        }
        number
    }
}
